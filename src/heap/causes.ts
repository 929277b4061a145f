// Why a cycle begins. Whoever asks for one sets a bit before drawing the ticket; the cycle that answers several requests is named after
// the most pressing of them.

/**
 * `collect`: a thread called collect(). `allocation`: an allocation found no room, and waits. `threads`: all thread records were taken, some
 * by threads that have ended. `non-moving`: the non-moving space fills up. `external`: memory outside the heap has grown. `trigger`: the
 * heap's own start, early enough at the present rate of allocation. `idle`: nobody has used the heap for a while.
 */
export type CycleCause =
  | 'collect'
  | 'allocation'
  | 'threads'
  | 'non-moving'
  | 'external'
  | 'trigger'
  | 'idle';

/** The most pressing first; the index is the bit in CTL_CAUSES, and the code in traces. */
export const CAUSES: readonly CycleCause[] = [
  'collect',
  'allocation',
  'threads',
  'non-moving',
  'external',
  'trigger',
  'idle',
];

/** The bit of a cause. */
export function causeBit(cause: CycleCause): number {
  return 1 << CAUSES.indexOf(cause);
}

/** The most pressing of the causes in `bits`; undefined when there is none. */
export function mostPressing(bits: number): CycleCause | undefined {
  return CAUSES.find((_, i) => (bits & (1 << i)) !== 0);
}
