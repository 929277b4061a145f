// How much of a mapping has page-table entries, as the kernel counts it.
import { readFileSync } from 'node:fs';

/** Bytes mapped in the mapping that begins at `address`: its `Rss` in /proc/self/smaps. @throws RangeError if none begins there */
export function residentBytes(address: number): number {
  const smaps = readFileSync('/proc/self/smaps', 'utf8');
  const start = smaps.search(new RegExp(`^0*${address.toString(16)}-`, 'm'));
  const match = start < 0 ? null : /^Rss:\s*(\d+) kB$/m.exec(smaps.slice(start));
  if (match === null) throw new RangeError(`no mapping begins at 0x${address.toString(16)}`);
  return Number(match[1]) * 1024;
}
