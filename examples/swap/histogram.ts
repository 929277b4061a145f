// Latencies in shared memory: one writer, any number of readers, a fixed size, and at most 4.5 % wide buckets.

/** Buckets per doubling: 2^(1/16) is 4.4 %. */
const BUCKETS_PER_DOUBLING = 16;
/** From 1 µs to 2^27 µs, two minutes. */
const DOUBLINGS = 27;
const BUCKETS = BUCKETS_PER_DOUBLING * DOUBLINGS;

export const HISTOGRAM_BYTES: number = BUCKETS * Uint32Array.BYTES_PER_ELEMENT;

export interface Quantiles {
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

export class Histogram {
  readonly #counts: Uint32Array;

  constructor(buffer: SharedArrayBuffer, byteOffset: number) {
    this.#counts = new Uint32Array(buffer, byteOffset, BUCKETS);
  }

  record(us: number): void {
    const bucket = Math.floor(Math.log2(Math.max(us, 1)) * BUCKETS_PER_DOUBLING);
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++;
  }

  /** Of all histograms together; the upper ends of the buckets. Zeroes when there is nothing. */
  static quantiles(histograms: readonly Histogram[]): Quantiles {
    const sums = Array.from({ length: BUCKETS }, (_, i) =>
      histograms.reduce((sum, histogram) => sum + histogram.#counts[i]!, 0),
    );
    const count = sums.reduce((sum, n) => sum + n, 0);
    const at = (part: number): number => {
      const rank = Math.max(1, Math.ceil(count * part));
      let below = 0;
      const bucket = sums.findIndex((n) => {
        below += n;
        return below >= rank;
      });
      return count === 0 ? 0 : Math.round(10 * 2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING)) / 10;
    };
    return { count, p50Us: at(0.5), p99Us: at(0.99), maxUs: at(1) };
  }
}
