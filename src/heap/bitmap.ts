// Bitmaps with one bit for each granule of a space, in 32-bit words. Not atomic: each has one writer at a time.

import { GRANULE_LOG2 } from './layout.ts';

/** Sets the bit of the granule at `offset`, in bytes from the beginning of the space. */
export function setBit(bitmap: Int32Array, offset: number): void {
  const granule = offset >>> GRANULE_LOG2;
  bitmap[granule >>> 5] = bitmap[granule >>> 5]! | (1 << (granule & 31));
}

/** Whether the bit of the granule at `offset` is set. */
export function isBitSet(bitmap: Int32Array, offset: number): boolean {
  const granule = offset >>> GRANULE_LOG2;
  return ((bitmap[granule >>> 5]! >>> (granule & 31)) & 1) === 1;
}
