// OpenJDK's collectors: one program, one peer for each.

import { BuiltPeer, type Program } from './built-peer.ts';
import { parseHotSpotLog } from './pause-logs.ts';
import { PAUSE_LOG_VARIABLE, type Peer, programArguments } from './peer.ts';
import { built, findTool, runTool, sourcesOf, Unavailable } from './toolchain.ts';
import { COMMON_WORKLOADS, REFERENCES } from './workloads.ts';

/** Records came with 16. */
const MAJOR_MIN = 16;

const COLLECTORS = [
  { name: 'java-serial', title: 'OpenJDK Serial', flag: '-XX:+UseSerialGC' },
  { name: 'java-g1', title: 'OpenJDK G1', flag: '-XX:+UseG1GC' },
  { name: 'java-shenandoah', title: 'OpenJDK Shenandoah', flag: '-XX:+UseShenandoahGC' },
  { name: 'java-zgc', title: 'OpenJDK ZGC', flag: '-XX:+UseZGC' },
] as const;

async function build(dir: string, flag: string): Promise<Program> {
  const java = findTool('java');
  const javac = findTool('javac');
  // `openjdk 17.0.15 2025-04-15` is the first line. A collector that was left out of this build of the machine is an error here.
  const [line = ''] = (await runTool(java, [flag, '--version'])).split('\n');
  const version = /\d[\w.+-]*/.exec(line)?.[0] ?? '';
  if (!(Number.parseInt(version, 10) >= MAJOR_MIN))
    throw new Unavailable(`${java} is "${line}", and the program needs Java ${MAJOR_MIN}`);
  const folder = await built(dir, 'java', line, async (output) => {
    await runTool(javac, ['-encoding', 'UTF-8', '-d', output, ...sourcesOf('java', '.java')]);
  });
  return { version, folder };
}

export const JAVA: readonly Peer[] = COLLECTORS.map(
  ({ name, title, flag }) =>
    new BuiltPeer({
      name,
      title,
      workloads: [...COMMON_WORKLOADS, REFERENCES],
      build: (dir) => build(dir, flag),
      run: (folder, options) => {
        const heap = `${Math.ceil(options.heapBytes / 1024)}k`;
        const jvm = [flag, `-Xms${heap}`, `-Xmx${heap}`, '-XX:+AlwaysPreTouch', '-XX:-UsePerfData'];
        const log = `-Xlog:safepoint,gc:file="${options.logFile}":tn:filecount=0`;
        return {
          command: [findTool('java'), ...jvm, log, '-cp', folder, 'Main', ...programArguments(options)],
          env: { [PAUSE_LOG_VARIABLE]: options.logFile },
          pauseLog: options.logFile,
        };
      },
      pauses: parseHotSpotLog,
    }),
);
