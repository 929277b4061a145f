// Sizes in bytes as people write and read them, in binary units.

const UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Reads `64MiB`. @throws RangeError that names the option */
export function readSize(option: string, text: string): number {
  const match = /^(\d+)\s*(KiB|MiB|GiB)$/.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]!]!;
  if (!Number.isSafeInteger(bytes) || bytes === 0)
    throw new RangeError(
      `${option}: "${text}" is not a size; write a number with KiB, MiB or GiB, such as 64MiB`,
    );
  return bytes;
}

/** Writes a size in the largest unit that leaves at least 1. */
export function writeSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    if (bytes >= UNITS[unit]!) return `${Number((bytes / UNITS[unit]!).toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}
