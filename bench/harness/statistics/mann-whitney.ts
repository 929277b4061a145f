// Do two samples come from the same distribution? The Mann–Whitney U test, exact for small samples without ties, else by the normal
// approximation with the correction for ties.

const EXACT_MAX = 20;

/** Two-sided p: how often samples of one distribution would differ as much. 1 of an empty sample. */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1;
  let u = 0;
  for (const x of a) for (const y of b) u += x > y ? 1 : x === y ? 0.5 : 0;
  const least = Math.min(u, a.length * b.length - u);
  const all = [...a, ...b].sort((x, y) => x - y);
  const tied = all.some((value, i) => i > 0 && value === all[i - 1]);
  if (!tied && all.length <= EXACT_MAX) return exact(a.length, b.length, least);
  return approximate(a.length, b.length, least, all);
}

/** Counts orders of the two samples by their U. */
function exact(n: number, m: number, u: number): number {
  // ways[i][j][k]: orders of i and j values with U = k; the last value is of the first sample (above all j) or of the second.
  const ways: number[][][] = [];
  for (let i = 0; i <= n; i++) {
    ways[i] = [];
    for (let j = 0; j <= m; j++) {
      const row = new Array<number>(n * m + 1).fill(0);
      if (i === 0 || j === 0) row[0] = 1;
      else
        for (let k = 0; k <= i * j; k++)
          row[k] = (k >= j ? ways[i - 1]![j]![k - j]! : 0) + ways[i]![j - 1]![k]!;
      ways[i]![j] = row;
    }
  }
  const row = ways[n]![m]!;
  const total = row.reduce((sum, count) => sum + count, 0);
  const tail = row.slice(0, Math.floor(u) + 1).reduce((sum, count) => sum + count, 0);
  return Math.min(1, (2 * tail) / total);
}

function approximate(n: number, m: number, u: number, all: readonly number[]): number {
  const size = n + m;
  let ties = 0;
  for (let i = 0; i < size; ) {
    let end = i + 1;
    while (end < size && all[end] === all[i]) end++;
    ties += (end - i) ** 3 - (end - i);
    i = end;
  }
  const variance = ((n * m) / 12) * (size + 1 - ties / (size * (size - 1)));
  if (variance === 0) return 1;
  const z = Math.min(0, u + 0.5 - (n * m) / 2) / Math.sqrt(variance);
  return Math.min(1, 2 * normalTail(-z));
}

/** P(Z > z) for z ≥ 0; Abramowitz and Stegun 26.2.17, wrong by less than 1e-7. */
function normalTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const poly =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
}
