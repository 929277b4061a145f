// What the threads of the example share, and what they are sent when they start.
import type { EncodedError, InjectionPlan, UserfaultfdKind } from 'tospace/uffd';
import type { ArenaDescription } from './arena.ts';
import type { CodecName } from './codec.ts';
import { HISTOGRAM_BYTES, Histogram } from './histogram.ts';

/** Two threads that use the memory, as the program that is being swapped. */
export const MUTATORS = 2;

/** What mutators do, in order; `Control.phase` holds the number. */
export const Phase = {
  /** Write every record for the first time. */
  FILL: 0,
  /** Wait: memory is being registered. */
  READY: 1,
  /** Read and write, most of the time in a window that wanders. */
  RUN: 2,
  /** Read every record once more, and then end. */
  VERIFY: 3,
} as const;

/** Numbers that each have one writer. Doubles: they count bytes. */
export const Counter = {
  /** Evictor. */
  MOVED_REGIONS: 0,
  EVICTED_REGIONS: 1,
  /** Written to the file, also for regions that were touched before they could be released. */
  WRITTEN_RAW_BYTES: 2,
  WRITTEN_STORED_BYTES: 3,
  MOVE_MS: 4,
  /** Copy, compress and write. */
  WRITE_MS: 5,
  SYNC_MS: 6,
  RELEASE_MS: 7,
  EVICTION_ERRORS: 8,
  FILE_USED_BYTES: 9,
  FILE_END_BYTES: 10,
  EVICTED_STORED_BYTES: 11,
  /** Server. */
  LOADED: 12,
  RESCUED: 13,
  STALE: 14,
  LOAD_MS: 15,
  /** Regions that came home although nobody touched them: their write failed. */
  BROUGHT_BACK: 16,
  /** Mutators, one after the other: see mutatorCounter. */
  MUTATORS: 17,
} as const;

/** Of each mutator. */
export const MutatorCounter = { READS: 0, WRITES: 1, WRONG_WORDS: 2, RECORDS_VERIFIED: 3 } as const;
const MUTATOR_COUNTERS = Object.keys(MutatorCounter).length;

/** The index of a mutator's counter. */
export function mutatorCounter(mutator: number, counter: number): number {
  return Counter.MUTATORS + mutator * MUTATOR_COUNTERS + counter;
}

/** Which latencies are recorded, each by every mutator. */
export const STALLS = ['loaded', 'rescued'] as const;

/** The shared memory beside the memory that is swapped. */
export interface SharedBuffers {
  /** Int32: phase, then 1 when the evictor has to end. */
  readonly control: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly regions: SharedArrayBuffer;
  /** One histogram for each stall of each mutator. */
  readonly histograms: SharedArrayBuffer;
  /** What records are filled from. */
  readonly corpus: SharedArrayBuffer;
}

export const CONTROL_PHASE = 0;
export const CONTROL_STOP = 1;
const CONTROLS = 2;

export function createShared(regions: SharedArrayBuffer, corpus: SharedArrayBuffer): SharedBuffers {
  const words = mutatorCounter(MUTATORS, 0);
  return {
    control: new SharedArrayBuffer(CONTROLS * Int32Array.BYTES_PER_ELEMENT),
    counters: new SharedArrayBuffer(words * Float64Array.BYTES_PER_ELEMENT),
    regions,
    histograms: new SharedArrayBuffer(HISTOGRAM_BYTES * MUTATORS * STALLS.length),
    corpus,
  };
}

/** The histogram of a mutator for STALLS[stall]. */
export function stallHistogram(buffer: SharedArrayBuffer, mutator: number, stall: number): Histogram {
  return new Histogram(buffer, (mutator * STALLS.length + stall) * HISTOGRAM_BYTES);
}

/** What a pager thread (evictor, server) is started with. */
export interface PagerData {
  readonly shared: SharedBuffers;
  readonly arenas: readonly ArenaDescription[];
  readonly uffd: { readonly fd: number; readonly kind: UserfaultfdKind; readonly features: bigint };
  readonly fileFd: number;
  readonly codec: CodecName;
  /** Bytes that may stay resident. */
  readonly residentBytes: number;
  readonly fileLimitBytes: number;
  readonly stopFd: number;
  readonly injection: InjectionPlan;
}

/** What the evictor says: once that it begins, and then what it could not evict. */
export type EvictorMessage = 'ready' | { readonly evictionError: EncodedError; readonly broughtBack: number };

/** What a mutator is started with. */
export interface MutatorData {
  readonly shared: SharedBuffers;
  readonly arenas: readonly ArenaDescription[];
  readonly mutator: number;
  readonly seed: number;
  /** Bytes of each arena that are used all the time. */
  readonly windowBytes: number;
}
