// Durations, counted in buckets 2 % apart: recording takes some nanoseconds and no memory, so that the measurement is none of the load.
// What several threads or processes counted can be added up, which percentiles cannot.

const BUCKETS_PER_E = 50;
const BUCKETS = 1200;
/** The lowest bucket, in milliseconds: 10 ns. */
const LEAST_MS = 1e-5;

/** Microseconds: upper edges of buckets, but for the maximum, which is exact. Zeroes when nothing was counted. */
export interface LatencySummary {
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** Counts as they are posted or written: pairs of a bucket and how often it was met. */
export interface LatencyCounts {
  readonly buckets: readonly (readonly [bucket: number, count: number])[];
  readonly maxMs: number;
}

export class Latencies {
  readonly #counts = new Float64Array(BUCKETS);
  #maxMs = 0;

  /** @param times how many took so long */
  record(ms: number, times = 1): void {
    const bucket = Math.ceil(Math.log(Math.max(ms, LEAST_MS) / LEAST_MS) * BUCKETS_PER_E);
    this.#counts[Math.min(bucket, BUCKETS - 1)]! += times;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  counts(): LatencyCounts {
    const buckets = [...this.#counts.entries()].filter(([, count]) => count > 0);
    return { buckets, maxMs: this.#maxMs };
  }

  static summarise(all: Iterable<LatencyCounts>): LatencySummary {
    const sums = new Float64Array(BUCKETS);
    let count = 0;
    let maxMs = 0;
    for (const { buckets, maxMs: max } of all) {
      for (const [bucket, times] of buckets) {
        sums[bucket]! += times;
        count += times;
      }
      maxMs = Math.max(maxMs, max);
    }
    const us = (ms: number): number => Math.round(ms * 1e5) / 100;
    const at = (part: number): number => {
      let left = Math.ceil(count * part);
      if (left === 0) return 0;
      const bucket = sums.findIndex((times) => {
        left -= times;
        return left <= 0;
      });
      return us(Math.min(Math.exp(bucket / BUCKETS_PER_E) * LEAST_MS, maxMs));
    };
    return { count, p50Us: at(0.5), p99Us: at(0.99), p999Us: at(0.999), maxUs: us(maxMs) };
  }
}
