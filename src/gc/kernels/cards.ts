// Cards: how the marker learns what mutators changed behind it.
//
// A mutator stores a reference, then dirties the card of the slot, then marks the card's group unless it finds it marked. A round of cleaning
// goes the other way, with a handshake with every mutator between each two steps:
//
//   take   marked groups become clean again, and the collector remembers them
//   age    in the groups taken, dirty cards become the round's number
//   scan   in the groups taken, the cards that carry the number are scanned
//
// The handshakes stand there because a mutator may be between two of its steps. Between its store and its card: the reference becomes visible
// before the scan, or the card becomes dirty after the ageing and belongs to the next round (Android 1702d6ab4a). Between its card and its
// group: the card becomes visible before the ageing, or the group is found clean and marked again, for the next round. No card is
// ever cleaned while mutators run, so no store of theirs is overwritten; old numbers simply stop meaning anything.
//
// The groups are there for the remark pause, which would otherwise look through every card of the heap: it looks at one byte for every
// 8 KiB instead of 64.
import {
  CARD_BUFFER_ENTRIES, CARD_BYTES, CARD_CLEAN, CARD_DIRTY, CARD_GROUP_LOG2, CARD_LOG2, CHUNK_LOG2, GRANULE_LOG2, GROUP_CLEAN, GROUP_DIRTY,
} from '../../heap/layout';
import { cardBuffer, cardGroups, cards, heapBase, marks, takenGroups } from './geometry';
import { scanClipped, takeOverflowFloor } from './mark';
import { sizeOf, typeOf } from './objects';

/** Cards below the address `end`. */
// @ts-ignore: decorator
@inline
function cardCount(end: u32): u32 {
  return (end - heapBase + CARD_BYTES - 1) >> CARD_LOG2;
}

/** Groups below the address `end`. */
// @ts-ignore: decorator
@inline
function groupCount(end: u32): u32 {
  return (cardCount(end) + (1 << CARD_GROUP_LOG2) - 1) >> CARD_GROUP_LOG2;
}

/** The first group at or behind `group`, below `count`, whose byte in `table` is not zero; `count` or more when there is none. */
// @ts-ignore: decorator
@inline
function nextGroup(table: u32, group: u32, count: u32): u32 {
  while (group < count) {
    const bytes = v128.load(table + group);
    if (v128.any_true(bytes)) return group + <u32>ctz(~i8x16.bitmask(i8x16.eq(bytes, i8x16.splat(0))));
    group += 16;
  }
  return group;
}

/** One bit for each card of the group that has the given value. The table is as long as whole groups are. */
// @ts-ignore: decorator
@inline
function cardsEqual(group: u32, value: u8): u64 {
  const at = cards + (group << CARD_GROUP_LOG2);
  const wanted = i8x16.splat(value);
  return (
    <u64>(<u32>i8x16.bitmask(i8x16.eq(v128.load(at), wanted))) |
    (<u64>(<u32>i8x16.bitmask(i8x16.eq(v128.load(at, 16), wanted))) << 16) |
    (<u64>(<u32>i8x16.bitmask(i8x16.eq(v128.load(at, 32), wanted))) << 32) |
    (<u64>(<u32>i8x16.bitmask(i8x16.eq(v128.load(at, 48), wanted))) << 48)
  );
}

/** The group at the address `from`, which begins one. */
// @ts-ignore: decorator
@inline
function firstGroup(from: u32): u32 {
  return (from - heapBase) >> (CARD_LOG2 + CARD_GROUP_LOG2);
}

/** Takes the marked groups of the addresses [from, end). `from` begins a group. Returns how many there were. */
export function takeGroups(from: u32, end: u32): u32 {
  const count = groupCount(end);
  let taken: u32 = 0;
  for (let group = nextGroup(cardGroups, firstGroup(from), count); group < count; group = nextGroup(cardGroups, group + 1, count)) {
    store<u8>(cardGroups + group, GROUP_CLEAN);
    store<u8>(takenGroups + group, GROUP_DIRTY);
    taken++;
  }
  return taken;
}

/** Turns every dirty card in the taken groups of [from, end) into `round`; returns how many there were. `from` begins a group. */
export function ageCards(from: u32, end: u32, round: u32): u32 {
  const count = groupCount(end);
  let aged: u32 = 0;
  for (let group = nextGroup(takenGroups, firstGroup(from), count); group < count; group = nextGroup(takenGroups, group + 1, count)) {
    let bits = cardsEqual(group, <u8>CARD_DIRTY);
    aged += <u32>popcnt(bits);
    while (bits) {
      // Byte by byte: a wider store could wipe out what a mutator has just stored beside it.
      store<u8>(cards + (group << CARD_GROUP_LOG2) + <u32>ctz(bits), <u8>round);
      bits &= bits - 1;
    }
  }
  return aged;
}

/**
 * Rescans the marked objects on every card of the taken groups of [from, end) that carries `round`, and lets go of the groups. Leaves what
 * it finds on the mark stack.
 */
export function scanAgedCards(from: u32, end: u32, round: u32): void {
  scanCards(takenGroups, from, end, round);
}

/**
 * The same for every dirty card of the marked groups, which it cleans, cards and groups. Only while mutators are stopped. Cards that an
 * overflowing mark stack dirties behind the scan stay dirty. Returns how many cards it scanned.
 */
export function scanDirtyCards(from: u32, end: u32): u32 {
  return scanCards(cardGroups, from, end, CARD_DIRTY);
}

// The last marked object that starts below chunk-granular progress `known`, and its end: it may reach over the cards that follow.
let firstChunk: u32 = 0;
let known: u32 = 0;
let ref: u32 = 0;
let refEnd: u32 = 0;

/** Cards ahead of the one being scanned whose memory is asked for: as many as a core keeps misses in flight. */
const AHEAD: u32 = 12;
/** What the loads ahead read, so that they are not dropped. */
let ahead: u64 = 0;

function scanCards(table: u32, from: u32, end: u32, value: u32): u32 {
  const count = groupCount(end);
  const bufferEnd = cardBuffer + ((CARD_BUFFER_ENTRIES - 64) << 2);
  let scanned: u32 = 0;
  let next = cardBuffer;
  // Objects do not reach from one space into the other.
  firstChunk = (from - heapBase) >> CHUNK_LOG2;
  known = firstChunk;
  ref = 0;
  refEnd = 0;
  for (let group = nextGroup(table, firstGroup(from), count); group < count; group = nextGroup(table, group + 1, count)) {
    // Before its cards: a mark stack that overflows in a scan marks it again.
    store<u8>(table + group, GROUP_CLEAN);
    let bits = cardsEqual(group, <u8>value);
    while (bits) {
      const card = (group << CARD_GROUP_LOG2) + <u32>ctz(bits);
      if (value == CARD_DIRTY) store<u8>(cards + card, CARD_CLEAN);
      store<u32>(next, card);
      next += 4;
      bits &= bits - 1;
    }
    if (next > bufferEnd) {
      scanned += scanBuffer(next);
      next = cardBuffer;
    }
  }
  return scanned + scanBuffer(next);
}

/** Scans the cards collected in the buffer, which ends at `end`; returns how many. Cards lie all over the heap: each is a cache miss. */
function scanBuffer(end: u32): u32 {
  for (let at = cardBuffer; at < end; at += 4) {
    const later = at + (AHEAD << 2);
    if (later < end) {
      const card = load<u32>(later);
      ahead += load<u64>(marks + (card >> (CHUNK_LOG2 - CARD_LOG2) << 3));
      ahead += load<u64>(heapBase + (card << CARD_LOG2)) + load<u64>(heapBase + (card << CARD_LOG2), 64);
    }
    scanCard(load<u32>(at));
  }
  return (end - cardBuffer) >> 2;
}

function scanCard(card: u32): void {
  const low = heapBase + (card << CARD_LOG2);
  const high = low + CARD_BYTES;
  const chunk = card >> (CHUNK_LOG2 - CARD_LOG2);
  const shift = <u64>((card << (CARD_LOG2 - GRANULE_LOG2)) & 63);
  const starts = load<u64>(marks + (chunk << 3));
  // Every mark word is looked at once in the whole scan, however many cards are dirty and however few objects are marked. An object that
  // this very scan marks below `known` is on the mark stack and will be scanned whole, so that not seeing it here loses nothing; unless it
  // did not fit there, and these very cards are what must not be cleaned without scanning it.
  const floor = takeOverflowFloor();
  let bits: u64;
  // Where the object that was scanned last goes on, no other covers the beginning of the card.
  if (refEnd <= low) {
    known = max(firstChunk, min(known, floor));
    let word = chunk;
    bits = starts & ((<u64>1 << shift) - 1);
    while (!bits && word > known) {
      word -= 1;
      bits = load<u64>(marks + (word << 3));
    }
    if (bits) {
      ref = heapBase + (word << CHUNK_LOG2) + ((63 - <u32>clz(bits)) << GRANULE_LOG2);
      refEnd = ref + sizeOf(ref, typeOf(ref));
    }
  }
  known = chunk;
  if (refEnd > low) scanClipped(ref, low, high);
  bits = (starts >> shift) & 0xffff;
  while (bits) {
    ref = low + (<u32>ctz(bits) << GRANULE_LOG2);
    refEnd = ref + scanClipped(ref, low, high);
    bits &= bits - 1;
  }
}

/** Cards that are dirty below the address `end`. */
export function countDirtyCards(end: u32): u32 {
  let dirty: u32 = 0;
  const last = cards + cardCount(end);
  for (let card = cards; card < last; card++) dirty += u32(load<u8>(card) == CARD_DIRTY);
  return dirty;
}
