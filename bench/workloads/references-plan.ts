// The sizes of references, the same in every form. README.md says what they mean.

import { mix } from './checksum.ts';
import { neverGuarded, wrongDeaths } from './references-mistakes.ts';

/** At scale 1: 2 million subjects. */
const OPERATIONS = 32_768;
/** Some 5 MiB of live data. */
const SUBJECTS_MAX = 32_768;
const SUBJECTS_MIN = 1024;

export const GRAVES = 4096;
export const GUARD_EVERY = 4;
export const REPLACEMENTS_PER_OPERATION = 64;
export const GRAVES_PER_OPERATION = 16;

export const operationsOf = (scale: number): number => Math.max(1, Math.round(OPERATIONS * scale));

export const subjectsOf = (scale: number): number =>
  Math.min(SUBJECTS_MAX, Math.max(SUBJECTS_MIN, 4 * operationsOf(scale)));

export const dataLength = (id: number): number => 4 + ((mix(id) >>> 8) % 16);
export const dataWord = (id: number, index: number): number => (id + index) | 0;
export const numberOf = (id: number): number => mix(id);
export const isGuarded = (id: number): boolean => id % GUARD_EVERY === 0;

/** Objects that should be, or were, finalized: how many, and the exclusive or of their ids. */
export class Deaths {
  count = 0;
  ids = 0;

  add(id: number): void {
    if (!isGuarded(id)) neverGuarded(id);
    this.count++;
    this.ids ^= id;
  }

  /** @throws Error unless these are the same deaths. */
  assertEquals(expected: Deaths): void {
    if (this.count !== expected.count || this.ids !== expected.ids)
      wrongDeaths(this.count, this.ids, expected.count, expected.ids);
  }
}
