// Random histories of weak records, ephemerons and guards against a plain JavaScript model. A failure names the seed; SEED=<n> replays it.

import { describe, expect, test } from 'vitest';
import type { HeapOptions } from '#src/index.js';
import { SEED, succeed, SOAK } from './support.ts';

const KIB = 1024;

const HISTORIES: Readonly<
  Record<string, { options: HeapOptions; steps: number; threads?: number; filler?: number }>
> = {
  'continue, verified, delays': {
    options: {
      heap: 1024 * KIB,
      verify: 'full',
      trigger: 0.05,
      stress: { delayMs: { plan: 3, mark: 2 } },
    },
    steps: 6000,
  },
  'copy, tiny mark stack': {
    options: {
      heap: 512 * KIB,
      fill: 'copy',
      trigger: 0.05,
      stress: { markStackEntries: 8, delayMs: { plan: 2 } },
    },
    steps: 8000,
  },
  'recycle, 3 servers': { options: { heap: 1024 * KIB, servers: 3, trigger: 0.05 }, steps: 10_000 },
  'stop-the-world, verified': {
    options: { heap: 512 * KIB, collector: 'stop-the-world', verify: 'full' },
    steps: 8000,
  },
  'collection at every allocation': {
    options: { heap: 1024 * KIB, verify: 'full', stress: { collectEveryAllocation: 1 } },
    steps: 500,
  },
  'collection at every 5th allocation, copy': {
    options: { heap: 1024 * KIB, fill: 'copy', stress: { collectEveryAllocation: 5 } },
    steps: 3000,
  },
  'three threads, verified, delays': {
    options: { heap: 4096 * KIB, verify: 'full', trigger: 0.05, stress: { delayMs: { plan: 3 } } },
    steps: 5000,
    threads: 3,
    filler: 300,
  },
  'four threads, copy': {
    options: { heap: 4096 * KIB, fill: 'copy', trigger: 0.05 },
    steps: 8000,
    threads: 4,
    filler: 300,
  },
};

interface Counts {
  readonly cycles: number;
  readonly nulls: number;
  readonly delivered: number;
}

describe(`histories of references (seed ${SEED})`, () => {
  test.each(Object.entries(HISTORIES))('%s', async (_, config) => {
    const counts = await succeed<Counts>(
      'reference-history',
      'references',
      { ...config, steps: SOAK ? config.steps : config.steps / 2, seed: SEED },
      { timeoutMs: 110_000 },
    );
    expect(counts.cycles).toBeGreaterThan(0);
    expect(counts.delivered + counts.nulls).toBeGreaterThan(0);
  });
});
