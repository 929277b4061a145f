// FNV-1a over 32-bit words instead of bytes: one multiplication a word, no allocation, and any changed, lost or reordered word shows.

export const CHECKSUM_START: number = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;

/** Adds a word. Keep the value as it is between calls, and take `>>> 0` of the last one. */
export function addWord(checksum: number, word: number): number {
  return Math.imul(checksum ^ word, FNV_PRIME);
}

/** Scatters the bits of a word: contents that are a function of an identity and a position are made with it. */
export function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
