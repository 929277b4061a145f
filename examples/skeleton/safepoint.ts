// Step 6. Safepoints. Allocation is one; a loop that does not allocate must reach one by itself, or every collection waits for it.
import type { RunBody } from 'tospace';
import type { Machine } from './machine.ts';

/** Poll at the head of loops, and at calls: a load and a comparison when nothing is asked. References in variables are stale afterwards. */
export function poll({ mutator }: Machine): void {
  mutator.safepoint();
}

/** Around whatever waits: reading a file, a lock, the user. Collections run meanwhile. */
export function wait<T>({ mutator }: Machine, body: RunBody<T>): T {
  return mutator.blocking(body);
}
