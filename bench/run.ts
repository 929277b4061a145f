// `tospace run`: a workload on a heap of its own, in a thread of its own, and a report of what it saw.

import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createHeap, type CycleReport, type Heap } from 'tospace';
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

/** How long the reports of cycles that have been counted may take to arrive. */
const EVENTS_TIMEOUT_MS = 500;

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
  heap.on('cycle', (cycle) => cycles.push(cycle));
  heap.on('abandoned', (error) => process.stderr.write(`tospace: a cycle was abandoned: ${error.message}\n`));
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
    await allReported(heap, cycles);
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
      statistics: heap.stats(),
      cycles,
      version: packageVersion(),
    });
  } finally {
    trace?.close();
    progress.close();
    await heap.close();
  }
}

/** Waits for the reports of the cycles that are counted as complete: they come as messages, behind the counter. */
async function allReported(heap: Heap, cycles: readonly CycleReport[]): Promise<void> {
  const end = performance.now() + EVENTS_TIMEOUT_MS;
  while (cycles.length < heap.stats().cycles && performance.now() < end) await sleep(1);
}
