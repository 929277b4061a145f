// C with the conservative collector of Boehm, Demers and Weiser.

import { join } from 'node:path';
import { BuiltPeer, type Program } from './built-peer.ts';
import { parseOwnLog } from './pause-logs.ts';
import { PAUSE_LOG_VARIABLE, type Peer, programArguments } from './peer.ts';
import { built, findTool, runTool, sourceFolder, sourcesOf, Unavailable } from './toolchain.ts';
import { COMMON_WORKLOADS } from './workloads.ts';

const FLAGS = ['-std=gnu11', '-Wall', '-Wextra', '-O2', '-ffp-contract=off', '-pthread'];

/** The library's version as its headers have it. @throws Unavailable without headers */
async function libraryVersion(gcc: string): Promise<string> {
  const [major, minor, micro] = await runTool(gcc, ['-E', '-dM', '-include', 'gc/gc.h', '-xc', '/dev/null'])
    .catch(() => {
      throw new Unavailable('libgc-dev is not installed (bench/peers/install.sh installs it on Debian)');
    })
    .then((macros) =>
      ['MAJOR', 'MINOR', 'MICRO'].map(
        (part) => new RegExp(`^#define GC_(?:TMP_)?VERSION_${part} (\\d+)`, 'm').exec(macros)?.[1] ?? '?',
      ),
    );
  return `${major}.${minor}.${micro}`;
}

async function build(dir: string): Promise<Program> {
  const gcc = findTool('gcc');
  const version = await libraryVersion(gcc);
  const compiler = (await runTool(gcc, ['--version'])).split('\n')[0];
  const folder = await built(dir, 'boehm', `${version} ${compiler} ${FLAGS.join(' ')}`, async (output) => {
    const sources = sourcesOf('boehm', '.c');
    await runTool(gcc, [...FLAGS, '-o', join(output, 'peer'), ...sources, '-lgc', '-lm'], {
      cwd: sourceFolder('boehm'),
    });
  });
  return { version, folder };
}

export const BOEHM: Peer = new BuiltPeer({
  name: 'boehm',
  title: "C with Boehm's collector",
  // Without references: the collector has weak references and finalizers, but no ephemerons, and a value that it finds refers to its key.
  workloads: COMMON_WORKLOADS,
  build,
  run: (folder, options) => ({
    command: [join(folder, 'peer'), ...programArguments(options)],
    env: {
      GC_INITIAL_HEAP_SIZE: `${options.heapBytes}`,
      GC_MAXIMUM_HEAP_SIZE: `${options.heapBytes}`,
      [PAUSE_LOG_VARIABLE]: options.logFile,
    },
    pauseLog: options.logFile,
  }),
  pauses: parseOwnLog,
});
