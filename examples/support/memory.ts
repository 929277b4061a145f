// What a measurement may use of the machine's memory.
import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { writeSize } from './sizes.ts';

const BASE_BYTES = 64 * 1024 * 1024;

/** A size that was left out, and why. */
export interface Cut {
  readonly bytes: number;
  readonly reason: string;
}

/**
 * Which of the sizes there is memory for, now.
 * @param factor how many times the size is needed, besides what the process takes
 */
export function fitSizes(sizes: readonly number[], factor: number): { fit: number[]; cut: Cut[] } {
  const availableBytes = availableMemory();
  const needBytes = (bytes: number): number => Math.ceil(bytes * factor + BASE_BYTES);
  return {
    fit: sizes.filter((bytes) => needBytes(bytes) <= availableBytes),
    cut: sizes
      .filter((bytes) => needBytes(bytes) > availableBytes)
      .map((bytes) => ({
        bytes,
        reason: `needs ${writeSize(needBytes(bytes))}, ${writeSize(availableBytes)} are available`,
      })),
  };
}

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
