// `tospace bench SUITE`: measures, computes, writes.

import { accessSync, constants, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from './cli/usage.ts';
import { analyse, withoutOtherTimelines } from './harness/analysis.ts';
import { BENCH_USAGE, type BenchArguments, parseBenchArguments } from './harness/arguments.ts';
import { documentText } from './harness/document-text.ts';
import { hasForm } from './harness/forms.ts';
import { describeMachine, machineAfter } from './harness/machine.ts';
import { measure, type MeasureContext } from './harness/measure.ts';
import { findMinimumHeap, minimumKey, timesMinimum } from './harness/min-heap.ts';
import { orchestrate } from './harness/orchestrate.ts';
import { OUTPUTS, type OutputKind } from './harness/outputs.ts';
import { findPeers, knownPeers } from './harness/peer-list.ts';
import { type Planned, planSuite } from './harness/plan.ts';
import { runProcess } from './harness/process.ts';
import { formatDuration, SuiteProgress } from './harness/progress.ts';
import {
  type BenchDocument,
  type Configuration,
  FORMAT,
  FORMAT_VERSION,
  type Measurement,
  type MinimumHeap,
  type Skipped,
} from './harness/schema.ts';

/** Memory that is touched before, at most: what the largest configuration has, with room. */
const PRETOUCH_BYTES_MAX = 2 * 2 ** 30;
const PRETOUCH_LIMIT_MS = 120_000;
const MIB = 2 ** 20;
/** Sizes that a bisection tries, for the announcement. */
const PROBES_EXPECTED = 7;
const INTERRUPTED_STATUS = 130;

/** Runs the command with the arguments behind `bench`; returns the exit status. @throws UsageError */
export async function suite(args: readonly string[]): Promise<number> {
  const parsed = parseBenchArguments(args);
  if (parsed === 'help') {
    process.stdout.write(BENCH_USAGE);
    return 0;
  }
  assertWritable(parsed.outputs);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  const dir = mkdtempSync(join(tmpdir(), 'tospace-bench-'));
  const progress = new SuiteProgress(process.stderr);
  try {
    const document = await run(parsed, args, dir, progress, interruption.signal);
    await write(document, parsed.outputs);
    if (!Object.values(parsed.outputs).includes('-')) {
      const written = Object.values(parsed.outputs).map((file) => `wrote ${file}\n`);
      process.stdout.write(documentText(document) + written.join(''));
    }
    if (interruption.signal.aborted) return INTERRUPTED_STATUS;
    return document.status === 'complete' && document.problems.length === 0 ? 0 : 1;
  } finally {
    progress.close();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** An hour of measuring must not end in a file that cannot be written. @throws UsageError */
function assertWritable(outputs: BenchArguments['outputs']): void {
  for (const [kind, file] of Object.entries(outputs)) {
    if (file === '-') continue;
    try {
      accessSync(existsSync(file) ? file : dirname(file), constants.W_OK);
    } catch (error) {
      throw new UsageError(`--${kind}: cannot write ${file}: ${(error as Error).message}`);
    }
  }
}

async function write(document: BenchDocument, outputs: BenchArguments['outputs']): Promise<void> {
  for (const [kind, file] of Object.entries(outputs)) {
    const text = await OUTPUTS[kind as OutputKind]!(document);
    if (file === '-') process.stdout.write(text);
    else writeFileSync(file, text);
  }
}

async function run(
  options: BenchArguments,
  command: readonly string[],
  dir: string,
  progress: SuiteProgress,
  signal: AbortSignal,
): Promise<BenchDocument> {
  const startedAt = new Date();
  const start = performance.now();
  const { seed, runs, stress, scale, only } = options;
  const found = await findPeers(options.peers, await knownPeers(), dir, (text) => progress.line(text));
  const { planned, skipped } = planSuite(options.suite, {
    seed,
    scale,
    peers: found.peers,
    hasForm,
    ...(stress === undefined ? {} : { heapOptions: { stress } }),
  });
  const chosen = planned.filter(
    ({ configuration: { id } }) => only.length === 0 || only.some((word) => id.includes(word)),
  );
  if (chosen.length === 0) throw new UsageError('bench: no configuration is left to measure');
  const estimatedMs = estimate(chosen, runs);
  progress.line(
    `suite ${options.suite.name}: ${chosen.length} configurations, ${runs} processes each, about ${formatDuration(estimatedMs)}; seed ${seed}`,
  );
  let machine = describeMachine();
  const pretouchedBytes = options.pretouch ? await pretouch(chosen, machine.availableMemoryBytes, signal) : 0;
  progress.line(
    pretouchedBytes === 0
      ? 'memory was not touched before'
      : `touched ${pretouchedBytes / MIB} MiB of memory before`,
  );
  machine = { ...machine, pretouchedBytes, peers: found.versions };
  const context: MeasureContext = { dir, peers: found.peers, startedAt: start, signal };
  const once = (configuration: Configuration, number: number): Promise<Measurement | undefined> =>
    measure(configuration, number, context);

  const sized = await sizeHeaps(
    chosen.map(({ configuration }) => configuration),
    once,
    progress,
  );
  const played = await orchestrate(
    sized.configurations,
    { runs, seed },
    { measure: once, signal, listener: progress },
  );
  const measurements = [...played.measurements];
  const analysis = analyse(sized.configurations, measurements, sized.minimumHeaps);
  const nothing = measurements.every(({ facts }) => facts === null);
  return {
    format: FORMAT,
    formatVersion: FORMAT_VERSION,
    command,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    status:
      played.wrong || (nothing && !signal.aborted) ? 'failed' : signal.aborted ? 'incomplete' : 'complete',
    problems: [...played.problems, ...(signal.aborted ? ['interrupted'] : [])],
    machine: machineAfter(machine),
    suite: {
      name: options.suite.name,
      summary: options.suite.summary,
      runs,
      seed,
      estimatedMs,
      tookMs: Math.round(performance.now() - start),
    },
    configurations: sized.configurations,
    skipped: [...found.skipped, ...skipped, ...sized.skipped],
    measurements: withoutOtherTimelines(measurements, analysis),
    checksums: played.checksums,
    analysis,
  };
}

function estimate(planned: readonly Planned[], runs: number): number {
  const rounds = planned.reduce((sum, { expectedMs }) => sum + expectedMs, 0) * runs;
  const searched = new Map(
    planned
      .filter(({ configuration }) => configuration.timesMinimum !== null)
      .map(({ configuration, expectedMs }) => [minimumKey(configuration), expectedMs]),
  );
  return rounds + [...searched.values()].reduce((sum, ms) => sum + ms, 0) * PROBES_EXPECTED;
}

/** Touches as much as the largest heap takes with its copies; returns how much. */
async function pretouch(
  planned: readonly Planned[],
  availableBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const largest = Math.max(...planned.map(({ configuration }) => configuration.heapBytes ?? 0));
  const wanted = Math.min(largest * 2.5 + 256 * MIB, PRETOUCH_BYTES_MAX, availableBytes * 0.7);
  const bytes = Math.floor(wanted / MIB) * MIB;
  const script = fileURLToPath(new URL('./harness/pretouch.js', import.meta.url));
  const { status } = await runProcess([process.execPath, script, String(bytes)], {
    limitMs: PRETOUCH_LIMIT_MS,
    signal,
  });
  return status === 0 ? bytes : 0;
}

interface Sized {
  readonly configurations: readonly Configuration[];
  readonly minimumHeaps: readonly MinimumHeap[];
  readonly skipped: readonly Skipped[];
}

/** Looks for the minimum heaps that configurations are multiples of, and gives these their sizes. */
async function sizeHeaps(
  configurations: readonly Configuration[],
  once: (configuration: Configuration, run: number) => Promise<Measurement | undefined>,
  progress: SuiteProgress,
): Promise<Sized> {
  const minima = new Map<string, MinimumHeap>();
  const skipped: Skipped[] = [];
  const result: Configuration[] = [];
  let interrupted = false;
  for (const configuration of configurations) {
    if (configuration.timesMinimum === null) {
      result.push(configuration);
      continue;
    }
    const key = minimumKey(configuration);
    if (!minima.has(key) && !interrupted) {
      const { workload, collector } = configuration;
      progress.line(`looking for the minimum heap of ${workload} on ${collector}`);
      const search = await findMinimumHeap(configuration, once);
      interrupted = search.interrupted;
      if (!interrupted) minima.set(key, search.minimum);
    }
    const heapBytes = minima.get(key)?.heapBytes ?? null;
    if (heapBytes === null) {
      const reason = interrupted
        ? 'interrupted before its minimum heap was found'
        : 'no heap up to 1 GiB is enough';
      skipped.push({ what: configuration.id, reason });
    } else {
      result.push({ ...configuration, heapBytes: timesMinimum(heapBytes, configuration.timesMinimum) });
    }
  }
  return { configurations: result, minimumHeaps: [...minima.values()], skipped };
}
