// Safepoints: how the collector meets the mutators.
//
// A mutator polls one word. When it is set, the mutator leaves its fast path and finds out what is asked: to answer a handshake (it
// says "I passed this point" and goes on) or to stop for a pause (it sleeps until the pause is over). A thread in a safe region
// promises to touch neither heap nor roots, so it counts as stopped, and as having answered; on its way out it waits for a pause
// to end.
//
// Two threads that each write one word and then read the other's (Dekker): the collector sets CTL_STOP and then reads T_STATE; a
// mutator that wants to run sets T_STATE to RUNNING and then reads CTL_STOP. All four accesses are sequentially consistent, so at
// least one of the two sees the other.

import {
  CTL_EPOCH,
  CTL_POLL,
  CTL_STOP,
  PAUSE_NONE,
  T_EPOCH,
  T_STATE,
  THREAD_RUNNING,
  THREAD_STOPPED,
} from './layout.ts';
import { waitWhile } from './spin.ts';

/** How often a mutator that waits for a pause to end looks whether there is still somebody to end it, in milliseconds. */
const PAUSE_CHECK_MS = 500;

/**
 * Runs on the mutator: takes it to the state RUNNING, waiting in state `parked` (THREAD_SAFE or THREAD_STOPPED) while a pause is on.
 * @param records of all mutators of this thread that run afterwards (thread-mutators.ts): one that ran on while this waits would be waited for.
 * @param stillWaiting called now and then while it waits; must not return when the collector is gone.
 */
export function resumeRunning(
  control: Int32Array<SharedArrayBuffer>,
  records: readonly Int32Array<SharedArrayBuffer>[],
  parked: number,
  stillWaiting: () => void = () => {},
): void {
  for (;;) {
    for (const record of records) Atomics.store(record, T_STATE, THREAD_RUNNING);
    const stop = Atomics.load(control, CTL_STOP);
    if (stop === PAUSE_NONE) {
      if (parked === THREAD_STOPPED) for (const record of records) Atomics.notify(record, T_STATE);
      return;
    }
    for (const record of records) park(control, record, parked);
    while (!waitWhile(control, CTL_STOP, stop, PAUSE_CHECK_MS)) stillWaiting();
  }
}

/** Runs on the mutator: answers the handshake that is asked for, if any. */
export function answerHandshake(
  control: Int32Array<SharedArrayBuffer>,
  thread: Int32Array<SharedArrayBuffer>,
): void {
  Atomics.store(thread, T_EPOCH, Atomics.load(control, CTL_EPOCH));
  Atomics.notify(thread, T_EPOCH);
}

/** Runs on the mutator: leaves the state RUNNING and wakes a collector that waits for it, for a stop or for a handshake. */
export function park(
  control: Int32Array<SharedArrayBuffer>,
  thread: Int32Array<SharedArrayBuffer>,
  state: number,
): void {
  // First: with the state FREE the record is somebody else's.
  answerHandshake(control, thread);
  Atomics.store(thread, T_STATE, state);
  Atomics.notify(thread, T_STATE);
}

/** How long the collector waits for a mutator that it has woken to run again, in milliseconds. */
const RESUME_WAIT_MS = 1;

/**
 * How long the collector waits for a thread before it loses patience for the first time, and at most from one time to the next, in
 * milliseconds. The first is short, because a thread that was terminated while it ran never answers, and the others stand still meanwhile.
 */
const PATIENCE_FIRST_MS = 4;
const PATIENCE_MAX_MS = 100;

/** What the collector does while a thread does not answer; `waitedMs` counts from the request. Returns false to give up. */
export type Patience = (thread: number, waitedMs: number) => boolean;

/** The collector's side. */
export class Safepoints {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #threads: readonly Int32Array<SharedArrayBuffer>[];
  readonly #patience: Patience;

  constructor(
    control: Int32Array<SharedArrayBuffer>,
    threads: readonly Int32Array<SharedArrayBuffer>[],
    patience: Patience,
  ) {
    this.#control = control;
    this.#threads = threads;
    this.#patience = patience;
  }

  /**
   * Stops all mutators; on return none touches heap or roots until `resume`.
   * @returns false, with all mutators running again, when patience gave up on one.
   */
  stop(kind: number): boolean {
    Atomics.store(this.#control, CTL_STOP, kind);
    Atomics.store(this.#control, CTL_POLL, 1);
    const start = performance.now();
    for (let i = 0; i < this.#threads.length; i++) {
      const thread = this.#threads[i]!;
      for (let ms = PATIENCE_FIRST_MS; Atomics.load(thread, T_STATE) === THREAD_RUNNING; ) {
        if (waitWhile(thread, T_STATE, THREAD_RUNNING, ms)) continue;
        ms = Math.min(ms * 2, PATIENCE_MAX_MS);
        if (!this.#patience(i, performance.now() - start)) {
          this.resume();
          return false;
        }
      }
    }
    return true;
  }

  /**
   * Ends the pause, and sees to it that it ends for the mutators: where they share a CPU with the collector, it lets them run before it
   * goes on. Otherwise a pause would last until the scheduler took the CPU away from the collector, and two pauses would become one.
   */
  resume(): void {
    Atomics.store(this.#control, CTL_POLL, 0);
    Atomics.store(this.#control, CTL_STOP, PAUSE_NONE);
    Atomics.notify(this.#control, CTL_STOP);
    for (const thread of this.#threads) {
      if (Atomics.load(thread, T_STATE) === THREAD_STOPPED)
        waitWhile(thread, T_STATE, THREAD_STOPPED, RESUME_WAIT_MS);
    }
  }

  /**
   * Waits until every mutator has passed a safepoint since the call: all its earlier stores are visible on return.
   * @returns false when patience gave up on a thread.
   */
  handshake(): boolean {
    const epoch = (Atomics.load(this.#control, CTL_EPOCH) + 1) | 0;
    Atomics.store(this.#control, CTL_EPOCH, epoch);
    Atomics.store(this.#control, CTL_POLL, 1);
    const start = performance.now();
    let answered = true;
    for (let i = 0; i < this.#threads.length && answered; i++) {
      const thread = this.#threads[i]!;
      for (let ms = PATIENCE_FIRST_MS; ; ) {
        if (Atomics.load(thread, T_STATE) !== THREAD_RUNNING) break;
        const seen = Atomics.load(thread, T_EPOCH);
        if (seen === epoch) break;
        if (waitWhile(thread, T_EPOCH, seen, ms)) continue;
        ms = Math.min(ms * 2, PATIENCE_MAX_MS);
        if (Atomics.load(thread, T_STATE) !== THREAD_RUNNING) break;
        if (!this.#patience(i, performance.now() - start)) {
          answered = false;
          break;
        }
      }
    }
    Atomics.store(this.#control, CTL_POLL, 0);
    return answered;
  }
}
