// Three ways to give a block of memory a place that is twice as large, as an allocator would that keeps its address space: the block
// moves into a free extent, and the place that it leaves becomes a free extent itself, mapped, empty and reading as zero.
import {
  check,
  type Kernel,
  MADV_DONTNEED,
  MADV_POPULATE_WRITE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  viewOf,
} from 'tospace/uffd';
import type { Pattern } from './pattern.ts';

/**
 * `move`: its pages move. `copy`: its bytes are copied to pages that the kernel finds while copying; its pages are given back.
 * `copyWarm`: the same, but the pages were there already, as after an earlier use: the best that copying can do.
 */
export const METHODS = ['move', 'copy', 'copyWarm'] as const;
export type Method = (typeof METHODS)[number];

export const GROWTH = 2;
/** Whole entries of the page tables move between places that are congruent modulo what the largest of them spans. */
const ALIGN_BYTES = 1024 * 1024 * 1024;

export interface Growth {
  /** From asking for the larger block to having it, the old place being empty. */
  readonly us: number;
  /** Every byte of the block is at the new place. */
  readonly arrived: boolean;
  /** The rest of the new place can be read and written. */
  readonly grown: boolean;
  /** The old place is still mapped, and every byte of it is zero. */
  readonly sourceZero: boolean;
}

/**
 * Grows a block of `bytes` (a multiple of a MiB) once, from a fresh state, and looks at all of it afterwards.
 * @throws TospaceError when the kernel refuses a step
 */
export function growOnce(kernel: Kernel, pattern: Pattern, method: Method, bytes: number): Growth {
  using source = Reservation.reserve(kernel, bytes, { alignBytes: ALIGN_BYTES });
  using target = Reservation.reserve(kernel, bytes * GROWTH, { alignBytes: ALIGN_BYTES });
  for (const extent of [source, target]) {
    check(
      kernel.mprotect(extent.address, extent.bytes, PROT_READ | PROT_WRITE),
      'mprotect',
      'making a free extent',
    );
  }
  const old = Buffer.from(viewOf(source.address, bytes));
  const grown = Buffer.from(viewOf(target.address, bytes * GROWTH));
  pattern.write(old);
  if (method === 'copyWarm')
    check(kernel.madvise(target.address, bytes, MADV_POPULATE_WRITE), 'madvise', 'touching the free extent');

  const start = performance.now();
  if (method === 'move') {
    // The head of the free extent is replaced by the block; the place it leaves stays mapped, without a page.
    const result = kernel.mremap(
      source.address,
      bytes,
      bytes,
      MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
      target.address,
    );
    check(result, 'mremap', `moving ${bytes} bytes`);
  } else {
    old.copy(grown, 0, 0, bytes);
    check(kernel.madvise(source.address, bytes, MADV_DONTNEED), 'madvise', 'giving the old pages back');
  }
  const us = (performance.now() - start) * 1000;

  const arrived = pattern.isIn(grown.subarray(0, bytes));
  const tail = grown.subarray(bytes);
  const wasZero = tail.at(0) === 0 && tail.at(-1) === 0;
  tail[0] = 1;
  tail[tail.length - 1] = 2;
  return {
    us,
    arrived,
    grown: wasZero && tail.at(0) === 1 && tail.at(-1) === 2,
    sourceZero: pattern.isZero(old),
  };
}
