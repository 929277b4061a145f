// Durations, counted in buckets 2 % apart: recording takes some nanoseconds and no memory, so that the measurement is none of the load.

const BUCKETS_PER_E = 50;
const BUCKETS = 1000;

export interface LatencySummary {
  readonly count: number;
  /** Microseconds; upper edges of buckets, but for the maximum, which is exact. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Latencies {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #maxMs = 0;

  record(ms: number): void {
    // From 10 ns up.
    const bucket = Math.ceil(Math.log(Math.max(ms, 1e-5) * 1e5) * BUCKETS_PER_E);
    this.#counts[Math.min(bucket, BUCKETS - 1)]++;
    this.#count++;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  summary(): LatencySummary {
    const us = (ms: number): number => Math.round(ms * 1e6) / 1000;
    const at = (part: number): number => {
      let left = Math.ceil(this.#count * part);
      for (let i = 0; i < BUCKETS; i++) {
        left -= this.#counts[i];
        if (left <= 0) return us(Math.min(Math.exp(i / BUCKETS_PER_E) * 1e-5, this.#maxMs));
      }
      return us(this.#maxMs);
    };
    return this.#count === 0
      ? { count: 0, p50: 0, p99: 0, p999: 0, max: 0 }
      : { count: this.#count, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: us(this.#maxMs) };
  }
}
