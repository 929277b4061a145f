// Marking: a depth-first trace by one thread while mutators run (incremental update: what mutators change is found again through
// dirty cards, see cards.ts).
//
// Two bitmaps, as in Android's collector: `marks` has a bit for the first granule of every marked object and tells where objects
// start; `lives` has a bit for every granule of every marked object and is what forwarding counts. An object's mark bit is set
// when it is first seen, its live bits when it is scanned, while its header is in the cache.
//
// The mark stack never grows. When it is full, the object that does not fit stays marked but unscanned, and its cards are dirtied:
// the next card scan takes it up. Overflow therefore costs time and loses nothing, and no second mechanism exists for it.
import {
  CARD_DIRTY, CARD_GROUP_LOG2, CARD_LOG2, CHUNK_LOG2, CTL_NON_MOVING, CTL_NON_MOVING_BYTES, CTL_NON_MOVING_RAW, CTL_NON_MOVING_TOP, GRANULE_LOG2, GROUP_DIRTY,
  HEADER_BYTES, TYPE_KIND, TYPE_MAP, TYPE_MAP_WORDS, TYPE_SIZE,
} from '../../heap/layout';
import { cardGroups, cards, controlWord, heapBase, heapBytes, lives, managedBytes, marks, markStack, markStackEnd, takenGroups } from './geometry';
import { arrayBytes, isArray, KIND_RECORD, KIND_REF_ARRAY, sizeOf, typeOf } from './objects';
import { awaited, keyMarked, keyUnscanned, scanReference, waiting } from './references';

let top: u32 = 0;
let overflows: u32 = 0;
/** Lowest chunk in which an object begins that did not fit, since a card scan last asked. */
let overflowFloor: u32 = 0xffffffff;

/** Starts a trace: empties the stack, and clears both bitmaps up to `end` (an address in the heap) and for the non-moving space. */
export function markBegin(end: u32): void {
  top = markStack;
  overflows = 0;
  clearBitmaps(heapBase, end);
  clearCards(heapBase, heapBase + heapBytes);
  const nonMoving = controlWord(CTL_NON_MOVING);
  const nonMovingTop = controlWord(CTL_NON_MOVING_TOP);
  clearBitmaps(nonMoving, nonMovingTop);
  clearCards(nonMoving, nonMovingTop);
  clearBitmaps(controlWord(CTL_NON_MOVING_RAW), nonMoving + controlWord(CTL_NON_MOVING_BYTES));
}

/** Clears both bitmaps for the addresses [from, to), which begin a chunk. */
function clearBitmaps(from: u32, to: u32): void {
  const at = (from - heapBase) >> CHUNK_LOG2 << 3;
  const bytes = (to - from + ((1 << CHUNK_LOG2) - 1)) >> CHUNK_LOG2 << 3;
  memory.fill(marks + at, 0, bytes);
  memory.fill(lives + at, 0, bytes);
}

/** Cleans the cards of the addresses [from, to), and their groups. Whatever a mutator is storing meanwhile is older than the trace. */
function clearCards(from: u32, to: u32): void {
  const group = (from - heapBase) >> (CARD_LOG2 + CARD_GROUP_LOG2);
  const groups = ((to - heapBase + (1 << (CARD_LOG2 + CARD_GROUP_LOG2)) - 1) >> (CARD_LOG2 + CARD_GROUP_LOG2)) - group;
  memory.fill(cardGroups + group, 0, groups);
  memory.fill(takenGroups + group, 0, groups);
  memory.fill(cards + ((from - heapBase) >> CARD_LOG2), 0, (to - from) >> CARD_LOG2);
}

/** Objects that did not fit on the mark stack since `markBegin`. */
export function markOverflows(): u32 {
  return overflows;
}

/** Lowest chunk in which an object begins that did not fit since the last call, or the largest number. */
export function takeOverflowFloor(): u32 {
  const floor = overflowFloor;
  overflowFloor = 0xffffffff;
  return floor;
}

/** Entries on the mark stack. */
export function markPending(): u32 {
  return (top - markStack) >> 2;
}

/** Marks the object that `ref` names, unless it is null, outside the heap window, or marked. */
// @ts-ignore: decorator
@inline
export function visit(ref: u32): void {
  const offset = ref - heapBase;
  // Null and what is no reference wrap round or lie above: one comparison refuses them all.
  if (offset >= managedBytes) return;
  const word = marks + (offset >> CHUNK_LOG2 << 3);
  const bit: u64 = (<u64>1) << <u64>(offset >> GRANULE_LOG2 & 63);
  const old = load<u64>(word);
  if (old & bit) return;
  store<u64>(word, old | bit);
  if (top < markStackEnd) {
    store<u32>(top, ref);
    top += 4;
  } else {
    overflow(ref);
  }
}

function overflow(ref: u32): void {
  overflows += 1;
  // No card scan comes to objects without references in the non-moving space. They may be keys all the same.
  if (waiting && ref >= controlWord(CTL_NON_MOVING_RAW)) keyUnscanned();
  const offset = ref - heapBase;
  overflowFloor = min(overflowFloor, offset >> CHUNK_LOG2);
  const last = (offset + sizeOf(ref, typeOf(ref)) - 1) >> CARD_LOG2;
  for (let card = offset >> CARD_LOG2; card <= last; card++) store<u8>(cards + card, CARD_DIRTY);
  for (let group = offset >> CARD_LOG2 >> CARD_GROUP_LOG2; group <= last >> CARD_GROUP_LOG2; group++) store<u8>(cardGroups + group, GROUP_DIRTY);
}

/** Sets the live bits of the object at `ref`. */
// @ts-ignore: decorator
@inline
function setLives(ref: u32, bytes: u32): void {
  const first = (ref - heapBase) >> GRANULE_LOG2;
  const count = bytes >> GRANULE_LOG2;
  const word = lives + (first >> 6 << 3);
  const shift = <u64>(first & 63);
  if (<u32>shift + count <= 64) {
    store<u64>(word, load<u64>(word) | (~<u64>0 >> <u64>(64 - count) << shift));
  } else {
    setLongLives(word, shift, count);
  }
}

function setLongLives(word: u32, shift: u64, count: u32): void {
  store<u64>(word, load<u64>(word) | (~<u64>0 << shift));
  let left = count - (64 - <u32>shift);
  word += 8;
  while (left >= 64) {
    store<u64>(word, ~<u64>0);
    left -= 64;
    word += 8;
  }
  if (left) store<u64>(word, load<u64>(word) | (~<u64>0 >> <u64>(64 - left)));
}

/** Visits the references among the words of a record: the set bits of its reference map. */
// @ts-ignore: decorator
@inline
function visitRecord(ref: u32, type: u32): void {
  let map = load<u32>(type, TYPE_MAP);
  const end = map + (load<u32>(type, TYPE_MAP_WORDS) << 3);
  let base = ref;
  while (map < end) {
    let bits = load<u64>(map);
    while (bits) {
      visit(load<u32>(base + (<u32>ctz(bits) << 2)));
      bits &= bits - 1;
    }
    map += 8;
    base += 256;
  }
}

/** Scans the object at `ref` as far as it lies in [low, high); returns its size in bytes. */
export function scanClipped(ref: u32, low: u32, high: u32): u32 {
  const type = typeOf(ref);
  const bytes = sizeOf(ref, type);
  // An object's live bits are set with its first card: for one that overflowed the mark stack this is the first time.
  if (ref >= low) setLives(ref, bytes);
  const kind = load<u32>(type, TYPE_KIND);
  if (ref >= low && waiting) keyMarked(ref);
  if (kind == KIND_RECORD) {
    visitRecord(ref, type);
  } else if (!isArray(kind)) {
    scanReference(ref, type, kind);
  } else if (kind == KIND_REF_ARRAY) {
    let slot = max(ref + HEADER_BYTES, low);
    const end = min(ref + HEADER_BYTES + (load<u32>(ref, 4) << 2), high);
    for (; slot < end; slot += 4) visit(load<u32>(slot));
  }
  return bytes;
}

/** Pops and scans up to `budget` objects; returns the number of entries left on the stack. */
export function markDrain(budget: u32): u32 {
  while (top > markStack && budget > 0) budget = waiting ? drain(budget, true) : drain(budget, false);
  return markPending();
}

/**
 * The same; returns what is left of the budget. `keyed`: some ephemeron waits for its key, so that every object is looked up among the
 * keys. Compiled twice, so that heaps without ephemerons do not pay for them; the other way round it ends when the first one waits.
 */
// @ts-ignore: decorator
@inline
function drain(budget: u32, keyed: bool): u32 {
  while (top > markStack && budget > 0) {
    budget -= 1;
    top -= 4;
    const ref = load<u32>(top);
    if (keyed && awaited(ref)) keyMarked(ref);
    const type = typeOf(ref);
    const kind = load<u32>(type, TYPE_KIND);
    const size = load<u32>(type, TYPE_SIZE);
    if (kind == KIND_RECORD) {
      setLives(ref, size);
      visitRecord(ref, type);
    } else if (!isArray(kind)) {
      setLives(ref, size);
      scanReference(ref, type, kind);
      if (!keyed && waiting) return budget;
    } else {
      const length = load<u32>(ref, 4);
      setLives(ref, arrayBytes(length, size));
      if (kind == KIND_REF_ARRAY) {
        let slot = ref + HEADER_BYTES;
        const end = slot + (length << 2);
        for (; slot < end; slot += 4) visit(load<u32>(slot));
      }
    }
  }
  return budget;
}

/**
 * Scans the objects of the heap below the address `end`, and of the non-moving space, that are marked and have not been scanned: what did
 * not fit on the mark stack. Their first live bit is not set yet. For traces beside which cards mean nothing. Returns how many it found;
 * more may not have fitted meanwhile.
 */
export function scanUnscanned(end: u32): u32 {
  return scanUnscannedIn(heapBase, end) + scanUnscannedIn(controlWord(CTL_NON_MOVING), controlWord(CTL_NON_MOVING_TOP));
}

function scanUnscannedIn(from: u32, end: u32): u32 {
  let found: u32 = 0;
  const chunkEnd = (end - heapBase) >> CHUNK_LOG2;
  for (let chunk = (from - heapBase) >> CHUNK_LOG2; chunk < chunkEnd; chunk++) {
    let bits = load<u64>(marks + (chunk << 3)) & ~load<u64>(lives + (chunk << 3));
    for (; bits; bits &= bits - 1) {
      const ref = heapBase + (chunk << CHUNK_LOG2) + (<u32>ctz(bits) << GRANULE_LOG2);
      scanClipped(ref, ref, 0xffffffff);
      found += 1;
    }
  }
  return found;
}

/** Visits the root slots in [from, to). */
export function markRoots(from: u32, to: u32): void {
  for (; from < to; from += 4) visit(load<u32>(from));
}
