// The address map of a heap: where each window and table lies in the shared WebAssembly.Memory.
//
//   0            null guard (64 KiB)
//   head         free space in front of the first window, as large as the memory's real address leaves it
//   heap         what mutators see: memfd A or B, in turns
//   alias A, B   lasting read-write aliases of the two memfds: one is from-space, the other the shadow, in turns
//   tail         free space behind the last window
//
// Windows are whole GiB and begin on a GiB boundary of the *real* address space, so that one mremap moves their page tables by
// 1 GiB entries: about 3 µs whatever is populated (Linux 5.11 and later). A heap above 1 GiB does not leave room for that in 4 GiB
// of memory: its windows are 2 MiB-congruent. The destination of the moved page tables is a reservation outside the memory,
// congruent to the heap window: no kernel reads it, because from-space is read through its alias, whose page tables are warm.
// The heap window is the first, so that every reference is below 2^31 and stays a small integer in V8.
// The tables lie in the head or the tail, whichever is larger.

import { TospaceError } from '../errors.ts';
import {
  CARD_BUFFER_ENTRIES,
  CARD_BYTES,
  CHUNK_BYTES,
  CTL_WORDS,
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
  /** Length of each window; the memfds have the same length and are sparse. */
  readonly windowBytes: number;
  /** Boundary of the real address space on which windows begin. */
  readonly alignBytes: number;
  readonly heap: number;
  readonly aliases: readonly [number, number];
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
  readonly persistent: number;
  readonly persistentSlots: number;
  readonly shadowStacks: number;
  readonly markStack: number;
  readonly markStackBytes: number;
  /** One staging buffer of a batch for every worker. */
  readonly staging: number;
  /** Where a card scan collects the cards it is about to look at. */
  readonly cardBuffer: number;
  /** Guards and their queues. */
  readonly references: number;
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

/** Offset of the first place for a window behind the null guard. */
function firstWindow(memoryAddress: number, alignBytes: number): number {
  const at = alignUp(memoryAddress, alignBytes) - memoryAddress;
  return at < NULL_GUARD_BYTES ? at + alignBytes : at;
}

/**
 * Lays out a heap for a memory that begins at `memoryAddress`.
 * @throws TospaceError ERR_OPTION when the heap does not fit into 4 GiB of memory three times over.
 */
export function layOut(memoryAddress: number, options: GeometryOptions): Geometry {
  const alignBytes = options.heapBytes <= GIB ? GIB : 2 * MIB;
  const heap = firstWindow(memoryAddress, alignBytes);
  // Addresses are kept in signed words, so that not even the heap's end may be 2^31: where a memory begins on a whole GiB (one in
  // sixteen does), a heap of 1 GiB is a page smaller than asked for.
  const heapBytes =
    heap + options.heapBytes === REFERENCE_LIMIT ? options.heapBytes - PAGE_BYTES : options.heapBytes;
  const windowBytes = alignUp(heapBytes, alignBytes);
  const end = heap + 3 * windowBytes;

  // Tables are placed one behind the other from 0 first, then moved to where there is room.
  let next = 0;
  const place = (bytes: number): number => {
    const at = next;
    next += alignUp(bytes, PAGE_BYTES);
    return at;
  };
  const pages = heapBytes >>> PAGE_LOG2;
  // One more than there are, so that no end needs a look of its own.
  const chunkCount = heapBytes / CHUNK_BYTES + 1;
  const relative = {
    control: place(CTL_WORDS * 4),
    threads: place(MAX_THREADS * THREAD_BYTES),
    workers: place(MAX_WORKERS * WORKER_BYTES),
    histograms: place((MAX_THREADS * HISTOGRAMS_PER_THREAD + MAX_WORKERS) * HISTOGRAM_WORDS * 4),
    types: place(MAX_TYPES << TYPE_ENTRY_LOG2),
    typeMaps: place(options.typeMapBytes),
    marks: place(chunkCount * 8),
    lives: place(chunkCount * 8),
    chunks: place(chunkCount * 4),
    cards: place(alignUp(heapBytes / CARD_BYTES, CARD_GROUP)),
    pageWords: place(pages * 4),
    pageFirst: place((pages + 1) * 4),
    pageSource: place((pages + 1) * 4),
    persistent: place(options.persistentSlots * 4),
    shadowStacks: place(MAX_THREADS * SHADOW_SLOTS * 4),
    markStack: place(options.markStackEntries * 4),
    staging: place(MAX_WORKERS * STAGING_BYTES),
    cardBuffer: place(CARD_BUFFER_ENTRIES * 4),
    references: place(REFS_WORDS * 4),
  };
  const tablesBytes = next;
  const headBytes = heap - NULL_GUARD_BYTES;
  const tailBytes = MEMORY_BYTES - end;
  if (tailBytes < 0 || Math.max(headBytes, tailBytes) < tablesBytes) {
    throw new TospaceError(
      'ERR_OPTION',
      `a heap of ${heapBytes} bytes does not fit into the 4 GiB of a WebAssembly memory`,
      {
        hint: 'Choose heapBytes of at most 1 GiB (about 1.2 GiB is the largest that can be laid out).',
      },
    );
  }
  const base = headBytes >= tablesBytes && headBytes >= tailBytes ? NULL_GUARD_BYTES : end;
  const placed = Object.fromEntries(
    Object.entries(relative).map(([name, at]) => [name, base + at]),
  ) as typeof relative;
  return {
    memoryAddress,
    heapBytes,
    windowBytes,
    alignBytes,
    heap,
    aliases: [heap + windowBytes, heap + 2 * windowBytes],
    ...placed,
    typeMapBytes: options.typeMapBytes,
    persistentSlots: options.persistentSlots,
    markStackBytes: options.markStackEntries * 4,
    tablesBytes,
  };
}
