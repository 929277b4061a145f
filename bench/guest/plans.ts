// The sizes of the workloads that have a guest, by scale: the same as in every other form (bench/workloads).

export interface GcBenchPlan {
  readonly stretchDepth: number;
  readonly longLivedDepth: number;
  readonly arrayLength: number;
  readonly depthMin: number;
  readonly depthMax: number;
  readonly depthStep: number;
  /** Rounds at scale 1. */
  readonly rounds: number;
}

export const GCBENCH: GcBenchPlan = {
  stretchDepth: 18,
  longLivedDepth: 16,
  arrayLength: 500_000,
  depthMin: 4,
  depthMax: 16,
  depthStep: 2,
  rounds: 10,
};

/** An operation builds as many trees as have about the nodes of one of this depth, or one deeper tree. */
const OPERATION_DEPTH = 10;

export const treesPerOperation = (depth: number): number => 2 ** Math.max(0, OPERATION_DEPTH - depth);

const treeSize = (depth: number): number => 2 ** (depth + 1) - 1;

export const roundsOf = (plan: GcBenchPlan, scale: number): number => Math.ceil(plan.rounds * scale);

/** Trees of one depth and kind in a round. */
export function treesOf(plan: GcBenchPlan, scale: number, depth: number): number {
  const share = (plan.rounds * scale) / roundsOf(plan, scale);
  return Math.max(1, Math.floor((share * 2 * treeSize(plan.stretchDepth)) / treeSize(depth)));
}

// binary-trees

export const DEPTH_MIN = 4;
const DEPTH_MAX = 18;
const DEPTH_LEAST = 8;
const GAMES = 2;

export const depthMaxOf = (scale: number): number =>
  Math.min(DEPTH_MAX, Math.max(DEPTH_LEAST, DEPTH_MAX + Math.floor(Math.log2(scale))));

/** Trees of one depth. */
export function iterationsOf(scale: number, depth: number): number {
  const depthMax = depthMaxOf(scale);
  const repeats = GAMES * scale * 2 ** (DEPTH_MAX - depthMax);
  return Math.max(1, Math.round(2 ** (depthMax - depth + DEPTH_MIN) * repeats));
}

// lru-cache

const LOOKUPS = 16_000_000;
const CAPACITY_MAX = 131_072;
const CAPACITY_MIN = 1024;
const KEYS_PER_ENTRY = 4;

export const REPLACE_EVERY = 8;
export const LOOKUPS_PER_OPERATION = 1024;

export const lookupsOf = (scale: number): number => Math.max(1, Math.round(LOOKUPS * scale));

export const capacityOf = (scale: number): number =>
  Math.min(CAPACITY_MAX, Math.max(CAPACITY_MIN, Math.floor(lookupsOf(scale) / 16)));

export const bucketsOf = (capacity: number): number => 2 ** Math.ceil(Math.log2(capacity));

export const keysOf = (capacity: number): number => capacity * KEYS_PER_ENTRY;
