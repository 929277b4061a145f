// Axes: from values to places, and the values that are written beside them.

export interface Axis {
  readonly title: string;
  readonly min: number;
  readonly max: number;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
  /** 0 at `min`, 1 at `max`. */
  place(value: number): number;
}

const TICKS_MAX = 7;

/** From `min` (0 unless told) to a round value beyond the largest. */
export function linearAxis(
  title: string,
  values: readonly number[],
  text: (value: number) => string,
  { min = 0, max, base = 10 }: { min?: number; max?: number; base?: 2 | 10 } = {},
): Axis {
  const largest = max ?? Math.max(min, ...values);
  const step = roundStep((largest - min || 1) / TICKS_MAX, base);
  const end = max ?? Math.max(min + step, Math.ceil(largest / step - 1e-9) * step);
  const ticks: number[] = [];
  for (let i = Math.ceil(min / step); i * step <= end + step * 1e-9; i++) ticks.push(i * step);
  return {
    title,
    min,
    max: end,
    ticks: ticks.map((value) => ({ value, text: value === 0 ? '0' : text(value) })),
    place: (value) => (value - min) / (end - min),
  };
}

function roundStep(least: number, base: 2 | 10): number {
  if (base === 2) return 2 ** Math.ceil(Math.log2(least));
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9))!;
}

/** Whole decades around the values; those at or below 0 have no place on it. */
export function logAxis(title: string, values: readonly number[], text: (value: number) => string): Axis {
  const positive = values.filter((value) => value > 0);
  const [low, high] = positive.length === 0 ? [1, 10] : [Math.min(...positive), Math.max(...positive)];
  const first = Math.floor(Math.log10(low) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(Math.log10(high) - 1e-9));
  const factors = last - first <= 2 ? [1, 2, 5] : [1];
  const stride = Math.ceil((last - first) / TICKS_MAX);
  const ticks: number[] = [];
  for (let power = first; power <= last; power += stride)
    for (const factor of power === last ? [1] : factors)
      ticks.push(Number((factor * 10 ** power).toPrecision(3)));
  return {
    title,
    min: 10 ** first,
    max: 10 ** last,
    ticks: ticks.map((value) => ({ value, text: text(value) })),
    place: (value) => (Math.log10(Math.max(value, 10 ** first)) - first) / (last - first),
  };
}

/** Named places, evenly spaced; values are their indexes. */
export function namedAxis(title: string, names: readonly string[]): Axis {
  const last = Math.max(1, names.length - 1);
  return {
    title,
    min: 0,
    max: last,
    ticks: names.map((text, value) => ({ value, text })),
    place: (value) => value / last,
  };
}
