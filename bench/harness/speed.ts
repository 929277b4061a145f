// How fast the CPU is just now: a fixed piece of integer arithmetic that no cache and no memory takes part in.

import { mix } from '../workloads/checksum.ts';
import { median, nearestRank, sorted } from './statistics/quantile.ts';
import { round } from './statistics/distribution.ts';
import type { SpeedProbe } from './schema.ts';

/** Some 2 ms. */
const STEPS = 1_000_000;
const ROUNDS = 50;
const WARM_UP = 5;

/** Results are kept, or the compiler need not compute them. */
const sink = new Int32Array(1);

function onceMs(): number {
  const start = performance.now();
  let word = 1;
  for (let i = 0; i < STEPS; i++) word = mix(word + i);
  sink[0] = word;
  return performance.now() - start;
}

/** Milliseconds of one piece: the least of three, which an interruption does not move. */
export function speedMs(): number {
  return round(Math.min(onceMs(), onceMs(), onceMs()));
}

/** A tenth of a second. */
export function probeSpeed(): SpeedProbe {
  for (let i = 0; i < WARM_UP; i++) onceMs();
  const ascending = sorted(Array.from({ length: ROUNDS }, onceMs));
  const middle = median(ascending);
  return {
    rounds: ROUNDS,
    medianMs: round(middle),
    minMs: round(ascending[0]!),
    maxMs: round(ascending.at(-1)!),
    noise: round((nearestRank(ascending, 0.9) - nearestRank(ascending, 0.1)) / middle),
  };
}
