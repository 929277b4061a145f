// One thread's standing with the collector: attached or not, running or in a safe region, and what it does when it is stopped.

import { TospaceError } from '../errors.ts';
import type { Histogram } from './histogram.ts';
import {
  CTL_CYCLE,
  CTL_EPOCH,
  CTL_STOP,
  HISTOGRAM_FLIP,
  HISTOGRAM_FULL,
  HISTOGRAM_REMARK,
  MAX_THREADS,
  PAUSE_FLIP,
  PAUSE_FULL,
  PAUSE_INSPECT,
  PAUSE_NONE,
  PAUSE_REMARK,
  T_BUFFER,
  T_CPU,
  T_CURSOR,
  T_EPOCH,
  T_LIMIT,
  T_NAME,
  T_PAUSE_CYCLE,
  T_PAUSE_NS,
  T_PENDING_BYTES,
  T_RESTING_LIMIT,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  T_STATE,
  T_TID,
  THREAD_ATTACHING,
  THREAD_FREE,
  THREAD_RUNNING,
  THREAD_SAFE,
  THREAD_STOPPED,
} from './layout.ts';
import { answerHandshake, park, resumeRunning } from './safepoint.ts';
import { assertStackRoom } from './stack-room.ts';
import type { Tables } from './tables.ts';
import {
  heapClosed,
  isHeapOpen,
  noteAttached,
  noteDetached,
  noteReturn,
  othersRest,
  rest,
  restoreLimit,
  runningHere,
  stillOpen,
  takeAlong,
} from './thread-mutators.ts';
import { writeName } from './thread-name.ts';
import { TRACE_DETACHED, TRACE_STOPPED, TraceRing } from './trace-ring.ts';

/** What a mutator needs from its thread and process. */
export interface ThreadHost {
  /** The kernel's id of the thread. */
  readonly tid: number;
  /** What reports call the thread; default: by its id. */
  readonly name?: string | undefined;
  currentCpu(): number;
  /** Throws a typed error when the collector's thread is gone. */
  assertCollectorAlive(): void;
}

/** Whether this thread has gone through `leave` once: its code is there, and calling it takes less stack than `enter` did. */
let hasLeft = false;

const NOBODY: readonly Int32Array<SharedArrayBuffer>[] = [];

export class MutatorThread {
  /** Index of the thread's record. */
  readonly index: number;
  readonly record: Int32Array<SharedArrayBuffer>;
  /** Where this thread writes what it sees, while somebody traces. */
  readonly trace: TraceRing;
  readonly #alone: readonly Int32Array<SharedArrayBuffer>[];
  readonly #tables: Tables;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #host: ThreadHost;
  readonly #pauses: readonly (Histogram | undefined)[];
  /** Called on this thread after a flip pause, before it goes on. */
  readonly #afterFlip: () => void;
  readonly #stillWaiting: () => void;
  /** How often it was entered and not left. */
  depth = 0;
  /** Calls of `blocking` that have not returned. */
  #blocked = 0;
  #attached = true;

  /** Claims a record; the thread is in a safe region then. @throws TospaceError ERR_STATE when all records are taken. */
  constructor(tables: Tables, host: ThreadHost, afterFlip: () => void) {
    this.#tables = tables;
    this.#control = tables.control;
    this.#host = host;
    this.#afterFlip = afterFlip;
    this.#stillWaiting = () => host.assertCollectorAlive();
    this.index = claimRecord(tables, host.tid);
    this.record = tables.threads[this.index]!;
    this.#alone = [this.record];
    this.record[T_CPU] = host.currentCpu();
    this.record[T_CURSOR] = 0;
    this.record[T_LIMIT] = 0;
    this.record[T_BUFFER] = 0;
    this.record[T_SHADOW_TOP] = this.record[T_SHADOW_BASE]!;
    this.record[T_PENDING_BYTES] = 0;
    writeName(this.record, T_NAME, host.name ?? `thread ${host.tid}`);
    this.trace = new TraceRing(tables, this.index);
    Atomics.store(this.record, T_STATE, THREAD_SAFE);
    // The store above lies between the name and the look whether somebody traces: who begins to trace reads the one or is told the other.
    this.trace.attached(this.record, T_NAME);
    const pauses: (Histogram | undefined)[] = [];
    pauses[PAUSE_REMARK] = tables.histogram(this.index, HISTOGRAM_REMARK);
    pauses[PAUSE_FLIP] = tables.histogram(this.index, HISTOGRAM_FLIP);
    pauses[PAUSE_FULL] = tables.histogram(this.index, HISTOGRAM_FULL);
    this.#pauses = pauses;
    noteAttached();
  }

  enter(): void {
    // Who enters must be able to leave: V8 compiles what is called for the first time, and needs stack for that.
    if (!hasLeft) assertStackRoom();
    if (this.depth === 0) {
      this.assertUsable();
      // They wait with this one, and what is undone below is this one's alone.
      if (this.#others().length > 0) assertStackRoom();
      try {
        this.#resume(THREAD_SAFE);
        this.record[T_CPU] = this.#host.currentCpu();
      } catch (error) {
        // The stack has ended in between, and nobody will call `leave`. Without a call of its own, for which there may be no room.
        this.record[T_LIMIT] = 0;
        Atomics.store(this.record, T_STATE, THREAD_SAFE);
        Atomics.notify(this.record, T_STATE);
        throw error;
      }
    } else {
      // Another mutator of this thread may have taken this one with it into a safe region.
      this.assertRunning();
    }
    this.depth++;
  }

  leave(): void {
    if (this.depth === 0) {
      throw new TospaceError('ERR_STATE', 'leave() without enter(): the thread is in a safe region already', {
        hint: 'Call leave() once for each enter(), or use mutator.run(() => …).',
      });
    }
    if (this.depth === 1 && this.record[T_STATE] !== THREAD_RUNNING && othersRest() && this.usable) {
      throw new TospaceError('ERR_STATE', 'leave() while another mutator of this thread waits', {
        hint: 'That one takes this one back with it: call leave() when blocking() has returned.',
      });
    }
    hasLeft = true;
    if (--this.depth > 0) return;
    // `rest`, written out: calls of ours could need more stack than `enter` had.
    const { record } = this;
    if (record[T_LIMIT] !== 0) record[T_RESTING_LIMIT] = record[T_LIMIT]!;
    record[T_LIMIT] = 0;
    Atomics.store(record, T_EPOCH, Atomics.load(this.#control, CTL_EPOCH));
    Atomics.notify(record, T_EPOCH);
    Atomics.store(record, T_STATE, THREAD_SAFE);
    Atomics.notify(record, T_STATE);
  }

  blocking<T>(body: () => T): T {
    this.assertRunning();
    assertStackRoom();
    // Depth 0, so that `enter` within the body really enters: a persistent handle's close() does, for one.
    const depth = this.depth;
    this.depth = 0;
    this.#blocked++;
    const others = this.#others();
    takeAlong(this.#control, others);
    rest(this.#control, this.record);
    try {
      return body();
    } finally {
      noteReturn(others);
      this.#blocked--;
      this.depth = depth;
      // Who has entered within `body` and not left may have another buffer by now: the limit that was put away is not its limit.
      if (this.record[T_STATE] === THREAD_RUNNING) rest(this.#control, this.record);
      this.#resume(THREAD_SAFE, others);
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

  /** False when the thread is detached or the heap is gone. */
  get usable(): boolean {
    return this.#attached && isHeapOpen(this.#control);
  }

  /** Throws when the thread is detached or the heap is gone. */
  assertUsable(): void {
    if (!this.#attached) {
      throw new TospaceError('ERR_STATE', 'this mutator is detached', {
        hint: 'Attach again with heap.attach().',
      });
    }
    if (!isHeapOpen(this.#control)) throw heapClosed();
  }

  /** The slow side of a safepoint: something is asked of this thread. */
  poll(): void {
    this.assertRunning();
    assertStackRoom();
    this.record[T_CPU] = this.#host.currentCpu();
    answerHandshake(this.#control, this.record);
    for (const record of this.#others()) answerHandshake(this.#control, record);
    if (Atomics.load(this.#control, CTL_STOP) !== PAUSE_NONE) this.#resume(THREAD_STOPPED);
  }

  /** Throws when the thread is in the middle of something. */
  assertDetachable(): void {
    if (this.depth === 0 && this.#blocked === 0) return;
    throw new TospaceError('ERR_STATE', 'a mutator cannot be detached from within run() or blocking()', {
      hint: 'Let them return first.',
    });
  }

  /** Gives the record back; `last` runs as a mutator just before, when the heap still exists. Detaching twice does nothing. */
  detach(last: () => void): void {
    if (!this.#attached) return;
    this.assertDetachable();
    assertStackRoom();
    // Roots and buffer may only change while no pause looks at them. A heap that is closed, or closes now, does not care any more.
    if (isHeapOpen(this.#control) && this.#becomeRunning(THREAD_SAFE)) last();
    this.#attached = false;
    noteDetached();
    this.#traceDetach();
    park(this.#control, this.record, THREAD_SAFE);
    // Whoever takes the record next is not mistaken for this thread while it attaches. Nothing between the two, and nobody waits by now:
    // a thread that was terminated there would be neither alive nor dead.
    this.record[T_TID] = 0;
    Atomics.store(this.record, T_STATE, THREAD_FREE);
  }

  #traceDetach(): void {
    if (!this.trace.on) return;
    const now = performance.now();
    this.trace.span(TRACE_DETACHED, 0, now, now);
  }

  /** The thread is exiting: it will touch the heap no more, whatever it was in the middle of. */
  abandon(): void {
    if (this.#attached) park(this.#control, this.record, THREAD_SAFE);
  }

  /** Other mutators of this thread that run. */
  #others(): readonly Int32Array<SharedArrayBuffer>[] {
    return runningHere(this.#tables, this.#host.tid, this.record);
  }

  /** Records of this mutator, of `others`, and of those of this thread that run. */
  #together(others: readonly Int32Array<SharedArrayBuffer>[]): readonly Int32Array<SharedArrayBuffer>[] {
    const running = this.#others();
    return others.length + running.length === 0 ? this.#alone : [this.record, ...others, ...running];
  }

  /**
   * Goes to the state RUNNING.
   * @param others mutators of this thread that were taken into the safe region, and come back with this one.
   * @throws TospaceError ERR_STATE when the heap was closed meanwhile.
   */
  #resume(parked: number, others: readonly Int32Array<SharedArrayBuffer>[] = NOBODY): void {
    // Not by another look at the heap's state: it may be open again.
    if (!this.#becomeRunning(parked, others)) throw heapClosed();
    if (parked !== THREAD_SAFE) return;
    restoreLimit(this.record);
    for (const record of others) restoreLimit(record);
  }

  /**
   * Goes to the state RUNNING. When a pause is on, waits for its end and records the time as this thread saw it.
   * @returns false, with all mutators of this thread in a safe region, when the heap was closed meanwhile.
   */
  #becomeRunning(parked: number, others: readonly Int32Array<SharedArrayBuffer>[] = NOBODY): boolean {
    const records = this.#together(others);
    for (let rested = false; ; rested = true) {
      const flipped = this.#waitForPause(parked, records);
      const state = stillOpen(this.#control, records);
      if (state === 'retry') continue;
      if (state === 'closed') return false;
      // Also those that ran, and did not mean to rest.
      if (rested) for (const record of records) restoreLimit(record);
      if (flipped) this.#afterFlip();
      return true;
    }
  }

  /** @returns whether there was a flip. */
  #waitForPause(parked: number, records: readonly Int32Array<SharedArrayBuffer>[]): boolean {
    const kind = Atomics.load(this.#control, CTL_STOP);
    if (kind === PAUSE_NONE) {
      resumeRunning(this.#control, records, parked, this.#stillWaiting);
      return false;
    }
    const start = performance.now();
    resumeRunning(this.#control, records, parked, this.#stillWaiting);
    const end = performance.now();
    this.#pauses[kind]?.record((end - start) * 1e6);
    // A look at the heap is no part of the next cycle.
    if (kind !== PAUSE_INSPECT) this.#noteLongest((end - start) * 1e6);
    this.trace.span(TRACE_STOPPED, kind, start, end);
    return kind === PAUSE_FLIP;
  }

  /** For the report of the cycle under way. */
  #noteLongest(ns: number): void {
    const cycle = (this.#control[CTL_CYCLE]! + 1) | 0;
    if (this.record[T_PAUSE_CYCLE] === cycle && ns <= this.record[T_PAUSE_NS]!) return;
    this.record[T_PAUSE_NS] = Math.min(Math.round(ns), 2 ** 31 - 1);
    this.record[T_PAUSE_CYCLE] = cycle;
  }
}

function claimRecord(tables: Tables, tid: number): number {
  for (let i = 0; i < MAX_THREADS; i++) {
    const record = tables.threads[i]!;
    if (Atomics.compareExchange(record, T_STATE, THREAD_FREE, THREAD_ATTACHING) === THREAD_FREE) {
      // At once: a thread that is terminated while it attaches is known by it, and its record is released.
      record[T_TID] = tid;
      return i;
    }
  }
  throw new TospaceError('ERR_STATE', `${MAX_THREADS} threads are attached already`, {
    hint: 'Detach threads that are done.',
  });
}
