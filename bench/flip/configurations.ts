// The axes of `bench flip`. Every combination is measured.

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const MEMORIES = ['anonymous', 'shmem'] as const;
export type Memory = (typeof MEMORIES)[number];

/** How far the destination is from congruent with the source modulo 1 GiB: the step at which page tables can be moved. */
export const CONGRUENCE_NAMES = ['gib', 'mib2', 'kib4'] as const;
export type Congruence = (typeof CONGRUENCE_NAMES)[number];
export const CONGRUENCES: Readonly<
  Record<Congruence, { readonly shiftBytes: number; readonly label: string }>
> = {
  gib: { shiftBytes: 0, label: '1 GiB' },
  mib2: { shiftBytes: 2 * MIB, label: '2 MiB' },
  kib4: { shiftBytes: 4 * KIB, label: '4 KiB' },
};

/** The modulus: what one entry of the third level of the page tables spans. */
export const ALIGN_BYTES: number = GIB;

/** Populated parts of the range, counted from its beginning: how a heap fills. */
export const POPULATED: readonly number[] = [0, 1 / 16, 1];

/** Every size is a power of four of MiB, so that a plot over them is even. */
export const SIZES_BYTES: readonly number[] = [1, 4, 16, 64, 256, 1024].map((mib) => mib * MIB);

/** What the three regimes are read off: from here on whole entries of 1 GiB can be moved. */
export const REGIME_BYTES: number = GIB;

/** One memory in one size with one populated part: its variants are measured in alternation, on the same pages. */
export interface Group {
  readonly memory: Memory;
  readonly sizeBytes: number;
  readonly populated: number;
}

/** What differs inside a group. */
export interface Variant {
  readonly congruence: Congruence;
  /** The source is registered with a userfaultfd that has not asked for EVENT_REMAP. */
  readonly registered: boolean;
}

export const VARIANTS: readonly Variant[] = [false, true].flatMap((registered) =>
  CONGRUENCE_NAMES.map((congruence) => ({ congruence, registered })),
);

export function groups(sizesBytes: readonly number[]): Group[] {
  return MEMORIES.flatMap((memory) =>
    POPULATED.flatMap((populated) => sizesBytes.map((sizeBytes) => ({ memory, sizeBytes, populated }))),
  );
}

/** The pages of the largest group, their page tables twice, Node.js, and what the machine does besides. */
const MEMORY_FACTOR = 1.25;
const MEMORY_BASE_BYTES = 64 * MIB;

export interface FittingSizes {
  readonly sizesBytes: readonly number[];
  /** Sizes that are left out, and why. */
  readonly cut: readonly { readonly sizeBytes: number; readonly reason: string }[];
}

/** The sizes that `availableBytes` of memory have room for. One group is in memory at a time. */
export function fitSizes(sizesBytes: readonly number[], availableBytes: number): FittingSizes {
  const needBytes = (sizeBytes: number): number => sizeBytes * MEMORY_FACTOR + MEMORY_BASE_BYTES;
  const mib = (bytes: number): string => `${Math.floor(bytes / MIB)} MiB`;
  return {
    sizesBytes: sizesBytes.filter((sizeBytes) => needBytes(sizeBytes) <= availableBytes),
    cut: sizesBytes
      .filter((sizeBytes) => needBytes(sizeBytes) > availableBytes)
      .map((sizeBytes) => ({
        sizeBytes,
        reason: `needs ${mib(needBytes(sizeBytes))} of memory, ${mib(availableBytes)} are available`,
      })),
  };
}
