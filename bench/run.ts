// `tospace run`: a workload on a heap of its own, in a thread of its own, and a report of what it saw.

import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createHeap, type CycleReport, type Heap } from 'tospace';
import { decodeError } from 'tospace/uffd';
import { formatBytes } from './cli/bytes.ts';
import { HiccupMeter } from './cli/hiccups.ts';
import { Progress } from './cli/progress.ts';
import { makeReport, type RunReport } from './cli/report.ts';
import { parseRunArguments, RUN_USAGE, type RunArguments } from './cli/run-arguments.ts';
import { summarise } from './cli/summary.ts';
import { packageVersion } from './cli/version.ts';
import type { ThreadInput, ThreadResult } from './cli/workload-thread.ts';

/** How long the reports of cycles that have been counted may take to arrive. */
const EVENTS_TIMEOUT_MS = 500;

/** Runs what the arguments say; returns the exit status. @throws UsageError, TospaceError */
export async function run(args: readonly string[]): Promise<number> {
  const parsed = parseRunArguments(args);
  if (parsed === 'help') {
    process.stdout.write(RUN_USAGE);
    return 0;
  }
  const report = await measure(parsed);
  process.stdout.write(parsed.json ? `${JSON.stringify(report, null, 2)}\n` : summarise(report));
  return 0;
}

async function measure({ workload, heapOptions, seed, scale, load }: RunArguments): Promise<RunReport> {
  const heap = await createHeap(heapOptions);
  const cycles: CycleReport[] = [];
  heap.on('cycle', (cycle) => cycles.push(cycle));
  heap.on('abandoned', (error) => process.stderr.write(`tospace: a cycle was abandoned: ${error.message}\n`));
  const done = new SharedArrayBuffer(8);
  const title = `${workload.name}: collector ${heap.options.collector}, heap ${formatBytes(heap.options.heap)}, seed ${seed}, scale ${scale}`;
  const progress = new Progress(process.stderr, title, {
    done: () => new Float64Array(done)[0],
    stats: () => heap.stats(),
    lastCycle: () => cycles.at(-1),
  });
  const meter = workload.hiccups === true ? await HiccupMeter.start() : undefined;
  try {
    const result = await runInThread({
      shared: heap.share(),
      workload: workload.name,
      seed,
      scale,
      load,
      done,
    });
    const hiccups = await meter?.finish();
    if (result.type === 'failed') throw decodeError(result.error);
    await allReported(heap, cycles);
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
    progress.close();
    await heap.close();
  }
}

/** Runs a workload in a worker thread, to its result and the end of the thread. */
function runInThread(input: ThreadInput): Promise<ThreadResult> {
  return new Promise((resolve, reject) => {
    let result: ThreadResult | undefined;
    const worker = new Worker(new URL('./cli/workload-thread.js', import.meta.url), { workerData: input });
    worker.on('message', (message: ThreadResult) => {
      result = message;
    });
    worker.on('error', reject);
    worker.on('exit', (status) => {
      if (result !== undefined) resolve(result);
      else reject(new Error(`the workload's thread ended with status ${status} and no result`));
    });
  });
}

/** Waits for the reports of the cycles that are counted as complete: they come as messages, behind the counter. */
async function allReported(heap: Heap, cycles: readonly CycleReport[]): Promise<void> {
  const end = performance.now() + EVENTS_TIMEOUT_MS;
  while (cycles.length < heap.stats().cycles && performance.now() < end) await sleep(1);
}
