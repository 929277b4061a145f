// bench/workloads/lru-cache.ts as a guest.

import {
  allocate,
  allocateArray,
  enter,
  Frame,
  getElement,
  getField,
  getRef,
  leave,
  length,
  NULL,
  poll,
  Ref,
  root,
  setElement,
  setField,
  setRef,
  setRoot,
} from 'tospace/guest';
import { addWord, CHECKSUM_START, mix, seedRandom, unitRandom } from './checksum';
import { begin, end, progress } from './host';

// cache
const CACHE_BYTES: u32 = 24;
const TABLE: u32 = 8;
const NEWEST: u32 = 12;
const OLDEST: u32 = 16;
const SIZE: u32 = 20;
// entry
const ENTRY_BYTES: u32 = 32;
const CHAIN: u32 = 8;
const NEWER: u32 = 12;
const OLDER: u32 = 16;
const VALUE: u32 = 20;
const KEY: u32 = 24;
const VERSION: u32 = 28;

const ELEMENTS: u32 = 8;
const WORD_LOG2: u32 = 2;
const VALUE_WORDS_MAX: u32 = 24;
const SCATTER: u32 = 0x9e3779b1;
/** Operations between two reports of progress. */
const PROGRESS_EVERY: u32 = 64;

let entryType: u32 = 0;
let valueType: u32 = 0;
let capacity: u32 = 0;
let mask: u32 = 0;
let checksum: u32 = 0;
/** Slots: the cache, and two for whoever allocates. */
let frame: Frame = 0;

@inline
function cache(): Ref {
  return root(frame, 0);
}

@inline
function bucketOf(key: u32): u32 {
  return mix(key) & mask;
}

function find(key: u32): Ref {
  let entry = getElement(getRef(cache(), TABLE), bucketOf(key));
  while (entry != NULL && getField<u32>(entry, KEY) != key) entry = getRef(entry, CHAIN);
  return entry;
}

function read(entry: Ref): void {
  let sum = addWord(checksum, getField<u32>(entry, KEY));
  sum = addWord(sum, getField<u32>(entry, VERSION));
  const value = getRef(entry, VALUE);
  const stop = ELEMENTS + (length(value) << WORD_LOG2);
  for (let at = ELEMENTS; at < stop; at += 4) sum = addWord(sum, getField<u32>(value, at));
  checksum = sum;
}

function allocateValue(key: u32, version: u32): Ref {
  const identity = mix(key + version * SCATTER);
  const words: u32 = 1 + (identity >>> 8) % VALUE_WORDS_MAX;
  const value = allocateArray(valueType, words, WORD_LOG2);
  for (let i: u32 = 0; i < words; i++)
    setField<u32>(value, ELEMENTS + (i << WORD_LOG2), (identity + i) * SCATTER);
  return value;
}

function unlink(entry: Ref): void {
  const before = getRef(entry, NEWER);
  const after = getRef(entry, OLDER);
  if (before == NULL) setRef(cache(), NEWEST, after);
  else setRef(before, OLDER, after);
  if (after == NULL) setRef(cache(), OLDEST, before);
  else setRef(after, NEWER, before);
}

function linkNewest(entry: Ref): void {
  const second = getRef(cache(), NEWEST);
  setRef(entry, NEWER, NULL);
  setRef(entry, OLDER, second);
  if (second == NULL) setRef(cache(), OLDEST, entry);
  else setRef(second, NEWER, entry);
  setRef(cache(), NEWEST, entry);
}

/** Removes the entry that was used longest ago. */
function evict(): void {
  const victim = getRef(cache(), OLDEST);
  unlink(victim);
  const table = getRef(cache(), TABLE);
  const bucket = bucketOf(getField<u32>(victim, KEY));
  const next = getRef(victim, CHAIN);
  let before = getElement(table, bucket);
  if (before == victim) {
    setElement(table, bucket, next);
    return;
  }
  while (getRef(before, CHAIN) != victim) before = getRef(before, CHAIN);
  setRef(before, CHAIN, next);
}

function insert(key: u32): void {
  setRoot(frame, 1, allocateValue(key, 0));
  const entry = allocate(entryType, ENTRY_BYTES);
  setField<u32>(entry, KEY, key);
  setRef(entry, VALUE, root(frame, 1));
  setRoot(frame, 1, NULL);
  const size = getField<u32>(cache(), SIZE);
  if (size == capacity) evict();
  else setField<u32>(cache(), SIZE, size + 1);
  const table = getRef(cache(), TABLE);
  const bucket = bucketOf(key);
  setRef(entry, CHAIN, getElement(table, bucket));
  setElement(table, bucket, entry);
  linkNewest(entry);
}

function replace(stale: Ref, key: u32): void {
  setRoot(frame, 1, stale);
  const version = getField<u32>(stale, VERSION) + 1;
  const value = allocateValue(key, version);
  const entry = root(frame, 1);
  setField<u32>(entry, VERSION, version);
  setRef(entry, VALUE, value);
  setRoot(frame, 1, NULL);
}

/** Looks `key` up: a hit is read and moved to the front, a miss is inserted. A safepoint. */
function use(key: u32, replaces: bool): void {
  poll();
  const entry = find(key);
  if (entry == NULL) {
    insert(key);
    return;
  }
  read(entry);
  unlink(entry);
  linkNewest(entry);
  if (replaces) replace(entry, key);
}

/** Reads all entries, the newest first. */
function readAll(): void {
  setRoot(frame, 1, getRef(cache(), NEWEST));
  while (root(frame, 1) != NULL) {
    const entry = root(frame, 1);
    read(entry);
    setRoot(frame, 1, getRef(entry, OLDER));
    poll();
  }
  checksum = addWord(checksum, getField<u32>(cache(), SIZE));
}

export function lruCache(
  cacheType: u32,
  entry_: u32,
  table_: u32,
  value_: u32,
  seed: u32,
  lookups: u32,
  entries: u32,
  buckets: u32,
  keys: u32,
  lookupsPerOperation: u32,
  replaceEvery: u32,
): u32 {
  entryType = entry_;
  valueType = value_;
  capacity = entries;
  mask = buckets - 1;
  checksum = CHECKSUM_START;
  seedRandom(seed);
  frame = enter(2);
  setRoot(frame, 0, allocate(cacheType, CACHE_BYTES));
  const table = allocateArray(table_, buckets, WORD_LOG2);
  setRef(cache(), TABLE, table);
  for (let done: u32 = 0, n: u32 = 0; done < lookups; n++) {
    const stop = min(lookups, done + lookupsPerOperation);
    begin();
    for (; done < stop; done++) {
      // The square makes small keys more frequent.
      const unit = unitRandom();
      use(<u32>(unit * unit * <f64>keys), done % replaceEvery == 0);
    }
    end();
    if (n % PROGRESS_EVERY == 0) progress(<f64>done / <f64>lookups);
  }
  readAll();
  progress(1);
  leave(frame);
  return checksum;
}
