// The sizes of binary-trees, the same in every form. README.md says what they mean.

export const DEPTH_MIN = 4;
/** N at scale 1 and above. */
const DEPTH_MAX = 18;
/** N at the smallest scales. */
const DEPTH_LEAST = 8;
/** The work at scale 1, in runs of the game at N = 18: a dozen cycles of a 256 MiB heap. */
const GAMES = 2;
/** An operation builds and counts as many trees as have about the nodes of one of this depth, or one deeper tree. */
const OPERATION_DEPTH = 10;

/** The game's N. */
export const depthMaxOf = (scale: number): number =>
  Math.min(DEPTH_MAX, Math.max(DEPTH_LEAST, DEPTH_MAX + Math.floor(Math.log2(scale))));

/** Trees of one depth. */
export function iterationsOf(scale: number, depth: number): number {
  const depthMax = depthMaxOf(scale);
  const repeats = GAMES * scale * 2 ** (DEPTH_MAX - depthMax);
  return Math.max(1, Math.round(2 ** (depthMax - depth + DEPTH_MIN) * repeats));
}

/** Trees that one operation builds and counts. */
export const treesPerOperation = (depth: number): number => 2 ** Math.max(0, OPERATION_DEPTH - depth);
