// A mutator: one thread's way to the heap. It allocates by bumping a cursor, keeps roots on the thread's shadow stack, marks cards
// when it stores references, and meets the collector at safepoints.
//
// The cursor and the limit of the allocation buffer, and the shadow stack's top, are words of the thread's record in shared memory,
// so that JavaScript and WebAssembly code on the same thread share one buffer and one stack, and so that the collector can retire
// the buffer of a stopped thread without its help.

import { TospaceError } from '../errors.ts';
import { Allocator } from './allocator.ts';
import { CycleRequests } from './cycle-requests.ts';
import { ExternalBytes } from './external.ts';
import { FaultSampler } from './fault-sampler.ts';
import { CARD_DIRTY, CARD_LOG2, CTL_POLL, HEADER_BYTES, T_CURSOR, T_LIMIT, TYPE_ID_MASK } from './layout.ts';
import { type Persistent, PersistentTable } from './persistent.ts';
import { type Local, NULL, type Ref } from './ref.ts';
import { ShadowStack } from './shadow-stack.ts';
import type { Tables } from './tables.ts';
import { MutatorThread, type ThreadHost } from './thread.ts';
import type { ArrayType, RecordType } from './types.ts';

/** Largest array: lengths and sizes stay below 2^31. */
const MAX_ARRAY_BYTES = 2 ** 31 - 4096;

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

export class Mutator {
  /** The memory up to the end of the heap as 32-bit words: `i32[(ref + offset) >> 2]`. Empty once detached. */
  i32: Int32Array<SharedArrayBuffer>;
  u32: Uint32Array<SharedArrayBuffer>;
  u8: Uint8Array<SharedArrayBuffer>;
  f32: Float32Array<SharedArrayBuffer>;
  f64: Float64Array<SharedArrayBuffer>;
  /** This thread's handles, for code that manages them itself. */
  readonly shadowStack: ShadowStack;

  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #thread: MutatorThread;
  /** The thread's record, for the fast path. */
  readonly #record: Int32Array<SharedArrayBuffer>;
  readonly #cards: Uint8Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #allocator: Allocator;
  readonly #requests: CycleRequests;
  readonly #external: ExternalBytes;
  readonly #options: MutatorOptions;
  readonly #persistents: PersistentTable;
  readonly #onDetach: () => void;
  #allocations = 0;
  #safepoints = 0;

  constructor(tables: Tables, host: ThreadHost, options: MutatorOptions, onDetach: () => void = () => {}) {
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
    const thread = new MutatorThread(tables, host, () => sampler?.sample(this.shadowStack));
    const sampler = options.sampleFaults ? new FaultSampler(tables, thread.index) : undefined;
    this.#thread = thread;
    this.#record = thread.record;
    this.shadowStack = new ShadowStack(tables, thread.index, options.checked);
    this.#requests = new CycleRequests(control, host);
    this.#external = new ExternalBytes(tables, thread.record, options.collects ? this.#requests : undefined);
    this.#allocator = new Allocator(tables, thread, this.#requests, {
      stress: options.collectEveryAllocation > 0,
      collects: options.collects,
    });
    this.#persistents = new PersistentTable(tables, this);
  }

  /** Index of this thread's record. */
  get index(): number {
    return this.#thread.index;
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Running and safe regions

  /** Leaves the safe region: until `leave`, this thread may touch the heap and must reach safepoints. Nests. */
  enter(): void {
    this.#thread.enter();
  }

  /** Enters the safe region: the thread may block or return to its event loop, and no pause waits for it. */
  leave(): void {
    this.#thread.leave();
  }

  /** Runs `body` as a mutator; outside of it the thread is in a safe region. `body` must be synchronous. */
  run<T>(body: () => T): T {
    this.#thread.enter();
    try {
      return body();
    } finally {
      this.#thread.leave();
    }
  }

  /**
   * Within `run`: a safe region while `body` runs, which may block and must not touch the heap. References held in variables are
   * stale afterwards.
   */
  blocking<T>(body: () => T): T {
    return this.#thread.blocking(body);
  }

  /** In a verifying heap: throws unless `ref` is null or names an object. */
  assertReference(_ref: Ref): void {}

  /** Throws unless the thread runs as a mutator. */
  assertRunning(): void {
    this.#thread.assertRunning();
  }

  /** False when the thread is detached or the heap is closed. */
  get usable(): boolean {
    return this.#thread.usable;
  }

  /** Ends this thread's use of the heap and releases its roots, persistent ones too. Detaching twice does nothing. */
  detach(): void {
    this.#thread.assertDetachable();
    if (this.#thread.usable) this.#persistents.closeAll();
    this.#thread.detach(() => {
      this.#allocator.retire();
      this.shadowStack.truncate(0);
    });
    // A stale reference must not reach memory that is somebody else's by then: it finds nothing instead.
    const none = new SharedArrayBuffer(0);
    this.i32 = new Int32Array(none);
    this.u32 = new Uint32Array(none);
    this.u8 = new Uint8Array(none);
    this.f32 = new Float32Array(none);
    this.f64 = new Float64Array(none);
    this.#onDetach();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** The thread is exiting: it will touch the heap no more, whatever it was in the middle of. */
  abandon(): void {
    this.#thread.abandon();
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Safepoints and collections

  /** A point at which the collector may move objects: references outside handles are stale afterwards. */
  safepoint(): void {
    const every = this.#options.collectEverySafepoint;
    if (every > 0 && ++this.#safepoints % every === 0) this.collect();
    if (this.#control[CTL_POLL] !== 0) this.#thread.poll();
  }

  /**
   * Runs a whole collection that begins after the call, and waits for its end. A safepoint.
   * @param release also give free memory back to the system.
   * @throws TospaceError ERR_SYSCALL when the kernel refused a step and the collection moved nothing; the heap is as it was.
   */
  collect(release = false): void {
    this.#thread.assertRunning();
    if (!this.#options.collects) return;
    this.#requests.collect(release, (wait) => this.#thread.blocking(wait));
    this.#thread.assertUsable();
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Allocation

  /**
   * Allocates a record, all fields zero. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either.
   */
  allocate(type: RecordType): Ref {
    const record = this.#record;
    const ref = record[T_CURSOR]!;
    const next = ref + type.bytes;
    // Not `next > limit`: what is no record type has no size, and no comparison with it is true.
    if (!(next <= record[T_LIMIT]!)) return this.#allocateSlow(type.id, type.bytes, 0, true);
    record[T_CURSOR] = next;
    this.i32[ref >> 2] = type.id;
    return ref as Ref;
  }

  /** As {@link allocate}, but returns NULL where that throws ERR_OUT_OF_MEMORY. */
  tryAllocate(type: RecordType): Ref {
    const next = this.#record[T_CURSOR]! + type.bytes;
    return next <= this.#record[T_LIMIT]!
      ? this.allocate(type)
      : this.#allocateSlow(type.id, type.bytes, 0, false);
  }

  /**
   * Allocates an array of `length` zero elements. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either, ERR_TYPE for a length that is none.
   */
  allocateArray(type: ArrayType, length: number): Ref {
    return this.#allocateArray(type, length, true);
  }

  /** As {@link allocateArray}, but returns NULL where that throws ERR_OUT_OF_MEMORY. */
  tryAllocateArray(type: ArrayType, length: number): Ref {
    return this.#allocateArray(type, length, false);
  }

  #allocateArray(type: ArrayType, length: number, throws: boolean): Ref {
    const elementBytes = type.kind === 'ref-array' ? 4 : type.elementBytes;
    if (!(length >= 0 && length <= MAX_ARRAY_BYTES / elementBytes) || !Number.isInteger(length)) {
      throw new TospaceError('ERR_TYPE', `${length} is not a length of an array`, {
        hint: `Lengths are integers from 0 to ${MAX_ARRAY_BYTES / elementBytes} for this element.`,
      });
    }
    const bytes = (HEADER_BYTES + length * elementBytes + 7) & -8;
    const record = this.#record;
    const ref = record[T_CURSOR]!;
    const next = ref + bytes;
    if (!(next <= record[T_LIMIT]!)) return this.#allocateSlow(type.id, bytes, length, throws);
    record[T_CURSOR] = next;
    this.i32[ref >> 2] = type.id;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  #allocateSlow(typeId: number, bytes: number, length: number, throws: boolean): Ref {
    this.#thread.assertRunning();
    if (!(bytes >= HEADER_BYTES)) {
      throw new TospaceError('ERR_TYPE', 'the type does not fit the call', {
        hint: 'allocate() takes a type of defineRecord, allocateArray() one of defineRefArray or defineArray.',
      });
    }
    const every = this.#options.collectEveryAllocation;
    if (every > 0 && ++this.#allocations % every === 0) this.collect();
    if (this.#control[CTL_POLL] !== 0) this.#thread.poll();
    const ref = this.#allocator.place(bytes);
    if (ref === 0) {
      if (throws) throw this.#allocator.outOfMemory(bytes);
      return NULL;
    }
    this.i32[ref >> 2] = typeId;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  /**
   * Tells the collector of memory outside the heap that lives as long as objects in it: `delta` bytes were allocated, or, where it is
   * negative, freed. Some nanoseconds, no safepoint, allowed in safe regions. What exists counts for all threads together; it is in
   * the statistics and makes cycles begin earlier.
   * @throws TospaceError ERR_OPTION when `delta` is no safe integer, ERR_STATE when the thread is detached or the heap closed.
   */
  adjustExternalBytes(delta: number): void {
    this.#thread.assertUsable();
    this.#external.adjust(delta);
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

  /** Makes a handle that lives until it is closed, or the thread detaches. */
  persist(ref: Ref): Persistent {
    return this.#persistents.create(ref);
  }
}
