// Interleaving: a machine changes over minutes, and what is measured in one block is measured on one machine, the next on another.

import { Random } from '../workloads/random.ts';

/** Every item once per round, in an order of its own in each round. The same seed gives the same order. */
export function interleave<T>(
  items: readonly T[],
  rounds: number,
  seed: number,
): { item: T; round: number }[] {
  const random = new Random(seed);
  const order: { item: T; round: number }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    order.push(...shuffled.map((item) => ({ item, round })));
  }
  return order;
}
