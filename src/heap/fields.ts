// Plain access to fields and elements: typed views of the shared memory, the write barrier, and copies of whole ranges.
//
// `ref` must not be null: address 0 is no object, and nothing checks it outside a verifying heap (checked-mutator.ts).

import { copyElements, fillElements } from './bulk.ts';
import {
  CARD_DIRTY,
  CARD_GROUP_LOG2,
  CARD_LOG2,
  CARDS_PER_GROUP,
  GROUP_DIRTY,
  HEADER_BYTES,
  TYPE_ID_MASK,
} from './layout.ts';
import type { Offset, Ref } from './ref.ts';
import type { Tables } from './tables.ts';

export abstract class ObjectFields {
  /** The memory up to the end of both spaces as 32-bit words: `i32[(ref + offset) >> 2]`. Empty once detached. */
  i32: Int32Array<SharedArrayBuffer>;
  u32: Uint32Array<SharedArrayBuffer>;
  i8: Int8Array<SharedArrayBuffer>;
  u8: Uint8Array<SharedArrayBuffer>;
  i16: Int16Array<SharedArrayBuffer>;
  u16: Uint16Array<SharedArrayBuffer>;
  f32: Float32Array<SharedArrayBuffer>;
  f64: Float64Array<SharedArrayBuffer>;
  /** In 64-bit words: `i64[(ref + offset) >> 3]`. */
  i64: BigInt64Array<SharedArrayBuffer>;
  /** One byte for every card of the heap and the non-moving space. */
  protected readonly cards: Uint8Array<SharedArrayBuffer>;
  protected readonly cardGroups: Uint8Array<SharedArrayBuffer>;
  protected readonly heapBase: number;

  constructor(tables: Tables) {
    const { buffer, geometry } = tables;
    // Views end behind the non-moving space: everything a mutator may touch lies below, and indexes stay small integers.
    const end = geometry.heap + geometry.managedBytes;
    this.i32 = new Int32Array(buffer, 0, end / 4);
    this.u32 = new Uint32Array(buffer, 0, end / 4);
    this.i8 = new Int8Array(buffer, 0, end);
    this.u8 = new Uint8Array(buffer, 0, end);
    this.i16 = new Int16Array(buffer, 0, end / 2);
    this.u16 = new Uint16Array(buffer, 0, end / 2);
    this.f32 = new Float32Array(buffer, 0, end / 4);
    this.f64 = new Float64Array(buffer, 0, Math.floor(end / 8));
    this.i64 = new BigInt64Array(buffer, 0, Math.floor(end / 8));
    this.cards = tables.bytes(geometry.cards, geometry.managedBytes >>> CARD_LOG2);
    this.cardGroups = tables.bytes(geometry.cardGroups, Math.ceil(this.cards.length / CARDS_PER_GROUP));
    this.heapBase = geometry.heap;
  }

  /** A stale reference must not reach memory that is somebody else's by then: it finds nothing instead. */
  protected closeViews(): void {
    const none = new SharedArrayBuffer(0);
    this.i32 = new Int32Array(none);
    this.u32 = new Uint32Array(none);
    this.i8 = new Int8Array(none);
    this.u8 = new Uint8Array(none);
    this.i16 = new Int16Array(none);
    this.u16 = new Uint16Array(none);
    this.f32 = new Float32Array(none);
    this.f64 = new Float64Array(none);
    this.i64 = new BigInt64Array(none);
  }

  // Checks, for what reaches the memory by other ways than these methods.

  /** In a verifying heap: throws unless every root of the thread is null or names an object. */
  assertRoots(): void {}

  /** In a verifying heap: throws unless there is an object at `ref` with a strong reference at `offset`. */
  assertSlot(_ref: Ref, _offset: number): void {}

  /** In a verifying heap: throws unless there is an object at `ref` with `bytes` of raw data at `offset`. */
  assertRaw(_ref: Ref, _offset: number, _bytes: number): void {}

  getRef<Name extends string>(ref: Ref<Name>, offset: Offset<'ref', NoInfer<Name>>): Ref {
    return this.i32[(ref + offset) >> 2] as Ref;
  }

  /** Stores a reference, and marks its card and the card's group: the write barrier. */
  setRef<Name extends string>(ref: Ref<Name>, offset: Offset<'ref', NoInfer<Name>>, value: Ref): void {
    const address = ref + offset;
    this.i32[address >> 2] = value;
    const card = (address - this.heapBase) >> CARD_LOG2;
    this.cards[card] = CARD_DIRTY;
    if (this.cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
      this.cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
  }

  getElement(array: Ref, index: number): Ref {
    return this.i32[((array + HEADER_BYTES) >> 2) + index] as Ref;
  }

  setElement(array: Ref, index: number, value: Ref): void {
    this.setRef(array, HEADER_BYTES + (index << 2), value);
  }

  /**
   * Copies `count` references, as if through a buffer when the ranges overlap; with the write barrier for the whole range. Each
   * reference is copied in one piece, the range is not: other threads may see it half copied. No safepoint, some 1 ns for an element:
   * copy millions in slices, with safepoints in between, or a pause waits for it.
   */
  copyElements(source: Ref, sourceIndex: number, target: Ref, targetIndex: number, count: number): void {
    copyElements(
      this.i32,
      this.cards,
      this.cardGroups,
      this.heapBase,
      source,
      sourceIndex,
      target,
      targetIndex,
      count,
    );
  }

  /** Stores `value` into the elements [begin, end), with the write barrier. No safepoint. */
  fillElements(array: Ref, begin: number, end: number, value: Ref): void {
    fillElements(this.i32, this.cards, this.cardGroups, this.heapBase, array, begin, end, value);
  }

  /**
   * Copies bytes between raw arrays, as if through a buffer when the ranges overlap. Offsets count from the first element. No safepoint.
   * Other threads may see an element half copied.
   */
  copyBytes(source: Ref, sourceOffset: number, target: Ref, targetOffset: number, bytes: number): void {
    const from = source + HEADER_BYTES + sourceOffset;
    this.u8.copyWithin(target + HEADER_BYTES + targetOffset, from, from + bytes);
  }

  /** Fills the bytes [begin, end) of a raw array, counted from its first element. No safepoint. */
  fillBytes(array: Ref, begin: number, end: number, value: number): void {
    this.u8.fill(value, array + HEADER_BYTES + begin, array + HEADER_BYTES + end);
  }

  // Raw fields and elements: `offset` is a byte offset from the object's start, a multiple of the field's size. Elements of a raw array
  // begin at offset 8.

  getI8<Name extends string>(ref: Ref<Name>, offset: Offset<'i8', NoInfer<Name>>): number {
    return this.i8[ref + offset]!;
  }

  setI8<Name extends string>(ref: Ref<Name>, offset: Offset<'i8', NoInfer<Name>>, value: number): void {
    this.i8[ref + offset] = value;
  }

  getU8<Name extends string>(ref: Ref<Name>, offset: Offset<'u8', NoInfer<Name>>): number {
    return this.u8[ref + offset]!;
  }

  setU8<Name extends string>(ref: Ref<Name>, offset: Offset<'u8', NoInfer<Name>>, value: number): void {
    this.u8[ref + offset] = value;
  }

  getI16<Name extends string>(ref: Ref<Name>, offset: Offset<'i16', NoInfer<Name>>): number {
    return this.i16[(ref + offset) >> 1]!;
  }

  setI16<Name extends string>(ref: Ref<Name>, offset: Offset<'i16', NoInfer<Name>>, value: number): void {
    this.i16[(ref + offset) >> 1] = value;
  }

  getU16<Name extends string>(ref: Ref<Name>, offset: Offset<'u16', NoInfer<Name>>): number {
    return this.u16[(ref + offset) >> 1]!;
  }

  setU16<Name extends string>(ref: Ref<Name>, offset: Offset<'u16', NoInfer<Name>>, value: number): void {
    this.u16[(ref + offset) >> 1] = value;
  }

  getI32<Name extends string>(ref: Ref<Name>, offset: Offset<'i32', NoInfer<Name>>): number {
    return this.i32[(ref + offset) >> 2]!;
  }

  setI32<Name extends string>(ref: Ref<Name>, offset: Offset<'i32', NoInfer<Name>>, value: number): void {
    this.i32[(ref + offset) >> 2] = value;
  }

  getU32<Name extends string>(ref: Ref<Name>, offset: Offset<'u32', NoInfer<Name>>): number {
    return this.u32[(ref + offset) >> 2]!;
  }

  setU32<Name extends string>(ref: Ref<Name>, offset: Offset<'u32', NoInfer<Name>>, value: number): void {
    this.u32[(ref + offset) >> 2] = value;
  }

  getF32<Name extends string>(ref: Ref<Name>, offset: Offset<'f32', NoInfer<Name>>): number {
    return this.f32[(ref + offset) >> 2]!;
  }

  setF32<Name extends string>(ref: Ref<Name>, offset: Offset<'f32', NoInfer<Name>>, value: number): void {
    this.f32[(ref + offset) >> 2] = value;
  }

  getF64<Name extends string>(ref: Ref<Name>, offset: Offset<'f64', NoInfer<Name>>): number {
    return this.f64[(ref + offset) >> 3]!;
  }

  setF64<Name extends string>(ref: Ref<Name>, offset: Offset<'f64', NoInfer<Name>>, value: number): void {
    this.f64[(ref + offset) >> 3] = value;
  }

  getI64<Name extends string>(ref: Ref<Name>, offset: Offset<'i64', NoInfer<Name>>): bigint {
    return this.i64[(ref + offset) >> 3]!;
  }

  setI64<Name extends string>(ref: Ref<Name>, offset: Offset<'i64', NoInfer<Name>>, value: bigint): void {
    this.i64[(ref + offset) >> 3] = value;
  }

  /** Number of elements of an array. */
  length(array: Ref): number {
    return this.i32[(array >> 2) + 1]!;
  }

  /** Type id of an object. */
  typeId(ref: Ref): number {
    return this.i32[ref >> 2]! & TYPE_ID_MASK;
  }
}
