// The sizes of hyperalloc, the same in every form. README.md says what they mean.

import { mix } from './checksum.ts';
import type { Random } from './random.ts';

/** At scale 1: some 3 GB of allocation. */
const OPERATIONS = 32_768;
/** Some 17 MiB of live data. */
const SLOTS_MAX = 49_152;
const SLOTS_MIN = 1024;

interface SizeClass {
  /** The class is for draws below this, of 100. */
  readonly below: number;
  readonly lowWords: number;
  readonly highWords: number;
}

/** Most objects are small, most bytes are in large ones: 332 bytes in the mean, 16 KiB at most. */
const SIZES: readonly SizeClass[] = [
  { below: 60, lowWords: 2, highWords: 8 },
  { below: 90, lowWords: 9, highWords: 64 },
  { below: 98, lowWords: 65, highWords: 512 },
  { below: 100, lowWords: 513, highWords: 4096 },
];

export const ITEMS_PER_OPERATION = 256;
/** One item in this many replaces a survivor. */
export const SURVIVES_EVERY = 16;
/** Items that stay until this many later ones. */
export const YOUNG = 64;
export const SWAPS_PER_OPERATION = 8;

export const operationsOf = (scale: number): number => Math.max(1, Math.round(OPERATIONS * scale));

/** An item and its slot on the managed heap; its data has a header and is aligned. */
const ITEM_BYTES = 16 + 4;
const dataBytes = (words: number): number => Math.ceil((8 + 4 * words) / 8) * 8;

function meanItemBytes(): number {
  let sum = 0;
  let from = 0;
  for (const { below, lowWords, highWords } of SIZES) {
    const count = highWords - lowWords + 1;
    for (let words = lowWords; words <= highWords; words++)
      sum += ((below - from) / 100 / count) * dataBytes(words);
    from = below;
  }
  return ITEM_BYTES + sum;
}

/** By the scale, or as many as take `liveBytes` on the managed heap. */
export const slotsOf = (scale: number, liveBytes?: number): number =>
  liveBytes === undefined
    ? Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, 6 * operationsOf(scale)))
    : Math.max(1, Math.round(liveBytes / meanItemBytes()));

/** Draws the words of an item's data. */
export function drawWords(random: Random): number {
  const drawn = random.below(100);
  const { lowWords, highWords } = SIZES.find(({ below }) => drawn < below)!;
  return lowWords + random.below(highWords - lowWords + 1);
}

export const firstWord = (id: number): number => Math.imul(id, 0x9e3779b1);
export const lastWord = (id: number): number => mix(id);
