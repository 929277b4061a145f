// Go's concurrent mark-sweep collector.

import { join } from 'node:path';
import { BuiltPeer, type Program } from './built-peer.ts';
import { parseGoTrace } from './pause-logs.ts';
import { PAUSE_LOG_VARIABLE, type Peer, programArguments } from './peer.ts';
import { built, findTool, runTool, sourceFolder, Unavailable } from './toolchain.ts';
import { COMMON_WORKLOADS } from './workloads.ts';

/** GOMEMLIMIT came with 1.19. */
const MINOR_MIN = 19;
/** Nothing is fetched: the program has no dependencies, and the toolchain is the one that is installed. */
const OFFLINE = { GOPROXY: 'off', GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false', GOWORK: 'off' };

async function build(dir: string): Promise<Program> {
  const go = findTool('go');
  // `go version go1.19.8 linux/amd64`
  const line = (await runTool(go, ['version'], { env: OFFLINE })).trim();
  const [, version, major, minor] = /\bgo((\d+)\.(\d+)\S*)/.exec(line) ?? [];
  if (version === undefined || (Number(major) === 1 && Number(minor) < MINOR_MIN))
    throw new Unavailable(`${go} is "${line}", and the program needs Go 1.${MINOR_MIN}`);
  const folder = await built(dir, 'go', line, async (output) => {
    await runTool(go, ['build', '-o', join(output, 'peer'), '.'], { cwd: sourceFolder('go'), env: OFFLINE });
  });
  return { version, folder };
}

export const GO: Peer = new BuiltPeer({
  name: 'go',
  title: 'Go',
  // Without references: Go has finalizers, but no weak references before 1.24, and no ephemerons.
  workloads: COMMON_WORKLOADS,
  build,
  run: (folder, options) => ({
    command: [join(folder, 'peer'), ...programArguments(options)],
    env: {
      // Collects when the limit comes near and not before, as a heap of that size would: README.md.
      GOGC: 'off',
      GOMEMLIMIT: `${options.heapBytes}`,
      GODEBUG: 'gctrace=1',
      [PAUSE_LOG_VARIABLE]: options.logFile,
    },
    pauseLog: options.logFile,
  }),
  pauses: parseGoTrace,
});
