// The address map of a heap: where each window and table lies in the shared WebAssembly.Memory.
//
//   0              null guard (64 KiB)
//   heap           what mutators see of the moving space: memfd A or B, in turns
//   non-moving     what mutators see of the space whose objects stay where they are: one memfd, always the same
//   alias A, B     lasting read-write aliases of the heap's two memfds: one is from-space, the other the shadow, in turns
//   alias N        lasting read-write alias of the non-moving space, through which its pages are rewritten in place
//   tables         side tables, roots, records
//
// The first two are flipped: a pause moves their page tables away. They begin on a GiB boundary of the *real* address space and are whole
// GiB, so that one mremap moves them by 1 GiB entries: about 3 µs whatever is populated (Linux 5.11 and later). Where 4 GiB of memory do
// not leave room for that (a heap above some 700 MiB; one above 1 GiB) the non-moving window, then the heap too, are 2 MiB-congruent only.
// The destinations of the moved page tables are reservations outside the memory, congruent to the windows: no kernel reads them, because
// from-space is read through its alias, whose page tables are warm.
//
// The two windows come first, so that every reference is below 2^31 and stays a small integer in V8. The arena sees to it that the memory
// begins just below a GiB boundary (`steered`); anywhere else works too, with less room.

import { TospaceError } from '../errors.ts';
import {
  CARD_BUFFER_ENTRIES,
  CARD_BYTES,
  CHUNK_BYTES,
  CTL_WORDS,
  GRANULE_BYTES,
  HISTOGRAM_WORDS,
  HISTOGRAMS_PER_THREAD,
  MAX_THREADS,
  MAX_TYPES,
  MAX_WORKERS,
  NULL_GUARD_BYTES,
  PAGE_BYTES,
  PAGE_LOG2,
  REFS_WORDS,
  SHADOW_SLOTS,
  THREAD_BYTES,
  TRACE_BYTES,
  TYPE_ENTRY_LOG2,
  WORKER_BYTES,
} from './layout.ts';

export const KIB = 1024;
export const MIB: number = 1024 * KIB;
export const GIB: number = 1024 * MIB;

/** Bytes of the shared memory: all that 32-bit WebAssembly can address. */
export const MEMORY_BYTES: number = 4 * GIB;

/** Smallest heap: one allocation buffer and room to compact it. */
export const MIN_HEAP_BYTES: number = 256 * KIB;

export interface GeometryOptions {
  /** Capacity of the moving space, a multiple of 4 KiB. */
  readonly heapBytes: number;
  /** Capacity of the non-moving space, a multiple of 4 KiB. Default: a sixteenth of the heap, at least 1 MiB. */
  readonly nonMovingBytes?: number;
  /** Entries of the mark stack. */
  readonly markStackEntries: number;
  /** Persistent handles that may exist at a time. */
  readonly persistentSlots: number;
  /** Bytes for reference maps of types. */
  readonly typeMapBytes: number;
}

/** All offsets are bytes in the shared memory; all lengths are bytes. */
export interface Geometry {
  readonly memoryAddress: number;
  readonly heapBytes: number;
  /** Length of the heap window and of the two memfds, which are sparse. The aliases show `heapBytes` of them. */
  readonly windowBytes: number;
  /** Boundary of the real address space on which the heap window begins. */
  readonly alignBytes: number;
  readonly heap: number;
  readonly aliases: readonly [number, number];
  readonly nonMoving: number;
  readonly nonMovingBytes: number;
  /** Length of the non-moving window and of its memfd, a multiple of `nonMovingAlignBytes`. */
  readonly nonMovingWindowBytes: number;
  readonly nonMovingAlignBytes: number;
  readonly nonMovingAlias: number;
  /** From the heap's first byte to the non-moving space's last: what marks, cards and page words are indexed by. */
  readonly managedBytes: number;
  readonly control: number;
  readonly threads: number;
  readonly workers: number;
  readonly histograms: number;
  readonly types: number;
  readonly typeMaps: number;
  readonly typeMapBytes: number;
  readonly marks: number;
  readonly lives: number;
  readonly chunks: number;
  readonly cards: number;
  readonly pageWords: number;
  readonly pageFirst: number;
  readonly pageSource: number;
  /** One word for each page of the non-moving space (see non-moving.ts). */
  readonly spans: number;
  /** One bit for each granule of the non-moving space at which an object begins. */
  readonly allocated: number;
  /** The same for objects allocated between remark and flip. */
  readonly fresh: number;
  readonly persistentSlots: number;
  /** Whose each persistent slot is, a word for every slot. */
  readonly persistentOwners: number;
  readonly shadowStacks: number;
  readonly markStack: number;
  readonly markStackBytes: number;
  /** One staging buffer of a batch for every worker. */
  readonly staging: number;
  /** Where a card scan collects the cards it is about to look at. */
  readonly cardBuffer: number;
  /** Guards and their queues. */
  readonly references: number;
  /** Heads and rings of traces. */
  readonly traces: number;
  readonly tablesBytes: number;
}

export function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** Cards that the kernels look at together. */
const CARD_GROUP = 64;

/** Bytes of one worker's staging buffer: a batch of pages. */
export const STAGING_BYTES: number = 16 * PAGE_BYTES;

/** References, and the address behind the heap, are below this. */
const REFERENCE_LIMIT = 2 ** 31;

/** Where a memory should begin, modulo 1 GiB: its null guard then ends on a GiB boundary, and the first window begins there. */
export const STEERED_RESIDUE: number = GIB - NULL_GUARD_BYTES;

/** Boundaries of the heap window and of the non-moving one, the fastest first. */
const ALIGNMENTS: readonly (readonly [number, number])[] = [
  [GIB, GIB],
  [GIB, 2 * MIB],
  [2 * MIB, 2 * MIB],
];

/** Offset of the first place at or behind `from` that is on a boundary of the real address space. */
function onBoundary(memoryAddress: number, from: number, alignBytes: number): number {
  return alignUp(memoryAddress + from, alignBytes) - memoryAddress;
}

/** Free ranges of the memory, from which regions are cut. */
class Room {
  readonly #free: { at: number; end: number }[];

  constructor(free: readonly (readonly [at: number, end: number])[]) {
    this.#free = free.map(([at, end]) => ({ at, end }));
  }

  /** The start of `bytes` taken from the smallest range that holds them, or undefined. */
  take(bytes: number): number | undefined {
    const fits = this.#free.filter(({ at, end }) => end - at >= bytes);
    const best = fits.sort((a, b) => a.end - a.at - (b.end - b.at))[0];
    if (best === undefined) return undefined;
    const at = best.at;
    best.at += bytes;
    return at;
  }
}

/**
 * Lays out a heap for a memory that begins at `memoryAddress`.
 * @throws TospaceError ERR_OPTION when it does not fit into 4 GiB of memory.
 */
export function layOut(memoryAddress: number, options: GeometryOptions): Geometry {
  const { heapBytes, nonMovingBytes = Math.max(MIB, alignUp(heapBytes / 16, PAGE_BYTES)) } = options;
  for (const [heapAlign, nonMovingAlign] of ALIGNMENTS) {
    const heap = onBoundary(memoryAddress, NULL_GUARD_BYTES, heapAlign);
    const windowBytes = alignUp(heapBytes, heapAlign);
    const nonMoving = onBoundary(memoryAddress, heap + windowBytes, nonMovingAlign);
    const nonMovingWindowBytes = alignUp(nonMovingBytes, nonMovingAlign);
    const end = nonMoving + nonMovingWindowBytes;
    if (nonMoving + nonMovingBytes >= REFERENCE_LIMIT || end > MEMORY_BYTES) continue;
    const managedBytes = nonMoving + nonMovingBytes - heap;
    const { relative, tablesBytes } = placeTables(options, nonMovingBytes, managedBytes);
    const room = new Room([
      [NULL_GUARD_BYTES, heap],
      [heap + windowBytes, nonMoving],
      [end, MEMORY_BYTES],
    ]);
    const a = room.take(heapBytes);
    const b = room.take(heapBytes);
    const n = room.take(nonMovingBytes);
    const base = room.take(tablesBytes);
    if (a === undefined || b === undefined || n === undefined || base === undefined) continue;
    const placed = Object.fromEntries(
      Object.entries(relative).map(([name, at]) => [name, base + at]),
    ) as typeof relative;
    return {
      memoryAddress,
      heapBytes,
      windowBytes,
      alignBytes: heapAlign,
      heap,
      aliases: [a, b],
      nonMoving,
      nonMovingBytes,
      nonMovingWindowBytes,
      nonMovingAlignBytes: nonMovingAlign,
      nonMovingAlias: n,
      managedBytes,
      ...placed,
      typeMapBytes: options.typeMapBytes,
      persistentSlots: options.persistentSlots,
      markStackBytes: options.markStackEntries * 4,
      tablesBytes,
    };
  }
  throw new TospaceError(
    'ERR_OPTION',
    `a heap of ${heapBytes} bytes with a non-moving space of ${nonMovingBytes} does not fit into the 4 GiB of a WebAssembly memory`,
    {
      hint: 'Choose heapBytes of at most 1 GiB (about 1.2 GiB is the largest that can be laid out), or a smaller nonMovingBytes.',
    },
  );
}

/** Places the tables one behind the other, from 0. */
function placeTables(options: GeometryOptions, nonMovingBytes: number, managedBytes: number) {
  let next = 0;
  const place = (bytes: number): number => {
    const at = next;
    next += alignUp(bytes, PAGE_BYTES);
    return at;
  };
  const { heapBytes } = options;
  const pages = heapBytes >>> PAGE_LOG2;
  // One more than there are, so that no end needs a look of its own.
  const chunkCount = managedBytes / CHUNK_BYTES + 1;
  const granuleBits = nonMovingBytes / GRANULE_BYTES / 8;
  const relative = {
    control: place(CTL_WORDS * 4),
    threads: place(MAX_THREADS * THREAD_BYTES),
    workers: place(MAX_WORKERS * WORKER_BYTES),
    histograms: place((MAX_THREADS * HISTOGRAMS_PER_THREAD + MAX_WORKERS) * HISTOGRAM_WORDS * 4),
    types: place(MAX_TYPES << TYPE_ENTRY_LOG2),
    typeMaps: place(options.typeMapBytes),
    marks: place(chunkCount * 8),
    lives: place(chunkCount * 8),
    chunks: place((heapBytes / CHUNK_BYTES + 1) * 4),
    cards: place(alignUp(managedBytes / CARD_BYTES, CARD_GROUP)),
    pageWords: place((managedBytes >>> PAGE_LOG2) * 4),
    pageFirst: place((pages + 1) * 4),
    pageSource: place((pages + 1) * 4),
    spans: place((nonMovingBytes >>> PAGE_LOG2) * 4),
    allocated: place(granuleBits),
    fresh: place(granuleBits),
    persistentOwners: place(options.persistentSlots * 4),
    shadowStacks: place(MAX_THREADS * SHADOW_SLOTS * 4),
    markStack: place(options.markStackEntries * 4),
    staging: place(MAX_WORKERS * STAGING_BYTES),
    cardBuffer: place(CARD_BUFFER_ENTRIES * 4),
    references: place(REFS_WORDS * 4),
    traces: place(TRACE_BYTES),
  };
  return { relative, tablesBytes: next };
}
