// OCaml 4's generational collector: copying for the young, incremental mark-sweep for the old.

import { copyFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BuiltPeer, type Program } from './built-peer.ts';
import { parseOwnLog } from './pause-logs.ts';
import { PAUSE_LOG_VARIABLE, type Peer, programArguments } from './peer.ts';
import { built, findTool, runTool, sourcesOf, Unavailable } from './toolchain.ts';
import { COMMON_WORKLOADS, REFERENCES } from './workloads.ts';

/** -O3 says something to compilers with flambda only; the others take it and do nothing. */
const FLAGS = ['-O3', '-ccopt', '-O2'];

async function build(dir: string): Promise<Program> {
  const ocamlopt = findTool('ocamlopt');
  findTool('gcc');
  const version = (await runTool(ocamlopt, ['-version'])).trim();
  // The collector of OCaml 5 is another one, without the hooks that tell of pauses.
  if (!/^4\.(1[3-9])\./.test(version))
    throw new Unavailable(`${ocamlopt} is version ${version}, and the program needs OCaml 4.13 or 4.14`);
  const folder = await built(dir, 'ocaml', `${version} ${FLAGS.join(' ')}`, async (output) => {
    // The compiler writes beside the sources, and wants them in the order of their dependencies.
    const sources = sourcesOf('ocaml', '.ml', '.c');
    for (const source of sources) copyFileSync(source, join(output, basename(source)));
    const modules = sources.map((source) => basename(source)).filter((name) => name.endsWith('.ml'));
    const ocamldep = findTool('ocamldep');
    const sorted = (await runTool(ocamldep, ['-sort', ...modules], { cwd: output })).trim().split(/\s+/);
    await runTool(ocamlopt, [...FLAGS, '-o', 'peer', 'stubs.c', ...sorted], { cwd: output });
  });
  return { version, folder };
}

export const OCAML: Peer = new BuiltPeer({
  name: 'ocaml',
  title: 'OCaml',
  // The runtime of OCaml 4 runs one thread at a time: gcbench-mt would measure its master lock.
  workloads: [...COMMON_WORKLOADS.filter((name) => name !== 'gcbench-mt'), REFERENCES],
  build,
  run: (folder, options) => ({
    command: [join(folder, 'peer'), ...programArguments(options)],
    // No limit of the heap exists, and the runtime's own pacing is left as it is: README.md.
    env: { OCAMLRUNPARAM: '', [PAUSE_LOG_VARIABLE]: options.logFile },
    pauseLog: options.logFile,
  }),
  pauses: parseOwnLog,
});
