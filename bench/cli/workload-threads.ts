// Runs a workload on a heap, in one thread or several, and waits for all of them.

import { Worker } from 'node:worker_threads';
import type { HeapAccess } from 'tospace';
import { decodeError } from 'tospace/uffd';
import { combine, type Load, type Workload } from '../workloads/workload.ts';
import { CycleCaller } from './cycle-caller.ts';
import { START_LINE_BYTES } from './start-line.ts';
import type { ThreadInput, ThreadResult } from './workload-thread.ts';

export interface WorkloadRun {
  readonly workload: Workload;
  readonly seed: number;
  readonly scale: number;
  /** 1 unless the workload is threaded. */
  readonly threads: number;
  /** Operations per second and thread of an open load; undefined is a closed loop. */
  readonly rate?: number | undefined;
  readonly load: Load;
  /** A double for each thread: the part of its work that is done. Made by the caller, who may look at it. */
  readonly done: SharedArrayBuffer;
}

export interface WorkloadResult {
  readonly checksum: number;
  /** From when all threads began to the end of the last. */
  readonly wallMs: number;
  /** Of the first thread. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Start and end of each operation, thread by thread; see Operations. */
  readonly operations: readonly Float64Array[];
}

/** @throws TospaceError what a thread failed of */
export async function runInThreads(heap: HeapAccess, run: WorkloadRun): Promise<WorkloadResult> {
  const { workload, threads } = run;
  const shared = heap.share();
  const caller = workload.asksForCycles === true ? await CycleCaller.start(shared) : undefined;
  const startLine = new SharedArrayBuffer(START_LINE_BYTES);
  try {
    const results = await Promise.all(
      Array.from({ length: threads }, (_, thread) =>
        runInThread({
          ...run,
          shared,
          workload: workload.name,
          thread,
          rate: run.rate,
          startLine,
          cycleCalls: caller?.calls,
        }),
      ),
    );
    const finished = results.map((result) => {
      if (result.type === 'failed') throw decodeError(result.error);
      return result;
    });
    return {
      checksum: combine(
        workload,
        finished.map(({ checksum }) => checksum),
      ),
      wallMs: Math.max(...finished.map(({ wallMs }) => wallMs)),
      details: finished[0].details,
      operations: finished.map(({ operations }) => operations),
    };
  } finally {
    await caller?.stop();
  }
}

/** Runs a thread to its result and its end. */
function runInThread(input: ThreadInput): Promise<ThreadResult> {
  return new Promise((resolve, reject) => {
    let result: ThreadResult | undefined;
    const worker = new Worker(new URL('./workload-thread.js', import.meta.url), { workerData: input });
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
