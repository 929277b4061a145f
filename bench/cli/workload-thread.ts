// The thread that a workload runs in. The main thread created the heap and stays free: it shows progress, and a signal ends the process
// at once, because no thread that could be blocked in a fault has to take it.

import { parentPort, workerData } from 'node:worker_threads';
import { attachHeap, type SharedHeap } from 'tospace';
import { type EncodedError, encodeError } from 'tospace/uffd';
import { findWorkload } from '../workloads/index.ts';
import type { Load } from '../workloads/workload.ts';

export interface ThreadInput {
  readonly shared: SharedHeap;
  readonly workload: string;
  readonly seed: number;
  readonly scale: number;
  readonly load: Load;
  /** One double that this thread writes and the main thread reads: the part of the work that is done. */
  readonly done: SharedArrayBuffer;
}

export type ThreadResult =
  | {
      readonly type: 'finished';
      readonly checksum: number;
      readonly wallMs: number;
      readonly details: Readonly<Record<string, unknown>>;
    }
  | { readonly type: 'failed'; readonly error: EncodedError };

function work({ shared, workload: name, seed, scale, load, done }: ThreadInput): ThreadResult {
  const part = new Float64Array(done);
  const progress = (value: number): void => {
    part[0] = value;
  };
  const details: Record<string, unknown> = {};
  const detail = (key: string, value: unknown): void => {
    details[key] = value;
  };
  try {
    const workload = findWorkload(name)!;
    const heap = attachHeap(shared);
    const mutator = heap.attach();
    try {
      const start = performance.now();
      const checksum = mutator.run(() =>
        mutator.scope(() => workload.run({ heap, mutator, seed, scale, load, detail, progress })),
      );
      return { type: 'finished', checksum, wallMs: performance.now() - start, details };
    } finally {
      mutator.detach();
    }
  } catch (error) {
    return { type: 'failed', error: encodeError(error) };
  }
}

// A module that is imported for its types runs in a thread of its own only when it was started as one.
if (parentPort !== null && workerData !== null) parentPort.postMessage(work(workerData as ThreadInput));
