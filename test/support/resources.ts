// What this process holds, to show that nothing is left behind.
import { readdirSync, readFileSync } from 'node:fs';

/** The number of open descriptors. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Bytes of mappings whose line in /proc/self/maps contains `text`. */
export function mappedBytes(text: string): number {
  let bytes = 0;
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    if (!line.includes(text)) continue;
    const [from, to] = line.split(' ', 1)[0]!.split('-');
    bytes += Number.parseInt(to!, 16) - Number.parseInt(from!, 16);
  }
  return bytes;
}

/** Whether a range is inside mappings whose permissions (as in /proc/self/maps) match `pattern`. */
export function isMapped(address: number, length: number, pattern: RegExp = /./): boolean {
  let at = address;
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const [range, perms] = line.split(' ', 2);
    if (range === undefined || perms === undefined) continue;
    const [from, to] = range.split('-').map((hex) => Number.parseInt(hex, 16));
    if (from! <= at && at < to! && pattern.test(perms)) at = to!;
  }
  return at >= address + length;
}
