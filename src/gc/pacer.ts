// The collector's side of pacing, and the only writer of the pace. Two reasons to hold allocation back, of which the stronger counts:
//
//   room          what is left will not last until the cycle makes more (policy/pace.ts)
//   convergence   rounds of pre-cleaning do not find fewer dirty cards: mutators allocate or store as fast as the marker follows

import { BUFFER_BYTES, CTL_PACE_US, T_BUFFERS } from '../heap/layout.ts';
import type { WorkerContext } from './context.ts';
import { paceUs } from './policy/pace.ts';

/** A buffer lasts some 60 µs, and what is in it takes the marker as long. */
const CONVERGE_FIRST_US = 100;
const CONVERGE_MAX_US = 1600;

export class Pacer {
  readonly #context: WorkerContext;
  /** Buffers that each thread had taken when it was last looked at. */
  readonly #buffers: Int32Array;
  #threads = 1;
  #roomUs = 0;
  #convergeUs = 0;
  /** The highest pace of the cycle. */
  maxUs = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#buffers = new Int32Array(context.tables.threads.length);
  }

  /** A cycle begins: whoever takes a buffer from here on is one of those that allocate. */
  begin(): void {
    this.maxUs = 0;
    this.#threads = 1;
    for (const [i, thread] of this.#context.tables.threads.entries()) this.#buffers[i] = thread[T_BUFFERS]!;
  }

  /** Sets the pace by the room that is left. */
  room(roomBytes: number, remainingMs: number, ratePerMs: number): void {
    // Counting threads looks at all records: not where nobody is to be held back anyway.
    if (ratePerMs * remainingMs > roomBytes / 2) this.#threads = Math.max(this.#threads, this.#allocating());
    const threads = this.#threads;
    this.#roomUs = paceUs({ roomBytes, remainingMs, ratePerMs, threads, bufferBytes: BUFFER_BYTES });
    this.#publish();
  }

  /** Slows allocation down because marking does not come to an end: more with each call. */
  slower(): void {
    this.#convergeUs = Math.min(
      this.#convergeUs === 0 ? CONVERGE_FIRST_US : this.#convergeUs * 2,
      CONVERGE_MAX_US,
    );
    this.#publish();
  }

  /** Marking is over, or was given up. */
  converged(): void {
    this.#convergeUs = 0;
    this.#publish();
  }

  /** Lets allocation go on at its own speed. */
  end(): void {
    this.#roomUs = 0;
    this.converged();
  }

  #publish(): void {
    const { control } = this.#context;
    const us = Math.max(this.#roomUs, this.#convergeUs);
    const before = control[CTL_PACE_US]!;
    if (us === before) return;
    this.maxUs = Math.max(this.maxUs, us);
    Atomics.store(control, CTL_PACE_US, us);
    if (us === 0) Atomics.notify(control, CTL_PACE_US);
  }

  #allocating(): number {
    let count = 0;
    for (const [i, thread] of this.#context.tables.threads.entries()) {
      if (thread[T_BUFFERS] !== this.#buffers[i]) count++;
    }
    return count;
  }
}
