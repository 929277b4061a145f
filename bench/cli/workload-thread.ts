// A thread that a workload runs in. The main thread created the heap and stays free: it shows progress, and a signal ends the process
// at once, because no thread that could be blocked in a fault has to take it.

import { parentPort, workerData } from 'node:worker_threads';
import { attachHeap, type SharedHeap } from 'tospace';
import { type EncodedError, encodeError } from 'tospace/uffd';
import { findWorkload } from '../workloads/index.ts';
import { monotonicMs, Operations } from '../workloads/operations.ts';
import type { Load } from '../workloads/workload.ts';
import { askForCycle } from './cycle-caller.ts';
import { meetAtStart } from './start-line.ts';

export interface ThreadInput {
  readonly shared: SharedHeap;
  readonly workload: string;
  readonly seed: number;
  readonly scale: number;
  readonly threads: number;
  readonly thread: number;
  /** Operations per second of an open load; undefined is a closed loop. */
  readonly rate: number | undefined;
  readonly load: Load;
  /** A double for each thread, which it writes and the main thread reads: the part of the work that is done. */
  readonly done: SharedArrayBuffer;
  /** Where the threads wait for each other. */
  readonly startLine: SharedArrayBuffer;
  /** Where cycles are asked for; undefined when nobody listens. */
  readonly cycleCalls: SharedArrayBuffer | undefined;
}

export type ThreadResult =
  | {
      readonly type: 'finished';
      readonly thread: number;
      readonly checksum: number;
      /** From when all threads began to the end of this one. */
      readonly wallMs: number;
      readonly details: Readonly<Record<string, unknown>>;
      /** Start and end of each operation, see Operations. */
      readonly operations: Float64Array;
    }
  | { readonly type: 'failed'; readonly thread: number; readonly error: EncodedError };

function work(input: ThreadInput): ThreadResult {
  const { seed, scale, threads, thread, load, cycleCalls } = input;
  const part = new Float64Array(input.done);
  const progress = (value: number): void => {
    part[thread] = value;
  };
  const details: Record<string, unknown> = {};
  const detail = (key: string, value: unknown): void => {
    details[key] = value;
  };
  const startLine = meetAtStart(input.startLine, threads);
  try {
    const workload = findWorkload(input.workload)!;
    const heap = attachHeap(input.shared);
    const mutator = heap.attach({ name: `${workload.name} ${thread}`.slice(0, 20) });
    try {
      const operations = new Operations({ rate: input.rate, blocking: (wait) => mutator.blocking(wait) });
      const context = {
        heap,
        mutator,
        seed,
        scale,
        threads,
        thread,
        operations,
        load,
        detail,
        progress,
        ...(cycleCalls === undefined ? {} : { collect: askForCycle(cycleCalls) }),
      };
      const originMs = startLine.wait();
      operations.start(originMs);
      const checksum = mutator.run(() => mutator.scope(() => workload.run(context)));
      const wallMs = monotonicMs() - originMs;
      return { type: 'finished', thread, checksum, wallMs, details, operations: operations.times() };
    } finally {
      mutator.detach();
    }
  } catch (error) {
    startLine.fail();
    return { type: 'failed', thread, error: encodeError(error) };
  }
}

// A module that is imported for its types runs in a thread of its own only when it was started as one.
if (parentPort !== null && workerData !== null) parentPort.postMessage(work(workerData as ThreadInput));
