// Sizes in bytes as people write and read them, in binary units.
import { TospaceError } from 'tospace/uffd';

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Reads `64MiB`, `1.5 GiB` or a number of bytes; 0 is a size. @throws TospaceError `ERR_OPTION`, naming the option */
export function readSize(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|)$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]!]!;
  if (!Number.isSafeInteger(bytes)) {
    throw new TospaceError(
      'ERR_OPTION',
      `${option}: "${text}" is not a size; write 64MiB, 256KiB or a number of bytes`,
    );
  }
  return bytes;
}

/** Writes a size in the largest unit that leaves at least 1. */
export function writeSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    if (bytes >= UNITS[unit]!) return `${Number((bytes / UNITS[unit]!).toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}
