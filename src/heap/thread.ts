// One thread's standing with the collector: attached or not, running or in a safe region, and what it does when it is stopped.

import { invariant, TospaceError } from '../errors.ts';
import type { Histogram } from './histogram.ts';
import {
  CTL_HEAP_STATE,
  CTL_STOP,
  HEAP_CLOSED,
  HEAP_OPEN,
  HISTOGRAM_FLIP,
  HISTOGRAM_FULL,
  HISTOGRAM_REMARK,
  MAX_THREADS,
  PAUSE_FLIP,
  PAUSE_FULL,
  PAUSE_NONE,
  PAUSE_REMARK,
  T_BUFFER,
  T_CPU,
  T_CURSOR,
  T_LIMIT,
  T_STATE,
  T_TID,
  THREAD_FREE,
  THREAD_RUNNING,
  THREAD_SAFE,
  THREAD_STOPPED,
} from './layout.ts';
import { answerHandshake, park, resumeRunning } from './safepoint.ts';
import type { Tables } from './tables.ts';

/** What a mutator needs from its thread and process. */
export interface ThreadHost {
  /** The kernel's id of the thread. */
  readonly tid: number;
  currentCpu(): number;
  /** Throws a typed error when the collector's thread is gone. */
  assertCollectorAlive(): void;
}

export class MutatorThread {
  /** Index of the thread's record. */
  readonly index: number;
  readonly record: Int32Array<SharedArrayBuffer>;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #host: ThreadHost;
  readonly #pauses: readonly (Histogram | undefined)[];
  /** Called on this thread after a flip pause, before it goes on. */
  readonly #afterFlip: () => void;
  #depth = 0;
  #attached = true;

  /** Claims a record; the thread is in a safe region then. @throws TospaceError ERR_STATE when all records are taken. */
  constructor(tables: Tables, host: ThreadHost, afterFlip: () => void) {
    this.#control = tables.control;
    this.#host = host;
    this.#afterFlip = afterFlip;
    this.index = claimRecord(tables);
    this.record = tables.threads[this.index]!;
    this.record[T_TID] = host.tid;
    this.record[T_CPU] = host.currentCpu();
    this.record[T_CURSOR] = 0;
    this.record[T_LIMIT] = 0;
    this.record[T_BUFFER] = 0;
    const pauses: (Histogram | undefined)[] = [];
    pauses[PAUSE_REMARK] = tables.histogram(this.index, HISTOGRAM_REMARK);
    pauses[PAUSE_FLIP] = tables.histogram(this.index, HISTOGRAM_FLIP);
    pauses[PAUSE_FULL] = tables.histogram(this.index, HISTOGRAM_FULL);
    this.#pauses = pauses;
  }

  enter(): void {
    if (this.#depth === 0) {
      this.assertUsable();
      this.#resume(THREAD_SAFE);
      this.record[T_CPU] = this.#host.currentCpu();
    }
    this.#depth++;
  }

  leave(): void {
    invariant(this.#depth > 0, 'every leave() follows an enter()');
    if (--this.#depth === 0) park(this.#control, this.record, THREAD_SAFE);
  }

  blocking<T>(body: () => T): T {
    this.assertRunning();
    park(this.#control, this.record, THREAD_SAFE);
    try {
      return body();
    } finally {
      this.#resume(THREAD_SAFE);
    }
  }

  /** Throws unless the thread runs as a mutator. */
  assertRunning(): void {
    if (this.record[T_STATE] === THREAD_RUNNING && this.#attached) return;
    this.assertUsable();
    throw new TospaceError('ERR_STATE', 'the thread is in a safe region and may not touch the heap', {
      hint: 'Do it inside mutator.run(() => …), or between enter() and leave().',
    });
  }

  /** Throws when the thread is detached or the heap is gone. */
  assertUsable(): void {
    if (!this.#attached) {
      throw new TospaceError('ERR_STATE', 'this mutator is detached', {
        hint: 'Attach again with heap.attach().',
      });
    }
    const state = Atomics.load(this.#control, CTL_HEAP_STATE);
    if (state !== HEAP_OPEN) {
      throw new TospaceError(
        'ERR_STATE',
        state === HEAP_CLOSED ? 'the heap is closed' : 'the heap has failed',
        {
          hint: 'Create a new heap; references and handles of this one mean nothing any more.',
        },
      );
    }
  }

  /** The slow side of a safepoint: something is asked of this thread. */
  poll(): void {
    this.assertRunning();
    this.record[T_CPU] = this.#host.currentCpu();
    answerHandshake(this.#control, this.record);
    if (Atomics.load(this.#control, CTL_STOP) !== PAUSE_NONE) this.#resume(THREAD_STOPPED);
  }

  /** Gives the record back; `last` runs as a mutator just before, when the heap still exists. Detaching twice does nothing. */
  detach(last: () => void): void {
    if (!this.#attached) return;
    invariant(this.#depth === 0, 'a thread detaches from a safe region, not from within run()');
    if (Atomics.load(this.#control, CTL_HEAP_STATE) === HEAP_OPEN) {
      // Roots and buffer may only change while no pause looks at them.
      this.#resume(THREAD_SAFE);
      last();
    }
    this.#attached = false;
    park(this.#control, this.record, THREAD_FREE);
  }

  /** The thread is exiting: it will touch the heap no more, whatever it was in the middle of. */
  abandon(): void {
    if (this.#attached) park(this.#control, this.record, THREAD_SAFE);
  }

  /** Goes to the state RUNNING. When a pause is on, waits for its end and records the time as this thread saw it. */
  #resume(parked: number): void {
    const kind = Atomics.load(this.#control, CTL_STOP);
    if (kind === PAUSE_NONE) {
      resumeRunning(this.#control, this.record, parked);
      return;
    }
    const start = performance.now();
    resumeRunning(this.#control, this.record, parked);
    this.#pauses[kind]?.record((performance.now() - start) * 1e6);
    if (kind === PAUSE_FLIP) this.#afterFlip();
  }
}

function claimRecord(tables: Tables): number {
  for (let i = 0; i < MAX_THREADS; i++) {
    if (Atomics.compareExchange(tables.threads[i]!, T_STATE, THREAD_FREE, THREAD_SAFE) === THREAD_FREE)
      return i;
  }
  throw new TospaceError('ERR_STATE', `${MAX_THREADS} threads are attached already`, {
    hint: 'Detach threads that are done.',
  });
}
