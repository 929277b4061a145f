// `tospace run`: a workload on a heap of its own, in a thread of its own, and a report of what it saw.

import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createHeap, type CycleReport, type Heap, type HeapStatistics } from 'tospace';
import { formatBytes } from './cli/bytes.ts';
import { HiccupMeter } from './cli/hiccups.ts';
import { Progress } from './cli/progress.ts';
import { makeReport, type RunReport } from './cli/report.ts';
import { parseRunArguments, RUN_USAGE, type RunArguments } from './cli/run-arguments.ts';
import { summarise } from './cli/summary.ts';
import { RunTrace } from './cli/run-trace.ts';
import { UsageError } from './cli/usage.ts';
import { packageVersion } from './cli/version.ts';
import { runInThreads } from './cli/workload-threads.ts';
import { writeOperations } from './workloads/operations.ts';

/** How long a cycle that is under way when the workload has ended is waited for, and its report. Only one that hangs is meant to meet it. */
const SETTLE_TIMEOUT_MS = 10_000;

/** Faults that the workload's thread times after each flip. */
const FAULT_SAMPLES = 8;

/** Runs what the arguments say; returns the exit status. @throws UsageError, TospaceError */
export async function run(args: readonly string[]): Promise<number> {
  const parsed = parseRunArguments(args);
  if (parsed === 'help') {
    process.stdout.write(RUN_USAGE);
    return 0;
  }
  if (parsed.traceFile !== undefined) assertWritable(parsed.traceFile);
  const report = await measure(parsed);
  process.stdout.write(parsed.json ? `${JSON.stringify(report, null, 2)}\n` : summarise(report));
  return 0;
}

/** A long run must not end in a file that cannot be written. @throws UsageError */
function assertWritable(file: string): void {
  try {
    accessSync(existsSync(file) ? file : dirname(file), constants.W_OK);
  } catch (error) {
    throw new UsageError(`--trace: cannot write ${file}: ${(error as Error).message}`);
  }
}

async function measure(args: RunArguments): Promise<RunReport> {
  const { workload, seed, scale, threads, rate, load } = args;
  const heap = await createHeap({ faultSamples: FAULT_SAMPLES, ...args.heapOptions });
  const cycles: CycleReport[] = [];
  let running = 0;
  heap.on('start', () => running++);
  heap.on('cycle', (cycle) => {
    running--;
    cycles.push(cycle);
  });
  heap.on('abandoned', (error) => {
    running--;
    process.stderr.write(`tospace: a cycle was abandoned: ${error.message}\n`);
  });
  const trace = args.traceFile === undefined ? undefined : new RunTrace(heap);
  const done = new SharedArrayBuffer(8 * threads);
  const title = `${workload.name}: collector ${heap.options.collector}, heap ${formatBytes(heap.options.heap)}, seed ${seed}, scale ${scale}`;
  const progress = new Progress(process.stderr, title, {
    done: () => new Float64Array(done).reduce((sum, part) => sum + part) / threads,
    stats: () => heap.stats(),
    lastCycle: () => cycles.at(-1),
  });
  const meter = workload.hiccups === true ? await HiccupMeter.start() : undefined;
  try {
    const result = await runInThreads(heap, { workload, seed, scale, threads, rate, load, done });
    const hiccups = await meter?.finish();
    if (args.operationsFile !== undefined) writeOperations(args.operationsFile, result.operations);
    const statistics = await settledStatistics(heap, () => running === 0, cycles);
    trace?.write(args.traceFile!, `tospace run ${title}`);
    return makeReport({
      workload: workload.name,
      options: heap.options,
      mode: heap.mode,
      seed,
      scale,
      checksum: result.checksum,
      wallMs: result.wallMs,
      details: { ...result.details, ...(hiccups === undefined ? {} : { hiccupUs: hiccups }) },
      statistics,
      cycles,
      version: packageVersion(),
    });
  } finally {
    trace?.close();
    progress.close();
    await heap.close();
  }
}

/**
 * The statistics when no cycle is under way any more: the trace, the reports and these then tell of the same cycles, and of whole ones.
 * Reports come as messages, behind the counter. A beginning is a message, too: the phase tells of a cycle whose message is on its way.
 */
async function settledStatistics(
  heap: Heap,
  allEnded: () => boolean,
  cycles: readonly CycleReport[],
): Promise<HeapStatistics> {
  const end = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    await sleep(1);
    const statistics = heap.stats();
    const isSettled = allEnded() && statistics.phase === 'idle' && cycles.length === statistics.cycles;
    if (isSettled || performance.now() > end) return statistics;
  }
}
