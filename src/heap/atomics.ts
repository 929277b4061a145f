// Atomic operations on fields and elements, with the names and meanings of JavaScript's `Atomics`. They are operations of the CPU on the
// shared words themselves: sequentially consistent among all threads of the heap, never a safepoint, and they wait for nothing but the
// page they touch: where it is not built yet, the instruction faults, and is executed again when the page is there.
//
// The card barrier follows the store, as in setRef; a thread must not pass a safepoint between the two, and nothing here is one. A
// compare-and-exchange that did not store marks no card: it changed nothing that the marker could miss, and many threads that fail at one
// slot would dirty its card again and again for the remark pause.
//
// A thread may be terminated in the middle of this. V8 looks for that when it enters a JavaScript function and where a loop goes round, so
// between a store and its card there must be neither: the barrier is written out in each operation instead of being called.

import { ObjectFields } from './fields.ts';
import { CARD_DIRTY, CARD_GROUP_LOG2, CARD_LOG2, GROUP_DIRTY, HEADER_BYTES } from './layout.ts';
import type { Offset, Ref } from './ref.ts';

/** `ref` must not be null, `offset` is a byte offset from the object's start: a multiple of 4, or of 8 for the 64-bit operations. */
export abstract class AtomicFields extends ObjectFields {
  // References. What an operation returns is valid until the next safepoint, and so is what it compares with.

  atomicLoadRef<Name extends string>(ref: Ref<Name>, offset: Offset<'ref', NoInfer<Name>>): Ref {
    return Atomics.load(this.i32, (ref + offset) >> 2) as Ref;
  }

  /** Stores a reference, with the write barrier. */
  atomicStoreRef<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'ref', NoInfer<Name>>,
    value: Ref,
  ): void {
    const address = ref + offset;
    Atomics.store(this.i32, address >> 2, value);
    const card = (address - this.heapBase) >> CARD_LOG2;
    this.cards[card] = CARD_DIRTY;
    if (this.cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
      this.cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
  }

  /** Stores a reference, with the write barrier, and returns the one that was there. */
  exchangeRef<Name extends string>(ref: Ref<Name>, offset: Offset<'ref', NoInfer<Name>>, value: Ref): Ref {
    const address = ref + offset;
    const old = Atomics.exchange(this.i32, address >> 2, value);
    const card = (address - this.heapBase) >> CARD_LOG2;
    this.cards[card] = CARD_DIRTY;
    if (this.cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
      this.cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
    return old as Ref;
  }

  /** Stores `value`, with the write barrier, if the field holds `expected`. Returns what the field held: `expected` if it was stored. */
  compareExchangeRef<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'ref', NoInfer<Name>>,
    expected: Ref,
    value: Ref,
  ): Ref {
    const address = ref + offset;
    const old = Atomics.compareExchange(this.i32, address >> 2, expected, value);
    if (old === expected) {
      const card = (address - this.heapBase) >> CARD_LOG2;
      this.cards[card] = CARD_DIRTY;
      if (this.cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
        this.cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
    }
    return old as Ref;
  }

  // Elements of an array of references.

  atomicLoadElement(array: Ref, index: number): Ref {
    return this.atomicLoadRef(array, HEADER_BYTES + (index << 2));
  }

  /** As atomicStoreRef. */
  atomicStoreElement(array: Ref, index: number, value: Ref): void {
    this.atomicStoreRef(array, HEADER_BYTES + (index << 2), value);
  }

  /** As exchangeRef. */
  exchangeElement(array: Ref, index: number, value: Ref): Ref {
    return this.exchangeRef(array, HEADER_BYTES + (index << 2), value);
  }

  /** As compareExchangeRef. */
  compareExchangeElement(array: Ref, index: number, expected: Ref, value: Ref): Ref {
    return this.compareExchangeRef(array, HEADER_BYTES + (index << 2), expected, value);
  }

  // 32-bit integers. All but load and store return what the field held before.

  atomicLoadI32<Name extends string>(ref: Ref<Name>, offset: Offset<'i32' | 'u32', NoInfer<Name>>): number {
    return Atomics.load(this.i32, (ref + offset) >> 2);
  }

  atomicStoreI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): void {
    Atomics.store(this.i32, (ref + offset) >> 2, value);
  }

  /** Wraps round at 32 bits, as subI32 does. */
  addI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): number {
    return Atomics.add(this.i32, (ref + offset) >> 2, value);
  }

  subI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): number {
    return Atomics.sub(this.i32, (ref + offset) >> 2, value);
  }

  andI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): number {
    return Atomics.and(this.i32, (ref + offset) >> 2, value);
  }

  orI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): number {
    return Atomics.or(this.i32, (ref + offset) >> 2, value);
  }

  xorI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): number {
    return Atomics.xor(this.i32, (ref + offset) >> 2, value);
  }

  exchangeI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    value: number,
  ): number {
    return Atomics.exchange(this.i32, (ref + offset) >> 2, value);
  }

  compareExchangeI32<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i32' | 'u32', NoInfer<Name>>,
    expected: number,
    value: number,
  ): number {
    return Atomics.compareExchange(this.i32, (ref + offset) >> 2, expected, value);
  }

  // 64-bit integers.

  atomicLoadI64<Name extends string>(ref: Ref<Name>, offset: Offset<'i64', NoInfer<Name>>): bigint {
    return Atomics.load(this.i64, (ref + offset) >> 3);
  }

  atomicStoreI64<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i64', NoInfer<Name>>,
    value: bigint,
  ): void {
    Atomics.store(this.i64, (ref + offset) >> 3, value);
  }

  /** Wraps round at 64 bits. */
  addI64<Name extends string>(ref: Ref<Name>, offset: Offset<'i64', NoInfer<Name>>, value: bigint): bigint {
    return Atomics.add(this.i64, (ref + offset) >> 3, value);
  }

  exchangeI64<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i64', NoInfer<Name>>,
    value: bigint,
  ): bigint {
    return Atomics.exchange(this.i64, (ref + offset) >> 3, value);
  }

  compareExchangeI64<Name extends string>(
    ref: Ref<Name>,
    offset: Offset<'i64', NoInfer<Name>>,
    expected: bigint,
    value: bigint,
  ): bigint {
    return Atomics.compareExchange(this.i64, (ref + offset) >> 3, expected, value);
  }
}
