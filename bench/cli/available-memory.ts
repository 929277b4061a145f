// The memory that there is for a measurement.

import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';

/**
 * Bytes of memory that a process may still take. What Node.js says of a limited control group counts cached files as taken, after a build
 * nearly all that there is; the kernel drops those first.
 */
export function availableMemory(): number {
  const cachedBytes = inactiveFileBytes((path) => readFileSync(path, 'utf8'));
  // On Linux freemem() is what is available on the whole machine.
  return Math.min(freemem(), process.availableMemory() + cachedBytes);
}

/** A limited group's pages of files that nobody has used for a while, in bytes; 0 where there is no such group, or nothing tells. */
export function inactiveFileBytes(read: (path: string) => string): number {
  const text = (path: string): string => {
    try {
      return read(path);
    } catch {
      return '';
    }
  };
  const groups = text('/proc/self/cgroup');
  const v1 = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m.exec(groups)?.[1];
  const v2 = /^0::(.*)$/m.exec(groups)?.[1];
  // In a container version 1 may show a path that only its host has.
  const folders = v1 !== undefined ? [`/memory${v1}`, '/memory'] : v2 !== undefined ? [v2] : [];
  for (const folder of folders) {
    const statistics = text(join('/sys/fs/cgroup', folder, 'memory.stat'));
    // Version 1 has a figure for the group alone, too.
    const found =
      /^total_inactive_file (\d+)$/m.exec(statistics) ?? /^inactive_file (\d+)$/m.exec(statistics);
    if (found !== null) return Number(found[1]);
  }
  return 0;
}
