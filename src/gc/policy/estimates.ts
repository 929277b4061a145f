// What the collector expects of the near future: how fast the program allocates, and how long a piece of a cycle takes. Plain records and
// pure functions; the governor keeps the records.

/** Bytes per millisecond. */
export interface RateEstimate {
  /** Exponentially weighted mean. */
  readonly meanPerMs: number;
  /** The highest rate seen, forgotten by half in every PEAK_HALF_LIFE_MS. */
  readonly peakPerMs: number;
}

export const NO_RATE: RateEstimate = Object.freeze({ meanPerMs: 0, peakPerMs: 0 });

/** Time constant of the mean: some cycles of a busy heap. */
const MEAN_MS = 500;
/** A burst is expected again for about this long. It also bridges the time in which the pace itself keeps the rate down. */
const PEAK_HALF_LIFE_MS = 1000;

/** The estimate after `bytes` were allocated in `ms` (positive) more. */
export function observeRate(estimate: RateEstimate, bytes: number, ms: number): RateEstimate {
  const rate = bytes / ms;
  const weight = 1 - Math.exp(-ms / MEAN_MS);
  return {
    meanPerMs: estimate.meanPerMs + weight * (rate - estimate.meanPerMs),
    peakPerMs: Math.max(rate, estimate.peakPerMs * 0.5 ** (ms / PEAK_HALF_LIFE_MS)),
  };
}

/** The rate to prepare for. */
export function expectedRate(estimate: RateEstimate): number {
  return Math.max(estimate.meanPerMs, estimate.peakPerMs);
}

export interface DurationEstimate {
  readonly count: number;
  readonly meanMs: number;
  /** Mean distance from the mean. */
  readonly deviationMs: number;
}

export const NO_DURATION: DurationEstimate = Object.freeze({ count: 0, meanMs: 0, deviationMs: 0 });

/** Weight of the newest observation, as TCP weighs round trips: its mean takes an eighth, its deviation a quarter. Cycles are fewer. */
const MEAN_WEIGHT = 0.25;
const DEVIATION_WEIGHT = 0.25;
/** Deviations above the mean that are prepared for. */
const DEVIATIONS = 2;

/** The estimate after one more observation. */
export function observeDuration(estimate: DurationEstimate, ms: number): DurationEstimate {
  if (estimate.count === 0) return { count: 1, meanMs: ms, deviationMs: ms / 4 };
  const error = ms - estimate.meanMs;
  return {
    count: estimate.count + 1,
    meanMs: estimate.meanMs + MEAN_WEIGHT * error,
    deviationMs: estimate.deviationMs + DEVIATION_WEIGHT * (Math.abs(error) - estimate.deviationMs),
  };
}

/** The duration to prepare for in milliseconds; 0 when nothing was observed yet. */
export function expectedDuration(estimate: DurationEstimate): number {
  return estimate.meanMs + DEVIATIONS * estimate.deviationMs;
}
