// The sizes of lru-cache, the same in every form. README.md says what they mean.

import { mix } from './checksum.ts';

/** Lookups at scale 1. */
const LOOKUPS = 16_000_000;
/** Entries: some 13 MiB of live data with their values. Smaller where a run is too short to fill and turn over so many. */
const CAPACITY_MAX = 131_072;
const CAPACITY_MIN = 1024;
/** Keys there are for each entry there is room for. */
const KEYS_PER_ENTRY = 4;
/** A value has 1 to this many words. */
const VALUE_WORDS_MAX = 24;
const SCATTER = 0x9e3779b1;

/** One lookup in this many replaces the value if it hits. */
export const REPLACE_EVERY = 8;
export const LOOKUPS_PER_OPERATION = 1024;

export const lookupsOf = (scale: number): number => Math.max(1, Math.round(LOOKUPS * scale));

export const capacityOf = (scale: number): number =>
  Math.min(CAPACITY_MAX, Math.max(CAPACITY_MIN, Math.floor(lookupsOf(scale) / 16)));

/** A power of two. */
export const bucketsOf = (capacity: number): number => 2 ** Math.ceil(Math.log2(capacity));

export const keysOf = (capacity: number): number => capacity * KEYS_PER_ENTRY;

/** What length and contents of a value follow from. */
export const valueIdentity = (key: number, version: number): number => mix(key + Math.imul(version, SCATTER));

export const valueLength = (identity: number): number => 1 + ((identity >>> 8) % VALUE_WORDS_MAX);

export const valueWord = (identity: number, index: number): number => Math.imul(identity + index, SCATTER);
