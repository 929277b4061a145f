// A cache with least-recently-used eviction, all of it on the managed heap: a hash table of chains, and a doubly linked list from the
// entry that was used last to the one that goes next.
//
// What it stresses that trees do not: objects live long and die in the order of their use, scattered over the whole heap; every hit
// rewrites six references of old objects, so cards are dirtied all over; keys are skewed, so that after a flip the hot entries fault
// first. About half of the lookups hit.

import { NULL, type Local, type Mutator, type RawArrayType, type RecordType, type Ref } from 'tospace';
import { addWord, CHECKSUM_START, mix } from './checksum.ts';
import {
  bucketsOf,
  capacityOf,
  keysOf,
  LOOKUPS_PER_OPERATION,
  lookupsOf,
  REPLACE_EVERY,
  valueIdentity,
  valueLength,
  valueWord,
} from './lru-cache-plan.ts';
import { Random } from './random.ts';
import type { Workload, WorkloadContext } from './workload.ts';

/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;

type CacheType = RecordType<'table' | 'newest' | 'oldest' | 'size'>;
type EntryType = RecordType<'chain' | 'newer' | 'older' | 'value' | 'key' | 'version'>;

class LruCache {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #cacheType: CacheType;
  readonly #entryType: EntryType;
  readonly #valueType: RawArrayType;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #cache: Local;

  constructor({ heap, mutator: m }: WorkloadContext, capacity: number) {
    this.#m = m;
    this.#cacheType = heap.defineRecord('lru-cache.Cache', {
      table: 'ref',
      newest: 'ref',
      oldest: 'ref',
      size: 'i32',
    });
    this.#entryType = heap.defineRecord('lru-cache.Entry', {
      chain: 'ref',
      newer: 'ref',
      older: 'ref',
      value: 'ref',
      key: 'i32',
      version: 'i32',
    });
    this.#valueType = heap.defineArray('lru-cache.Value', 'u32');
    this.#capacity = capacity;
    const buckets = bucketsOf(capacity);
    this.#mask = buckets - 1;
    this.#cache = m.local(m.allocate(this.#cacheType));
    const table = m.allocateArray(heap.defineRefArray('lru-cache.Table'), buckets);
    m.setRef(m.get(this.#cache), this.#cacheType.offset.table, table);
  }

  /** Looks `key` up: a hit is read and moved to the front, a miss is inserted. A safepoint. */
  use(key: number, replace: boolean): void {
    const m = this.#m;
    m.safepoint();
    const entry = this.#find(key);
    if (entry === NULL) {
      this.#insert(key);
      return;
    }
    this.#read(entry);
    this.#unlink(entry);
    this.#linkNewest(entry);
    if (replace) this.#replace(entry, key);
  }

  /** Reads all entries, the newest first. */
  readAll(): void {
    const m = this.#m;
    const { offset } = this.#cacheType;
    const at = m.local(m.getRef(m.get(this.#cache), offset.newest));
    for (let entry = m.get(at); entry !== NULL; entry = m.get(at)) {
      this.#read(entry);
      m.set(at, m.getRef(entry, this.#entryType.offset.older));
      m.safepoint();
    }
    this.checksum = addWord(this.checksum, m.i32[(m.get(this.#cache) + offset.size) >> 2]);
  }

  #bucket(key: number): number {
    return mix(key) & this.#mask;
  }

  #find(key: number): Ref {
    const m = this.#m;
    const { offset } = this.#entryType;
    const table = m.getRef(m.get(this.#cache), this.#cacheType.offset.table);
    let entry = m.getElement(table, this.#bucket(key));
    while (entry !== NULL && m.i32[(entry + offset.key) >> 2] !== key) entry = m.getRef(entry, offset.chain);
    return entry;
  }

  #read(entry: Ref): void {
    const m = this.#m;
    const { offset } = this.#entryType;
    let sum = addWord(this.checksum, m.i32[(entry + offset.key) >> 2]);
    sum = addWord(sum, m.i32[(entry + offset.version) >> 2]);
    const value = m.getRef(entry, offset.value);
    const first = (value + 8) >> 2;
    const end = first + m.length(value);
    const { u32 } = m;
    for (let at = first; at < end; at++) sum = addWord(sum, u32[at]);
    this.checksum = sum;
  }

  #allocateValue(key: number, version: number): Ref {
    const m = this.#m;
    const identity = valueIdentity(key, version);
    const length = valueLength(identity);
    const value = m.allocateArray(this.#valueType, length);
    const first = (value + 8) >> 2;
    for (let i = 0; i < length; i++) m.u32[first + i] = valueWord(identity, i);
    return value;
  }

  #insert(key: number): void {
    const m = this.#m;
    const { offset } = this.#entryType;
    const released = m.shadowStack.depth;
    const value = m.local(this.#allocateValue(key, 0));
    const entry = m.allocate(this.#entryType);
    m.i32[(entry + offset.key) >> 2] = key;
    m.setRef(entry, offset.value, m.get(value));
    m.shadowStack.truncate(released);

    const cache = m.get(this.#cache);
    const size = (cache + this.#cacheType.offset.size) >> 2;
    if (m.i32[size] === this.#capacity) this.#evict();
    else m.i32[size] = m.i32[size] + 1;
    const table = m.getRef(cache, this.#cacheType.offset.table);
    const bucket = this.#bucket(key);
    m.setRef(entry, offset.chain, m.getElement(table, bucket));
    m.setElement(table, bucket, entry);
    this.#linkNewest(entry);
  }

  #replace(stale: Ref, key: number): void {
    const m = this.#m;
    const { offset } = this.#entryType;
    const released = m.shadowStack.depth;
    const entry = m.local(stale);
    const version = m.i32[(stale + offset.version) >> 2] + 1;
    const value = this.#allocateValue(key, version);
    const current = m.get(entry);
    m.i32[(current + offset.version) >> 2] = version;
    m.setRef(current, offset.value, value);
    m.shadowStack.truncate(released);
  }

  /** Removes the entry that was used longest ago. */
  #evict(): void {
    const m = this.#m;
    const { offset } = this.#entryType;
    const cache = m.get(this.#cache);
    const victim = m.getRef(cache, this.#cacheType.offset.oldest);
    this.#unlink(victim);
    const table = m.getRef(cache, this.#cacheType.offset.table);
    const bucket = this.#bucket(m.i32[(victim + offset.key) >> 2]);
    const next = m.getRef(victim, offset.chain);
    let before = m.getElement(table, bucket);
    if (before === victim) {
      m.setElement(table, bucket, next);
      return;
    }
    while (m.getRef(before, offset.chain) !== victim) before = m.getRef(before, offset.chain);
    m.setRef(before, offset.chain, next);
  }

  #unlink(entry: Ref): void {
    const m = this.#m;
    const { newer, older } = this.#entryType.offset;
    const { newest, oldest } = this.#cacheType.offset;
    const cache = m.get(this.#cache);
    const before = m.getRef(entry, newer);
    const after = m.getRef(entry, older);
    if (before === NULL) m.setRef(cache, newest, after);
    else m.setRef(before, older, after);
    if (after === NULL) m.setRef(cache, oldest, before);
    else m.setRef(after, newer, before);
  }

  #linkNewest(entry: Ref): void {
    const m = this.#m;
    const { newer, older } = this.#entryType.offset;
    const { newest, oldest } = this.#cacheType.offset;
    const cache = m.get(this.#cache);
    const second = m.getRef(cache, newest);
    m.setRef(entry, newer, NULL);
    m.setRef(entry, older, second);
    if (second === NULL) m.setRef(cache, oldest, entry);
    else m.setRef(second, newer, entry);
    m.setRef(cache, newest, entry);
  }
}

function run(context: WorkloadContext): number {
  const { operations, progress, scale, seed } = context;
  const lookups = lookupsOf(scale);
  const capacity = capacityOf(scale);
  const keys = keysOf(capacity);
  const random = new Random(seed);
  const cache = new LruCache(context, capacity);
  for (let done = 0, n = 0; done < lookups; n++) {
    const end = Math.min(lookups, done + LOOKUPS_PER_OPERATION);
    operations.begin();
    for (; done < end; done++) {
      // The square makes small keys more frequent.
      const unit = random.unit();
      cache.use(Math.floor(unit * unit * keys), done % REPLACE_EVERY === 0);
    }
    operations.end();
    if (n % PROGRESS_EVERY === 0) progress(done / lookups);
  }
  cache.readAll();
  progress(1);
  return cache.checksum >>> 0;
}

export const lruCache: Workload = {
  name: 'lru-cache',
  summary: 'a hash table and a doubly linked list with least-recently-used eviction under skewed lookups',
  run,
};
