// V8's own collector: the workloads on plain objects (bench/v8), in a process of their own.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Pause, Peer, PeerRun, PeerRunOptions, Prepared } from './peer.ts';
import { programArguments } from './peer.ts';
import { COMMON_WORKLOADS, REFERENCES } from './workloads.ts';

const PROGRAM = fileURLToPath(new URL('../v8/main.js', import.meta.url));
const MIB = 2 ** 20;

export const V8: Peer = {
  name: 'v8',
  title: `V8 ${process.versions.v8}, Node.js ${process.versions.node}`,
  workloads: [...COMMON_WORKLOADS, REFERENCES],

  async prepare(): Promise<Prepared> {
    return existsSync(PROGRAM)
      ? { version: process.versions.v8 }
      : { skipped: 'bench/v8 is not part of this build' };
  },

  run(options: PeerRunOptions): PeerRun {
    // The limit of the old generation, of every thread's isolate; the young one comes on top of it.
    const limit = `--max-old-space-size=${Math.ceil(options.heapBytes / MIB)}`;
    return {
      command: [process.execPath, limit, PROGRAM, ...programArguments(options)],
      // Never written: --trace-gc writes to standard output, where the result goes. The harness' form v8 observes V8's pauses from within.
      pauseLog: options.logFile,
    };
  },

  pauses(): Pause[] {
    return [];
  },
};
