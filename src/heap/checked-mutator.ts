// The mutator of a verifying heap: every operation checks what the fast one takes on trust. It finds the embedder's classic mistakes
// where they are made, not where they hurt: a reference kept across a safepoint, a null dereferenced, an offset of another type.

import {
  CTL_CURSOR,
  HEADER_BYTES,
  KIND_ARRAY_BIT,
  KIND_EPHEMERON,
  KIND_RAW_ARRAY,
  KIND_RECORD,
  KIND_REF_ARRAY,
  KIND_WEAK,
  TYPE_ID_MASK,
} from './layout.ts';
import type { MutatorOptions } from './mutator-options.ts';
import { NonMovingSpace } from './non-moving.ts';
import type { Persistent } from './persistent.ts';
import type { Local, Ref } from './ref.ts';
import type { Tables } from './tables.ts';
import type { ThreadHost } from './thread.ts';
import { WatchedMutator } from './watched-mutator.ts';

/** Whether [begin, end) lies in [0, limit). */
function isRange(begin: number, end: number, limit: number): boolean {
  return Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && end >= begin && end <= limit;
}

export class CheckedMutator extends WatchedMutator {
  readonly #tables: Tables;
  readonly #nonMovingSpace: NonMovingSpace;
  readonly #typeEntries: Int32Array<SharedArrayBuffer>;

  constructor(tables: Tables, host: ThreadHost, options: MutatorOptions, onDetach: () => void) {
    super(tables, host, options, onDetach);
    this.#tables = tables;
    this.#nonMovingSpace = new NonMovingSpace(tables);
    this.#typeEntries = tables.words(tables.geometry.types, (TYPE_ID_MASK + 1) * 4);
  }

  /** Throws unless `ref` names something that looks like an object; returns its type's entry. */
  #object(ref: Ref, what: string): number {
    this.assertRunning();
    const { geometry, control } = this.#tables;
    if (ref === 0) throw this.misuse.null(what);
    this.assertFresh(ref, what);
    const inHeap = ref >= geometry.heap && ref < control[CTL_CURSOR]!;
    const stays = ref >= geometry.nonMoving && ref < geometry.nonMoving + geometry.nonMovingBytes;
    if (!Number.isInteger(ref) || ref % 8 !== 0 || !(inHeap || stays))
      throw this.misuse.noReference(what, ref);
    if (stays && !this.#nonMovingSpace.isAllocated(ref)) throw this.misuse.noPinned(what, ref);
    const id = this.i32[ref >> 2]! & TYPE_ID_MASK;
    if (this.#typeEntries[id * 4] === 0) throw this.misuse.noObject(what, ref, id);
    return id * 4;
  }

  #slot(ref: Ref, offset: number, what: string): void {
    const entry = this.#object(ref, what);
    const kind = this.#typeEntries[entry]!;
    if (kind === KIND_REF_ARRAY) {
      if (offset >= HEADER_BYTES && offset < HEADER_BYTES + this.i32[(ref >> 2) + 1]! * 4 && offset % 4 === 0)
        return;
      throw this.misuse.noElement(what, ref, (offset - HEADER_BYTES) / 4);
    }
    if ((kind & KIND_ARRAY_BIT) !== 0 || offset % 4 !== 0 || !this.#isRefSlot(entry, offset >> 2)) {
      throw this.misuse.noSlot(what, ref, offset);
    }
    const strong = kind === KIND_RECORD ? 0 : kind === KIND_EPHEMERON ? HEADER_BYTES + 8 : HEADER_BYTES + 4;
    if (offset < strong) throw this.misuse.weakSlot(what, ref, offset);
  }

  override assertReference(ref: Ref): void {
    if (ref !== 0) this.#object(ref, 'a handle');
  }

  override assertRoots(): void {
    for (let below = this.shadowStack.depth - 1; below >= 0; below--) {
      const ref = this.shadowStack.peek(below);
      if (ref !== 0) this.#object(ref, `the root ${below} below the top of the shadow stack`);
    }
  }

  override assertSlot(ref: Ref, offset: number): void {
    this.#slot(ref, offset, 'a reference field');
  }

  override assertRaw(ref: Ref, offset: number, bytes: number): void {
    this.#raw(ref, offset, bytes, 'a raw field');
  }

  override getRef(ref: Ref, offset: number): Ref {
    this.#slot(ref, offset, 'getRef');
    return super.getRef(ref, offset);
  }

  override setRef(ref: Ref, offset: number, value: Ref): void {
    this.#slot(ref, offset, 'setRef');
    if (value !== 0) this.#object(value, 'setRef, the value');
    super.setRef(ref, offset, value);
  }

  override getElement(array: Ref, index: number): Ref {
    this.#elements(array, index, index + 1, 'getElement');
    return super.getElement(array, index);
  }

  override setElement(array: Ref, index: number, value: Ref): void {
    this.#elements(array, index, index + 1, 'setElement');
    if (value !== 0) this.#object(value, 'setElement, the value');
    super.setElement(array, index, value);
  }

  /** Raw data lies inside the object, on a multiple of its size, and is no reference. */
  #raw(ref: Ref, offset: number, bytes: number, what: string): void {
    const entry = this.#object(ref, what);
    const kind = this.#typeEntries[entry]!;
    const size = this.#typeEntries[entry + 1]!;
    const isArray = (kind & KIND_ARRAY_BIT) !== 0;
    const end = !isArray ? size : HEADER_BYTES + this.i32[(ref >> 2) + 1]! * 2 ** size;
    if (!Number.isInteger(offset) || offset < HEADER_BYTES || offset % bytes !== 0 || offset + bytes > end) {
      throw this.misuse.noData(what, ref, offset, bytes, false);
    }
    const overRef =
      this.#isRefSlot(entry, offset >> 2) || (bytes === 8 && this.#isRefSlot(entry, (offset >> 2) + 1));
    if (kind === KIND_REF_ARRAY || (!isArray && overRef)) {
      throw this.misuse.noData(what, ref, offset, bytes, true);
    }
  }

  #isRefSlot(entry: number, slot: number): boolean {
    const words = this.#typeEntries[entry + 3]! * 2;
    const map = this.#tables.words(this.#typeEntries[entry + 2]! >>> 0, words);
    return slot >>> 5 < words && ((map[slot >>> 5]! >>> (slot & 31)) & 1) === 1;
  }

  override getI32(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 4, 'getI32');
    return super.getI32(ref, offset);
  }

  override setI32(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 4, 'setI32');
    super.setI32(ref, offset, value);
  }

  override getU32(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 4, 'getU32');
    return super.getU32(ref, offset);
  }

  override setU32(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 4, 'setU32');
    super.setU32(ref, offset, value);
  }

  override getF32(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 4, 'getF32');
    return super.getF32(ref, offset);
  }

  override setF32(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 4, 'setF32');
    super.setF32(ref, offset, value);
  }

  override getF64(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 8, 'getF64');
    return super.getF64(ref, offset);
  }

  override setF64(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 8, 'setF64');
    super.setF64(ref, offset, value);
  }

  override getU8(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 1, 'getU8');
    return super.getU8(ref, offset);
  }

  override setU8(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 1, 'setU8');
    super.setU8(ref, offset, value);
  }

  override getI8(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 1, 'getI8');
    return super.getI8(ref, offset);
  }

  override setI8(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 1, 'setI8');
    super.setI8(ref, offset, value);
  }

  override getI16(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 2, 'getI16');
    return super.getI16(ref, offset);
  }

  override setI16(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 2, 'setI16');
    super.setI16(ref, offset, value);
  }

  override getU16(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 2, 'getU16');
    return super.getU16(ref, offset);
  }

  override setU16(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 2, 'setU16');
    super.setU16(ref, offset, value);
  }

  override getI64(ref: Ref, offset: number): bigint {
    this.#raw(ref, offset, 8, 'getI64');
    return super.getI64(ref, offset);
  }

  override setI64(ref: Ref, offset: number, value: bigint): void {
    this.#raw(ref, offset, 8, 'setI64');
    super.setI64(ref, offset, value);
  }

  override atomicLoadRef(ref: Ref, offset: number): Ref {
    this.#slot(ref, offset, 'atomicLoadRef');
    return super.atomicLoadRef(ref, offset);
  }

  override atomicStoreRef(ref: Ref, offset: number, value: Ref): void {
    this.#slot(ref, offset, 'atomicStoreRef');
    if (value !== 0) this.#object(value, 'atomicStoreRef, the value');
    super.atomicStoreRef(ref, offset, value);
  }

  override exchangeRef(ref: Ref, offset: number, value: Ref): Ref {
    this.#slot(ref, offset, 'exchangeRef');
    if (value !== 0) this.#object(value, 'exchangeRef, the value');
    return super.exchangeRef(ref, offset, value);
  }

  override compareExchangeRef(ref: Ref, offset: number, expected: Ref, value: Ref): Ref {
    this.#slot(ref, offset, 'compareExchangeRef');
    // A stale reference would never be found, or worse, be found.
    if (expected !== 0) this.#object(expected, 'compareExchangeRef, what is expected');
    if (value !== 0) this.#object(value, 'compareExchangeRef, the value');
    return super.compareExchangeRef(ref, offset, expected, value);
  }

  #elements(array: Ref, begin: number, end: number, what: string): void {
    if (this.#typeEntries[this.#object(array, what)] !== KIND_REF_ARRAY)
      throw this.misuse.wrongKind(what, array, 'an array of references');
    if (!isRange(begin, end, this.i32[(array >> 2) + 1]!))
      throw this.misuse.noElement(what, array, isRange(begin, begin, end) ? end - 1 : begin);
  }

  override copyElements(
    source: Ref,
    sourceIndex: number,
    target: Ref,
    targetIndex: number,
    count: number,
  ): void {
    this.#elements(source, sourceIndex, sourceIndex + count, 'copyElements, the source');
    this.#elements(target, targetIndex, targetIndex + count, 'copyElements, the target');
    super.copyElements(source, sourceIndex, target, targetIndex, count);
  }

  override fillElements(array: Ref, begin: number, end: number, value: Ref): void {
    this.#elements(array, begin, end, 'fillElements');
    if (value !== 0) this.#object(value, 'fillElements, the value');
    super.fillElements(array, begin, end, value);
  }

  #bytes(array: Ref, begin: number, end: number, what: string): void {
    const entry = this.#object(array, what);
    if (this.#typeEntries[entry] !== KIND_RAW_ARRAY)
      throw this.misuse.wrongKind(what, array, 'an array of raw data');
    if (!isRange(begin, end, this.i32[(array >> 2) + 1]! * 2 ** this.#typeEntries[entry + 1]!))
      throw this.misuse.noBytes(what, array, begin, end);
  }

  override copyBytes(
    source: Ref,
    sourceOffset: number,
    target: Ref,
    targetOffset: number,
    bytes: number,
  ): void {
    this.#bytes(source, sourceOffset, sourceOffset + bytes, 'copyBytes, the source');
    this.#bytes(target, targetOffset, targetOffset + bytes, 'copyBytes, the target');
    super.copyBytes(source, sourceOffset, target, targetOffset, bytes);
  }

  override fillBytes(array: Ref, begin: number, end: number, value: number): void {
    this.#bytes(array, begin, end, 'fillBytes');
    super.fillBytes(array, begin, end, value);
  }

  override atomicLoadI32(ref: Ref, offset: number): number {
    this.#raw(ref, offset, 4, 'atomicLoadI32');
    return super.atomicLoadI32(ref, offset);
  }

  override atomicStoreI32(ref: Ref, offset: number, value: number): void {
    this.#raw(ref, offset, 4, 'atomicStoreI32');
    super.atomicStoreI32(ref, offset, value);
  }

  override addI32(ref: Ref, offset: number, value: number): number {
    this.#raw(ref, offset, 4, 'addI32');
    return super.addI32(ref, offset, value);
  }

  override subI32(ref: Ref, offset: number, value: number): number {
    this.#raw(ref, offset, 4, 'subI32');
    return super.subI32(ref, offset, value);
  }

  override andI32(ref: Ref, offset: number, value: number): number {
    this.#raw(ref, offset, 4, 'andI32');
    return super.andI32(ref, offset, value);
  }

  override orI32(ref: Ref, offset: number, value: number): number {
    this.#raw(ref, offset, 4, 'orI32');
    return super.orI32(ref, offset, value);
  }

  override xorI32(ref: Ref, offset: number, value: number): number {
    this.#raw(ref, offset, 4, 'xorI32');
    return super.xorI32(ref, offset, value);
  }

  override exchangeI32(ref: Ref, offset: number, value: number): number {
    this.#raw(ref, offset, 4, 'exchangeI32');
    return super.exchangeI32(ref, offset, value);
  }

  override compareExchangeI32(ref: Ref, offset: number, expected: number, value: number): number {
    this.#raw(ref, offset, 4, 'compareExchangeI32');
    return super.compareExchangeI32(ref, offset, expected, value);
  }

  override atomicLoadI64(ref: Ref, offset: number): bigint {
    this.#raw(ref, offset, 8, 'atomicLoadI64');
    return super.atomicLoadI64(ref, offset);
  }

  override atomicStoreI64(ref: Ref, offset: number, value: bigint): void {
    this.#raw(ref, offset, 8, 'atomicStoreI64');
    super.atomicStoreI64(ref, offset, value);
  }

  override addI64(ref: Ref, offset: number, value: bigint): bigint {
    this.#raw(ref, offset, 8, 'addI64');
    return super.addI64(ref, offset, value);
  }

  override exchangeI64(ref: Ref, offset: number, value: bigint): bigint {
    this.#raw(ref, offset, 8, 'exchangeI64');
    return super.exchangeI64(ref, offset, value);
  }

  override compareExchangeI64(ref: Ref, offset: number, expected: bigint, value: bigint): bigint {
    this.#raw(ref, offset, 8, 'compareExchangeI64');
    return super.compareExchangeI64(ref, offset, expected, value);
  }

  override length(array: Ref): number {
    const kind = this.#typeEntries[this.#object(array, 'length')]!;
    if ((kind & KIND_ARRAY_BIT) === 0) throw this.misuse.wrongKind('length', array, 'an array');
    return super.length(array);
  }

  override typeId(ref: Ref): number {
    this.#object(ref, 'typeId');
    return super.typeId(ref);
  }

  #kind(ref: Ref, kind: number, what: string): void {
    if (this.#typeEntries[this.#object(ref, what)] !== kind)
      throw this.misuse.wrongKind(what, ref, kind === KIND_WEAK ? 'a weak record' : 'an ephemeron');
  }

  override getWeak(record: Ref): Ref {
    this.#kind(record, KIND_WEAK, 'getWeak');
    return super.getWeak(record);
  }

  override setWeak(record: Ref, referent: Ref): void {
    this.#kind(record, KIND_WEAK, 'setWeak');
    if (referent !== 0) this.#object(referent, 'setWeak, the referent');
    super.setWeak(record, referent);
  }

  override getKey(ephemeron: Ref): Ref {
    this.#kind(ephemeron, KIND_EPHEMERON, 'getKey');
    return super.getKey(ephemeron);
  }

  override getValue(ephemeron: Ref): Ref {
    this.#kind(ephemeron, KIND_EPHEMERON, 'getValue');
    return super.getValue(ephemeron);
  }

  override setEphemeron(ephemeron: Ref, key: Ref, value: Ref): void {
    this.#kind(ephemeron, KIND_EPHEMERON, 'setEphemeron');
    if (key !== 0) this.#object(key, 'setEphemeron, the key');
    if (value !== 0) this.#object(value, 'setEphemeron, the value');
    super.setEphemeron(ephemeron, key, value);
  }

  override identityHash(ref: Ref): number {
    this.#object(ref, 'identityHash');
    return super.identityHash(ref);
  }

  override peekIdentityHash(ref: Ref): number {
    this.#object(ref, 'peekIdentityHash');
    return super.peekIdentityHash(ref);
  }

  override guard(object: Ref, queue = 0): void {
    this.#object(object, 'guard');
    super.guard(object, queue);
  }

  override local<Name extends string>(ref: Ref<Name>): Local<Name> {
    this.assertRunning();
    if (ref !== 0) this.#object(ref, 'local');
    return super.local(ref);
  }

  override get<Name extends string>(local: Local<Name>): Ref<Name> {
    this.assertRunning();
    return super.get(local);
  }

  override set(local: Local, ref: Ref): void {
    this.assertRunning();
    if (ref !== 0) this.#object(ref, 'set');
    super.set(local, ref);
  }

  override persist<Name extends string>(ref: Ref<Name>): Persistent<Name> {
    if (ref !== 0) this.#object(ref, 'persist');
    return super.persist(ref);
  }
}
