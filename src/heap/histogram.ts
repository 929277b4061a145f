// A log-linear histogram in shared memory: exact below 32, then 32 buckets per power of two (3 % apart), so that one thread records
// in a few nanoseconds without allocating, and any other thread reads. Values are non-negative integers, nanoseconds by convention.
//
//   word 0 count   words 2–3 maximum as a float64   words 4… buckets

import { HISTOGRAM_WORDS } from './layout.ts';

const SUB_LOG2 = 5;
const SUB = 1 << SUB_LOG2;
const BUCKETS_AT = 4;
const BUCKETS = HISTOGRAM_WORDS - BUCKETS_AT;

export interface Summary {
  readonly count: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly mean: number;
}

/** Index of the bucket that holds `ns`. */
function bucketOf(ns: number): number {
  if (ns < SUB) return ns;
  const exponent = Math.floor(Math.log2(ns));
  const index = (exponent - SUB_LOG2 + 1) * SUB + Math.floor(ns / 2 ** (exponent - SUB_LOG2)) - SUB;
  return Math.min(index, BUCKETS - 1);
}

/** Largest value that falls into bucket `index`, in nanoseconds. */
function bucketTop(index: number): number {
  if (index < SUB) return index;
  const exponent = Math.floor(index / SUB) - 1 + SUB_LOG2;
  return ((index % SUB) + SUB + 1) * 2 ** (exponent - SUB_LOG2) - 1;
}

export class Histogram {
  readonly #words: Uint32Array;
  readonly #maximum: Float64Array;

  /** `words` has HISTOGRAM_WORDS words and begins on 8 bytes. */
  constructor(words: Uint32Array) {
    this.#words = words;
    // Word 0 is the count, words 2–3 the maximum in nanoseconds.
    this.#maximum = new Float64Array(words.buffer, words.byteOffset + 8, 1);
  }

  /** Adds a value in nanoseconds. Only the owning thread may call it. */
  record(ns: number): void {
    const words = this.#words;
    const value = ns < 0 ? 0 : Math.round(ns);
    words[0] = words[0]! + 1;
    if (value > this.#maximum[0]!) this.#maximum[0] = value;
    const at = BUCKETS_AT + bucketOf(value);
    words[at] = words[at]! + 1;
  }

  /** Adds this histogram's counts to `into`, which has BUCKETS + 1 entries; the last is the maximum. */
  addTo(into: Float64Array): void {
    for (let i = 0; i < BUCKETS; i++) into[i] = into[i]! + this.#words[BUCKETS_AT + i]!;
    into[BUCKETS] = Math.max(into[BUCKETS]!, this.#maximum[0]!);
  }

  get count(): number {
    return this.#words[0]!;
  }

  /** Percentiles over several histograms, in microseconds; zeroes when nothing was recorded. */
  static summarise(histograms: Iterable<Histogram>): Summary {
    const sums = new Float64Array(BUCKETS + 1);
    for (const histogram of histograms) {
      // Most threads that could be attached never were: looking through their buckets would cost a millisecond.
      if (histogram.count > 0) histogram.addTo(sums);
    }
    let count = 0;
    let total = 0;
    for (let i = 0; i < BUCKETS; i++) {
      count += sums[i]!;
      total += sums[i]! * bucketTop(i);
    }
    const max = sums[BUCKETS]!;
    const at = (fraction: number): number => {
      let left = Math.ceil(count * fraction);
      if (left === 0) return 0;
      for (let i = 0; i < BUCKETS; i++) {
        left -= sums[i]!;
        // The bucket's upper edge may lie above the largest value that was ever recorded.
        if (left <= 0) return Math.min(bucketTop(i), max);
      }
      return max;
    };
    const us = (ns: number): number => Math.round(ns) / 1000;
    return {
      count,
      p50: us(at(0.5)),
      p99: us(at(0.99)),
      max: us(max),
      mean: us(count === 0 ? 0 : total / count),
    };
  }
}
