// Did a figure change between two runs, or does it only look so?
//
// A change is called one when it is, all at once,
//   - larger than what is worth mentioning (`effect`, a ratio),
//   - larger than that by what the values scatter from process to process: the difference of two medians that noise alone exceeds once
//     in a thousand comparisons (Student's t over logarithms; a scatter of few values is itself uncertain, and t accounts for it),
//   - seen by the Mann–Whitney test, which no single outlier impresses.
// A difference that is worth mentioning and not beyond the noise is inconclusive: more runs, or a quieter machine, would tell. What the
// machine did differently during the two (other load, other speed) comes as `allowance` and is added to the effect.

import { mannWhitney } from './mann-whitney.ts';
import { median, squares } from './quantile.ts';

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
/** The variance of a median over that of a mean, of normal values. */
const MEDIAN_VARIANCE = Math.PI / 2;

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
  const [a, b] = [logs(before), logs(after)];
  const freedom = a.length + b.length - 2;
  const scatter = Math.sqrt((squares(a) + squares(b)) / freedom);
  const noise =
    studentThousandth(freedom) * scatter * Math.sqrt(MEDIAN_VARIANCE * (1 / a.length + 1 / b.length));
  const mattering = Math.log(1 + effect + allowance);
  const change = median(b) - median(a);
  const size = Math.abs(change);
  const threshold = Math.exp(mattering + noise);
  if (size <= mattering) return { verdict: 'same', ratio, threshold, p };
  if (size <= mattering + noise || p > P_MAX) return { verdict: 'inconclusive', ratio, threshold, p };
  return { verdict: change > 0 === (better === 'lower') ? 'regression' : 'improvement', ratio, threshold, p };
}

/** Student's t that a value exceeds once in a thousand, by degrees of freedom; above 30 as for 30, which is on the safe side. */
const STUDENT_THOUSANDTH = [
  318.3, 22.33, 10.21, 7.173, 5.893, 5.208, 4.785, 4.501, 4.297, 4.144, 4.025, 3.93, 3.852, 3.787, 3.733,
  3.686, 3.646, 3.61, 3.579, 3.552, 3.527, 3.505, 3.485, 3.467, 3.45, 3.435, 3.421, 3.408, 3.396, 3.385,
];

function studentThousandth(freedom: number): number {
  return STUDENT_THOUSANDTH[Math.min(freedom, STUDENT_THOUSANDTH.length) - 1]!;
}
