// Four threads on one graph, against a sequential model replayed from their logs (programs/mutators.mjs says how). A failure names its
// seed; SEED=<n> repeats the history, as far as timing does.

import { describe, expect, test } from 'vitest';
import { GRAPHS, type GraphOutcome } from './graphs.ts';
import { SEED, succeed, SOAK } from './support.ts';

const SECONDS = SOAK ? 4 : 1;

describe(`four mutators, one graph (seed ${SEED})`, () => {
  for (const [name, config] of Object.entries(GRAPHS)) {
    test(name, async () => {
      const outcome = await succeed<GraphOutcome>(
        'mutators',
        'graph',
        { ...config, seed: SEED, seconds: SECONDS },
        { timeoutMs: 110_000 },
      );
      expect(outcome.cycles).toBeGreaterThan(0);
      expect(outcome.free).toBeGreaterThan(1000);
      expect(outcome.owned).toBeGreaterThan(1000);
    });
  }
});
