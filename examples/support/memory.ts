// What a measurement may use of the machine's memory.
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
  const availableBytes = process.availableMemory();
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
