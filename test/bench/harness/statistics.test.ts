// The statistics of the harness: known values, and properties of all.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interleave } from '#bench/harness/order.js';
import { bisect } from '#bench/harness/statistics/bisection.js';
import { bootstrap, bootstrapRatio, estimate } from '#bench/harness/statistics/bootstrap.js';
import { distributionOf, mergeDistributions } from '#bench/harness/statistics/distribution.js';
import {
  countOperations,
  meteredLatencies,
  parseOperations,
  simpleLatencies,
} from '#bench/harness/statistics/latency.js';
import { lboBaseline } from '#bench/harness/statistics/lbo.js';
import { mannWhitney } from '#bench/harness/statistics/mann-whitney.js';
import { disjoint, minimumUtilisation, mutatorUtilisation } from '#bench/harness/statistics/mmu.js';
import { median, nearestRank } from '#bench/harness/statistics/quantile.js';

const values = fc.array(fc.double({ min: 0.01, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('order statistics', () => {
  it('know the textbook', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
    const ranks = Float64Array.from({ length: 100 }, (_, i) => i + 1);
    expect([0, 0.07, 0.5, 0.99, 0.999, 1].map((part) => nearestRank(ranks, part))).toEqual([
      1, 7, 50, 99, 100, 100,
    ]);
  });
});

describe('distributions', () => {
  it('have exact percentiles, and all values in their buckets', () => {
    const one = distributionOf([5, 1, 4, 2, 3]);
    expect(one).toMatchObject({ count: 5, mean: 3, p50: 3, p90: 5, p9999: 5, max: 5, total: 15 });
    expect(distributionOf([])).toMatchObject({ count: 0, p50: null, max: null, total: null });
    fc.assert(
      fc.property(values, (all) => {
        const { buckets, count } = distributionOf(all);
        expect(buckets!.reduce((sum, [, n]) => sum + n, 0)).toBe(count);
        const edges = buckets!.map(([edge]) => edge);
        expect(edges).toEqual([...edges].sort((a, b) => a - b));
      }),
    );
  });

  it('are merged to what one of all values would be, 5 % too high at most', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const merged = mergeDistributions([distributionOf(a), distributionOf(b)]);
        const exact = distributionOf([...a, ...b]);
        expect(merged.count).toBe(exact.count);
        expect(merged.max).toBe(exact.max);
        expect(merged.buckets).toEqual(exact.buckets);
        for (const name of ['p50', 'p90', 'p99', 'p999'] as const) {
          expect(merged[name]!).toBeGreaterThanOrEqual(exact[name]! * 0.9999);
          expect(merged[name]!).toBeLessThanOrEqual(exact[name]! * 1.0501);
        }
      }),
    );
  });

  it('say that they do not know where one has no buckets', () => {
    const blind = { ...distributionOf([1, 2]), buckets: null };
    expect(mergeDistributions([blind, distributionOf([3])])).toMatchObject({
      count: 3,
      p50: null,
      max: 3,
      buckets: null,
    });
  });
});

describe('bootstrap', () => {
  it('is the same for the same values, and holds the median', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 3, maxLength: 15 }), (all) => {
        const { median: middle, low, high } = estimate(all)!;
        expect(low!).toBeLessThanOrEqual(middle);
        expect(high!).toBeGreaterThanOrEqual(middle);
        expect(estimate(all)).toEqual(estimate(all));
      }),
      { numRuns: 20 },
    );
  });

  it('says nothing about confidence with fewer than three values, and nothing at all of none', () => {
    expect(estimate([7, 9])).toEqual({ median: 8, low: null, high: null, values: [7, 9] });
    expect(estimate([])).toBeNull();
  });

  it('covers the true median about as often as it says', () => {
    const draw = generator(5);
    let covered = 0;
    for (let i = 0; i < 100; i++) {
      const { low, high } = bootstrap(
        Array.from({ length: 15 }, () => gaussian(draw)),
        median,
        0.95,
        i,
      );
      if (low <= 0 && high >= 0) covered++;
    }
    // The bootstrap of a median of few values is a little off; 95 % would be 95.
    expect(covered).toBeGreaterThan(86);
    expect(covered).toBeLessThan(100);
  });

  it('gives the interval of a ratio', () => {
    const { low, high } = bootstrapRatio([20, 21, 22, 20, 21], [10, 10.5, 11, 10, 10.5]);
    expect(low).toBeGreaterThan(1.8);
    expect(high).toBeLessThan(2.2);
  });
});

describe('latency', () => {
  const log = (...pairs: number[]): Uint8Array => new Uint8Array(new Float64Array(pairs).buffer);

  it('splits a log where time goes back', () => {
    const threads = parseOperations(log(0, 1, 2, 3, 0.5, 4));
    expect(threads.map((thread) => [...thread])).toEqual([
      [0, 1, 2, 3],
      [0.5, 4],
    ]);
    expect(countOperations(threads)).toBe(3);
    expect(parseOperations(log())).toEqual([]);
  });

  it('refuses what is no log, also in a part of a larger buffer', () => {
    expect(() => parseOperations(new Uint8Array(8))).toThrow(/pairs/);
    expect(() => parseOperations(log(2, 1))).toThrow(/from 2 to 1/);
    expect(() => parseOperations(log(Number.NaN, 1))).toThrow(/NaN/);
    const pool = Buffer.alloc(64, 0xff);
    pool.set(log(1, 2), 24);
    expect([...parseOperations(pool.subarray(24, 40))[0]!]).toEqual([1, 2]);
  });

  it('simple: from the beginning of each to its end', () => {
    expect([...simpleLatencies([Float64Array.of(0, 1, 10, 14)], null)]).toEqual([1000, 4000]);
  });

  it('metered: those that would have come during a pause waited for it', () => {
    // Eleven operations of 1 ms one after the other, the second takes 90 ms longer.
    const pairs: number[] = [];
    let now = 0;
    for (let i = 0; i < 11; i++) {
      pairs.push(now);
      now += i === 1 ? 91 : 1;
      pairs.push(now);
    }
    const operations = [Float64Array.from(pairs)];
    expect(simpleLatencies(operations, null).filter((us) => us > 1001)).toHaveLength(1);
    // They come every 10 ms, starts end at 100: operation 2 comes at 20 and ends at 93.
    const metered = meteredLatencies(operations, null);
    expect(metered[2]).toBeCloseTo(73_000, 3);
    expect(metered[9]).toBeCloseTo(10_000, 3);
    expect(metered[10]).toBeCloseTo(1000, 3);
  });

  it('metered is never below simple', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(50), fc.nat(50)), { minLength: 1, maxLength: 40 }), (steps) => {
        let now = 0;
        const operations = [
          Float64Array.from(
            steps.flatMap(([gap, length]) => {
              const start = now + gap;
              now = start + length;
              return [start, now];
            }),
          ),
        ];
        const simple = simpleLatencies(operations, null);
        meteredLatencies(operations, null).forEach((us, i) => {
          expect(us).toBeGreaterThanOrEqual(simple[i]! - 1e-6);
        });
      }),
    );
  });

  it('open loop: from when an operation was due, counted from the first', () => {
    // 100 a second: due at 5, 15 and 25 ms.
    const operations = [Float64Array.of(5, 6, 18, 20, 25, 26)];
    expect([...simpleLatencies(operations, 100)].map(Math.round)).toEqual([1000, 5000, 1000]);
    expect(meteredLatencies(operations, 100)).toEqual(simpleLatencies(operations, 100));
  });
});

describe('minimum mutator utilisation', () => {
  it('knows easy cases', () => {
    expect(minimumUtilisation([], 100, 10)).toBe(1);
    expect(minimumUtilisation([{ startMs: 50, ms: 10 }], 100, 10)).toBe(0);
    expect(minimumUtilisation([{ startMs: 50, ms: 10 }], 100, 20)).toBeCloseTo(0.5);
    expect(minimumUtilisation([{ startMs: 50, ms: 10 }], 100, 1000)).toBeCloseTo(0.9);
    // Two short pauses in one window are as bad as a long one.
    expect(
      minimumUtilisation(
        [
          { startMs: 10, ms: 2 },
          { startMs: 14, ms: 2 },
        ],
        100,
        10,
      ),
    ).toBeCloseTo(0.6);
  });

  it('does not count time twice, and takes the worst thread', () => {
    expect(
      disjoint(
        [
          { startMs: 5, ms: 10 },
          { startMs: -3, ms: 4 },
          { startMs: 10, ms: 2 },
        ],
        12,
      ),
    ).toEqual([
      { startMs: 0, ms: 1 },
      { startMs: 5, ms: 7 },
    ]);
    expect(mutatorUtilisation([[], [{ startMs: 0, ms: 5 }]], 100, [10])).toEqual([
      { windowMs: 10, utilisation: 0.5 },
    ]);
  });

  it('is never better than a scan of all windows finds', () => {
    const stop = fc.record({ startMs: fc.nat(180), ms: fc.integer({ min: 1, max: 30 }) });
    fc.assert(
      fc.property(fc.array(stop, { maxLength: 12 }), fc.integer({ min: 1, max: 199 }), (stops, windowMs) => {
        const stopped = new Uint8Array(200);
        for (const { startMs, ms } of stops) stopped.fill(1, startMs, Math.min(200, startMs + ms));
        let most = 0;
        for (let from = 0; from + windowMs <= 200; from++)
          most = Math.max(
            most,
            stopped.subarray(from, from + windowMs).reduce((sum, one) => sum + one, 0),
          );
        expect(minimumUtilisation(stops, 200, windowMs)).toBeCloseTo(1 - most / windowMs, 9);
      }),
    );
  });
});

describe('lower-bound overhead', () => {
  it('takes the least that is left of anybody, and knows whose', () => {
    const baseline = lboBaseline(
      [
        { configuration: 'none', totals: [100, 110, 105], costs: [0, 0, 0] },
        { configuration: 'stw', totals: [120, 121, 122], costs: [20, 23, 22] },
        { configuration: 'blind', totals: [50], costs: [null] },
      ],
      median,
    );
    expect(baseline).toEqual({ baselineMs: 100, configuration: 'stw' });
    expect(lboBaseline([{ configuration: 'blind', totals: [50], costs: [null] }], median)).toBeNull();
  });
});

describe('Mann–Whitney', () => {
  it('knows the tables', () => {
    expect(mannWhitney([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])).toBeCloseTo(2 / 252, 10);
    expect(mannWhitney([1, 2, 3], [4, 5, 6])).toBeCloseTo(0.1, 10);
    // Of 5 and 5: U = 8 is 0.4206 in the tables, U = 2 is 0.0317.
    expect(mannWhitney([1, 4, 5, 6, 7], [2, 3, 8, 9, 10])).toBeCloseTo(0.4206, 4);
    expect(mannWhitney([1, 2, 3, 4, 7], [5, 6, 8, 9, 10])).toBeCloseTo(0.0317, 4);
    expect(mannWhitney([], [1])).toBe(1);
    expect(mannWhitney([1, 1, 1], [1, 1, 1])).toBe(1);
  });

  it('does not depend on which sample comes first', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const p = mannWhitney(a, b);
        expect(p).toBeCloseTo(mannWhitney(b, a), 9);
        expect(p).toBeGreaterThan(0);
        expect(p).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('bisection', () => {
  it('finds the edge to within its precision, in few steps', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4000 }), async (edge) => {
        const { works, fails, probes } = await bisect(
          16,
          4096,
          { align: 4, precision: 1 / 16 },
          async (size) => size >= edge,
        );
        expect(works!).toBeGreaterThanOrEqual(edge);
        expect(fails ?? 0).toBeLessThan(edge);
        if (fails !== null) expect(works! <= fails * (1 + 1 / 16) || works! - fails <= 4).toBe(true);
        expect(new Set(probes.map(({ size }) => size)).size).toBe(probes.length);
        expect(probes.length).toBeLessThan(12);
      }),
    );
  });

  it('says when nothing works', async () => {
    expect(await bisect(16, 64, { align: 4, precision: 0.1 }, async () => false)).toMatchObject({
      works: null,
      fails: 64,
    });
  });
});

describe('interleaving', () => {
  it('has every item once a round, the same for the same seed, and not always the same', () => {
    const items = ['a', 'b', 'c', 'd', 'e'];
    const order = interleave(items, 4, 7);
    expect(order).toEqual(interleave(items, 4, 7));
    expect(order).not.toEqual(interleave(items, 4, 8));
    for (let round = 1; round <= 4; round++) {
      const of = order.filter((one) => one.round === round).map(({ item }) => item);
      expect([...of].sort()).toEqual(items);
    }
    expect(
      new Set(
        [1, 2, 3, 4].map((round) =>
          order
            .filter((one) => one.round === round)
            .map(({ item }) => item)
            .join(),
        ),
      ).size,
    ).toBeGreaterThan(1);
  });
});

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

function gaussian(draw: () => number): number {
  return Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw());
}
