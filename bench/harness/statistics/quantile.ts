// Order statistics.

/** Ascending copy. */
export function sorted(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort();
}

/** Nearest rank: the smallest value that at least `part` of all values do not exceed. Of nothing NaN. */
export function nearestRank(ascending: ArrayLike<number>, part: number): number {
  if (ascending.length === 0) return Number.NaN;
  // A product that is whole but for rounding (0.07 × 100) must not count as the next rank.
  const rank = Math.ceil(ascending.length * part - 1e-9);
  return ascending[Math.min(Math.max(rank, 1), ascending.length) - 1]!;
}

/** The middle value, the mean of the two middle ones of an even number. Of nothing NaN. */
export function median(values: ArrayLike<number>): number {
  return medianOfSorted(sorted(values));
}

export function medianOfSorted(ascending: ArrayLike<number>): number {
  const { length } = ascending;
  if (length === 0) return Number.NaN;
  const upper = ascending[length >> 1]!;
  return length % 2 === 1 ? upper : (upper + ascending[(length >> 1) - 1]!) / 2;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Sum of squared distances from the mean. */
export function squares(values: readonly number[]): number {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
}
