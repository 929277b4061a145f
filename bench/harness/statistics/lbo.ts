// Lower-bound overhead, see LboGroup in schema.ts. What of a collector cannot be told apart (barriers, allocation, a cache full of its
// data) stays in the baseline, so the overhead is at least this.

export interface LboInput {
  readonly configuration: string;
  /** One of each process. */
  readonly totals: readonly number[];
  /** What is measurably the collector's, of the same processes; null where that is not known. */
  readonly costs: readonly (number | null)[];
}

export interface LboBaseline {
  readonly baselineMs: number;
  readonly configuration: string;
}

/** The least of (total − cost), by medians over processes; null when it is known of nobody. */
export function lboBaseline(
  inputs: readonly LboInput[],
  median: (values: number[]) => number,
): LboBaseline | null {
  let least: LboBaseline | null = null;
  for (const { configuration, totals, costs } of inputs) {
    const rest = totals.flatMap((total, i) => {
      const cost = costs[i] ?? null;
      return cost === null ? [] : [total - cost];
    });
    if (rest.length === 0) continue;
    const baselineMs = median(rest);
    if (baselineMs > 0 && (least === null || baselineMs < least.baselineMs))
      least = { baselineMs, configuration };
  }
  return least;
}
