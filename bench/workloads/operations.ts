// The operations of a workload: when each began and ended, and, under an open load, when it may begin.
//
// The log is two doubles an operation in memory that is there before the first one: begin() and end() look at the clock and store what it
// says, nothing else. All that is made of it (latencies, gaps, percentiles) is made later, by whoever reads the log, in the same way for
// every program in every language.
//
// Under an open load of R operations a second, operation i is due i / R seconds after operation 0 began, whatever happened to those in
// between: begin() waits until then, and does not wait at all when it is late. Somebody who is late catches up as fast as he can. What a
// workload builds before its operation 0 makes none of them late.

import { writeFileSync } from 'node:fs';

/** Operations of one thread that are logged. Those after them are done, and scheduled, but not logged. */
export const OPERATIONS_MAX = 200_000;

/** Of a wait, the last part is spent looking at the clock: a sleep ends some 50 µs late, and later on a busy machine. */
const SPIN_MS = 1;

/** Milliseconds on the clock that all threads of the machine share; `performance.now` begins anew in every thread. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export interface OperationsOptions {
  /** Operations per second and thread; undefined or 0: each begins when the one before it is over. */
  readonly rate?: number | undefined;
  /** Runs a wait in a safe region: on the heap `mutator.blocking`, so that no pause waits for it. */
  readonly blocking?: ((wait: () => void) => void) | undefined;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

export class Operations {
  readonly #log: Float64Array;
  readonly #last: number;
  /** Milliseconds between two operations; 0 is a closed loop. */
  readonly #interval: number;
  readonly #blocking: (wait: () => void) => void;
  readonly #wait: () => void;
  /** What this thread's `performance.now` said at the beginning of the workload. */
  #origin = 0;
  /** Where the next pair goes. */
  #at = 0;
  #index = 0;
  /** When operation 0 began. */
  #first = 0;
  #due = 0;

  constructor({ rate, blocking }: OperationsOptions = {}) {
    // One pair more than are logged: all further ones are written there. Filled, so that storing faults in no page.
    this.#log = new Float64Array((OPERATIONS_MAX + 1) * 2).fill(0);
    this.#last = this.#log.length - 2;
    this.#interval = rate === undefined || rate === 0 ? 0 : 1000 / rate;
    this.#blocking = blocking ?? ((wait) => wait());
    this.#wait = () => {
      for (let left = this.#due - performance.now(); left > 0; left = this.#due - performance.now())
        if (left > SPIN_MS) Atomics.wait(sleeper, 0, 0, left - SPIN_MS);
    };
  }

  /**
   * The workload begins: now, or at a moment of the clock of `monotonicMs` that several threads agree on. Takes the
   * operations before it off the log.
   */
  start(originMs: number = monotonicMs()): void {
    this.#origin = performance.now() - (monotonicMs() - originMs);
    this.#at = 0;
    this.#index = 0;
  }

  /** An operation begins; under an open load, as soon as it is due. On the heap a safepoint: no reference may be in a variable. */
  begin(): void {
    if (this.#interval > 0 && this.#index > 0) {
      this.#due = this.#first + this.#index * this.#interval;
      if (performance.now() < this.#due) this.#blocking(this.#wait);
    }
    const now = performance.now();
    if (this.#index++ === 0) this.#first = now;
    this.#log[this.#at] = now;
  }

  /** The operation is over. */
  end(): void {
    const at = this.#at;
    this.#log[at + 1] = performance.now();
    if (at < this.#last) this.#at = at + 2;
  }

  /** Number of operations in the log. */
  get count(): number {
    return this.#at / 2;
  }

  /** The log: start and end of each operation, in milliseconds from the workload's beginning. */
  times(): Float64Array<ArrayBuffer> {
    return Float64Array.from(this.#log.subarray(0, this.#at), (ms) => ms - this.#origin);
  }
}

/** Writes the logs of all threads, one after the other: pairs of little-endian doubles, as x86-64 has them. */
export function writeOperations(file: string, threads: readonly Float64Array[]): void {
  writeFileSync(
    file,
    Buffer.concat(threads.map((log) => Buffer.from(log.buffer, log.byteOffset, log.byteLength))),
  );
}
