// A mutator: one thread's way to the heap. It allocates by bumping a cursor, keeps roots on the thread's shadow stack, marks cards
// when it stores references, and meets the collector at safepoints.
//
// The cursor and the limit of the allocation buffer, and the shadow stack's top, are words of the thread's record in shared memory,
// so that JavaScript and WebAssembly code on the same thread share one buffer and one stack, and so that the collector can retire
// the buffer of a stopped thread without its help.

import { TospaceError } from '../errors.ts';
import { Allocator } from './allocator.ts';
import { CycleRequests } from './cycle-requests.ts';
import { FaultSampler } from './fault-sampler.ts';
import {
  CARD_DIRTY,
  CARD_LOG2,
  CTL_POLL,
  CTL_REFERENCES,
  EPHEMERON_KEY,
  EPHEMERON_VALUE,
  HEADER_BYTES,
  REFERENT,
  T_CURSOR,
  T_LIMIT,
  TYPE_ID_MASK,
} from './layout.ts';
import { type Persistent, PersistentTable } from './persistent.ts';
import { type Local, NULL, type Ref } from './ref.ts';
import { MutatorReferences } from './references.ts';
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
  readonly #options: MutatorOptions;
  readonly #persistents: PersistentTable;
  readonly #references: MutatorReferences;
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
    this.#allocator = new Allocator(tables, thread, this.#requests, {
      stress: options.collectEveryAllocation > 0,
      collects: options.collects,
    });
    this.#persistents = new PersistentTable(tables, this);
    this.#references = new MutatorReferences(tables, this);
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
    if (!(next <= record[T_LIMIT]!)) return this.#allocateSlow(type.id, type.bytes, 0);
    record[T_CURSOR] = next;
    this.i32[ref >> 2] = type.id;
    return ref as Ref;
  }

  /**
   * Allocates an array of `length` zero elements. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either, ERR_TYPE for a length that is none.
   */
  allocateArray(type: ArrayType, length: number): Ref {
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
    if (!(next <= record[T_LIMIT]!)) return this.#allocateSlow(type.id, bytes, length);
    record[T_CURSOR] = next;
    this.i32[ref >> 2] = type.id;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  #allocateSlow(typeId: number, bytes: number, length: number): Ref {
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
    this.i32[ref >> 2] = typeId;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
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
  // Weak references, ephemerons, finalization. None of the readers waits for the collector.

  /** The object that a weak record refers to, or null: because it was never set, or its object has died. */
  getWeak(record: Ref): Ref {
    const referent = this.i32[(record + REFERENT) >> 2] as Ref;
    return this.#control[CTL_REFERENCES] === 0 ? referent : this.#references.alive(referent);
  }

  /** Lets a weak record refer to another object, or to null. */
  setWeak(record: Ref, referent: Ref): void {
    this.#storeBarriered(record + REFERENT, referent);
  }

  /** The key of an ephemeron, or null. */
  getKey(ephemeron: Ref): Ref {
    const key = this.i32[(ephemeron + EPHEMERON_KEY) >> 2] as Ref;
    return this.#control[CTL_REFERENCES] === 0 ? key : this.#references.alive(key);
  }

  /** The value of an ephemeron, or null when it has no key, or its key has died. */
  getValue(ephemeron: Ref): Ref {
    const value = this.i32[(ephemeron + EPHEMERON_VALUE) >> 2] as Ref;
    if (this.#control[CTL_REFERENCES] === 0) return value;
    return this.getKey(ephemeron) === NULL ? NULL : this.#references.alive(value);
  }

  /** Gives an ephemeron its key and its value. Without a key it has no value either. */
  setEphemeron(ephemeron: Ref, key: Ref, value: Ref): void {
    // The key first: see gc/kernels/references.ts, where dead pairs are cleared.
    this.i32[(ephemeron + EPHEMERON_KEY) >> 2] = key;
    this.#storeBarriered(ephemeron + EPHEMERON_VALUE, key === NULL ? NULL : value);
  }

  #storeBarriered(address: number, value: Ref): void {
    this.i32[address >> 2] = value;
    this.#cards[(address - this.#heapBase) >> CARD_LOG2] = CARD_DIRTY;
  }

  /**
   * A number from 1 to 65 535 that an object keeps for its life; others may have the same one. It lies in the header's 16 spare bits:
   * an embedder who uses them gets what is there, or must not ask.
   */
  identityHash(ref: Ref): number {
    return this.#references.identityHash(ref);
  }

  /**
   * Asks for `object` back when nothing else reaches it any more: `nextFinalizable` then returns it, once for each call of this.
   * Weak references to it are null by then. A safepoint.
   * @param queue which of 16 queues it is put in, 0 to 15.
   * @throws TospaceError ERR_OUT_OF_MEMORY, ERR_OPTION
   */
  guard(object: Ref, queue = 0): void {
    this.#references.guard(object, queue);
  }

  /**
   * The next of the guarded objects that were found dead, or null. What it refers to came back with it. Objects that died together come
   * in the order in which they were guarded. @throws TospaceError ERR_OPTION
   */
  nextFinalizable(queue = 0): Ref {
    return this.#references.nextFinalizable(queue);
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
