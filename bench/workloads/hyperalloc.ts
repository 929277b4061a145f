// hyperalloc: a generator of allocation rate, occupancy and fragmentation, after the idea of HyperAlloc in Amazon's heapothesys.
// https://github.com/corretto/heapothesys
//
// A live set of items of very different sizes, of which random ones are replaced: holes of all sizes between the survivors, which a
// compacting collector closes in every cycle. Fifteen items in sixteen are garbage soon. Under an open load the rate of operations is
// a rate of allocation. README.md is the specification.

import {
  type Local,
  type Mutator,
  NULL,
  type RawArrayType,
  type RecordType,
  type Ref,
  type RefArrayType,
} from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import {
  drawWords,
  firstWord,
  ITEMS_PER_OPERATION,
  lastWord,
  operationsOf,
  SURVIVES_EVERY,
  SWAPS_PER_OPERATION,
  slotsOf,
  YOUNG,
} from './hyperalloc-plan.ts';
import { Random } from './random.ts';
import type { Workload, WorkloadContext } from './workload.ts';

const HEADER_BYTES = 8;
/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;
/** Items that are read without a safepoint. */
const READ_ITEMS = 1024;

class Items {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #random: Random;
  readonly #itemType: RecordType<'data' | 'id'>;
  readonly #dataType: RawArrayType;
  readonly #slots: Local;
  readonly #young: Local;
  #id = 0;

  constructor({ heap, mutator: m, seed }: WorkloadContext, slots: number) {
    this.#m = m;
    this.#random = new Random(seed);
    this.#itemType = heap.defineRecord('hyperalloc.Item', { data: 'ref', id: 'i32' });
    this.#dataType = heap.defineArray('hyperalloc.Data', 'i32');
    const refs: RefArrayType = heap.defineRefArray('hyperalloc.Refs');
    this.#slots = m.local(m.allocateArray(refs, slots));
    this.#young = m.local(m.allocateArray(refs, YOUNG));
    for (let i = 0; i < slots; i++) {
      const item = this.#make();
      m.setElement(m.get(this.#slots), i, item);
    }
  }

  /** One operation. */
  step(): void {
    const m = this.#m;
    const random = this.#random;
    for (let i = 0; i < ITEMS_PER_OPERATION; i++) {
      const item = this.#make();
      // No safepoint from here to the next item.
      if (i % SURVIVES_EVERY !== 0) m.setElement(m.get(this.#young), i % YOUNG, item);
      else {
        const slots = m.get(this.#slots);
        const slot = random.below(m.length(slots));
        this.#read(m.getElement(slots, slot));
        m.setElement(slots, slot, item);
      }
    }
    const slots = m.get(this.#slots);
    for (let i = 0; i < SWAPS_PER_OPERATION; i++) {
      const a = random.below(m.length(slots));
      const b = random.below(m.length(slots));
      const item = m.getElement(slots, a);
      m.setElement(slots, a, m.getElement(slots, b));
      m.setElement(slots, b, item);
    }
  }

  readAll(): void {
    const m = this.#m;
    for (const array of [this.#slots, this.#young]) {
      for (let i = 0; i < m.length(m.get(array)); i++) {
        if (i % READ_ITEMS === 0) m.safepoint();
        const item = m.getElement(m.get(array), i);
        if (item !== NULL) this.#read(item);
      }
    }
  }

  #make(): Ref {
    const m = this.#m;
    const words = drawWords(this.#random);
    const id = this.#id++;
    const data = m.allocateArray(this.#dataType, words);
    const first = (data + HEADER_BYTES) >> 2;
    m.i32[first] = firstWord(id);
    m.i32[first + words - 1] = lastWord(id);
    const released = m.shadowStack.depth;
    const kept = m.local(data);
    const item = m.allocate(this.#itemType);
    m.setRef(item, this.#itemType.offset.data, m.get(kept));
    m.shadowStack.truncate(released);
    m.i32[(item + this.#itemType.offset.id) >> 2] = id;
    return item;
  }

  #read(item: Ref): void {
    const m = this.#m;
    const { data, id } = this.#itemType.offset;
    const array = m.getRef(item, data);
    const words = m.length(array);
    const first = (array + HEADER_BYTES) >> 2;
    let sum = addWord(this.checksum, m.i32[(item + id) >> 2]);
    sum = addWord(sum, words);
    sum = addWord(sum, m.i32[first]);
    this.checksum = addWord(sum, m.i32[first + words - 1]);
  }
}

function run(context: WorkloadContext): number {
  const { scale, liveBytes, operations, progress } = context;
  const items = new Items(context, slotsOf(scale, liveBytes));
  const count = operationsOf(scale);
  for (let i = 0; i < count; i++) {
    operations.begin();
    items.step();
    operations.end();
    if (i % PROGRESS_EVERY === 0) progress(i / count);
  }
  items.readAll();
  progress(1);
  return items.checksum >>> 0;
}

export const hyperalloc: Workload = {
  name: 'hyperalloc',
  summary: 'garbage of all sizes, and random replacement of survivors: rate, occupancy, fragmentation',
  run,
};
