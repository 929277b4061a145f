// Sizes in bytes as people write and read them. Binary units only: a page, a heap and a memfd are powers of two.

import { UsageError } from './usage.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Reads `256MiB`, `1GiB`, `1.5 GiB` or a plain number of bytes. @throws UsageError */
export function parseBytes(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|)$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]];
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new UsageError(
      `${option}: "${text}" is not a size; write a number with KiB, MiB or GiB, such as 256MiB`,
    );
  }
  return bytes;
}

const RATES: Readonly<Record<string, number>> = {
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** Reads `200MB/s` or `1GiB/s`, in bytes per second. @throws UsageError */
export function parseRate(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(kB|MB|GB|KiB|MiB|GiB)\/s$/.exec(text);
  const rate = match === null ? 0 : Number(match[1]) * RATES[match[2]];
  if (!(rate > 0)) {
    throw new UsageError(
      `${option}: "${text}" is not a rate; write a number with a unit, such as 200MB/s or 1GiB/s`,
    );
  }
  return rate;
}

/** Writes a size with the largest unit that leaves at least 1. */
export function formatBytes(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    if (bytes >= UNITS[unit]) return `${Number((bytes / UNITS[unit]).toFixed(1))} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}
