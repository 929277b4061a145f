// Weak records, ephemerons and guards, as the trace meets them and as they are dealt with after it (why and when: src/gc/references.ts).
//
// A trace collects what it must come back to on lists that run through the objects themselves, in the second word of their headers: they
// need no memory and cannot overflow. Weak records with an unmarked referent are on one list. An ephemeron whose key is unmarked is in
// the *bucket* of its key; when an object is scanned, the ephemerons that wait for it are found there, so that a trace with ephemerons
// stays linear, without rounds over all of them. The buckets lie in the chunk table, which means nothing until the plan is made: one for
// every chunk.
//
// Mutators may store to what is on the lists while they run; they dirty its card, and the scan of the card comes here again. A weak
// record found again stays where it is. An ephemeron that got another key is in the bucket of the old one: a stray, for which all
// buckets are gone through once the trace has no other work.
import {
  CHUNK_LOG2, CTL_READY_TYPE, CTL_REFERENCE_TABLE, EPHEMERON_KEY, EPHEMERON_VALUE, GRANULE_LOG2, GUARD_NEXT, GUARD_QUEUE,
  KIND_EPHEMERON, KIND_WEAK, LINK_END, REFERENCE_LINK, REFERENT, REFS_NEW_HEADS, REFS_NEW_TAILS, TYPE_MAP, TYPE_MAP_WORDS,
} from '../../heap/layout';
import { blackOffset } from './forward';
import { chunks, controlWord, heapBase, heapBytes, managedBytes, marks } from './geometry';
import { visit } from './mark';
import { isFresh } from './non-moving';

// @ts-ignore: decorator
@inline
const END: u32 = LINK_END;
/** Ephemerons looked at in a bucket: as many as a chunk has keys. */
const BUCKET_LOOKS: i32 = 64;

/** Weak records that may have to be cleared. */
let weakList: u32 = 0;
/** Ephemerons in the buckets. */
export let waiting: u32 = 0;
/** Whether some ephemeron may be in the bucket of a key that it has no longer, or of one that was marked without being scanned. */
let strays: bool = false;
/** Whether the buckets hold something else than an earlier plan. */
let bucketsReady: bool = false;
/** Guards with dead objects, in the order of their registration. */
let deadGuards: u32 = 0;
let cleared: u32 = 0;

/** Starts a trace: nothing is on a list. `ephemerons`: there may be some. */
export function referencesBegin(ephemerons: bool): void {
  // Left over by a cycle that was given up; nothing has moved since.
  for (let ref = weakList; ref > END; ) {
    const next = load<u32>(ref, REFERENCE_LINK);
    store<u32>(ref, 0, REFERENCE_LINK);
    ref = next;
  }
  weakList = 0;
  for (let ref = takeBuckets(); ref > END; ) {
    const next = load<u32>(ref, REFERENCE_LINK);
    store<u32>(ref, 0, REFERENCE_LINK);
    ref = next;
  }
  strays = false;
  bucketsReady = false;
  if (ephemerons) readyBuckets();
}

/** Weak records, or ephemerons, that may have to be cleared: 0 is none. */
export function referencesFound(): u32 {
  return u32(weakList != 0) + waiting;
}

/** Ephemerons whose key is not marked. */
export function waitingEphemerons(): u32 {
  return waiting;
}

// ---------------------------------------------------------------------------------------------------------------------------
// While tracing

/** Whether `ref` names an object that the trace has not met. Not null, and nothing outside the two spaces. */
// @ts-ignore: decorator
@inline
function isUnmarked(ref: u32): bool {
  const offset = ref - heapBase;
  if (offset >= managedBytes) return false;
  return !(load<u64>(marks + (offset >> CHUNK_LOG2 << 3)) & ((<u64>1) << <u64>(offset >> GRANULE_LOG2 & 63)));
}

/** Scans an object of one of the kinds that are no ordinary records: at first, and whenever one of its cards was dirty. */
export function scanReference(ref: u32, type: u32, kind: u32): void {
  // Bits of the map: the fields that are not followed here.
  let weak: u64 = (<u64>1) << (REFERENT >> 2);
  if (kind == KIND_EPHEMERON) {
    weak |= (<u64>1) << (EPHEMERON_VALUE >> 2);
    scanEphemeron(ref);
  } else if (kind == KIND_WEAK) {
    if (load<u32>(ref, REFERENCE_LINK) == 0 && isUnmarked(load<u32>(ref, REFERENT))) {
      store<u32>(ref, max(weakList, END), REFERENCE_LINK);
      weakList = ref;
    }
  }
  let map = load<u32>(type, TYPE_MAP);
  const end = map + (load<u32>(type, TYPE_MAP_WORDS) << 3);
  for (let base = ref; map < end; map += 8, base += 256) {
    let bits = load<u64>(map) & ~weak;
    weak = 0;
    for (; bits; bits &= bits - 1) visit(load<u32>(base + (<u32>ctz(bits) << 2)));
  }
}

function scanEphemeron(ref: u32): void {
  const key = load<u32>(ref, EPHEMERON_KEY);
  const value = load<u32>(ref, EPHEMERON_VALUE);
  if (key != 0 && !isUnmarked(key)) {
    // It may be in the bucket of an earlier key: there it stays, and means nothing.
    visit(value);
    return;
  }
  // Without a key, a value is as dead as with a dead one.
  if (key == 0 && value == 0) return;
  if (load<u32>(ref, REFERENCE_LINK) == 0) insert(ref, key);
  else if (!isInBucket(ref, key)) strays = true;
}

/** Address of the bucket for the key `ref`. */
// @ts-ignore: decorator
@inline
function bucketOf(ref: u32): u32 {
  const chunk = (ref - heapBase) >> CHUNK_LOG2;
  const count = heapBytes >> CHUNK_LOG2;
  return chunks + ((chunk < count ? chunk : chunk % count) << 2);
}

function readyBuckets(): void {
  memory.fill(chunks, 0, heapBytes >> CHUNK_LOG2 << 2);
  bucketsReady = true;
}

function insert(ref: u32, key: u32): void {
  if (!bucketsReady) readyBuckets();
  const bucket = bucketOf(key);
  store<u32>(ref, max(load<u32>(bucket), END), REFERENCE_LINK);
  store<u32>(bucket, ref);
  waiting += 1;
}

/** Looks at the first ones only: what is taken for a stray costs one settling of all, and a long list would cost its length for each of it. */
function isInBucket(ref: u32, key: u32): bool {
  let at = load<u32>(bucketOf(key));
  for (let i = 0; i < BUCKET_LOOKS && at > END; i++) {
    if (at == ref) return true;
    at = load<u32>(at, REFERENCE_LINK);
  }
  return false;
}

/** Whether ephemerons may wait for the object at `ref`. Only while some wait. */
// @ts-ignore: decorator
@inline
export function awaited(ref: u32): bool {
  return load<u32>(bucketOf(ref)) > END;
}

/** The object at `ref` is marked: visits the values of the ephemerons that waited for it. Only while some wait. */
export function keyMarked(ref: u32): void {
  let link = bucketOf(ref);
  for (let at = load<u32>(link); at > END; at = load<u32>(link)) {
    if (load<u32>(at, EPHEMERON_KEY) != ref) {
      link = at + REFERENCE_LINK;
      continue;
    }
    store<u32>(link, load<u32>(at, REFERENCE_LINK));
    store<u32>(at, 0, REFERENCE_LINK);
    waiting -= 1;
    visit(load<u32>(at, EPHEMERON_VALUE));
  }
}

/** A marked object for which ephemerons may wait is not going to be scanned: they are looked through when the mark stack is empty. */
export function keyUnscanned(): void {
  strays = true;
}

/** Empties all buckets into one list. */
function takeBuckets(): u32 {
  let list: u32 = END;
  if (waiting == 0) return list;
  const end = chunks + (heapBytes >> CHUNK_LOG2 << 2);
  for (let bucket = chunks; bucket < end; bucket += 4) {
    let at = load<u32>(bucket);
    if (at == 0) continue;
    store<u32>(bucket, 0);
    while (at > END) {
      const next = load<u32>(at, REFERENCE_LINK);
      store<u32>(at, list, REFERENCE_LINK);
      list = at;
      at = next;
    }
  }
  waiting = 0;
  return list;
}

/** When the mark stack is empty: puts ephemerons that got another key where they belong. Returns 1 if something may have been visited. */
export function settleStrays(): u32 {
  if (!strays) return 0;
  strays = false;
  for (let ref = takeBuckets(); ref > END; ) {
    const next = load<u32>(ref, REFERENCE_LINK);
    store<u32>(ref, 0, REFERENCE_LINK);
    scanEphemeron(ref);
    ref = next;
  }
  return 1;
}

// ---------------------------------------------------------------------------------------------------------------------------
// After tracing. Mutators run; what they can reach is marked or black.

/** Whether `ref` names an object that is dead once the trace is complete. */
// @ts-ignore: decorator
@inline
function isDead(ref: u32): bool {
  const offset = ref - heapBase;
  if (offset < blackOffset()) return isUnmarked(ref);
  return offset >= heapBytes && isUnmarked(ref) && !isFresh(ref);
}

/**
 * Clears the weak fields with dead referents, and the ephemerons with dead keys. A mutator may store something else in that moment: what
 * it stores is alive, and stays. Returns the number of weak records cleared.
 */
export function clearDead(): u32 {
  let weak: u32 = 0;
  for (let ref = weakList; ref > END; ) {
    const next = load<u32>(ref, REFERENCE_LINK);
    store<u32>(ref, 0, REFERENCE_LINK);
    const referent = atomic.load<u32>(ref, REFERENT);
    if (isDead(referent) && atomic.cmpxchg<u32>(ref, referent, 0, REFERENT) == referent) weak += 1;
    ref = next;
  }
  weakList = 0;
  cleared = 0;
  for (let ref = takeBuckets(); ref > END; ) {
    const next = load<u32>(ref, REFERENCE_LINK);
    store<u32>(ref, 0, REFERENCE_LINK);
    clearEphemeron(ref);
    ref = next;
  }
  return weak;
}

/**
 * Key and value go in one step. A mutator stores the key first: once it is another, the old value is about to be overwritten. Cleared by
 * itself, a value could be the one that the mutator has just stored.
 */
function clearEphemeron(ref: u32): void {
  for (;;) {
    const pair = atomic.load<u64>(ref, EPHEMERON_KEY);
    const key = <u32>pair;
    if (pair == 0 || (key != 0 && !isDead(key))) return;
    if (atomic.cmpxchg<u64>(ref, pair, 0, EPHEMERON_KEY) == pair) {
      if (key != 0) cleared += 1;
      return;
    }
  }
}

/** Ephemerons that the last call of `clearDead` cleared. */
export function ephemeronsCleared(): u32 {
  return cleared;
}

/**
 * Walks the guards from `head`, the newest, and takes those out whose objects are dead. Marks nothing: all are judged by the same trace.
 * Returns the newest guard that stays, or 0.
 */
export function sweepGuards(head: u32): u32 {
  deadGuards = 0;
  let first: u32 = 0;
  let last: u32 = 0;
  let linked: u32 = head;
  for (let guard = head; guard; ) {
    const next = load<u32>(guard, GUARD_NEXT);
    if (isDead(load<u32>(guard, REFERENT))) {
      // From the newest to the oldest, each before the ones taken so far: they come to lie in the order of their registration.
      store<u32>(guard, deadGuards, GUARD_NEXT);
      deadGuards = guard;
    } else {
      if (last == 0) first = guard;
      else if (linked != guard) store<u32>(last, guard, GUARD_NEXT);
      last = guard;
      linked = next;
    }
    guard = next;
  }
  if (last && linked) store<u32>(last, 0, GUARD_NEXT);
  return first;
}

/**
 * Makes the guards that `sweepGuards` took out ordinary records, whose objects are marked, and appends them to the lists of their queues
 * in the reference table. Returns how many there were.
 */
export function resurrect(): u32 {
  const table = controlWord(CTL_REFERENCE_TABLE);
  const ready = <u16>controlWord(CTL_READY_TYPE);
  let count: u32 = 0;
  for (let guard = deadGuards; guard; ) {
    const next = load<u32>(guard, GUARD_NEXT);
    store<u16>(guard, ready);
    store<u32>(guard, 0, GUARD_NEXT);
    const queue = table + (load<u32>(guard, GUARD_QUEUE) << 2);
    const tail = load<u32>(queue, REFS_NEW_TAILS << 2);
    if (tail) store<u32>(tail, guard, GUARD_NEXT);
    else store<u32>(queue, guard, REFS_NEW_HEADS << 2);
    store<u32>(queue, guard, REFS_NEW_TAILS << 2);
    visit(load<u32>(guard, REFERENT));
    count += 1;
    guard = next;
  }
  deadGuards = 0;
  return count;
}
