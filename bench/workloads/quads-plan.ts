// The sizes of quads, the same in every form. README.md says what they mean.

/** Operations of a round at scale 1: 2.8 GB of allocation in all rounds. */
const OPERATIONS = 3200;
/** 11 MiB of live data on the managed heap. */
const LIVE_DEPTH = 9;
const LIVE_DEPTH_SMALL = 6;
/** Below this scale a run is too short for the large tree. */
const SMALL_SCALE = 0.05;

export const ROUNDS = 20;
export const GARBAGE_DEPTH = 3;
export const TREES_PER_OPERATION = 16;

export const operationsPerRound = (scale: number): number => Math.max(1, Math.round(OPERATIONS * scale));

export const liveDepthOf = (scale: number): number => (scale < SMALL_SCALE ? LIVE_DEPTH_SMALL : LIVE_DEPTH);
