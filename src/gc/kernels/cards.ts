// Cards: how the marker learns what mutators changed behind it.
//
// A mutator stores a reference, then dirties the card of the slot. A round of cleaning is: age (dirty becomes the round's number),
// then a handshake with every mutator, then a scan of the cards that carry the number. The handshake stands between the two
// because a mutator may be between its two stores: its reference then becomes visible before the scan, or its card becomes dirty
// after the ageing and belongs to the next round (Android 1702d6ab4a). No card is ever cleaned while mutators run, so no store
// of theirs is overwritten; old numbers simply stop meaning anything.
import { CARD_CLEAN, CARD_DIRTY, CARD_LOG2, CHUNK_BYTES } from '../../heap/layout';
import { cards, heapBase, marks } from './geometry';
import { markOverflows, scanClipped } from './mark';
import { sizeOf, typeOf } from './objects';

/** Turns every dirty card below the address `end` into `round`; returns how many there were. */
export function ageCards(end: u32, round: u32): u32 {
  let card = cards;
  const last = cards + ((end - heapBase + CHUNK_BYTES - 1) >> CARD_LOG2);
  let aged: u32 = 0;
  while (card < last) {
    // The table starts on a page and ends in zeroes: eight cards can be read at once.
    if (load<u64>(card) == 0) {
      card += 8;
      continue;
    }
    const stop = min(card + 8, last);
    for (; card < stop; card++) {
      if (load<u8>(card) == CARD_DIRTY) {
        store<u8>(card, <u8>round);
        aged += 1;
      }
    }
  }
  return aged;
}

/** Rescans the marked objects on every card that carries `round`. Leaves what it finds on the mark stack. */
export function scanAgedCards(end: u32, round: u32): void {
  scanCards(end, round);
}

/**
 * The same for every dirty card, and cleans it. Only while mutators are stopped. Cards that an overflowing mark stack dirties behind
 * the scan stay dirty. Returns how many cards it scanned.
 */
export function scanDirtyCards(end: u32): u32 {
  return scanCards(end, CARD_DIRTY);
}

function scanCards(end: u32, value: u32): u32 {
  let scanned: u32 = 0;
  const count = (end - heapBase + CHUNK_BYTES - 1) >> CARD_LOG2;
  // The last marked object that starts below card `known`, and its end: it may reach over the cards that follow. Objects that this
  // very scan marks below `known` are on the mark stack and will be scanned whole, so that not seeing them here loses nothing. But
  // one that overflows the stack is not: it waits on its cards, of which those ahead are scanned and cleaned in this very pass, so
  // after an overflow nothing is known any more.
  let known: u32 = 0;
  let ref: u32 = 0;
  let refEnd: u32 = 0;
  let overflows = markOverflows();
  for (let card: u32 = 0; card < count; card++) {
    if ((card & 7) == 0 && load<u64>(cards + card) == 0) {
      card += 7;
      continue;
    }
    if (load<u8>(cards + card) != <u8>value) continue;
    if (value == CARD_DIRTY) store<u8>(cards + card, CARD_CLEAN);
    scanned += 1;
    const low = heapBase + (card << CARD_LOG2);
    const high = low + CHUNK_BYTES;
    if (overflows != markOverflows()) {
      overflows = markOverflows();
      known = 0;
    }
    // Every mark word is looked at once in the whole scan, however many cards are dirty and however few objects are marked.
    for (let back = card; back > known; ) {
      back -= 1;
      const bits = load<u64>(marks + (back << 3));
      if (bits) {
        ref = heapBase + (back << CARD_LOG2) + ((63 - <u32>clz(bits)) << 3);
        refEnd = ref + sizeOf(ref, typeOf(ref));
        break;
      }
    }
    known = card + 1;
    if (refEnd > low) scanClipped(ref, low, high);
    let bits = load<u64>(marks + (card << 3));
    while (bits) {
      ref = low + ((<u32>ctz(bits)) << 3);
      refEnd = ref + scanClipped(ref, low, high);
      bits &= bits - 1;
    }
  }
  return scanned;
}

/** Cards that are dirty below the address `end`. */
export function countDirtyCards(end: u32): u32 {
  let dirty: u32 = 0;
  const last = cards + ((end - heapBase + CHUNK_BYTES - 1) >> CARD_LOG2);
  for (let card = cards; card < last; card++) dirty += u32(load<u8>(card) == CARD_DIRTY);
  return dirty;
}
