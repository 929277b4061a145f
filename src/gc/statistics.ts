// A heap's statistics: gathered from the records that every thread keeps for itself, so that counting costs no thread a shared line.

import { ExternalSum } from '../heap/external.ts';
import { Histogram, type Summary } from '../heap/histogram.ts';
import {
  COLLECTOR,
  CTL_ABANDONED,
  CTL_ALLOCATION_RATE,
  CTL_CURSOR,
  CTL_CYCLE,
  CTL_IDLE_CYCLES,
  CTL_LAST_ROOM_MS,
  CTL_LIVE_BYTES,
  CTL_NON_MOVING_LIVE,
  CTL_NON_MOVING_SINCE,
  CTL_PHASE,
  CTL_PREDICTED_ROOM_MS,
  CTL_SOFT_LIMIT,
  CTL_UNREPORTED_CYCLES,
  HISTOGRAM_FAULT,
  HISTOGRAM_FLIP,
  HISTOGRAM_FULL,
  HISTOGRAM_REMARK,
  HISTOGRAM_STALL,
  MAX_THREADS,
  T_ALLOCATED_BYTES,
  T_BUFFER,
  T_CURSOR,
  T_PACED_US,
  T_PACED_WAITS,
  W_BYTES_BUILT,
  W_EAGAIN,
  W_EEXIST,
  W_FAULTS,
  W_FAULTS_LATE,
  W_FAULTS_SHARED,
  W_PAGES,
  W_PEAK_SHARED,
  W_RELEASED,
} from '../heap/layout.ts';
import { Tables } from '../heap/tables.ts';

/** The phases of a cycle by their numbers in the control block (PHASE_…). */
const PHASES = ['idle', 'mark', 'remark', 'plan', 'flip', 'compact', 'close'] as const;

export type CurrentPhase = (typeof PHASES)[number];

export interface HeapStatistics {
  /** Completed cycles, and those that were given up before they moved anything. */
  readonly cycles: number;
  readonly abandonedCycles: number;
  /**
   * Cycles that no event told of: the thread that created the heap had not returned to its event loop while 2048 earlier events waited for it.
   */
  readonly unreportedCycles: number;
  /** What the collector is doing now. */
  readonly phase: CurrentPhase;
  /** Bytes of the heap taken by blocks now. */
  readonly usedBytes: number;
  /** Bytes of the non-moving space in use: what the last cycle left, and what was allocated since. */
  readonly nonMovingBytes: number;
  /** Bytes of objects allocated since the heap was created. */
  readonly allocatedBytes: number;
  /** Bytes of to-space built by the collector and the servers. */
  readonly movedBytes: number;
  /** As the mutators saw them, in microseconds: from reaching the safepoint to running again. */
  readonly pausesUs: { readonly remark: Summary; readonly flip: Summary; readonly full: Summary };
  /** Allocations that waited: for a collection to make room, or because the collector paced them while it finished marking. */
  readonly stallsUs: Summary;
  readonly faults: {
    /** Faults that fault servers were told of. */
    readonly count: number;
    /** A sample of faults, timed by the mutator that took them. */
    readonly latencyUs: Summary;
    /** Every wake-up of a server: from having read its messages to the last page being installed. */
    readonly serviceUs: Summary;
    /** Pages that each worker built: the collector, then the servers. */
    readonly pagesBuiltBy: readonly number[];
    /** Faults that found their page in another worker's hands, and those that found it installed. */
    readonly shared: number;
    readonly late: number;
    readonly eexist: number;
    readonly eagain: number;
  };
  /** Bytes that the heap's memfds hold now, and the most that the collector, or a reader of statistics, ever saw. */
  readonly sharedBytes: number;
  readonly sharedBytesPeak: number;
  /** Bytes of heap pages given back to the system. */
  readonly releasedBytes: number;
  /** How the heap manages itself. */
  readonly sizing: {
    /** Bytes of heap that the next cycle is to be over before. Allocation may pass it, up to the capacity. */
    readonly softLimitBytes: number;
    /** Bytes that the last cycle found alive, and the part of the soft limit that they fill. */
    readonly liveBytes: number;
    readonly utilisation: number;
    /** Bytes per second that allocation is expected to take: a decaying maximum. */
    readonly allocationBytesPerSecond: number;
    /** Milliseconds from the beginning of a cycle to the flip that makes room: of the last cycle, and expected of the next. */
    readonly lastRoomMs: number;
    readonly predictedRoomMs: number;
    /** Waits that the collector imposed so that a cycle could keep up, and their sum in microseconds. They are in `stallsUs` too. */
    readonly pacedWaits: number;
    readonly pacedUs: number;
    /** Bytes that `adjustExternalBytes` says exist outside the heap. */
    readonly externalBytes: number;
    /** Cycles that the heap began because nobody used it. */
    readonly idleCycles: number;
  };
}

/** Reads the statistics; any thread may, at any time. Counters of running threads are as of their last buffer. */
export function readStatistics(tables: Tables, workers: number, sharedBytes: number): HeapStatistics {
  const { control, geometry } = tables;
  const threads = Array.from({ length: MAX_THREADS }, (_, i) => i);
  const over = (kind: number): Summary => Histogram.summarise(threads.map((i) => tables.histogram(i, kind)));
  let allocatedBytes = 0;
  for (const thread of tables.threads) {
    allocatedBytes += Tables.float(thread, T_ALLOCATED_BYTES)[0]! + (thread[T_CURSOR]! - thread[T_BUFFER]!);
  }
  const records = tables.workers.slice(0, workers);
  const sum = (index: number): number => records.reduce((total, record) => total + record[index]!, 0);
  const collector = tables.workers[COLLECTOR]!;
  return {
    cycles: control[CTL_CYCLE]!,
    abandonedCycles: control[CTL_ABANDONED]!,
    unreportedCycles: control[CTL_UNREPORTED_CYCLES]!,
    phase: PHASES[control[CTL_PHASE]!]!,
    usedBytes: control[CTL_CURSOR]! - geometry.heap,
    nonMovingBytes: control[CTL_NON_MOVING_LIVE]! + control[CTL_NON_MOVING_SINCE]!,
    allocatedBytes,
    movedBytes: records.reduce((total, record) => total + Tables.float(record, W_BYTES_BUILT)[0]!, 0),
    pausesUs: { remark: over(HISTOGRAM_REMARK), flip: over(HISTOGRAM_FLIP), full: over(HISTOGRAM_FULL) },
    stallsUs: over(HISTOGRAM_STALL),
    faults: {
      count: sum(W_FAULTS),
      latencyUs: over(HISTOGRAM_FAULT),
      serviceUs: Histogram.summarise(records.map((_, i) => tables.serviceHistogram(i))),
      pagesBuiltBy: records.map((record) => record[W_PAGES]!),
      shared: sum(W_FAULTS_SHARED),
      late: sum(W_FAULTS_LATE),
      eexist: sum(W_EEXIST),
      eagain: sum(W_EAGAIN),
    },
    sharedBytes,
    sharedBytesPeak: Math.max(Tables.float(collector, W_PEAK_SHARED)[0]!, sharedBytes),
    releasedBytes: Tables.float(collector, W_RELEASED)[0]!,
    sizing: sizing(tables),
  };
}

function sizing(tables: Tables): HeapStatistics['sizing'] {
  const { control, geometry, threads } = tables;
  const number = (word: number): number => Tables.float(control, word)[0]!;
  const liveBytes = number(CTL_LIVE_BYTES);
  const softLimitBytes = control[CTL_SOFT_LIMIT]! - geometry.heap;
  return {
    softLimitBytes,
    liveBytes,
    utilisation: liveBytes / softLimitBytes,
    allocationBytesPerSecond: number(CTL_ALLOCATION_RATE),
    lastRoomMs: number(CTL_LAST_ROOM_MS),
    predictedRoomMs: number(CTL_PREDICTED_ROOM_MS),
    pacedWaits: threads.reduce((total, thread) => total + thread[T_PACED_WAITS]!, 0),
    pacedUs: threads.reduce((total, thread) => total + Tables.float(thread, T_PACED_US)[0]!, 0),
    externalBytes: new ExternalSum(tables).bytes,
    idleCycles: control[CTL_IDLE_CYCLES]!,
  };
}
