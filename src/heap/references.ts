// The mutator's side of weak references, ephemerons and guards; the collector's, and why it is right, is in gc/references.ts.
//
// From the remark pause until the collector has cleared them, weak fields may hold references to dead objects. While the control word
// CTL_REFERENCES says so, a reader looks up the mark bit of what it has loaded and takes a dead object for null. It never waits.
// The word is raised in a pause only, and lowered behind a handshake: its value at any moment between two safepoints will do.

import { TospaceError } from '../errors.ts';
import { isBitSet } from './bitmap.ts';
import {
  CTL_BLACK_LINE,
  CTL_GUARD_TYPE,
  CTL_READY_TYPE,
  FINALIZER_QUEUES,
  GUARD_BYTES,
  GUARD_NEXT,
  GUARD_QUEUE,
  REFERENT,
  REFS_GUARDS,
  REFS_HEADS,
  REFS_LOCK,
  REFS_TAILS,
  REFS_WORDS,
} from './layout.ts';
import { withLock } from './lock.ts';
import type { Mutator } from './mutator.ts';
import { NULL, type Ref } from './ref.ts';
import type { Tables } from './tables.ts';
import { type RecordType, TypeRegistry } from './types.ts';

/** Odd, so that its multiples modulo 2^16 take every value: hashes repeat only after all others have been given out. */
const HASH_STEP = 0x9e37;

export class MutatorReferences {
  readonly #tables: Tables;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #table: Int32Array<SharedArrayBuffer>;
  readonly #marks: Int32Array<SharedArrayBuffer>;
  readonly #fresh: Int32Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #nonMoving: number;
  readonly #mutator: Mutator;
  #hash: number;

  constructor(tables: Tables, mutator: Mutator) {
    const { geometry } = tables;
    this.#tables = tables;
    this.#control = tables.control;
    this.#table = tables.words(geometry.references, REFS_WORDS);
    // Words of 32 granules: 256 bytes.
    this.#marks = tables.words(geometry.marks, Math.ceil(geometry.managedBytes / 256));
    this.#fresh = tables.words(geometry.fresh, Math.ceil(geometry.nonMovingBytes / 256));
    this.#nonMoving = geometry.nonMoving;
    this.#heapBase = geometry.heap;
    this.#mutator = mutator;
    // Threads begin at places that are far from each other.
    this.#hash = Math.imul(mutator.index + 1, 0x3a7d) & 0xffff;
  }

  /**
   * `ref`, or null when it names a dead object. While CTL_REFERENCES is raised, or was at the last safepoint: until this thread's next
   * one, mark bits and black line are those of that trace.
   */
  alive(ref: Ref): Ref {
    // Null is below the heap; black objects are above the line.
    const stays = ref >= this.#nonMoving;
    if (ref < this.#heapBase || (ref >= this.#control[CTL_BLACK_LINE]! && !stays)) return ref;
    const marked = isBitSet(this.#marks, ref - this.#heapBase);
    return marked || (stays && isBitSet(this.#fresh, ref - this.#nonMoving)) ? ref : NULL;
  }

  identityHash(ref: Ref): number {
    const { i32 } = this.#mutator;
    const index = ref >> 2;
    for (;;) {
      const header = i32[index]!;
      const known = header >>> 16;
      if (known !== 0) return known;
      this.#hash = (this.#hash + HASH_STEP) & 0xffff;
      if (this.#hash === 0) continue;
      if (Atomics.compareExchange(i32, index, header, header | (this.#hash << 16)) === header)
        return this.#hash;
    }
  }

  guard(object: Ref, queue: number): void {
    this.#assertQueue(queue);
    const mutator = this.#mutator;
    const type = this.#guardType();
    const depth = mutator.shadowStack.depth;
    const local = mutator.local(object);
    try {
      const guard = mutator.allocate(type);
      // From here to the end there is no safepoint: nobody sees the guard before it is complete and linked.
      const words = mutator.i32;
      words[(guard + GUARD_QUEUE) >> 2] = queue;
      words[(guard + REFERENT) >> 2] = mutator.get(local);
      withLock(this.#table, REFS_LOCK, () => {
        // No card: the guard is found by the root, and scanned after it was found.
        words[(guard + GUARD_NEXT) >> 2] = this.#table[REFS_GUARDS]!;
        Atomics.store(this.#table, REFS_GUARDS, guard);
      });
    } finally {
      mutator.shadowStack.truncate(depth);
    }
  }

  nextFinalizable(queue: number): Ref {
    this.#assertQueue(queue);
    const table = this.#table;
    // Without the lock where there is nothing, as is usual.
    if (Atomics.load(table, REFS_HEADS + queue) === 0) return NULL;
    const words = this.#mutator.i32;
    return withLock(table, REFS_LOCK, () => {
      const guard = table[REFS_HEADS + queue]!;
      if (guard === 0) return NULL;
      const next = words[(guard + GUARD_NEXT) >> 2]!;
      Atomics.store(table, REFS_HEADS + queue, next);
      if (next === 0) table[REFS_TAILS + queue] = 0;
      return words[(guard + REFERENT) >> 2] as Ref;
    });
  }

  #assertQueue(queue: number): void {
    this.#mutator.assertRunning();
    if (Number.isInteger(queue) && queue >= 0 && queue < FINALIZER_QUEUES) return;
    throw new TospaceError('ERR_OPTION', `${queue} is not a queue of finalizable objects`, {
      hint: `Queues are numbered from 0 to ${FINALIZER_QUEUES - 1}.`,
    });
  }

  /** The type of guards, which the first of all calls registers. */
  #guardType(): RecordType {
    const control = this.#control;
    if (Atomics.load(control, CTL_GUARD_TYPE) === 0) {
      withLock(this.#table, REFS_LOCK, () => {
        if (control[CTL_GUARD_TYPE] !== 0) return;
        const { waiting, ready } = new TypeRegistry(this.#tables).guards();
        control[CTL_READY_TYPE] = ready;
        Atomics.store(control, CTL_GUARD_TYPE, waiting);
      });
    }
    return { id: control[CTL_GUARD_TYPE]!, bytes: GUARD_BYTES } as RecordType;
  }
}
