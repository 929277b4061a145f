// ART's run-tests of references, rebuilt: what they set up and what they look for, not their code.

import { describe, expect, test } from 'vitest';
import { SEED, succeed, SOAK } from '../support.ts';

const COLLECTORS = [
  ['continue', {}],
  ['continue, verified', { verify: 'full' }],
  ['copy', { fill: 'copy' }],
  ['stop-the-world', { collector: 'stop-the-world' }],
] as const;

describe.each(COLLECTORS)('%s', (name, options) => {
  test(`153-reference-stress: 16 Ki weak references read and cleared beside collections (seed ${SEED})`, async () => {
    const { got, lost, collections } = await succeed<{ got: number; lost: number; collections: number }>(
      'art-references',
      'stress',
      { ...options, seed: SEED, operations: 20_000, cycles: 8 },
      { timeoutMs: 110_000 },
    );
    expect(collections).toBeGreaterThan(5);
    expect(got).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(0);
  });

  test('2042-reference-processing: groups of finalizable objects die at one instant and come in order', async () => {
    // A fifth of them where everything is checked.
    const groups = (name.endsWith('verified') ? 100 : 500) * (SOAK ? 4 : 1);
    expect(
      await succeed(
        'art-references',
        'processing',
        { ...options, groups, members: 100 },
        { timeoutMs: 110_000 },
      ),
    ).toEqual({ delivered: groups * 100, batches: 3 });
  });

  test('2043-reference-pauses: a reader of weak references waits for nothing while they are processed', async () => {
    const { raised, rounds, stalls } = await succeed<{ raised: number; rounds: number; stalls: number }>(
      'art-references',
      'pauses',
      options,
    );
    // The stop-the-world collector is done before anybody can read.
    if (name === 'stop-the-world') expect({ raised, rounds }).toEqual({ raised: 0, rounds: 0 });
    else {
      expect(raised).toBe(1);
      // All of 3 000 reads, again and again, while the collector does nothing but sleep. Who had to wait would be done after the first round.
      expect(rounds).toBeGreaterThan(1);
    }
    expect(stalls).toBe(0);
  });
});
