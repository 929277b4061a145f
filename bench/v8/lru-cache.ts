// lru-cache on V8's objects. The table is the specification's, not a Map: a peer does the same work.

import { addWord, CHECKSUM_START, mix } from '../workloads/checksum.ts';
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
} from '../workloads/lru-cache-plan.ts';
import { Random } from '../workloads/random.ts';
import type { V8Context, V8Workload } from './workload.ts';

/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;

class Entry {
  chain: Entry | null;
  newer: Entry | null = null;
  older: Entry | null = null;
  value: number[];
  readonly key: number;
  version = 0;

  constructor(key: number, value: number[], chain: Entry | null) {
    this.key = key;
    this.value = value;
    this.chain = chain;
  }
}

function makeValue(key: number, version: number): number[] {
  const identity = valueIdentity(key, version);
  const value: number[] = [];
  for (let i = valueLength(identity), at = 0; at < i; at++) value.push(valueWord(identity, at));
  return value;
}

class LruCache {
  checksum: number = CHECKSUM_START;
  readonly #capacity: number;
  readonly #table: (Entry | null)[];
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  #size = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#table = new Array(bucketsOf(capacity)).fill(null);
  }

  use(key: number, replace: boolean): void {
    const entry = this.#find(key);
    if (entry === null) {
      this.#insert(key);
      return;
    }
    this.#read(entry);
    this.#unlink(entry);
    this.#linkNewest(entry);
    if (replace) entry.value = makeValue(key, ++entry.version);
  }

  readAll(): void {
    for (let entry = this.#newest; entry !== null; entry = entry.older) this.#read(entry);
    this.checksum = addWord(this.checksum, this.#size);
  }

  #bucket(key: number): number {
    return mix(key) & (this.#table.length - 1);
  }

  #find(key: number): Entry | null {
    let entry = this.#table[this.#bucket(key)];
    while (entry !== null && entry.key !== key) entry = entry.chain;
    return entry;
  }

  #read({ key, version, value }: Entry): void {
    let sum = addWord(addWord(this.checksum, key), version);
    for (const word of value) sum = addWord(sum, word);
    this.checksum = sum;
  }

  #insert(key: number): void {
    const value = makeValue(key, 0);
    if (this.#size === this.#capacity) this.#evict();
    else this.#size++;
    const bucket = this.#bucket(key);
    const entry = new Entry(key, value, this.#table[bucket]);
    this.#table[bucket] = entry;
    this.#linkNewest(entry);
  }

  #evict(): void {
    const victim = this.#oldest!;
    this.#unlink(victim);
    const bucket = this.#bucket(victim.key);
    let before = this.#table[bucket]!;
    if (before === victim) {
      this.#table[bucket] = victim.chain;
      return;
    }
    while (before.chain !== victim) before = before.chain!;
    before.chain = victim.chain;
  }

  #unlink(entry: Entry): void {
    const { newer, older } = entry;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
  }

  #linkNewest(entry: Entry): void {
    const second = this.#newest;
    entry.newer = null;
    entry.older = second;
    if (second === null) this.#oldest = entry;
    else second.newer = entry;
    this.#newest = entry;
  }
}

function run({ seed, scale, operations, progress }: V8Context): number {
  const lookups = lookupsOf(scale);
  const capacity = capacityOf(scale);
  const keys = keysOf(capacity);
  const random = new Random(seed);
  const cache = new LruCache(capacity);
  for (let done = 0, n = 0; done < lookups; n++) {
    const end = Math.min(lookups, done + LOOKUPS_PER_OPERATION);
    operations.begin();
    for (; done < end; done++) {
      const unit = random.unit();
      cache.use(Math.floor(unit * unit * keys), done % REPLACE_EVERY === 0);
    }
    operations.end();
    if (n % PROGRESS_EVERY === 0) progress(done / lookups);
  }
  cache.readAll();
  return cache.checksum >>> 0;
}

export const lruCache: V8Workload = { name: 'lru-cache', run };
