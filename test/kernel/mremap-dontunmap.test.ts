import { expect } from 'vitest';
import { MREMAP_DONTUNMAP, MREMAP_MAYMOVE } from '#src/uffd/index.js';
import { conformance } from './support/conformance.ts';
import { adopt, anonymous, mremap, PAGE, times } from './support/memory.ts';

conformance('private anonymous memory: all pages move, the old place faults in zeroes', () => {
  using old = anonymous(5).fill(97);
  using fresh = adopt(mremap(old.address, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), 5 * PAGE);
  expect(fresh.values()).toEqual(times(5, 97));
  expect(old.values()).toEqual(times(5, 0));
});
