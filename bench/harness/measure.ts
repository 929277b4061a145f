// One measurement: a process for a configuration, what it wrote, and what the machine did meanwhile.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChildFacts, ChildInput } from './child-input.ts';
import { EnvironmentWatch } from './environment.ts';
import { type Peer, type PeerPause, type PeerRun, parsePeerOutput } from './peer.ts';
import { peerFacts } from './peer-facts.ts';
import { processCpuMs, rssBytes } from './proc.ts';
import { type ProcessResult, runProcess } from './process.ts';
import type { Configuration, Facts, Measurement, Operations, Outcome, TimelineSample } from './schema.ts';
import { distributionOf, round } from './statistics/distribution.ts';
import { countOperations, meteredLatencies, parseOperations, simpleLatencies } from './statistics/latency.ts';

const SAMPLE_MS = 25;
const STDERR_SHOWN = 2000;

/** Heap given to a peer where the configuration names none: as much as ours gets by default. */
const PEER_HEAP_BYTES = 256 * 2 ** 20;

export interface MeasureContext {
  /** A folder for files of the processes; they are removed again. */
  readonly dir: string;
  readonly peers: readonly Peer[];
  /** `performance.now` of the suite's beginning. */
  readonly startedAt: number;
  readonly signal?: AbortSignal;
  /** The program of own forms; replaced in tests. */
  readonly child?: string;
}

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

/** Measures; undefined when the signal ended it. Never rejects for what the process does. */
export async function measure(
  configuration: Configuration,
  run: number,
  context: MeasureContext,
): Promise<Measurement | undefined> {
  const files = {
    input: join(context.dir, 'input.json'),
    facts: join(context.dir, 'facts.json'),
    operations: join(context.dir, 'operations.bin'),
    log: join(context.dir, 'pauses.log'),
  };
  // What the process before left would be taken for this one's.
  for (const file of Object.values(files)) rmSync(file, { force: true });
  const peer = context.peers.find(({ name }) => name === configuration.peer);
  const plan =
    peer === undefined ? ownRun(configuration, files, context) : peerRun(peer, configuration, files);
  const atMs = round(performance.now() - context.startedAt);
  const watch = await EnvironmentWatch.start();
  const outside = new OutsideView(peer !== undefined);
  const result = await runProcess(plan.command, {
    limitMs: configuration.limitMs,
    started: (pid) => outside.watch(pid),
    ...(plan.env === undefined ? {} : { env: plan.env }),
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  });
  const { cpuMs, samples } = outside.finish();
  const environment = await watch.finish(cpuMs);
  if (result.aborted) return undefined;
  const { outcome, facts } = judge(result, configuration.limitMs, () => {
    const known =
      peer === undefined
        ? (JSON.parse(readFileSync(files.facts, 'utf8')) as ChildFacts)
        : peerFacts(
            parsePeerOutput(result.stdout),
            readPauses(peer, plan.pauseLog, result.stderr),
            samples,
            configuration.threads,
          );
    return { ...known, operations: readOperations(files.operations, configuration, known.wallMs) };
  });
  return {
    id: `${configuration.id}#${run}`,
    configuration: configuration.id,
    run,
    atMs,
    command: plan.command,
    outcome,
    environment,
    facts,
  };
}

interface Files {
  readonly input: string;
  readonly facts: string;
  readonly operations: string;
  readonly log: string;
}

function ownRun(configuration: Configuration, files: Files, { child = CHILD }: MeasureContext): PeerRun {
  const input: ChildInput = {
    configuration,
    operationsFile: files.operations,
    factsFile: files.facts,
    sampleMs: SAMPLE_MS,
  };
  writeFileSync(files.input, JSON.stringify(input));
  return { command: [process.execPath, child, files.input] };
}

function peerRun(peer: Peer, configuration: Configuration, files: Files): PeerRun {
  const { workload, scale, seed, threads, rate, heapBytes } = configuration;
  return peer.run({
    workload,
    scale,
    seed,
    threads,
    ...(rate === null ? {} : { rate }),
    heapBytes: heapBytes ?? PEER_HEAP_BYTES,
    opsFile: files.operations,
    logFile: files.log,
  });
}

/** What became of a process; its output is looked at only when it ended well. */
function judge(
  result: ProcessResult,
  limitMs: number,
  read: () => Facts,
): { outcome: Outcome; facts: Facts | null } {
  const failed = (how: 'died' | 'timeout' | 'output', reason: string): ReturnType<typeof judge> => ({
    outcome: {
      type: 'failed',
      how,
      reason,
      status: result.status,
      signal: result.signal,
      stderr: result.stderr.slice(-STDERR_SHOWN),
    },
    facts: null,
  });
  if (result.timedOut) return failed('timeout', `did not end within ${limitMs} ms and was killed`);
  if (result.error !== null) return failed('died', `could not be run: ${result.error}`);
  if (result.signal !== null) return failed('died', `was ended by ${result.signal}`);
  if (result.status !== 0)
    return failed('died', `ended with status ${result.status}: ${lastLine(result.stderr)}`);
  try {
    return { outcome: { type: 'ok' }, facts: read() };
  } catch (error) {
    return failed('output', `ended well, but its output cannot be read: ${(error as Error).message}`);
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'it said nothing';
}

function readPauses(peer: Peer, logFile: string | undefined, stderr: string): PeerPause[] | null {
  if (logFile !== undefined && !existsSync(logFile)) return null;
  return peer.pauses(logFile === undefined ? stderr : readFileSync(logFile, 'utf8'));
}

/** Null where the workload has no operations. @throws RangeError when the log makes no sense. */
function readOperations(file: string, { rate, threads }: Configuration, wallMs: number): Operations | null {
  if (!existsSync(file)) return null;
  const log = parseOperations(readFileSync(file));
  const count = countOperations(log);
  if (count === 0) return null;
  if (log.length > threads) throw new RangeError(`operations of ${log.length} threads, there are ${threads}`);
  return {
    count,
    threads: log.length,
    perSecond: round(count / (wallMs / 1000)),
    simpleUs: distributionOf(simpleLatencies(log, rate)),
    meteredUs: distributionOf(meteredLatencies(log, rate)),
  };
}

/** A process as its parent sees it: CPU time to the end, and the memory of those that cannot look at it themselves. */
class OutsideView {
  readonly #samplesMemory: boolean;
  readonly #samples: TimelineSample[] = [];
  #timer: NodeJS.Timeout | undefined;
  #cpuMs: number | null = null;

  constructor(samplesMemory: boolean) {
    this.#samplesMemory = samplesMemory;
  }

  watch(pid: number): void {
    const start = performance.now();
    this.#timer = setInterval(() => {
      this.#cpuMs = processCpuMs(pid) ?? this.#cpuMs;
      if (!this.#samplesMemory) return;
      this.#samples.push({
        ms: round(performance.now() - start),
        usedBytes: null,
        softLimitBytes: null,
        rssBytes: rssBytes(pid),
        memfdBytes: null,
        phase: null,
      });
    }, SAMPLE_MS);
  }

  finish(): { cpuMs: number | null; samples: readonly TimelineSample[] } {
    clearInterval(this.#timer);
    return { cpuMs: this.#cpuMs, samples: this.#samples.filter(({ rssBytes: bytes }) => bytes !== null) };
  }
}
