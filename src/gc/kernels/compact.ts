// Building to-space pages.
//
// A run of pages is built into a destination (the shadow, or a staging buffer) from from-space and the plan alone: nothing is read
// from to-space, nothing is written outside the run, and a reference slot is rewritten only if it lies in the run. So building
// never faults on another unbuilt page, and two threads never write the same byte (Android: CompactPage, SlideBlackPage).
//
// Compacted pages hold the marked objects, in their old order, without gaps. An object may begin before the run or end behind it:
// it is then copied and rewritten as far as it lies inside. Black pages, behind them, are whole from-space pages moved by a
// constant, so the holes between allocation buffers are kept; their objects are found by walking from the start of the allocation
// buffer, whose unused end is zero.
import {
  CHUNK_LOG2, CTL_COMPACTED_BYTES, CTL_FROM_ALIAS, GRANULE_LOG2, HEADER_BYTES, PAGE_LOG2, TYPE_KIND, TYPE_MAP,
  TYPE_MAP_WORDS, TYPE_SIZE,
} from '../../heap/layout';
import { blackDelta, blackOffset, forward, forwardBy } from './forward';
import { chunks, controlWord, heapBase, lives, pageFirst, pageSource } from './geometry';
import { arrayBytes, isArray, KIND_REF_ARRAY, sizeOf, typeOf } from './objects';

/** Objects up to this many bytes are copied word by word: a bulk copy has a fixed cost of about ten words. */
const WORDWISE_BYTES: u32 = 128;

/**
 * Builds the to-space pages [page, page + count) into `destination`. Compacted and black pages may both occur.
 */
export function buildPages(page: u32, count: u32, destination: u32): void {
  const low = page << PAGE_LOG2;
  const high = (page + count) << PAGE_LOG2;
  const compacted = controlWord(CTL_COMPACTED_BYTES);
  const firstBlack = (compacted + ((1 << PAGE_LOG2) - 1)) & ~((1 << PAGE_LOG2) - 1);
  if (low < compacted) {
    const end = min(high, compacted);
    buildCompacted(low, end, destination);
    const pageEnd = min(high, firstBlack);
    // The last compacted page ends in zeroes: a reused page still holds what it held two cycles ago.
    if (end < pageEnd) memory.fill(destination + (end - low), 0, pageEnd - end);
  }
  if (high > firstBlack) {
    const from = max(low, firstBlack);
    buildBlack(from, high, destination + (from - low));
  }
}

/** Builds the compacted bytes [low, high) of to-space; `low` is on a page boundary. */
function buildCompacted(low: u32, high: u32, destination: u32): void {
  // Globals in locals: see forwardBy.
  const base = heapBase;
  const liveWords = lives;
  const chunkTable = chunks;
  const black = blackOffset();
  const delta = blackDelta();
  const bias = controlWord(CTL_FROM_ALIAS) - base;
  const page = low >> PAGE_LOG2;
  let ref = load<u32>(pageFirst + (page << 2));
  // Offset in to-space at which `ref` begins: below `low` when the object began on an earlier page.
  let at = low - (load<u32>(pageSource + (page << 2)) - ref);
  while (true) {
    const source = ref + bias;
    const type = typeOf(source);
    const kind = load<u32>(type, TYPE_KIND);
    let bytes = load<u32>(type, TYPE_SIZE);
    if (isArray(kind)) bytes = arrayBytes(load<u32>(source, 4), bytes);
    if (<i32>(at - low) >= 0 && at + bytes <= high) {
      const target = destination + (at - low);
      if (bytes <= WORDWISE_BYTES) {
        // The first three words without a loop: most objects are as small, and a loop costs more than it copies.
        store<u64>(target, load<u64>(source));
        if (bytes > 8) {
          store<u64>(target, load<u64>(source, 8), 8);
          if (bytes > 16) {
            store<u64>(target, load<u64>(source, 16), 16);
            for (let i: u32 = 24; i < bytes; i += 8) store<u64>(target + i, load<u64>(source + i));
          }
        }
      } else {
        memory.copy(target, source, bytes);
      }
      if (!isArray(kind)) {
        const words = load<u32>(type, TYPE_MAP_WORDS);
        if (words == 1) {
          // Nearly all records have their references among their first 64 words, and a map has at least one bit.
          let bits = load<u64>(load<u32>(type, TYPE_MAP));
          do {
            const slot = target + (<u32>ctz(bits) << 2);
            store<u32>(slot, forwardBy(load<u32>(slot), black, delta, base, liveWords, chunkTable));
            bits &= bits - 1;
          } while (bits);
        } else if (words > 1) {
          fixClipped(source, type, target, 0, bytes, black, delta);
        }
      } else if (kind == KIND_REF_ARRAY) {
        let slot = target + HEADER_BYTES;
        const slotEnd = slot + (load<u32>(source, 4) << 2);
        for (; slot < slotEnd; slot += 4) store<u32>(slot, forwardBy(load<u32>(slot), black, delta, base, liveWords, chunkTable));
      }
    } else {
      // Signed: the object may begin below the run.
      const begin = <i32>(at - low) < 0 ? low - at : 0;
      const end = min(bytes, high - at);
      const target = destination + (at + begin - low);
      memory.copy(target, source + begin, end - begin);
      fixClipped(source, type, destination - low + at, begin, end, black, delta);
    }
    at += bytes;
    if (<i32>(at - high) >= 0) return;
    ref = nextLive(ref + bytes);
  }
}

/**
 * Rewrites those references of the object at `source` that lie in its bytes [begin, end). `target` is where the object's first byte
 * is, or would be if it lay in the run.
 */
export function fixClipped(source: u32, type: u32, target: u32, begin: u32, end: u32, black: u32, delta: u32): void {
  const kind = load<u32>(type, TYPE_KIND);
  if (kind == KIND_REF_ARRAY) {
    let byte = max(begin, <u32>HEADER_BYTES);
    const last = min(end, HEADER_BYTES + (load<u32>(source, 4) << 2));
    for (; byte < last; byte += 4) store<u32>(target + byte, forward(load<u32>(target + byte), black, delta));
  } else if (!isArray(kind)) {
    const map = load<u32>(type, TYPE_MAP);
    const words = load<u32>(type, TYPE_MAP_WORDS);
    for (let word = begin >> 8; word < words; word++) {
      const base = word << 8;
      if (base >= end) return;
      let bits = load<u64>(map + (word << 3));
      while (bits) {
        const byte = base + (<u32>ctz(bits) << 2);
        bits &= bits - 1;
        if (byte >= begin && byte < end) store<u32>(target + byte, forward(load<u32>(target + byte), black, delta));
      }
    }
  }
}

/** Address of the first live granule at or behind `ref`; one must exist. */
// @ts-ignore: decorator
@inline
function nextLive(ref: u32): u32 {
  const granule = (ref - heapBase) >> GRANULE_LOG2;
  const bits = load<u64>(lives + (granule >> 6 << 3)) >> <u64>(granule & 63);
  if (bits & 1) return ref;
  if (bits) return ref + (<u32>ctz(bits) << GRANULE_LOG2);
  return nextLiveChunk((granule >> 6) + 1);
}

function nextLiveChunk(chunk: u32): u32 {
  let bits = load<u64>(lives + (chunk << 3));
  while (!bits) {
    chunk += 1;
    bits = load<u64>(lives + (chunk << 3));
  }
  return heapBase + (chunk << CHUNK_LOG2) + (<u32>ctz(bits) << GRANULE_LOG2);
}

/** Builds the black bytes [low, high) of to-space; both on page boundaries. */
function buildBlack(low: u32, high: u32, destination: u32): void {
  const black = blackOffset();
  const delta = blackDelta();
  const bias = controlWord(CTL_FROM_ALIAS) - heapBase;
  memory.copy(destination, heapBase + low + delta + bias, high - low);
  // Offset in to-space of the object at hand; from-space address and target follow from it.
  let at = load<u32>(pageFirst + (low >> PAGE_LOG2 << 2)) - delta - heapBase;
  while (at < high) {
    const source = heapBase + at + delta + bias;
    if (load<u32>(source) == 0) {
      // The rest of this allocation buffer was never used. The next one begins on a page that names itself as its first object.
      let page = (at >> PAGE_LOG2) + 1;
      const last = high >> PAGE_LOG2;
      while (page < last && load<u32>(pageFirst + (page << 2)) - delta - heapBase != page << PAGE_LOG2) page += 1;
      at = page << PAGE_LOG2;
      continue;
    }
    const type = typeOf(source);
    const bytes = sizeOf(source, type);
    const begin = <i32>(at - low) < 0 ? low - at : 0;
    const end = min(bytes, high - at);
    if (begin < end) fixClipped(source, type, destination - low + at, begin, end, black, delta);
    at += bytes;
  }
}

/**
 * Renumbers the first-object entries of the black pages from from-space to to-space numbering. Called once, in the flip pause: from
 * then on mutators write entries for buffers that they take behind the black pages.
 */
export function slideBlackFirsts(fromPage: u32, toPage: u32, count: u32): void {
  memory.copy(pageFirst + (toPage << 2), pageFirst + (fromPage << 2), count << 2);
}
