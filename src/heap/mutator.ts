// A mutator: one thread's way to the heap. It allocates by bumping a cursor, keeps roots on the thread's shadow stack, marks cards
// when it stores references, and meets the collector at safepoints.
//
// The cursor and the limit of the allocation buffer, and the shadow stack's top, are words of the thread's record in shared memory,
// so that JavaScript and WebAssembly code on the same thread share one buffer and one stack, and so that the collector can retire
// the buffer of a stopped thread without its help.

import { Allocator } from './allocator.ts';
import { arrayBytes, unfit } from './array-size.ts';
import { AtomicFields } from './atomics.ts';
import type { RunBody, ScopeBody } from './bodies.ts';
import { assertCollectOptions, type CollectOptions, CycleRequests } from './cycle-requests.ts';
import { ExternalBytes } from './external.ts';
import { FaultSampler } from './fault-sampler.ts';
import { type GuestAbi, guestAbi } from './guest.ts';
import {
  CARD_DIRTY,
  CARD_GROUP_LOG2,
  CARD_LOG2,
  CTL_POLL,
  CTL_REFERENCES,
  EPHEMERON_KEY,
  EPHEMERON_VALUE,
  GROUP_DIRTY,
  HEADER_BYTES,
  MAX_TYPES,
  REFERENT,
  T_CURSOR,
  T_LIMIT,
  THREAD_BYTES,
  TYPE_ENTRY_LOG2,
  TYPE_MAP_WORDS,
} from './layout.ts';
import type { MutatorOptions } from './mutator-options.ts';
import { type Persistent, PersistentTable, type SharedHandle } from './persistent.ts';
import { type Local, NULL, type Ref } from './ref.ts';
import { MutatorReferences } from './references.ts';
import { ShadowStack } from './shadow-stack.ts';
import type { Tables } from './tables.ts';
import { MutatorThread, type ThreadHost } from './thread.ts';
import type { ArrayType, HeapType, RecordDescriptor } from './types.ts';

/** In place of its record, for a mutator that is detached: a buffer in which nothing fits, so that allocation asks who it is. */
const GONE: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(THREAD_BYTES));

export class Mutator extends AtomicFields {
  /** This thread's handles, for code that manages them itself. */
  readonly shadowStack: ShadowStack;

  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #thread: MutatorThread;
  /** The thread's record, for the fast path. */
  #record: Int32Array<SharedArrayBuffer>;
  /** First address of the non-moving space, which lies above the heap. */
  readonly #nonMoving: number;
  readonly #allocator: Allocator;
  /** The type table. */
  readonly #types: Int32Array<SharedArrayBuffer>;
  readonly #requests: CycleRequests;
  readonly #external: ExternalBytes;
  readonly #options: MutatorOptions;
  readonly #persistents: PersistentTable;
  readonly #references: MutatorReferences;
  readonly #onDetach: () => void;
  #guest: GuestAbi | undefined;
  readonly #tables: Tables;
  #allocations = 0;
  #safepoints = 0;

  constructor(tables: Tables, host: ThreadHost, options: MutatorOptions, onDetach: () => void = () => {}) {
    super(tables);
    this.#tables = tables;
    this.#options = options;
    this.#onDetach = onDetach;
    const { control, geometry } = tables;
    this.#control = control;
    this.#nonMoving = geometry.nonMoving;
    this.#types = tables.words(geometry.types, MAX_TYPES << (TYPE_ENTRY_LOG2 - 2));
    const thread = new MutatorThread(tables, host, () => sampler?.sample(this.shadowStack));
    const { faultSamples } = options;
    const sampler = faultSamples > 0 ? new FaultSampler(tables, thread.index, faultSamples) : undefined;
    this.#thread = thread;
    this.#record = thread.record;
    this.shadowStack = new ShadowStack(
      tables,
      thread.index,
      options.checked ? (ref) => this.noteReference(ref) : undefined,
    );
    this.#requests = new CycleRequests(control, host);
    this.#external = new ExternalBytes(tables, thread.record, options.collects ? this.#requests : undefined);
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

  /** Leaves the safe region: until `leave`, this thread may touch the heap and owes safepoints. Nests. @throws TospaceError ERR_STATE */
  enter(): void {
    this.#thread.enter();
  }

  /** Enters the safe region: the thread may block or return to its event loop, and no pause waits for it. @throws TospaceError ERR_STATE */
  leave(): void {
    this.#thread.leave();
  }

  /**
   * Runs `body` as a mutator; outside of it the thread is in a safe region. An async function does not compile, nor one that returns a
   * reference: it would be stale at once. Return what was read from the object, or a handle (`persist`).
   * @throws TospaceError ERR_STATE when the thread is detached or the heap closed; and what `body` throws.
   */
  run<T>(body: RunBody<T>): T {
    this.#thread.enter();
    try {
      return body();
    } finally {
      // Without a call where it is only one less: at the end of V8's stack there may be no room for one.
      if (this.#thread.depth > 1) this.#thread.depth--;
      else this.#thread.leave();
    }
  }

  /**
   * Within `run`: a safe region while `body` runs, which may block and must not touch the heap. References held in variables are
   * stale afterwards, and none may be returned.
   */
  blocking<T>(body: RunBody<T>): T {
    return this.#thread.blocking(body);
  }

  /** In a verifying heap: throws unless `ref` is null or names an object. */
  assertReference(_ref: Ref): void {}

  /**
   * What a WebAssembly module imports to be a mutator on this thread, beside this object: they share buffer, roots and state. Call its
   * functions inside `run`. The contract is docs/guest-abi.md. In a verifying heap every allocation and every safepoint of a guest is checked.
   */
  get guest(): GuestAbi {
    this.#guest ??= this.#makeGuest();
    return this.#guest;
  }

  #makeGuest(): GuestAbi {
    const { checked, collectEverySafepoint } = this.#options;
    if (checked) this.run(() => this.#allocator.hideLimit());
    return guestAbi(
      this.#tables,
      this,
      {
        allocate: (type, bytes, length, kind, throws) =>
          this.#allocateSlow(type, bytes, length, kind, throws),
        allocatePinned: (type, bytes, length, kind) =>
          this.#allocatePinned(
            type,
            bytes,
            length,
            kind === 'record' ? this.#isRaw(type) : kind === 'raw-array',
          ),
      },
      { thread: this.index, everySafepoint: checked || collectEverySafepoint > 0 },
    );
  }

  /** In a verifying heap: this thread has read `ref` from a root. @internal */
  noteReference(_ref: Ref): void {}

  /** Throws unless the thread runs as a mutator. @internal */
  assertRunning(): void {
    this.#thread.assertRunning();
  }

  /** False when the thread is detached or the heap is closed. @internal */
  get usable(): boolean {
    return this.#thread.usable;
  }

  /** Ends the thread's use of the heap and releases all its roots. Twice does nothing. @throws TospaceError ERR_STATE in `run` */
  detach(): void {
    this.#thread.assertDetachable();
    if (this.#thread.usable) this.#persistents.closeAll();
    this.#thread.detach(() => {
      this.#allocator.retire();
      this.shadowStack.truncate(0);
    });
    // The thread's record may be somebody else's from now on, with buffer and roots.
    this.#record = GONE;
    this.shadowStack.close();
    this.closeViews();
    this.#onDetach();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** The thread is exiting: it will touch the heap no more, whatever it was in the middle of. @internal */
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
   * Runs a whole collection that begins after the call, and waits for its end. A safepoint. Under the collector `none` it does nothing.
   * @throws TospaceError when the collection was given up and moved nothing; the heap is as it was. ERR_SYSCALL: the kernel refused a
   * step. ERR_TIMEOUT: a thread, which the message names, did not reach a safepoint. ERR_OPTION: an option that there is not.
   */
  collect(options: CollectOptions = {}): void {
    assertCollectOptions(options);
    this.#thread.assertRunning();
    if (!this.#options.collects) return;
    this.#requests.collect(options, (wait) => this.#thread.blocking(wait));
    this.#thread.assertUsable();
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Allocation

  /**
   * Allocates a record, all fields zero. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either.
   */
  allocate<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    // First: a descriptor of an embedder's own may have something to do when it is asked.
    const { id, bytes } = type;
    const record = this.#record;
    const ref = record[T_CURSOR]!;
    const next = ref + bytes;
    // Not `next > limit`: what is no record type has no size, and no comparison with it is true.
    if (!(next <= record[T_LIMIT]!)) return this.#allocateSlow(id, bytes, 0, 'record', true);
    record[T_CURSOR] = next;
    this.i32[ref >> 2] = id;
    return ref as Ref;
  }

  /** As {@link allocate}, but returns NULL where that throws ERR_OUT_OF_MEMORY. */
  tryAllocate<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    const next = this.#record[T_CURSOR]! + type.bytes;
    return next <= this.#record[T_LIMIT]!
      ? this.allocate(type)
      : this.#allocateSlow(type.id, type.bytes, 0, 'record', false);
  }

  /**
   * Allocates an array of `length` zero elements. A safepoint.
   * @throws TospaceError ERR_OUT_OF_MEMORY when a collection did not make room either, ERR_TYPE for a length that is none.
   */
  allocateArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#allocateArray(type, length, true);
  }

  /** As {@link allocateArray}, but returns NULL where that throws ERR_OUT_OF_MEMORY. */
  tryAllocateArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#allocateArray(type, length, false);
  }

  #allocateArray(type: ArrayType, length: number, throws: boolean): Ref {
    const bytes = arrayBytes(type, length);
    const { id } = type;
    const record = this.#record;
    const ref = record[T_CURSOR]!;
    const next = ref + bytes;
    // A buffer is smaller than the smallest large object, or hardly larger: what fits into it need not be asked about.
    if (!(next <= record[T_LIMIT]!)) return this.#allocateSlow(id, bytes, length, type.kind, throws);
    record[T_CURSOR] = next;
    this.i32[ref >> 2] = id;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  /**
   * Allocates a record that the collector never moves, all fields zero: its reference stays the same number while it is alive. A safepoint.
   * Dearer than {@link allocate}: under a lock, below a microsecond.
   * @throws TospaceError ERR_OUT_OF_MEMORY when the non-moving space has no room, and a collection did not make it.
   */
  allocatePinned<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#allocatePinned(type.id, type.bytes, 0, this.#isRaw(type.id));
  }

  /** Whether a type of records has no references. Asked of the type table: a descriptor of an embedder's own need not name its fields. */
  #isRaw(type: number): boolean {
    return this.#types[((type << TYPE_ENTRY_LOG2) + TYPE_MAP_WORDS) >> 2] === 0;
  }

  /**
   * Allocates an array that the collector never moves, all elements zero. A safepoint. An array of raw data is never hidden by a flip
   * either: a system call may read and write it at any time, at the address `memory address + reference`.
   * @throws TospaceError ERR_OUT_OF_MEMORY as {@link allocatePinned}, ERR_TYPE for a length that is none.
   */
  allocatePinnedArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#allocatePinned(type.id, arrayBytes(type, length), length, type.kind === 'raw-array');
  }

  #allocatePinned(typeId: number, bytes: number, length: number, raw: boolean): Ref {
    this.#beforeAllocation(bytes);
    const ref = this.#allocator.placePinned(bytes, raw);
    if (ref === 0) throw this.#allocator.outOfMemory(bytes, true);
    // Not by a call, which the end of V8's stack could prevent: a buffer is walked from header to header.
    this.i32[ref >> 2] = typeId;
    this.i32[(ref >> 2) + 1] = length;
    return ref as Ref;
  }

  /** True for an object that the collector never moves: one allocated so, or a large one. */
  isPinned(ref: Ref): boolean {
    return ref >= this.#nonMoving;
  }

  /**
   * The reference that an address is which came from elsewhere: from WebAssembly code, from a view, from a table of pinned objects. It must
   * have been read since the last safepoint. Costs nothing; where `verify` is `full` it is checked.
   * @throws TospaceError ERR_TYPE, where `verify` is `full`, when no object is there
   */
  asRef(address: number): Ref {
    return address as Ref;
  }

  /** What every allocation does that is not on the fast path: a safepoint, among others. */
  #beforeAllocation(bytes: number): void {
    this.#thread.assertRunning();
    if (!(bytes >= HEADER_BYTES)) throw unfit();
    const every = this.#options.collectEveryAllocation;
    if (every > 0 && ++this.#allocations % every === 0) this.collect();
    if (this.#control[CTL_POLL] !== 0) this.#thread.poll();
  }

  #allocateSlow(typeId: number, bytes: number, length: number, kind: HeapType['kind'], throws: boolean): Ref {
    this.#beforeAllocation(bytes);
    const ref =
      kind !== 'record' && bytes >= this.#options.largeObjectBytes
        ? this.#allocator.placeLarge(bytes, kind === 'raw-array')
        : this.#allocator.place(bytes);
    if (ref === 0) {
      if (throws) throw this.#allocator.outOfMemory(bytes);
      return NULL;
    }
    // Not by a call, which the end of V8's stack could prevent: a buffer is walked from header to header.
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
    // Both lie on one card. No call between them and it: a thread that is terminated there would leave a key that no trace hears of.
    const address = ephemeron + EPHEMERON_VALUE;
    this.i32[(ephemeron + EPHEMERON_KEY) >> 2] = key;
    this.i32[address >> 2] = key === NULL ? NULL : value;
    const card = (address - this.heapBase) >> CARD_LOG2;
    this.cards[card] = CARD_DIRTY;
    if (this.cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
      this.cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
  }

  #storeBarriered(address: number, value: Ref): void {
    this.i32[address >> 2] = value;
    const card = (address - this.heapBase) >> CARD_LOG2;
    this.cards[card] = CARD_DIRTY;
    if (this.cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
      this.cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
  }

  /**
   * A number from 1 to 65 535 that an object keeps for its life; others may have the same one. It lies in the header's 16 spare bits:
   * an embedder who uses them gets what is there, or must not ask.
   */
  identityHash(ref: Ref): number {
    return this.#references.identityHash(ref);
  }

  /** The identity hash of an object that was asked for one before, else 0: what no table has seen need not be looked for. */
  peekIdentityHash(ref: Ref): number {
    return this.i32[ref >> 2]! >>> 16;
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

  /** Makes a scoped handle, released when the enclosing `scope` ends (`run` is none). @throws TospaceError ERR_HANDLE: the stack is full */
  local<Name extends string>(ref: Ref<Name>): Local<Name> {
    return this.shadowStack.push(ref);
  }

  /** What a scoped handle refers to now. @throws TospaceError ERR_HANDLE, where `verify` is `full`, when its scope has ended */
  get<Name extends string>(local: Local<Name>): Ref<Name> {
    return this.shadowStack.get(local);
  }

  /** Lets a scoped handle refer to another object, or to null. @throws as {@link get} */
  set<Name extends string>(local: Local<Name>, ref: Ref<NoInfer<Name>>): void {
    this.shadowStack.set(local, ref);
  }

  /** Runs `body` and releases the handles it made. It may return a reference, which is none of them; a handle does not compile. */
  scope<T>(body: ScopeBody<T>): T {
    const depth = this.shadowStack.depth;
    try {
      return body();
    } finally {
      this.shadowStack.truncate(depth);
    }
  }

  /** Makes a handle that lives until it is closed, or the thread detaches or ends. @throws TospaceError ERR_HANDLE when all are in use */
  persist<Name extends string>(ref: Ref<Name>): Persistent<Name> {
    return this.#persistents.create(ref);
  }

  /**
   * A handle that another thread made, and posted as `handle.share()`: both threads read and write the same reference. It ends with the
   * other thread's handle, and is then refused by ERR_HANDLE.
   */
  borrow(handle: SharedHandle): Persistent {
    return this.#persistents.borrow(handle);
  }
}
