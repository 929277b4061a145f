// What `bench pauses` varies: one thing at a time, from one configuration that all axes share.

/** The non-moving space's own needs besides its objects: directories, pages that are partly filled. */
const NON_MOVING_SLACK = 1.25;
const NON_MOVING_ROOM_MIB = 16;
const HEAP_MIN_MIB = 64;

export interface Configuration {
  /** Live data of the moving space, in MiB. */
  readonly liveMib: number;
  /** Pinned objects with references, in MiB. */
  readonly pinnedMib: number;
  /** Persistent handles. */
  readonly roots: number;
}

export const AXES = ['live', 'pinned', 'roots'] as const;
export type Axis = (typeof AXES)[number];

export interface Sizes {
  /** The first of each is the configuration that the axes share. */
  readonly liveMib: readonly number[];
  readonly pinnedMib: readonly number[];
  readonly roots: readonly number[];
}

export const SIZES: { readonly full: Sizes; readonly quick: Sizes } = {
  full: { liveMib: [16, 64, 256, 512], pinnedMib: [0, 16, 64, 128], roots: [0, 10_000, 100_000, 1_000_000] },
  quick: { liveMib: [4, 16], pinnedMib: [0, 2], roots: [0, 10_000] },
};

/** The configurations along an axis, in growing order. */
export function along(axis: Axis, sizes: Sizes): Configuration[] {
  const base = { liveMib: sizes.liveMib[0]!, pinnedMib: sizes.pinnedMib[0]!, roots: sizes.roots[0]! };
  switch (axis) {
    case 'live':
      return sizes.liveMib.map((liveMib) => ({ ...base, liveMib }));
    case 'pinned':
      return sizes.pinnedMib.map((pinnedMib) => ({ ...base, pinnedMib }));
    default:
      return sizes.roots.map((roots) => ({ ...base, roots }));
  }
}

export function sameConfiguration(a: Configuration, b: Configuration): boolean {
  return a.liveMib === b.liveMib && a.pinnedMib === b.pinnedMib && a.roots === b.roots;
}

/** All configurations, each once. */
export function allConfigurations(sizes: Sizes): Configuration[] {
  const all: Configuration[] = [];
  for (const one of AXES.flatMap((axis) => along(axis, sizes)))
    if (!all.some((other) => sameConfiguration(one, other))) all.push(one);
  return all;
}

/** Capacities that leave room for the live data twice, and for what is allocated while a cycle runs. */
export function capacities({ liveMib, pinnedMib, roots }: Configuration): {
  readonly heapMib: number;
  readonly nonMovingMib: number;
} {
  return {
    heapMib: Math.max(HEAP_MIN_MIB, 2 * liveMib),
    nonMovingMib: Math.ceil(pinnedMib * NON_MOVING_SLACK + (roots * 4) / 2 ** 20) + NON_MOVING_ROOM_MIB,
  };
}

/** Memory that a configuration's process takes, roughly: both memfds, the non-moving space, and Node.js with its handles. */
export function memoryMib(configuration: Configuration): number {
  const { heapMib, nonMovingMib } = capacities(configuration);
  return 2 * heapMib + nonMovingMib + Math.ceil((configuration.roots * 200) / 2 ** 20) + 200;
}
