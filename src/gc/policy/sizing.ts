// How large the heap should be: the soft limit, and how many of its pages are worth keeping.
//
// Three wishes make the soft limit, and the largest wins. Live data should fill no more than `targetUtilisation` of it (Android's rule).
// Tracing and copying should not take more than a twentieth of the time: a program that allocates fast gets more room, up to the
// capacity, as a throughput goal does it in other collectors. And there is a least size.
//
// The soft limit delays nobody. A program that reaches it while a cycle runs grows the heap: growing beats waiting. What is too much is
// given back when some cycles in a row did without.

import { alignUp, MIB } from '../../heap/geometry.ts';
import { PAGE_BYTES } from '../../heap/layout.ts';

/** Least room between two cycles, whatever is alive: a cycle has fixed costs of some milliseconds. */
export const MIN_FREE_BYTES: number = 8 * MIB;

/**
 * Part of the time in which the collector may trace and copy before the heap grows for it. With a tenth GCBench in 256 MiB has twice the
 * cycles and takes 8 % longer.
 */
const COLLECTOR_SHARE = 0.05;

export interface SizingInput {
  /** Bytes that the heap may have at most, and at least. */
  readonly capacityBytes: number;
  readonly minBytes: number;
  /** Part of the heap that live data may fill, above 0 and below 1. */
  readonly targetUtilisation: number;
  /** Bytes that were found alive. */
  readonly liveBytes: number;
  /** Bytes in use after the flip: what is alive, and what was allocated while the cycle ran. */
  readonly usedBytes: number;
  /**
   * Bytes per millisecond that are expected to be allocated. A peak rather than a mean: where CPUs are short the mean is low because the
   * program waits for them, and to collect more often would make that worse.
   */
  readonly ratePerMs: number;
  /** Milliseconds of a cycle that are spent on what is alive: marking, planning, compacting. */
  readonly workMs: number;
}

/** Bytes of heap to use before the next cycle is over: a whole number of pages, from what is in use to the capacity. */
export function softLimit(input: SizingInput): number {
  const { capacityBytes, liveBytes, usedBytes } = input;
  const free = Math.max(
    liveBytes * (1 / input.targetUtilisation - 1),
    MIN_FREE_BYTES,
    (input.ratePerMs * input.workMs) / COLLECTOR_SHARE,
  );
  return Math.min(capacityBytes, alignUp(Math.max(input.minBytes, usedBytes + free), PAGE_BYTES));
}

/** What is held above what is needed, as a part of that, before giving back is worth its system calls and the page faults after it. */
const SLACK = 0.25;
/** Cycles whose needs are remembered: what one in three cycles uses is not given back in between. */
export const REMEMBERED_CYCLES = 3;

/**
 * Bytes at the start of a memfd whose pages are kept.
 * @param heldBytes bytes at its start that may hold pages now.
 * @param neededBytes what each of the last cycles needed.
 * @returns at most `heldBytes`; just that when there is nothing worth giving back.
 */
export function bytesToKeep(heldBytes: number, neededBytes: readonly number[]): number {
  const needed = Math.max(0, ...neededBytes);
  return heldBytes > needed * (1 + SLACK) ? Math.min(alignUp(needed, PAGE_BYTES), heldBytes) : heldBytes;
}
