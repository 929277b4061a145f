// What this process holds, to show that nothing is left behind.
import { readdirSync, readFileSync } from 'node:fs';
import { type Kernel, MREMAP_DONTUNMAP, MREMAP_FIXED } from '#src/uffd/index.js';

/** The number of open descriptors. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** The O_* flags of an open descriptor, close-on-exec included. */
export function descriptorFlags(fd: number): number {
  const line = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  return Number.parseInt(line![1]!, 8);
}

/**
 * A kernel that keeps account of the bytes that went through it: mapped at places of the kernel's choice and not unmapped
 * yet. (/proc/self/maps cannot tell: V8's own threads map and unmap all the time.)
 */
export function accountMappings(kernel: Kernel): { kernel: Kernel; mappedBytes: () => number } {
  let bytes = 0;
  const accounting: Kernel = {
    ...kernel,
    mmap(addr, length, prot, flags, fd, offset) {
      const result = kernel.mmap(addr, length, prot, flags, fd, offset);
      if (result >= 0 && addr === 0) bytes += length;
      return result;
    },
    mremap(oldAddr, oldLength, newLength, flags, newAddr) {
      const result = kernel.mremap(oldAddr, oldLength, newLength, flags, newAddr);
      // With DONTUNMAP the old place stays; without FIXED the new one was nobody's before.
      const isCopy = (flags & MREMAP_DONTUNMAP) !== 0 && (flags & MREMAP_FIXED) === 0;
      if (result >= 0 && isCopy) bytes += newLength;
      return result;
    },
    munmap(addr, length) {
      const result = kernel.munmap(addr, length);
      if (result === 0) bytes -= length;
      return result;
    },
  };
  return { kernel: accounting, mappedBytes: () => bytes };
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
