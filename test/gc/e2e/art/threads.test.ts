// ART's run-tests with several threads, rebuilt. A failure names its seed.

import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SEED, succeed, SOAK } from '../support.ts';

const MIB = 1024 * 1024;
const folder = fileURLToPath(new URL('./programs', import.meta.url));

const MODES = {
  continue: {},
  'copy, 2 servers': { fill: 'copy', servers: 2 },
  'stop-the-world': { collector: 'stop-the-world' },
} as const;
const VERIFIED = {
  ...MODES,
  'continue, verified': { verify: 'full' },
  'copy, verified': { fill: 'copy', verify: 'full' },
} as const;

/** How long what runs by the clock does at least: longer, when what it should see has not happened by then. */
const SECONDS = SOAK ? 1.5 : 0.4;

interface Outcome {
  readonly cycles: number;
  readonly allocatedBytes: number;
}

const art = <T>(program: string, scenario: string, config: object): Promise<T & Outcome> =>
  succeed<T & Outcome>(program, scenario, { seed: SEED, ...config }, { folder, timeoutMs: 110_000 });

describe(`seed ${SEED}`, () => {
  describe('004-ThreadStress: threads that do anything at all', () => {
    test.each(Object.entries(VERIFIED))('%s', async (_, options) => {
      const { counts, cycles } = await art<{ counts: Record<string, number> }>(
        'thread-stress',
        'threadStress',
        {
          options: { heap: 8 * MIB, ...options },
          threads: 5,
          seconds: SECONDS,
        },
      );
      expect(cycles).toBeGreaterThan(0);
      expect(Object.keys(counts).length).toBeGreaterThanOrEqual(9);
    });
  });

  describe('102-concurrent-gc: 16 Ki holders, references hidden from the marker', () => {
    test.each(Object.entries(VERIFIED))('%s', async (_, options) => {
      const verified = 'verify' in options;
      const { moves, cycles } = await art<{ moves: number }>('concurrent-gc', 'hide', {
        options: { heap: 4 * MIB, trigger: 0.05, ...options },
        threads: 3,
        holders: verified ? 2048 : 16_384,
        seconds: SECONDS,
      });
      expect(cycles).toBeGreaterThan(1);
      expect(moves).toBeGreaterThan(1000);
    });
  });

  describe('160-read-barrier-stress: objects and arrays of 5 000 fields, a heap many times over', () => {
    test.each(Object.entries(MODES))('%s', async (_, options) => {
      const { stored, cycles, allocatedBytes } = await art<{ stored: number }>(
        'read-barrier-stress',
        'barriers',
        {
          options: { heap: 8 * MIB, trigger: 0.1, ...options },
          threads: 3,
          ...(SOAK ? {} : { churnBytes: 32 * MIB }),
        },
      );
      expect(allocatedBytes).toBeGreaterThan((SOAK ? 60 : 30) * MIB);
      expect(cycles).toBeGreaterThan(1);
      expect(stored).toBeGreaterThan(10_000);
    });

    test.each([{ verify: 'full' }, { verify: 'full', fill: 'copy' }])(
      'verified, smaller: %j',
      async (options) => {
        const outcome = await art<{ stored: number }>('read-barrier-stress', 'barriers', {
          options: { heap: 2 * MIB, trigger: 0.1, ...options },
          threads: 3,
          churnBytes: 6 * MIB,
        });
        expect(outcome.cycles).toBeGreaterThan(1);
      },
    );
  });

  describe('096-array-copy-concurrent-gc: bulk copies race collections', () => {
    test.each(Object.entries(VERIFIED))('%s', async (_, options) => {
      const { copies, cycles } = await art<{ copies: number }>('array-copy', 'copies', {
        options: { heap: 4 * MIB, ...options },
        threads: 3,
        length: 20_000,
        seconds: SECONDS,
      });
      expect(cycles).toBeGreaterThan(1);
      expect(copies).toBeGreaterThan(20);
    });
  });

  describe('114-ParallelGC: sixteen threads fill the heap to its edge', () => {
    test.each(Object.entries(VERIFIED))('%s', async (_, options) => {
      const { most } = await art<{ most: number }>('heap-full', 'fillUp', {
        options: { heap: ('verify' in options && !SOAK ? 2 : 4) * MIB, ...options },
        threads: 16,
        times: SOAK ? 3 : 'verify' in options ? 1 : 2,
      });
      expect(most).toBeGreaterThan(1000);
    });
  });
});
