// What the shared graph of several mutators (programs/mutators.mjs) runs under: a fixed table for every test run, and an endless supply
// for soaks.

import type { DelayPoint, HeapOptions } from '#src/index.js';
import { DELAYS } from './configurations.ts';

export interface GraphConfig {
  readonly options: HeapOptions;
  readonly threads?: number;
  readonly steps?: number;
  readonly slots?: number;
}

export interface GraphOutcome {
  readonly rounds: number;
  readonly cycles: number;
  readonly free: number;
  readonly owned: number;
  readonly faults: number;
  readonly reachable: number;
  readonly outOfMemory: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const GRAPHS: Readonly<Record<string, GraphConfig>> = {
  'continue, 2 MiB': { options: { heap: 2 * MIB, trigger: 0.1 } },
  'continue, verified, delays everywhere, 2 servers': {
    options: { heap: 2 * MIB, trigger: 0.1, verify: 'full', servers: 2, stress: { delayMs: DELAYS } },
    steps: 3000,
  },
  'copy, delays everywhere': {
    options: { heap: 2 * MIB, trigger: 0.1, fill: 'copy', stress: { delayMs: DELAYS } },
    steps: 8000,
  },
  'copy, verified, collection at every 20th safepoint': {
    options: { heap: 2 * MIB, fill: 'copy', verify: 'full', stress: { collectEverySafepoint: 20 } },
    steps: 2000,
  },
  'stop-the-world, verified, 1 MiB': {
    options: { heap: MIB, collector: 'stop-the-world', verify: 'full' },
    steps: 4000,
  },
};

/** Some configuration that `seed` chooses. */
export function randomGraph(seed: number, fill: 'continue' | 'copy'): GraphConfig {
  let state = seed >>> 0;
  const int = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const pick = <T>(...of: readonly T[]): T => of[int(of.length)]!;
  const verify = int(2) === 0 ? 'full' : 'off';
  const every = int(5) === 0 ? pick(5, 20, 100) : 0;
  const delays = Object.fromEntries(Object.entries(DELAYS).filter(() => int(2) === 0)) as Partial<
    Record<DelayPoint, number>
  >;
  return {
    options: {
      // Four threads take buffers of 64 KiB: a heap below 1 MiB is full of them.
      heap: pick(MIB, 2 * MIB, 4 * MIB),
      collector: int(8) === 0 ? 'stop-the-world' : 'concurrent',
      fill,
      retention: fill === 'copy' ? 'release' : pick('recycle', 'release'),
      servers: pick(1, 2, 3),
      placement: pick('any', 'mutator'),
      trigger: pick(0.05, 0.2, 0.6, 0.95),
      verify,
      stress: {
        collectEverySafepoint: every,
        ...(int(4) === 0 ? { markStackEntries: pick(8, 64) } : {}),
        ...(int(3) > 0 ? { delayMs: delays } : {}),
      },
    },
    threads: 4,
    steps: every > 0 || verify === 'full' ? 3000 : 15_000,
    slots: pick(4, 24, 100),
  };
}
