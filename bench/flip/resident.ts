// How much of a mapping has page-table entries, as the kernel counts it.
import { readFileSync } from 'node:fs';

/** Bytes that are mapped in the mapping that begins at `address`, by its `Rss` in smaps. NaN if none begins there. */
export function residentBytes(
  address: number,
  smaps: string = readFileSync('/proc/self/smaps', 'utf8'),
): number {
  const start = smaps.search(new RegExp(`^0*${address.toString(16)}-`, 'm'));
  if (start < 0) return Number.NaN;
  const match = /^Rss:\s*(\d+) kB$/m.exec(smaps.slice(start));
  return match === null ? Number.NaN : Number(match[1]) * 1024;
}
