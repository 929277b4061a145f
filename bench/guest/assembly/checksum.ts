// bench/workloads/checksum.ts and random.ts for guests.

@inline
export const CHECKSUM_START: u32 = 0x811c9dc5;

@inline
export function addWord(checksum: u32, word: u32): u32 {
  return (checksum ^ word) * 0x01000193;
}

export function mix(word: u32): u32 {
  let h = word;
  h = (h ^ (h >>> 16)) * 0x85ebca6b;
  h = (h ^ (h >>> 13)) * 0xc2b2ae35;
  return h ^ (h >>> 16);
}

let state: u32 = 0;

/** One generator is enough: a guest has one thread. */
export function seedRandom(seed: u32): void {
  state = seed;
}

export function nextRandom(): u32 {
  state += 0x6d2b79f5;
  let t = state;
  t = (t ^ (t >>> 15)) * (t | 1);
  t ^= t + (t ^ (t >>> 7)) * (t | 61);
  return t ^ (t >>> 14);
}

/** A number from 0 up to, not including, 1. */
@inline
export function unitRandom(): f64 {
  return <f64>nextRandom() / 4294967296.0;
}

/** An integer from 0 up to, not including, `limit`. */
@inline
export function belowRandom(limit: u32): u32 {
  return <u32>(unitRandom() * <f64>limit);
}
