// What a mirror costs to make: the same for a page and for a gigabyte, because no page table is copied.
import { check, type Kernel, MADV_POPULATE_WRITE } from 'tospace/uffd';
import { type Spread, spreadOf } from '../support/samples.ts';
import { Mirrored, WAYS, type Way } from './places.ts';

export interface Creation {
  readonly bytes: number;
  /** Microseconds, by way. */
  readonly us: Readonly<Record<Way, Spread>>;
}

/** Makes and unmakes mirrors of `bytes` of populated memory, the ways in turns. */
export function measureCreation(kernel: Kernel, bytes: number, rounds: number): Creation {
  using memory = Mirrored.create(kernel, bytes);
  check(kernel.madvise(memory.address, bytes, MADV_POPULATE_WRITE), 'madvise', `touching ${bytes} bytes`);
  const us: Record<Way, number[]> = { mremap: [], mmap: [] };
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < WAYS.length; i++) {
      const way = WAYS[(i + round) % WAYS.length]!;
      const start = performance.now();
      memory.mirror(way);
      const took = (performance.now() - start) * 1000;
      // The first round is for the caches.
      if (round > 0) us[way].push(took);
      memory.unmirror();
    }
  }
  return { bytes, us: { mremap: spreadOf(us.mremap), mmap: spreadOf(us.mmap) } };
}
