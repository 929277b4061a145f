// The mutator's side of pacing: whoever takes memory while a cycle runs owes the collector time, in proportion to what it takes.
//
// What is owed is kept as a debt. Waits below what a timer can measure are put off until they add up, a wait that lasted longer than it
// should is credited, and what a large object owes is spread over several waits.

import type { Histogram } from './histogram.ts';
import { BUFFER_BYTES, CTL_PACE_US, T_PACED_US, T_PACED_WAITS } from './layout.ts';
import { Tables } from './tables.ts';
import type { MutatorThread } from './thread.ts';
import { STALL_REASONS, TRACE_STALL } from './trace-ring.ts';

const STALLED_BY_PACE = STALL_REASONS.indexOf('pace');

/** Shortest wait: what a timer and a wake-up take anyway is about half of it. */
const WAIT_MIN_US = 100;
/** Longest wait at a time, for an object of any size. */
const WAIT_MAX_US = 4000;

export class Pace {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #thread: MutatorThread;
  readonly #stalls: Histogram;
  readonly #pacedUs: Float64Array<SharedArrayBuffer>;
  #debtUs = 0;

  constructor(tables: Tables, thread: MutatorThread, stalls: Histogram) {
    this.#control = tables.control;
    this.#thread = thread;
    this.#stalls = stalls;
    this.#pacedUs = Tables.float(thread.record, T_PACED_US);
  }

  /** True while the collector asks everybody who allocates to wait. */
  get on(): boolean {
    return this.#control[CTL_PACE_US] !== 0;
  }

  /**
   * Adds what taking `bytes` costs at the current pace to the debt, and waits in a safe region when enough is owed, until the time is
   * over or the collector paces no more.
   * @returns true when it waited: objects may have moved, and the buffer may be gone.
   */
  pay(bytes: number): boolean {
    const us = Atomics.load(this.#control, CTL_PACE_US);
    this.#debtUs += (us * bytes) / BUFFER_BYTES;
    if (us === 0 || this.#debtUs < WAIT_MIN_US) return false;
    const waitUs = Math.min(this.#debtUs, WAIT_MAX_US);
    const start = performance.now();
    this.#thread.blocking(() => this.#wait(start + waitUs / 1000));
    this.#thread.assertUsable();
    const end = performance.now();
    const waited = (end - start) * 1000;
    const { record } = this.#thread;
    record[T_PACED_WAITS] = record[T_PACED_WAITS]! + 1;
    this.#pacedUs[0] = this.#pacedUs[0]! + waited;
    this.#stalls.record(waited * 1000);
    this.#thread.trace.span(TRACE_STALL, STALLED_BY_PACE, start, end);
    // Who was held up for longer by the machine than by the pace is not owed a burst for it. Without a pace nothing is owed.
    this.#debtUs = this.on ? Math.max(this.#debtUs - waited, -WAIT_MIN_US) : 0;
    return true;
  }

  /** The pace changes while it is waited for; only its end ends the wait. */
  #wait(until: number): void {
    const control = this.#control;
    for (;;) {
      const us = Atomics.load(control, CTL_PACE_US);
      const leftMs = until - performance.now();
      if (us === 0 || leftMs <= 0) return;
      Atomics.wait(control, CTL_PACE_US, us, leftMs);
    }
  }
}
