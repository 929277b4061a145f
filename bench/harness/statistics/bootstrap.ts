// Confidence in a median without assuming how values are distributed: it is computed again and again over as many values drawn from the
// ones there are, with replacement, and the middle 95 % of the results are the interval (Efron's percentile bootstrap). Seeded: the same
// values give the same interval.

import { Random } from '../../workloads/random.ts';
import type { Estimate } from '../schema.ts';
import { median, nearestRank } from './quantile.ts';
import { round } from './distribution.ts';

export const RESAMPLES = 2000;
const SEED = 20_221_122;
/** Of fewer values nothing can be drawn but themselves. */
const VALUES_MIN = 3;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The interval of a statistic of one sample. */
export function bootstrap(
  values: readonly number[],
  statistic: (sample: Float64Array) => number,
  confidence: number = 0.95,
  seed: number = SEED,
): Interval {
  const random = new Random(seed);
  return between(RESAMPLES, confidence, () => statistic(resample(values, random)));
}

/** The interval of the ratio of the medians of two samples, `over` the divisor. */
export function bootstrapRatio(
  values: readonly number[],
  over: readonly number[],
  confidence: number = 0.95,
  seed: number = SEED,
): Interval {
  const random = new Random(seed);
  return between(
    RESAMPLES,
    confidence,
    () => median(resample(values, random)) / median(resample(over, random)),
  );
}

function resample(values: readonly number[], random: Random): Float64Array {
  const sample = new Float64Array(values.length);
  for (let i = 0; i < sample.length; i++) sample[i] = values[random.below(values.length)]!;
  return sample;
}

function between(times: number, confidence: number, draw: () => number): Interval {
  const results = new Float64Array(times);
  for (let i = 0; i < times; i++) results[i] = draw();
  results.sort();
  const tail = (1 - confidence) / 2;
  return { low: nearestRank(results, tail), high: nearestRank(results, 1 - tail) };
}

/** The median of the values with its interval; null of no values. */
export function estimate(values: readonly number[]): Estimate | null {
  if (values.length === 0) return null;
  const interval = values.length < VALUES_MIN ? null : bootstrap(values, median);
  return {
    median: round(median(values)),
    low: interval === null ? null : round(interval.low),
    high: interval === null ? null : round(interval.high),
    values: values.map(round),
  };
}

/** The estimate over those that are known. */
export function estimateKnown(values: readonly (number | null | undefined)[]): Estimate | null {
  return estimate(
    values.filter((value) => value !== null && value !== undefined && !Number.isNaN(value)) as number[],
  );
}
