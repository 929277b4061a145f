// What the collector tells the thread that created the heap. Times in it are of the collector's performance.now(); `offsetMs` makes them
// times of the system's monotonic clock.

import type { EncodedError } from '../errors.ts';
import type { CycleCause } from '../heap/causes.ts';
import type { CycleReport } from './cycle.ts';

/** A cycle has begun. */
export interface CycleStart {
  /** Number of the cycle: those before it that completed. */
  readonly cycle: number;
  /** Why it began: the most pressing of the requests that it answers. */
  readonly cause: CycleCause;
  /** When it began: milliseconds, on performance.now() of the thread that created the heap. */
  readonly startMs: number;
}

export type HeapEvent =
  | { readonly type: 'start'; readonly start: CycleStart; readonly offsetMs: number }
  | { readonly type: 'cycle'; readonly report: CycleReport; readonly offsetMs: number }
  | { readonly type: 'abandoned'; readonly error: EncodedError };
