// What the mutator of `bench pauses` holds: live data in the moving space, pinned data with references, and persistent handles.
//
//   live     a table of chunks of references to items; an item is a record and an array, 512 bytes in the mean
//   pinned   one half arrays of 256 references, one half records of eight; the records hang off the arrays' first elements
//   roots    persistent handles that name items
//
// Items at even places stay; those at odd places are replaced by new ones. References out of pinned objects, handles and other items name
// items that stay: otherwise they would keep what was replaced alive, and the live data would grow.

import type {
  HeapAccess,
  Local,
  Mutator,
  Persistent,
  RawArrayType,
  RecordType,
  Ref,
  RefArrayType,
} from 'tospace';
import { Random } from '../workloads/random.ts';
import type { Configuration } from './configurations.ts';

const MIB = 2 ** 20;
const CHUNK_ITEMS = 1024;
const VALUE_WORDS_MAX = 240;
/** A record of 24 bytes, and an array of 8 bytes and 120 words in the mean. */
const ITEM_BYTES = 24 + 8 + (VALUE_WORDS_MAX / 2) * 4;
const PINNED_ELEMENTS = 256;
const PINNED_ARRAY_BYTES = 8 + PINNED_ELEMENTS * 4;
const PINNED_FIELDS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const;

type PinnedField = (typeof PINNED_FIELDS)[number];

export class Data {
  readonly #m: Mutator;
  readonly #random = new Random(1);
  readonly #refs: RefArrayType;
  readonly #value: RawArrayType;
  readonly #item: RecordType<'value' | 'other' | 'id'>;
  readonly #pinnedRecord: RecordType<PinnedField>;
  readonly #chunks: Local;
  readonly #items: number;
  /** Pinned objects do not move, so their references are kept as numbers; what keeps them alive is a local. */
  readonly #pinnedArrays: Uint32Array;
  readonly #pinnedRecords: Uint32Array;
  /** Elements of each pinned array that hold pinned records, which stay. */
  readonly #fixedElements: number;
  readonly #roots: Persistent[] = [];
  #id = 0;
  /** Bytes allocated by `replace`. */
  bytes = 0;
  /** Combines what was read, so that no read can be left out. */
  sink = 0;

  constructor(heap: HeapAccess, mutator: Mutator, { liveMib, pinnedMib, roots }: Configuration) {
    const m = mutator;
    this.#m = m;
    this.#refs = heap.defineRefArray('pauses.Refs');
    this.#value = heap.defineArray('pauses.Value', 'u32');
    this.#item = heap.defineRecord('pauses.Item', { value: 'ref', other: 'ref', id: 'i32' });
    const fields = Object.fromEntries(PINNED_FIELDS.map((name) => [name, 'ref'])) as Record<
      PinnedField,
      'ref'
    >;
    this.#pinnedRecord = heap.defineRecord('pauses.Pinned', fields);

    this.#items = 2 * Math.ceil((liveMib * MIB) / 2 / ITEM_BYTES);
    const chunks = Math.ceil(this.#items / CHUNK_ITEMS);
    this.#chunks = m.local(m.allocateArray(this.#refs, chunks));
    for (let i = 0; i < chunks; i++) {
      const chunk = m.allocateArray(this.#refs, CHUNK_ITEMS);
      m.setElement(m.get(this.#chunks), i, chunk);
    }
    for (let i = 0; i < this.#items; i++) this.#replaceAt(i);

    const arrays = Math.floor((pinnedMib * MIB) / 2 / PINNED_ARRAY_BYTES);
    const records = Math.floor((pinnedMib * MIB) / 2 / this.#pinnedRecord.bytes);
    this.#pinnedArrays = new Uint32Array(arrays);
    this.#pinnedRecords = new Uint32Array(records);
    this.#fixedElements = arrays === 0 ? 0 : Math.ceil(records / arrays);
    this.#buildPinned();
    for (let i = 0; i < roots; i++) this.#roots.push(m.persist(this.#randomItem()));
    this.bytes = 0;
  }

  #buildPinned(): void {
    const m = this.#m;
    const arrays = this.#pinnedArrays;
    const records = this.#pinnedRecords;
    if (arrays.length === 0) return;
    const all = m.local(m.allocatePinnedArray(this.#refs, arrays.length));
    for (let i = 0; i < arrays.length; i++) {
      const array = m.allocatePinnedArray(this.#refs, PINNED_ELEMENTS);
      arrays[i] = array;
      m.setElement(m.get(all), i, array);
      for (let at = this.#fixedElements; at < PINNED_ELEMENTS; at++)
        m.setElement(array, at, this.#randomItem());
    }
    for (let i = 0; i < records.length; i++) {
      const record = m.allocatePinned(this.#pinnedRecord);
      records[i] = record;
      m.setElement(arrays[i % arrays.length] as Ref, Math.floor(i / arrays.length), record);
      for (const field of PINNED_FIELDS)
        m.setRef(record, this.#pinnedRecord.offset[field], this.#randomItem());
    }
  }

  /** An item that stays. */
  #randomItem(): Ref {
    const index = this.#random.below(this.#items >> 1) * 2;
    const chunk = this.#m.getElement(this.#m.get(this.#chunks), Math.floor(index / CHUNK_ITEMS));
    return this.#m.getElement(chunk, index % CHUNK_ITEMS);
  }

  /** Replaces a random one of the items that do not stay. A safepoint. */
  replace(): void {
    this.#replaceAt(this.#random.below(this.#items >> 1) * 2 + 1);
  }

  #replaceAt(index: number): void {
    const m = this.#m;
    const { offset } = this.#item;
    const words = this.#random.below(VALUE_WORDS_MAX + 1);
    const depth = m.shadowStack.depth;
    const value = m.local(m.allocateArray(this.#value, words));
    const item = m.allocate(this.#item);
    m.setRef(item, offset.value, m.get(value));
    m.setI32(item, offset.id, this.#id++);
    m.shadowStack.truncate(depth);
    const chunk = m.getElement(m.get(this.#chunks), Math.floor(index / CHUNK_ITEMS));
    m.setElement(chunk, index % CHUNK_ITEMS, item);
    this.bytes += this.#item.bytes + ((8 + words * 4 + 7) & -8);
  }

  /** Follows a random reference. No safepoint. */
  read(): void {
    const m = this.#m;
    const item = this.#randomItem();
    this.sink ^= m.getI32(item, this.#item.offset.id) ^ m.length(m.getRef(item, this.#item.offset.value));
  }

  /** Stores one reference into each kind of data that there is, at random. No safepoint. */
  mutate(): void {
    const m = this.#m;
    const random = this.#random;
    m.setRef(this.#randomItem(), this.#item.offset.other, this.#randomItem());
    const arrays = this.#pinnedArrays;
    if (arrays.length > 0) {
      const array = arrays[random.below(arrays.length)] as Ref;
      const free = PINNED_ELEMENTS - this.#fixedElements;
      m.setElement(array, this.#fixedElements + random.below(free), this.#randomItem());
      const record = this.#pinnedRecords[random.below(this.#pinnedRecords.length)] as Ref;
      const field = PINNED_FIELDS[random.below(PINNED_FIELDS.length)]!;
      m.setRef(record, this.#pinnedRecord.offset[field], this.#randomItem());
    }
    if (this.#roots.length > 0) this.#roots[random.below(this.#roots.length)]!.set(this.#randomItem());
  }
}
