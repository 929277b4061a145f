// Thread death at random points. A failure names its seed; SEED=<n> replays it (as far as timing does).

import { describe, expect, test } from 'vitest';
import { batch, SEED, SOAK, succeed } from './support.ts';

const MODES = {
  continue: {},
  'copy, two servers': { fill: 'copy', servers: 2 },
  verified: { verify: 'full' },
  'copy, verified': { fill: 'copy', verify: 'full' },
  'stop-the-world': { collector: 'stop-the-world' },
} as const;

describe(`terminated at random points (seed ${SEED})`, () => {
  test.each(Object.entries(MODES))('%s', { timeout: 240_000 }, async (_, options) => {
    const config = { options, rounds: SOAK ? 12 : 4, seed: SEED };
    const outcome = await succeed<{ usedBytes: number; cycles: number }>(
      'terminations',
      'terminations',
      config,
      { timeoutMs: 200_000 },
    );
    // The list and the table of the main thread, and blocks that hold them.
    expect(outcome.usedBytes).toBeLessThan(256 * 1024);
    expect(outcome.cycles).toBeGreaterThan(3); // beside threads that live
  });
});

const ONE_AT_A_TIME = {
  'attaching makes room in a table full of dead threads': ['fullTable'],
  'a borrowed handle ends with its owner': ['borrowed'],
} as const;

// Most of the time they wait for a fault that is answered late.
describe.concurrent('by hand', () => {
  test.each([{}, { fill: 'copy' }])('terminated in a fault, %j', (options) =>
    succeed('terminations', 'inFault', { options }),
  );
  test.each(Object.keys(ONE_AT_A_TIME))('%s', batch('terminations', ONE_AT_A_TIME));
});
