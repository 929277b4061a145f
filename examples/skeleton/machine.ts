// Step 2. The runtime itself: one for each thread. It holds the thread's mutator, which is its way to the heap.
import type { HeapAccess, Local, Mutator, Persistent } from 'tospace';
import { NULL } from 'tospace';
import type { Types } from './layout.ts';
import { GLOBALS, REGISTERS } from './roots.ts';

export interface Machine {
  readonly mutator: Mutator;
  readonly types: Types;
  /** Step 3: both are explained in roots.ts. */
  readonly registers: readonly Local[];
  readonly globals: Persistent;
}

/** Attaches the calling thread. */
export function attachMachine(heap: HeapAccess, types: Types): Machine {
  const mutator = heap.attach({ name: 'skeleton' });
  // A thread that has attached is in a safe region: whatever touches the heap happens inside run().
  return mutator.run(() => ({
    mutator,
    types,
    registers: Array.from({ length: REGISTERS }, () => mutator.local(NULL)),
    globals: mutator.persist(mutator.allocateArray(types.vector, GLOBALS)),
  }));
}
