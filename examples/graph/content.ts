// What the graph contains, as functions of its keys: so that every side can build it, and check every answer, without the others.

/** Links of an entry to other entries. They never change; the values do. */
export const LINKS = 4;
/** Links that a walk follows. */
export const HOPS = 8;

const TEXT_UNITS_MIN = 16;
const TEXT_UNITS_MASK = 511;
/** The longest text. */
export const TEXT_UNITS_MAX: number = TEXT_UNITS_MIN + TEXT_UNITS_MASK;
const LOWER_CASE_A = 97;

/** A 32-bit hash of a 32-bit integer, unsigned. */
export function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** What the contents depend on. */
export interface Shape {
  readonly entries: number;
  /** 1 is evenly. */
  readonly skew: number;
}

/** A key for 32 random bits: small keys come up more often, the more so the greater the skew. */
export function skewedKey(bits: number, { entries, skew }: Shape): number {
  const unit = bits / 2 ** 32;
  let part = unit;
  for (let i = 1; i < skew; i++) part *= unit;
  return Math.floor(part * entries);
}

/** The key that link number `link` of `key` leads to. */
export function linkOf(key: number, link: number, shape: Shape): number {
  return skewedKey(mix(key * LINKS + link + 1), shape);
}

/** The link that a walk takes in its n-th hop: two bits of the path for each. */
export function linkAt(path: number, hop: number): number {
  return (path >>> (2 * hop)) & (LINKS - 1);
}

/** Adds a key to what a walk has seen. */
export function visit(seen: number, key: number): number {
  return (Math.imul(seen, 31) + key + 1) | 0;
}

/** What the text of a key is made from after so many updates. */
export function textSeed(key: number, updates: number): number {
  return mix(key + Math.imul(updates, 0x9e3779b1));
}

export function textLength(seed: number): number {
  return TEXT_UNITS_MIN + (seed & TEXT_UNITS_MASK);
}

/** A unit of the text: a letter from a to p. */
export function textUnit(seed: number, index: number): number {
  return LOWER_CASE_A + (((seed >>> (index & 15)) + index) & 15);
}

/** What an entry adds to the checksum of all. A sum: the order of entries does not matter, and neither does that of updates. */
export function entryChecksum(key: number, updates: number, sum: number): number {
  return mix(mix(mix(key) + updates) + sum);
}

/** The text as a JavaScript string. */
export function makeText(seed: number): string {
  const length = textLength(seed);
  for (let i = 0; i < length; i++) scratch[i] = textUnit(seed, i);
  return scratch.toString('latin1', 0, length);
}

export function isText(seed: number, text: string): boolean {
  const length = textLength(seed);
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== textUnit(seed, i)) return false;
  return true;
}

const scratch: Buffer = Buffer.alloc(TEXT_UNITS_MAX);
