import { describe, expect, test } from 'vitest';
import { Histogram } from '#src/heap/histogram.js';
import { HISTOGRAM_WORDS } from '#src/heap/layout.js';
import { forSeeds } from '../support/random.ts';

const create = (): Histogram => new Histogram(new Uint32Array(HISTOGRAM_WORDS));
const of = (...values: number[]): Histogram => {
  const histogram = create();
  for (const value of values) histogram.record(value);
  return histogram;
};
/** Index of the bucket that a value falls into. */
function bucket(value: number): number {
  const words = new Uint32Array(HISTOGRAM_WORDS);
  new Histogram(words).record(value);
  return words.subarray(4).indexOf(1);
}

test('nothing recorded: zeroes', () => {
  expect(Histogram.summarise([])).toEqual({ count: 0, p50: 0, p99: 0, max: 0, mean: 0 });
  expect(Histogram.summarise([create()])).toEqual({ count: 0, p50: 0, p99: 0, max: 0, mean: 0 });
});

describe('buckets', () => {
  test('are exact below 32 and in order above, without a gap', () => {
    for (let value = 0; value < 64; value++) expect(bucket(value)).toBe(value);
    let last = 0;
    for (let value = 1; value < 2 ** 42; value = Math.ceil(value * 1.01)) {
      const at = bucket(value);
      expect(at - last, `${value}`).toBeGreaterThanOrEqual(0);
      expect(at - last, `${value}`).toBeLessThanOrEqual(1);
      last = at;
    }
  });

  test('change at the powers of two, and not one before', () => {
    for (let exponent = 6; exponent < 43; exponent++) {
      expect(bucket(2 ** exponent) - bucket(2 ** exponent - 1), `2^${exponent}`).toBe(1);
      expect(bucket(2 ** exponent + 2 ** (exponent - 5) - 1)).toBe(bucket(2 ** exponent));
    }
  });

  test('the last one takes whatever is larger; nothing is written outside the words', () => {
    for (const value of [2 ** 45, 2 ** 52, Number.MAX_SAFE_INTEGER, 1e300])
      expect(bucket(value)).toBe(HISTOGRAM_WORDS - 5);
    expect([bucket(-1), bucket(-1e9), bucket(0.4)]).toEqual([0, 0, 0]);
  });
});

test('the maximum is exact', () => {
  for (const ns of [1, 31, 33, 1001, 123_457, 999_999_999, 2 ** 40 + 1]) {
    expect(Histogram.summarise([of(1, ns, 0)]).max).toBe(ns / 1000);
  }
});

test('percentiles are within 4 percent of the exact ones, and never above the maximum', () => {
  forSeeds(30, (random) => {
    const values = Array.from({ length: random.int(1, 3000) }, () =>
      Math.floor(2 ** (random.next() * random.int(1, 38))),
    );
    const summary = Histogram.summarise([of(...values)]);
    values.sort((a, b) => a - b);
    for (const [fraction, found] of [
      [0.5, summary.p50],
      [0.99, summary.p99],
    ] as const) {
      const exact = values[Math.ceil(values.length * fraction) - 1]!;
      // Whole ns went in; a double need not give them back when it is divided and multiplied by 1000.
      const ns = Math.round(found * 1000);
      expect(Math.abs(found * 1000 - ns)).toBeLessThan(1e-3);
      expect(ns).toBeGreaterThanOrEqual(exact);
      expect(ns).toBeLessThanOrEqual(exact * 1.04 + 1e-6);
    }
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    expect(summary.mean * 1000).toBeGreaterThanOrEqual(mean - 0.51);
    expect(summary.mean * 1000).toBeLessThanOrEqual(mean * 1.04 + 0.51);
    expect(summary.count).toBe(values.length);
    expect(summary.p99).toBeLessThanOrEqual(summary.max);
  });
});

test('several histograms are summarised as one', () => {
  const low = of(...Array.from({ length: 98 }, () => 1000));
  const high = of(5_000_000, 6_000_000);
  const summary = Histogram.summarise([low, create(), high]);
  expect([summary.count, summary.p50, summary.max]).toEqual([100, expect.closeTo(1, 1), 6000]);
  expect(summary.p99).toBeGreaterThanOrEqual(5000);
  expect(summary.p99).toBeLessThan(5200);
  expect([low.count, high.count]).toEqual([98, 2]);
});
