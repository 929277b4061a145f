// A service under constant load: a live set of a given size, and a given rate at which random parts of it are replaced. The load is open:
// work is due by the clock, whatever the heap does, so that a stall delays everything behind it and shows as what it is.
//
//   live set   a table of chunks of references to items; an item is a record and an array of 0 to 240 words, 512 bytes in the mean
//   operation  makes an item, reads the random one that it replaces, and stores it in its place; everything that is allocated lives
//              until chance replaces it, which is the hardest on a compacting collector
//   schedule   every millisecond does what is due by then, and sleeps in a safe region when nothing is
//
// Two times are taken of every operation: its own, from its first instruction to its last; and its response, from when it was due. The
// live set is built at the same rate first, and counts.

import {
  type Local,
  type Mutator,
  NULL,
  type RawArrayType,
  type RecordType,
  type RefArrayType,
} from 'tospace';
import { addWord, CHECKSUM_START, mix } from './checksum.ts';
import { Latencies } from './latencies.ts';
import { Random } from './random.ts';
import type { Workload, WorkloadContext } from './workload.ts';

const CHUNK_ITEMS = 1024;
const VALUE_WORDS_MAX = 240;
/** A record of 16 bytes, and an array of 8 bytes and 120 words in the mean. */
const ITEM_BYTES = 16 + 8 + (VALUE_WORDS_MAX / 2) * 4;
/** Between two looks at the clock's schedule. */
const TICK_MS = 1;

type ItemType = RecordType<'value' | 'id'>;

class Items {
  checksum: number = CHECKSUM_START;
  /** Bytes allocated so far. */
  bytes = 0;
  readonly #m: Mutator;
  readonly #itemType: ItemType;
  readonly #valueType: RawArrayType;
  readonly #random: Random;
  readonly #chunks: Local;
  #id = 0;

  constructor({ heap, mutator: m, seed }: WorkloadContext, count: number) {
    this.#m = m;
    this.#random = new Random(seed);
    this.#itemType = heap.defineRecord('steady.Item', { value: 'ref', id: 'i32' });
    this.#valueType = heap.defineArray('steady.Value', 'u32');
    const refs: RefArrayType = heap.defineRefArray('steady.Refs');
    const chunks = Math.ceil(count / CHUNK_ITEMS);
    this.#chunks = m.local(m.allocateArray(refs, chunks));
    for (let i = 0; i < chunks; i++) {
      const chunk = m.allocateArray(refs, CHUNK_ITEMS);
      m.setElement(m.get(this.#chunks), i, chunk);
    }
  }

  /** Puts a new item in the place of the one at `index`, which is read. */
  replace(index: number): void {
    const m = this.#m;
    const { offset } = this.#itemType;
    const words = this.#random.below(VALUE_WORDS_MAX + 1);
    const id = this.#id++;
    const depth = m.shadowStack.depth;
    const made = m.allocateArray(this.#valueType, words);
    for (let at = (made + 8) >> 2, end = at + words; at < end; at++) m.u32[at] = id + at;
    if (words > 0) m.u32[(made + 8) >> 2] = mix(id);
    const value = m.local(made);
    const item = m.allocate(this.#itemType);
    m.setI32(item, offset.id, id);
    m.setRef(item, offset.value, m.get(value));
    m.shadowStack.truncate(depth);
    const chunk = m.getElement(m.get(this.#chunks), Math.floor(index / CHUNK_ITEMS));
    const old = m.getElement(chunk, index % CHUNK_ITEMS);
    if (old !== NULL) {
      const oldId = m.getI32(old, offset.id);
      const oldValue = m.getRef(old, offset.value);
      if (m.length(oldValue) > 0 && m.getU32(oldValue, 8) !== mix(oldId) >>> 0)
        throw new Error(`item ${oldId} is damaged`);
      this.checksum = addWord(addWord(this.checksum, oldId), m.length(oldValue));
    }
    m.setElement(chunk, index % CHUNK_ITEMS, item);
    this.bytes += this.#itemType.bytes + ((8 + words * 4 + 7) & -8);
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function run(context: WorkloadContext): number {
  const { mutator: m, progress, scale } = context;
  const { seconds, rate, liveBytes } = context.load;
  const count = Math.max(1, Math.floor(liveBytes / ITEM_BYTES));
  const items = new Items(context, count);
  const operations = new Latencies();
  const responses = new Latencies();
  const total = liveBytes + rate * seconds * scale;
  const bytesPerMs = rate / 1000;
  const start = performance.now();
  for (let n = 0; items.bytes < total; ) {
    const dueBytes = (performance.now() - start) * bytesPerMs;
    if (items.bytes >= dueBytes) {
      m.blocking(() => Atomics.wait(sleeper, 0, 0, TICK_MS));
      progress(items.bytes / total);
      continue;
    }
    for (const end = Math.min(dueBytes, total); items.bytes < end; n++) {
      const due = start + items.bytes / bytesPerMs;
      const began = performance.now();
      items.replace(n < count ? n : items.below(count));
      const ended = performance.now();
      operations.record(ended - began);
      responses.record(ended - due);
    }
  }
  context.detail('rateMBps', Math.round((items.bytes / (performance.now() - start) / 1000) * 10) / 10);
  context.detail('operationUs', operations.summary());
  context.detail('responseUs', responses.summary());
  return items.checksum >>> 0;
}

export const steady: Workload = {
  name: 'steady',
  summary:
    'random replacement in a live set at a given rate: --seconds, --rate, --live; with a hiccup meter beside it',
  hiccups: true,
  run,
};
