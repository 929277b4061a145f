// The sizes of pointer-chase, the same in every form. README.md says what they mean.

import type { Random } from './random.ts';

/** At scale 1. */
const ROUNDS = 20;
/** 16 MiB of nodes on the managed heap. */
const NODES = 262_144;
const NODES_SMALL = 16_384;
/** Below this scale a run is too short for the large chain. */
const SMALL_SCALE = 0.05;
/** One node in this many is made anew in each round, some twice. */
const RENEW_EVERY = 16;

export const CHASES = 8;
/** Nodes that an operation goes along; the chain's length is a multiple of it. */
export const STEPS_PER_OPERATION = 1024;
/** Nodes that an operation makes and drops, so that cycles come where nobody can be asked for them. */
export const GARBAGE_PER_OPERATION = 64;
/** Words of a node that stay zero. */
export const BALLAST_WORDS = 11;

export const roundsOf = (scale: number): number => Math.max(1, Math.round(ROUNDS * scale));
export const nodesOf = (scale: number): number => (scale < SMALL_SCALE ? NODES_SMALL : NODES);
export const renewalsOf = (nodes: number): number => nodes / RENEW_EVERY;

/** The place in the chain of each node, in the order in which they are made. */
export function shuffledPlaces(nodes: number, random: Random): Int32Array {
  const places = Int32Array.from({ length: nodes }, (_, i) => i);
  for (let i = nodes - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const place = places[i];
    places[i] = places[j];
    places[j] = place;
  }
  return places;
}
