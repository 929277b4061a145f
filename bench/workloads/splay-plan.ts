// The sizes of splay, the same in every form. README.md says what they mean.

/** At scale 1: some 3.5 GB of allocation. */
const OPERATIONS = 10_000;
/** Half of the original's: some 17 MiB of live data. */
const SIZE_MAX = 4000;
const SIZE_MIN = 100;

export const MODIFICATIONS_PER_OPERATION = 80;
export const PAYLOAD_DEPTH = 5;
/** Elements of a leaf's array. */
export const ARRAY_LENGTH = 10;

export const operationsOf = (scale: number): number => Math.max(1, Math.round(OPERATIONS * scale));

export const sizeOf = (scale: number): number =>
  Math.min(SIZE_MAX, Math.max(SIZE_MIN, 4 * operationsOf(scale)));

/** Keys are drawn without a sign. */
export const keyOf = (drawn: number): number => drawn >>> 1;

export const leafText = (tag: number): string => `String for key ${tag} in leaf node`;
