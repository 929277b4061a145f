// A mutator: one thread's way to the heap. It allocates by bumping a cursor, keeps roots on the thread's shadow stack, marks cards
// when it stores references, and meets the collector at safepoints.
//
// The cursor and the limit of the allocation buffer, and the shadow stack's top, are words of the thread's record in shared memory,
// so that JavaScript and WebAssembly code on the same thread share one buffer and one stack, and so that the collector can retire
// the buffer of a stopped thread without its help.

import { invariant, TospaceError } from '../errors.ts';
import type { Histogram } from './histogram.ts';
import {
  BUFFER_BYTES,
  CARD_DIRTY,
  CARD_LOG2,
  CTL_ABANDONED,
  CTL_ALLOC_EPOCH,
  CTL_CYCLES_ASKED,
  CTL_CYCLES_DONE,
  CTL_HEAP_STATE,
  CTL_LIMIT,
  CTL_POLL,
  CTL_STOP,
  CTL_TRIMS_ASKED,
  CTL_WINDOW,
  HEADER_BYTES,
  HEAP_CLOSED,
  HEAP_OPEN,
  HISTOGRAM_FAULT,
  HISTOGRAM_FLIP,
  HISTOGRAM_FULL,
  HISTOGRAM_REMARK,
  HISTOGRAM_STALL,
  MAX_THREADS,
  PAGE_LOG2,
  PAGE_MAPPED,
  PAGE_STATE_MASK,
  PAUSE_FLIP,
  PAUSE_FULL,
  PAUSE_NONE,
  PAUSE_REMARK,
  T_ALLOCATED_BYTES,
  T_BUFFER,
  T_BUFFERS,
  T_CPU,
  T_CURSOR,
  T_LIMIT,
  T_STALLS,
  T_STATE,
  T_TID,
  THREAD_FREE,
  THREAD_RUNNING,
  THREAD_SAFE,
  THREAD_STOPPED,
  TYPE_ID_MASK,
} from './layout.ts';
import { BlockSource } from './blocks.ts';
import { type Persistent, PersistentTable } from './persistent.ts';
import type { Local, Ref } from './ref.ts';
import { answerHandshake, park, resumeRunning } from './safepoint.ts';
import { ShadowStack } from './shadow-stack.ts';
import { waitWhile } from './spin.ts';
import type { Tables } from './tables.ts';
import type { ArrayType, RecordType } from './types.ts';

/** Objects above this size get pages of their own instead of using up a buffer. */
const SHARED_BUFFER_MAX_BYTES = BUFFER_BYTES / 8;

/** Root objects whose pages a mutator touches, clock in hand, when it leaves a flip. */
const FAULT_SAMPLES_PER_FLIP = 8;

/** How often a thread that waits for the collector looks whether it is still there, in milliseconds. */
const COLLECTOR_CHECK_MS = 500;

export interface MutatorOptions {
  /** Collect at every n-th allocation; 0 is never. Every allocation then takes the slow path. */
  readonly collectEveryAllocation: number;
  /** Collect at every n-th explicit safepoint; 0 is never. */
  readonly collectEverySafepoint: number;
  /** Measure some faults as this thread sees them. */
  readonly sampleFaults: boolean;
  /** Check handles, references and types at every operation. */
  readonly checked: boolean;
  /** False under the collector `none`: nobody would answer a request. */
  readonly collects: boolean;
}

/** What a mutator needs from its thread and process. */
export interface ThreadHost {
  readonly tid: number;
  currentCpu(): number;
  /** Throws a typed error when the collector's thread is gone. */
  assertCollectorAlive(): void;
}

export class Mutator {
  /** The memory up to the end of the heap as 32-bit words: `i32[(ref + offset) >> 2]`. References are below 2^31. */
  i32: Int32Array<SharedArrayBuffer>;
  u32: Uint32Array<SharedArrayBuffer>;
  u8: Uint8Array<SharedArrayBuffer>;
  f32: Float32Array<SharedArrayBuffer>;
  f64: Float64Array<SharedArrayBuffer>;
  /** Index of this thread's record. */
  readonly index: number;
  /** This thread's handles, for code that manages them itself. */
  readonly shadowStack: ShadowStack;

  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #thread: Int32Array<SharedArrayBuffer>;
  readonly #cards: Uint8Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #allocatedBytes: Float64Array<SharedArrayBuffer>;
  readonly #pageWords: Int32Array<SharedArrayBuffer>;
  readonly #blocks: BlockSource;
  readonly #pauses: readonly (Histogram | undefined)[];
  readonly #stalls: Histogram;
  readonly #faults: Histogram;
  readonly #host: ThreadHost;
  readonly #options: MutatorOptions;
  readonly #persistents: PersistentTable;
  readonly #onDetach: () => void;
  /** Under stress the limit of the buffer is hidden from the fast path, so that every allocation takes the slow one. */
  #hiddenLimit = 0;
  #allocations = 0;
  #safepoints = 0;
  #depth = 0;
  #attached = true;

  constructor(tables: Tables, host: ThreadHost, options: MutatorOptions, onDetach: () => void = () => {}) {
    this.#host = host;
    this.#options = options;
    this.#onDetach = onDetach;
    const { buffer, control, geometry } = tables;
    // Views end behind the heap window: everything a mutator may touch lies below, and indexes stay small integers.
    const end = geometry.heap + geometry.windowBytes;
    this.i32 = new Int32Array(buffer, 0, end / 4);
    this.u32 = new Uint32Array(buffer, 0, end / 4);
    this.u8 = new Uint8Array(buffer, 0, end);
    this.f32 = new Float32Array(buffer, 0, end / 4);
    this.f64 = new Float64Array(buffer, 0, Math.floor(end / 8));
    this.#control = control;
    this.#cards = tables.bytes(geometry.cards, geometry.heapBytes >>> CARD_LOG2);
    this.#heapBase = geometry.heap;
    this.#pageWords = tables.words(geometry.pageWords, geometry.heapBytes >>> PAGE_LOG2);
    this.#blocks = new BlockSource(tables);

    this.index = claimThread(tables);
    const thread = tables.threads[this.index]!;
    this.#thread = thread;
    this.#allocatedBytes = new Float64Array(buffer, thread.byteOffset + T_ALLOCATED_BYTES * 4, 1);
    thread[T_TID] = host.tid;
    thread[T_CPU] = host.currentCpu();
    thread[T_CURSOR] = 0;
    thread[T_LIMIT] = 0;
    thread[T_BUFFER] = 0;
    this.shadowStack = new ShadowStack(tables, this.index, options.checked);
    const pauses: (Histogram | undefined)[] = [];
    pauses[PAUSE_REMARK] = tables.histogram(this.index, HISTOGRAM_REMARK);
    pauses[PAUSE_FLIP] = tables.histogram(this.index, HISTOGRAM_FLIP);
    pauses[PAUSE_FULL] = tables.histogram(this.index, HISTOGRAM_FULL);
    this.#pauses = pauses;
    this.#stalls = tables.histogram(this.index, HISTOGRAM_STALL);
    this.#faults = tables.histogram(this.index, HISTOGRAM_FAULT);
    this.#persistents = new PersistentTable(tables, this);
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Running and safe regions

  /** Leaves the safe region: until `leave`, this thread may touch the heap and must reach safepoints. Nests. */
  enter(): void {
    if (this.#depth > 0) {
      this.#depth++;
      return;
    }
    this.#assertUsable();
    this.#resume(THREAD_SAFE);
    this.#thread[T_CPU] = this.#host.currentCpu();
    this.#depth = 1;
  }

  /** Enters the safe region: the thread may block or return to its event loop, and no pause waits for it. */
  leave(): void {
    invariant(this.#depth > 0, 'every leave() follows an enter()');
    if (--this.#depth === 0) park(this.#control, this.#thread, THREAD_SAFE);
  }

  /** Runs `body` as a mutator; outside of it the thread is in a safe region. `body` must be synchronous. */
  run<T>(body: () => T): T {
    this.enter();
    try {
      return body();
    } finally {
      this.leave();
    }
  }

  /**
   * Within `run`: a safe region while `body` runs, which may block and must not touch the heap. References held in variables are
   * stale afterwards.
   */
  blocking<T>(body: () => T): T {
    this.assertRunning();
    park(this.#control, this.#thread, THREAD_SAFE);
    try {
      return body();
    } finally {
      this.#resume(THREAD_SAFE);
    }
  }

  /** Throws unless the thread runs as a mutator. */
  assertRunning(): void {
    if (this.#thread[T_STATE] === THREAD_RUNNING && this.#attached) return;
    this.#assertUsable();
    throw new TospaceError('ERR_STATE', 'the thread is in a safe region and may not touch the heap', {
      hint: 'Do it inside mutator.run(() => …), or between enter() and leave().',
    });
  }

  /** Ends this thread's use of the heap and releases its roots. Detaching twice does nothing. */
  detach(): void {
    if (!this.#attached) return;
    invariant(this.#depth === 0, 'a thread detaches from a safe region, not from within run()');
    if (Atomics.load(this.#control, CTL_HEAP_STATE) === HEAP_OPEN) {
      // Roots and buffer may only change while no pause looks at them.
      this.#resume(THREAD_SAFE);
      this.#retireBuffer();
    }
    this.shadowStack.truncate(0);
    this.#attached = false;
    // A stale reference must not reach memory that is somebody else's by then: it finds nothing instead.
    const none = new SharedArrayBuffer(0);
    this.i32 = new Int32Array(none);
    this.u32 = new Uint32Array(none);
    this.u8 = new Uint8Array(none);
    this.f32 = new Float32Array(none);
    this.f64 = new Float64Array(none);
    park(this.#control, this.#thread, THREAD_FREE);
    this.#onDetach();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** The thread is exiting: it will touch the heap no more, whatever it was in the middle of. */
  abandon(): void {
    if (this.#attached) park(this.#control, this.#thread, THREAD_SAFE);
  }

  #assertUsable(): void {
    if (!this.#attached) {
      throw new TospaceError('ERR_STATE', 'this mutator is detached', { hint: 'Attach again with heap.attach().' });
    }
    const state = Atomics.load(this.#control, CTL_HEAP_STATE);
    if (state !== HEAP_OPEN) {
      throw new TospaceError('ERR_STATE', state === HEAP_CLOSED ? 'the heap is closed' : 'the heap has failed', {
        hint: 'Create a new heap; references and handles of this one mean nothing any more.',
      });
    }
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Safepoints

  /** A point at which the collector may move objects: references outside handles are stale afterwards. */
  safepoint(): void {
    const every = this.#options.collectEverySafepoint;
    if (every > 0 && ++this.#safepoints % every === 0) this.collect();
    if (this.#control[CTL_POLL] !== 0) this.#poll();
  }

  #poll(): void {
    this.assertRunning();
    this.#thread[T_CPU] = this.#host.currentCpu();
    answerHandshake(this.#control, this.#thread);
    if (Atomics.load(this.#control, CTL_STOP) !== PAUSE_NONE) this.#resume(THREAD_STOPPED);
  }

  /** Goes to the state RUNNING. When a pause is on, waits for its end and records the time as this thread saw it. */
  #resume(parked: number): void {
    const kind = Atomics.load(this.#control, CTL_STOP);
    if (kind === PAUSE_NONE) {
      resumeRunning(this.#control, this.#thread, parked);
      return;
    }
    const start = performance.now();
    resumeRunning(this.#control, this.#thread, parked);
    this.#pauses[kind]?.record((performance.now() - start) * 1e6);
    if (kind === PAUSE_FLIP && this.#options.sampleFaults) this.#sampleFaults();
  }

  /**
   * Touches the pages of the newest roots that are not installed yet, clock in hand. The thread would touch them next anyway; this way
   * some of its faults are timed from where they hurt.
   */
  #sampleFaults(): void {
    const slots = Math.min(this.shadowStack.depth, FAULT_SAMPLES_PER_FLIP);
    for (let below = 0; below < slots; below++) {
      const ref = this.shadowStack.peek(below);
      const page = (ref - this.#heapBase) >> PAGE_LOG2;
      if (page < 0 || page >= this.#pageWords.length || Atomics.load(this.#control, CTL_WINDOW) === 0) continue;
      if ((Atomics.load(this.#pageWords, page) & PAGE_STATE_MASK) === PAGE_MAPPED) continue;
      const start = performance.now();
      touched ^= this.i32[ref >> 2]!;
      this.#faults.record((performance.now() - start) * 1e6);
    }
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Allocation

  /**
   * Allocates a record, all fields zero. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either.
   */
  allocate(type: RecordType): Ref {
    const thread = this.#thread;
    const ref = thread[T_CURSOR]!;
    const next = ref + type.bytes;
    if (next > thread[T_LIMIT]!) return this.#allocateSlow(type.id, type.bytes, 0);
    thread[T_CURSOR] = next;
    this.i32[ref >> 2] = type.id;
    return ref as Ref;
  }

  /**
   * Allocates an array of `length` zero elements. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either, ERR_TYPE for a length that is none.
   */
  allocateArray(type: ArrayType, length: number): Ref {
    const elementBytes = type.kind === 'ref-array' ? 4 : type.elementBytes;
    const bytes = (HEADER_BYTES + length * elementBytes + 7) & -8;
    if (!(length >= 0 && length <= MAX_ARRAY_BYTES / elementBytes) || !Number.isInteger(length)) {
      throw new TospaceError('ERR_TYPE', `${length} is not a length of an array`, {
        hint: `Lengths are integers from 0 to ${MAX_ARRAY_BYTES / elementBytes} for this element.`,
      });
    }
    const thread = this.#thread;
    const ref = thread[T_CURSOR]!;
    const next = ref + bytes;
    if (next > thread[T_LIMIT]!) return this.#allocateSlow(type.id, bytes, length);
    thread[T_CURSOR] = next;
    this.i32[ref >> 2] = type.id;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  #allocateSlow(typeId: number, bytes: number, length: number): Ref {
    this.assertRunning();
    const every = this.#options.collectEveryAllocation;
    if (every > 0 && ++this.#allocations % every === 0) this.collect();
    if (this.#control[CTL_POLL] !== 0) this.#poll();
    const ref = this.#place(bytes);
    this.i32[ref >> 2] = typeId;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  /** Finds room for `bytes`: in the buffer, in a new one, or in pages of its own. No safepoint between that and the header. */
  #place(bytes: number): number {
    const thread = this.#thread;
    let ticket: number | undefined;
    for (;;) {
      const stress = this.#options.collectEveryAllocation > 0;
      // A stopped thread's buffer may have been retired: the limit is 0 then, and what stress hid is void.
      const limit = stress && thread[T_CURSOR] !== 0 ? this.#hiddenLimit : thread[T_LIMIT]!;
      const cursor = thread[T_CURSOR]!;
      if (cursor !== 0 && cursor + bytes <= limit) {
        thread[T_CURSOR] = cursor + bytes;
        if (stress) thread[T_LIMIT] = cursor + bytes;
        return cursor;
      }
      const own = bytes > SHARED_BUFFER_MAX_BYTES;
      const start = own ? this.#blocks.take(bytes, bytes) : this.#blocks.take(bytes, BUFFER_BYTES);
      if (start === 0) {
        ticket = this.#stall(bytes, ticket);
        continue;
      }
      if (this.#options.collects && this.#blocks.pastTrigger) this.#ask(false);
      thread[T_BUFFERS] = thread[T_BUFFERS]! + 1;
      if (own) {
        this.#allocatedBytes[0] = this.#allocatedBytes[0]! + bytes;
        return start;
      }
      this.#retireBuffer();
      thread[T_BUFFER] = start;
      thread[T_CURSOR] = start;
      thread[T_LIMIT] = stress ? start : start + this.#blocks.taken;
      this.#hiddenLimit = start + this.#blocks.taken;
    }
  }

  #retireBuffer(): void {
    const thread = this.#thread;
    this.#allocatedBytes[0] = this.#allocatedBytes[0]! + (thread[T_CURSOR]! - thread[T_BUFFER]!);
    thread[T_CURSOR] = 0;
    thread[T_LIMIT] = 0;
    thread[T_BUFFER] = 0;
  }

  /**
   * Waits until a collection may have made room, and returns the ticket of the one it asked for. Given that ticket back, throws when
   * that collection, which began after the first failure, is over.
   */
  #stall(bytes: number, ticket: number | undefined): number {
    const control = this.#control;
    const outOfMemory = (): TospaceError =>
      new TospaceError('ERR_OUT_OF_MEMORY', `no room for ${bytes} bytes in a heap of ${control[CTL_LIMIT]! - this.#heapBase}`, {
        hint: this.#options.collects
          ? 'A collection was tried. Raise heapBytes, or keep fewer objects alive.'
          : 'The collector is none: choose another, or raise heapBytes.',
      });
    if (!this.#options.collects || bytes > control[CTL_LIMIT]! - this.#heapBase) throw outOfMemory();
    if (ticket !== undefined && ((Atomics.load(control, CTL_CYCLES_DONE) - ticket) | 0) >= 0) throw outOfMemory();
    const start = performance.now();
    this.#thread[T_STALLS] = this.#thread[T_STALLS]! + 1;
    // Nothing can have changed since the attempt failed: this thread has not stopped in between.
    const seen = Atomics.load(control, CTL_ALLOC_EPOCH);
    const waitFor = ticket ?? this.#ask(true);
    this.blocking(() => this.#waitForChange(CTL_ALLOC_EPOCH, seen));
    this.#assertUsable();
    this.#stalls.record((performance.now() - start) * 1e6);
    return waitFor;
  }

  /** Sleeps until the control word changes, watching that somebody is there to change it. In a safe region. */
  #waitForChange(index: number, value: number): void {
    while (!waitWhile(this.#control, index, value, COLLECTOR_CHECK_MS)) {
      if (Atomics.load(this.#control, CTL_HEAP_STATE) !== HEAP_OPEN) return;
      this.#host.assertCollectorAlive();
    }
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Collections

  /** Asks for a cycle; returns its ticket. Without `always`, does nothing while one that was asked for has not begun. */
  #ask(always: boolean): number {
    const control = this.#control;
    const asked = Atomics.load(control, CTL_CYCLES_ASKED);
    if (!always && asked !== Atomics.load(control, CTL_CYCLES_DONE)) return asked;
    const ticket = (Atomics.add(control, CTL_CYCLES_ASKED, 1) + 1) | 0;
    Atomics.notify(control, CTL_CYCLES_ASKED);
    return ticket;
  }

  /**
   * Runs a whole collection that begins after the call, and waits for its end. A safepoint.
   * @param release also give free memory back to the system.
   * @throws TospaceError ERR_SYSCALL when the kernel refused a step and the collection moved nothing; the heap is as it was.
   */
  collect(release = false): void {
    this.assertRunning();
    if (!this.#options.collects) return;
    if (release) Atomics.add(this.#control, CTL_TRIMS_ASKED, 1);
    const abandoned = Atomics.load(this.#control, CTL_ABANDONED);
    const ticket = this.#ask(true);
    this.blocking(() => {
      for (;;) {
        const done = Atomics.load(this.#control, CTL_CYCLES_DONE);
        if (((done - ticket) | 0) >= 0) return;
        this.#waitForChange(CTL_CYCLES_DONE, done);
        if (Atomics.load(this.#control, CTL_HEAP_STATE) !== HEAP_OPEN) return;
      }
    });
    this.#assertUsable();
    if (Atomics.load(this.#control, CTL_ABANDONED) !== abandoned) {
      throw new TospaceError('ERR_SYSCALL', 'the collection was abandoned before it moved anything', {
        hint: "The heap's 'abandoned' event carries the system call that failed and what to do about it.",
      });
    }
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Fields and elements. `ref` must not be null: address 0 is no object, and nothing checks it outside a verifying heap.

  getRef(ref: Ref, offset: number): Ref {
    return this.i32[(ref + offset) >> 2] as Ref;
  }

  /** Stores a reference, and marks its card: the write barrier. */
  setRef(ref: Ref, offset: number, value: Ref): void {
    const address = ref + offset;
    this.i32[address >> 2] = value;
    this.#cards[(address - this.#heapBase) >> CARD_LOG2] = CARD_DIRTY;
  }

  getElement(array: Ref, index: number): Ref {
    return this.i32[((array + HEADER_BYTES) >> 2) + index] as Ref;
  }

  setElement(array: Ref, index: number, value: Ref): void {
    this.setRef(array, HEADER_BYTES + (index << 2), value);
  }

  // Raw fields and elements: `offset` is a byte offset from the object's start, a multiple of the field's size. Elements of a raw array
  // begin at offset 8.

  getI32(ref: Ref, offset: number): number {
    return this.i32[(ref + offset) >> 2]!;
  }

  setI32(ref: Ref, offset: number, value: number): void {
    this.i32[(ref + offset) >> 2] = value;
  }

  getU32(ref: Ref, offset: number): number {
    return this.u32[(ref + offset) >> 2]!;
  }

  setU32(ref: Ref, offset: number, value: number): void {
    this.u32[(ref + offset) >> 2] = value;
  }

  getF32(ref: Ref, offset: number): number {
    return this.f32[(ref + offset) >> 2]!;
  }

  setF32(ref: Ref, offset: number, value: number): void {
    this.f32[(ref + offset) >> 2] = value;
  }

  getF64(ref: Ref, offset: number): number {
    return this.f64[(ref + offset) >> 3]!;
  }

  setF64(ref: Ref, offset: number, value: number): void {
    this.f64[(ref + offset) >> 3] = value;
  }

  getU8(ref: Ref, offset: number): number {
    return this.u8[ref + offset]!;
  }

  setU8(ref: Ref, offset: number, value: number): void {
    this.u8[ref + offset] = value;
  }

  /** Number of elements of an array. */
  length(array: Ref): number {
    return this.i32[(array >> 2) + 1]!;
  }

  /** Type id of an object. */
  typeId(ref: Ref): number {
    return this.i32[ref >> 2]! & TYPE_ID_MASK;
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Handles

  /** Makes a scoped handle. It is released when the enclosing scope ends, or with `truncate`. */
  local(ref: Ref): Local {
    return this.shadowStack.push(ref);
  }

  get(local: Local): Ref {
    return this.shadowStack.get(local);
  }

  set(local: Local, ref: Ref): void {
    this.shadowStack.set(local, ref);
  }

  /** Runs `body` and releases the handles it made. */
  scope<T>(body: () => T): T {
    const depth = this.shadowStack.depth;
    try {
      return body();
    } finally {
      this.shadowStack.truncate(depth);
    }
  }

  /** Makes a handle that lives until it is closed. */
  persist(ref: Ref): Persistent {
    return this.#persistents.create(ref);
  }
}

function claimThread(tables: Tables): number {
  for (let i = 0; i < MAX_THREADS; i++) {
    if (Atomics.compareExchange(tables.threads[i]!, T_STATE, THREAD_FREE, THREAD_SAFE) === THREAD_FREE) return i;
  }
  throw new TospaceError('ERR_STATE', `${MAX_THREADS} threads are attached already`, { hint: 'Detach threads that are done.' });
}

/** Largest array: lengths and sizes stay below 2^31. */
const MAX_ARRAY_BYTES = 2 ** 31 - 4096;

/** Keeps the optimiser from removing a touch. */
let touched = 0;
