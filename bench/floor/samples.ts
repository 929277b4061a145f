// What the children of `bench floor` print, the same from both languages: one JSON object each.

/** Microseconds of each step of a flip, one entry for every cycle. */
export interface FlipSamples {
  readonly moveUs: readonly number[];
  readonly mapUs: readonly number[];
  readonly registerUs: readonly number[];
}

export interface FaultSamples {
  /** Faults that the server answered, warm-up included. */
  readonly faults: number;
  /** Sum of the words that the mutator read: every page must have had its contents. */
  readonly sum: number;
  /** What one look at the clock costs. */
  readonly clockUs: number;
  /** Round trip of each fault of the last pass. */
  readonly us: readonly number[];
}

export interface KernelSamples {
  readonly objects: number;
  readonly liveBytes: number;
  /** Over all references in to-space, relative to the root. */
  readonly checksum: number;
  readonly markMs: readonly number[];
  readonly planMs: readonly number[];
  readonly compactMs: readonly number[];
}
