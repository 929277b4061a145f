// A distribution as the document holds it: exact percentiles of what was measured, and buckets 5 % apart from which several processes'
// distributions can be put together and drawn.

import type { Distribution } from '../schema.ts';
import { nearestRank, sorted } from './quantile.ts';

/** Upper edges are powers of this, in microseconds; what is below the first bucket belongs to it. */
const STEP = 1.05;
const STEP_LOG = Math.log(STEP);
const FIRST_US = 0.01;

export const PERCENTILES: readonly {
  readonly name: 'p50' | 'p90' | 'p99' | 'p999' | 'p9999';
  part: number;
}[] = [
  { name: 'p50', part: 0.5 },
  { name: 'p90', part: 0.9 },
  { name: 'p99', part: 0.99 },
  { name: 'p999', part: 0.999 },
  { name: 'p9999', part: 0.9999 },
];

/** Upper edge of the bucket of a value in microseconds. */
export function bucketEdge(us: number): number {
  const exponent = Math.ceil(Math.log(Math.max(us, FIRST_US)) / STEP_LOG - 1e-9);
  return round(STEP ** exponent);
}

/** Of values in microseconds. Of none: count 0 and nothing known. */
export function distributionOf(valuesUs: ArrayLike<number>): Distribution {
  if (valuesUs.length === 0) return emptyDistribution();
  const ascending = sorted(valuesUs);
  let total = 0;
  const buckets: [number, number][] = [];
  for (const us of ascending) {
    total += us;
    const edge = bucketEdge(us);
    const last = buckets.at(-1);
    if (last !== undefined && last[0] === edge) last[1]++;
    else buckets.push([edge, 1]);
  }
  const at = (part: number): number => round(nearestRank(ascending, part));
  return {
    count: ascending.length,
    mean: round(total / ascending.length),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    p999: at(0.999),
    p9999: at(0.9999),
    max: round(ascending.at(-1)!),
    total: round(total),
    buckets,
  };
}

export function emptyDistribution(): Distribution {
  return {
    count: 0,
    mean: null,
    p50: null,
    p90: null,
    p99: null,
    p999: null,
    p9999: null,
    max: null,
    total: null,
    buckets: [],
  };
}

/** What a heap's own histograms tell: some figures, no buckets. */
export function distributionOfSummary(summary: {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly mean: number;
}): Distribution {
  const { count, p50, p99, max, mean } = summary;
  if (count === 0) return emptyDistribution();
  return {
    ...emptyDistribution(),
    count,
    mean,
    p50,
    p99,
    max,
    total: round(mean * count),
    buckets: null,
  };
}

/**
 * Of all processes together. Percentiles are upper edges of buckets, at most 5 % too high, and exact for one process. Where one has no
 * buckets, nothing but count, mean, maximum and total can be told.
 */
export function mergeDistributions(all: readonly Distribution[]): Distribution {
  const some = all.filter(({ count }) => count > 0);
  if (some.length === 0) return emptyDistribution();
  if (some.length === 1) return some[0];
  const count = some.reduce((sum, one) => sum + one.count, 0);
  const total = sumOrNull(some.map((one) => one.total));
  const max = some.some((one) => one.max === null) ? null : Math.max(...some.map((one) => one.max!));
  const known = {
    ...emptyDistribution(),
    count,
    total,
    max,
    mean: total === null ? null : round(total / count),
  };
  if (some.some(({ buckets }) => buckets === null)) return { ...known, buckets: null };
  const counts = new Map<number, number>();
  for (const { buckets } of some)
    for (const [edge, n] of buckets!) counts.set(edge, (counts.get(edge) ?? 0) + n);
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const at = (part: number): number => {
    let left = Math.max(1, Math.ceil(count * part - 1e-9));
    for (const [edge, n] of buckets) {
      left -= n;
      if (left <= 0) return max === null ? edge : Math.min(edge, max);
    }
    return buckets.at(-1)![0];
  };
  return {
    ...known,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    p999: at(0.999),
    p9999: at(0.9999),
    buckets,
  };
}

function sumOrNull(values: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const value of values) {
    if (value === null) return null;
    sum += value;
  }
  return round(sum);
}

/** Six significant digits: more than any of the measurements has, and half the document's size. */
export function round(value: number): number {
  return Number(value.toPrecision(6));
}
