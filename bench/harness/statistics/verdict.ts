// Did a figure change between two runs, or does it only look so?
//
// A change is called one when it is, all at once,
//   - larger than what is worth mentioning (`effect`, a ratio),
//   - larger than that by what the values scatter from process to process: the difference that noise alone exceeds once in a thousand
//     comparisons, by the test of Yuen (1974) over logarithms. It compares means of the middle three fifths and takes the scatter from
//     values whose outer fifths are drawn in to these, because one process in twenty lands badly and is two times slower: in a standard
//     deviation that one would hide any change of the others,
//   - seen by the Mann–Whitney test.
// A difference that is worth mentioning and not beyond the noise is inconclusive: more runs, or a quieter machine, would tell. What the
// machine did differently during the two (other load, other speed) comes as `allowance` and is added to the effect.

import { mannWhitney } from './mann-whitney.ts';
import { mean, median, sorted, squares } from './quantile.ts';

export type Verdict = 'regression' | 'improvement' | 'same' | 'inconclusive';

export interface VerdictOptions {
  readonly better: 'lower' | 'higher';
  /** Least change that matters, as a part: 0.05 is 5 %. */
  readonly effect: number;
  /** Resolution in the unit of the values, added to both: of differences below it nothing can be said. */
  readonly resolution: number;
  /** Part by which the two may differ because the machine did. Default 0. */
  readonly allowance?: number;
}

export interface Judgement {
  readonly verdict: Verdict;
  /** Median of `after` over that of `before`; null when that of `before` is 0. */
  readonly ratio: number | null;
  /** How large the ratio (or its inverse) would have to be to be called a change. */
  readonly threshold: number;
  /** Two-sided, Mann–Whitney. */
  readonly p: number;
}

const VALUES_MIN = 3;
const P_MAX = 0.05;
/** Part of the values at either end that does not count. */
const TRIMMED = 0.2;
/** Of fewer values the outer ones count for the scatter: what is left would say too little about it. */
const SPARABLE_VALUES = 10;
/**
 * Variances are taken for so much larger. Simulated with normal values, four to twenty on each side: one comparison in a thousand is then
 * beyond the noise, in either direction; with 1 it is two or three.
 */
const CAUTION = 1.3;

export function judge(
  before: readonly number[],
  after: readonly number[],
  { better, effect, resolution, allowance = 0 }: VerdictOptions,
): Judgement {
  const ratio = median(before) > 0 ? median(after) / median(before) : null;
  const p = mannWhitney(before, after);
  if (before.length < VALUES_MIN || after.length < VALUES_MIN)
    return { verdict: 'inconclusive', ratio, threshold: Number.POSITIVE_INFINITY, p };
  const logs = (values: readonly number[]): number[] =>
    values.map((value) => Math.log(Math.max(0, value) + resolution));
  const [a, b] = [trim(logs(before)), trim(logs(after))];
  const noise = studentThousandth(a.count + b.count - 2) * Math.sqrt(a.variance + b.variance);
  const mattering = Math.log(1 + effect + allowance);
  const change = b.mean - a.mean;
  const size = Math.abs(change);
  const threshold = Math.exp(mattering + noise);
  if (size <= mattering) return { verdict: 'same', ratio, threshold, p };
  if (size <= mattering + noise || p > P_MAX) return { verdict: 'inconclusive', ratio, threshold, p };
  return { verdict: change > 0 === (better === 'lower') ? 'regression' : 'improvement', ratio, threshold, p };
}

interface Trimmed {
  /** Values that the variance is made of. */
  readonly count: number;
  readonly mean: number;
  /** Of that mean. */
  readonly variance: number;
}

/** Yuen, "The two-sample trimmed t for unequal population variances", Biometrika 61 (1974). Of three values or more. */
function trim(values: readonly number[]): Trimmed {
  const ascending = [...sorted(values)];
  const ends = Math.floor(values.length * TRIMMED);
  const count = values.length - 2 * ends;
  const middle = mean(ascending.slice(ends, ends + count));
  const all = values.length;
  if (all < SPARABLE_VALUES)
    return { count: all, mean: middle, variance: (CAUTION * squares(values)) / (all * (all - 1)) };
  const [low, high] = [ascending[ends]!, ascending[values.length - 1 - ends]!];
  const drawnIn = ascending.map((value) => Math.min(Math.max(value, low), high));
  return {
    count,
    mean: middle,
    variance: (CAUTION * squares(drawnIn)) / (count * (count - 1)),
  };
}

/** Student's t that a value exceeds once in a thousand, by degrees of freedom; above 30 as for 30, which is on the safe side. */
const STUDENT_THOUSANDTH = [
  318.3, 22.33, 10.21, 7.173, 5.893, 5.208, 4.785, 4.501, 4.297, 4.144, 4.025, 3.93, 3.852, 3.787, 3.733,
  3.686, 3.646, 3.61, 3.579, 3.552, 3.527, 3.505, 3.485, 3.467, 3.45, 3.435, 3.421, 3.408, 3.396, 3.385,
];

function studentThousandth(freedom: number): number {
  return STUDENT_THOUSANDTH[Math.min(freedom, STUDENT_THOUSANDTH.length) - 1]!;
}
