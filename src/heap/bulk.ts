// Copying and filling runs of elements.
//
// References are copied word by word. The bulk copies of JavaScript (copyWithin, set) go byte by byte over shared memory where source and
// target are not equally aligned: the marker, or another mutator, could then read a reference that is half the old one and half the new.
//
// The cards of the whole range are marked before the first store, not after the last. For the marker the order does not matter: it
// separates ageing a card from scanning it by a handshake, which this thread answers only after the whole copy. But a copy is a loop, in
// which a thread may be terminated; what it had stored by then would be without cards.

import { CARD_DIRTY, CARD_GROUP_LOG2, CARD_LOG2, GROUP_DIRTY, HEADER_BYTES } from './layout.ts';
import type { Ref } from './ref.ts';

/** Marks the cards of the words [first, first + count), then their groups. Word indexes count from the memory's start. */
function markCards(
  cards: Uint8Array,
  cardGroups: Uint8Array,
  heapBase: number,
  first: number,
  count: number,
): void {
  const firstCard = (first * 4 - heapBase) >> CARD_LOG2;
  const lastCard = ((first + count) * 4 - 1 - heapBase) >> CARD_LOG2;
  cards.fill(CARD_DIRTY, firstCard, lastCard + 1);
  cardGroups.fill(GROUP_DIRTY, firstCard >> CARD_GROUP_LOG2, (lastCard >> CARD_GROUP_LOG2) + 1);
}

export function copyElements(
  words: Int32Array,
  cards: Uint8Array,
  cardGroups: Uint8Array,
  heapBase: number,
  source: Ref,
  sourceIndex: number,
  target: Ref,
  targetIndex: number,
  count: number,
): void {
  if (count <= 0) return;
  const from = ((source + HEADER_BYTES) >> 2) + sourceIndex;
  const to = ((target + HEADER_BYTES) >> 2) + targetIndex;
  markCards(cards, cardGroups, heapBase, to, count);
  if (to <= from) for (let i = 0; i < count; i++) words[to + i] = words[from + i]!;
  else for (let i = count - 1; i >= 0; i--) words[to + i] = words[from + i]!;
}

export function fillElements(
  words: Int32Array,
  cards: Uint8Array,
  cardGroups: Uint8Array,
  heapBase: number,
  array: Ref,
  begin: number,
  end: number,
  value: Ref,
): void {
  if (end <= begin) return;
  const first = ((array + HEADER_BYTES) >> 2) + begin;
  markCards(cards, cardGroups, heapBase, first, end - begin);
  for (let i = 0; i < end - begin; i++) words[first + i] = value;
}
