// The sizes of gcbench and gcbench-mt, the same in every form. README.md says what they mean.

export interface GcBenchPlan {
  /** Depth of the tree that is built and dropped first; twice its size is the budget of each kind of trees. */
  readonly stretchDepth: number;
  readonly longLivedDepth: number;
  /** Doubles that stay alive. */
  readonly arrayLength: number;
  readonly depthMin: number;
  readonly depthMax: number;
  readonly depthStep: number;
  /** Rounds at scale 1. */
  readonly rounds: number;
}

/** As in the original, but 10 rounds: some 3.5 GB of allocation, two dozen cycles of a 256 MiB heap. */
export const GCBENCH: GcBenchPlan = {
  stretchDepth: 18,
  longLivedDepth: 16,
  arrayLength: 500_000,
  depthMin: 4,
  depthMax: 16,
  depthStep: 2,
  rounds: 10,
};

/** Of every thread: an eighth of the trees, so that eight threads fit a heap of 64 MiB; some 1.5 GB of allocation each. */
export const GCBENCH_MT: GcBenchPlan = {
  stretchDepth: 15,
  longLivedDepth: 13,
  arrayLength: 125_000,
  depthMin: 4,
  depthMax: 14,
  depthStep: 2,
  rounds: 40,
};

/** An operation builds as many trees as have about the nodes of one of this depth, or one deeper tree. */
const OPERATION_DEPTH = 10;
/** Serial numbers of two threads' nodes are this far apart. */
const SERIALS_PER_THREAD = 1 << 24;

/** Nodes of a perfect binary tree. */
export const treeSize = (depth: number): number => 2 ** (depth + 1) - 1;

/** Trees that one operation builds. */
export const treesPerOperation = (depth: number): number => 2 ** Math.max(0, OPERATION_DEPTH - depth);

export const roundsOf = (plan: GcBenchPlan, scale: number): number => Math.ceil(plan.rounds * scale);

/** Trees of one depth and kind in a round. */
export function treesOf(plan: GcBenchPlan, scale: number, depth: number): number {
  const share = (plan.rounds * scale) / roundsOf(plan, scale);
  return Math.max(1, Math.floor((share * 2 * treeSize(plan.stretchDepth)) / treeSize(depth)));
}

/** Number of the first node that a thread makes. */
export const firstSerial = (thread: number): number => Math.imul(thread, SERIALS_PER_THREAD);
