// Step 4. Allocation. Every one of these is a safepoint: references in variables are stale afterwards. A new object is all zeroes.
import type { Ref } from 'tospace';
import type { Machine } from './machine.ts';

export function allocatePair({ mutator, types }: Machine): Ref {
  return mutator.allocate(types.pair);
}

export function allocateClosure({ mutator, types }: Machine): Ref {
  return mutator.allocate(types.closure);
}

export function allocateVector({ mutator, types }: Machine, length: number): Ref {
  return mutator.allocateArray(types.vector, length);
}

/** @param length in UTF-16 code units, as the type counts them; not in bytes. */
export function allocateString({ mutator, types }: Machine, length: number): Ref {
  return mutator.allocateArray(types.string, length);
}
