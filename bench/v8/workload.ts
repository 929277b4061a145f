// What a workload on V8's own objects is: the same algorithm as on the managed heap, written as one would in JavaScript, with classes,
// arrays and strings. Node.js and its collector are then a peer like any other.

import type { Operations } from '../workloads/operations.ts';

export interface V8Context {
  readonly seed: number;
  readonly scale: number;
  /** How much `hyperalloc` keeps alive, in bytes of the managed heap; without it the scale says. */
  readonly liveBytes?: number;
  readonly threads: number;
  /** Which of the threads this is, from 0. */
  readonly thread: number;
  readonly operations: Operations;
  /** Tells how much of the work is done, 0 to 1. */
  progress(done: number): void;
}

export interface V8Workload {
  readonly name: string;
  /** Runs in each of several threads. V8 has no heap that threads share: each has an isolate of its own. */
  readonly threaded?: boolean;
  /**
   * Returns the checksum. Asynchronous where it must return to the event loop: weak references are cleared and finalizers called
   * between its turns only.
   */
  readonly run: (context: V8Context) => number | Promise<number>;
}
