// Random histories against a plain JavaScript model. A failure names the seed; SEED=<n> replays it.

import { describe, expect, test } from 'vitest';
import { HISTORIES, randomHistory } from './configurations.ts';
import { SEED, succeed, SOAK } from './support.ts';

interface Outcome {
  readonly cycles: number;
  readonly compared: number;
  readonly allocated: number;
}

describe(`histories (seed ${SEED})`, () => {
  for (const [name, config] of Object.entries(HISTORIES)) {
    test(name, async () => {
      const steps = SOAK ? config.steps : config.steps / 2;
      const outcome = await succeed<Outcome>(
        'history',
        'histories',
        { ...config, steps, seed: SEED },
        { timeoutMs: 110_000 },
      );
      expect(outcome.compared).toBeGreaterThan(0);
      if (config.options.collector !== 'none') expect(outcome.cycles).toBeGreaterThan(0);
    });
  }
});

describe(`configurations by chance (seed ${SEED})`, () => {
  for (let i = 0; i < (SOAK ? 12 : 4); i++) {
    test(`seed ${SEED + i}`, async () => {
      const config = randomHistory(SEED + i);
      await succeed<Outcome>('history', 'histories', { ...config, seed: SEED + i }, { timeoutMs: 110_000 });
    });
  }
});
