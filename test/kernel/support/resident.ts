// Which pages have a page-table entry, by address: the figures of /proc/self/smaps are of whole mappings, and a mapping may have
// merged with a neighbour that the engine made.
import { closeSync, openSync, readSync } from 'node:fs';
import { PAGE } from './memory.ts';

const ENTRY_BYTES = 8;
/** Bit 63 of an entry, as the top bit of its last byte. */
const PRESENT = 0x80;

/** The bytes of a range that are mapped by page tables of this process. Touches nothing. */
export function residentBytes(range: { readonly address: number; readonly bytes: number }): number {
  const entries = Buffer.alloc((range.bytes / PAGE) * ENTRY_BYTES);
  const fd = openSync('/proc/self/pagemap', 'r');
  try {
    const read = readSync(fd, entries, 0, entries.length, (range.address / PAGE) * ENTRY_BYTES);
    if (read !== entries.length) throw new Error(`pagemap gave ${read} of ${entries.length} bytes`);
  } finally {
    closeSync(fd);
  }
  let bytes = 0;
  for (let i = ENTRY_BYTES - 1; i < entries.length; i += ENTRY_BYTES)
    if ((entries[i]! & PRESENT) !== 0) bytes += PAGE;
  return bytes;
}
