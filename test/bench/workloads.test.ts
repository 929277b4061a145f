import { describe, expect, it } from 'vitest';
import { SOAK } from '../gc/e2e/support.js';
import { report, reportWithin } from './cli.js';

/**
 * `full` is the collector under which every access and every page is checked; under the others it is the heap at every phase.
 *
 * For every workload a scale that the verifier can bear, and the allocations between two collections that are forced: cycles come by
 * themselves as well, with an early trigger, but how many depends on the scheduler.
 */
const CASES = [
  { workload: 'gcbench', scale: '0.01', collectEveryAllocation: 500_000, full: 'continue' },
  { workload: 'binary-trees', scale: '0.01', collectEveryAllocation: 350_000, full: 'copy' },
  { workload: 'lru-cache', scale: '0.006', collectEveryAllocation: 20_000, full: 'stop-the-world' },
  { workload: 'random-graph', scale: '0.01', collectEveryAllocation: 10_000, full: 'continue' },
] as const;

/** Only a hang is meant to meet them. */
const RUN_TIMEOUT_MS = 200_000;
const TIMEOUT_MS = 240_000;

describe.each(CASES)('$workload', ({ workload, scale, collectEveryAllocation, full }) => {
  const run = (...args: string[]) =>
    reportWithin(RUN_TIMEOUT_MS, workload, '--scale', scale, '--seed', '7', ...args);
  const stress = `collectEveryAllocation=${collectEveryAllocation}`;
  const verified = (...args: string[]) => {
    const verify = SOAK || args.at(-1) === full ? 'full' : 'phase';
    return run('--heap', '64MiB', '--verify', verify, '--trigger', '0.5', '--stress', stress, ...args);
  };

  it(
    'reads the same data under every collector, fill and heap size',
    async () => {
      const expected = await run('--heap', '256MiB', '--collector', 'none');
      expect(expected.cycles).toBe(0);
      expect(expected.checksum).toBeGreaterThan(0);
      const others = [
        await verified('--collector', 'stop-the-world'),
        await verified('--collector', 'concurrent', '--fill', 'continue'),
        await verified('--collector', 'concurrent', '--fill', 'copy'),
      ];
      for (const other of others) {
        expect(other.cycles).toBeGreaterThanOrEqual(1);
        expect(other.bytesMoved).toBeGreaterThan(0);
        expect(other.checksum).toBe(expected.checksum);
      }
    },
    TIMEOUT_MS,
  );

  it('depends on the seed only where it draws random numbers', async () => {
    const [first, again, other] = await Promise.all(
      ['7', '7', '8'].map((seed) => report(workload, '--scale', '0.002', '--seed', seed)),
    );
    expect(again!.checksum).toBe(first!.checksum);
    if (workload === 'lru-cache' || workload === 'random-graph')
      expect(other!.checksum).not.toBe(first!.checksum);
    else expect(other!.checksum).toBe(first!.checksum);
  });
});

describe('a heap of 1 GiB', () => {
  it('gives the checksum of a small one', async () => {
    const large = await report('gcbench', '--heap', '1GiB', '--scale', '0.1', '--trigger', '0.05');
    const small = await report('gcbench', '--heap', '64MiB', '--scale', '0.1', '--trigger', '0.1');
    expect(large.options.heap).toBe(2 ** 30);
    expect(large.cycles).toBeGreaterThanOrEqual(1);
    expect(large.checksum).toBe(small.checksum);
    // The concurrent collector on a heap that a run fills many times over.
    expect(small.cycles).toBeGreaterThanOrEqual(3);
    // As the collector saw them: a mutator that waits for room anyway sees no pause.
    expect(small.cyclesDetail!.medianFlipUs.move).toBeGreaterThan(0);
  }, 60_000);
});

describe('stress', () => {
  it('random-graph agrees with its model when a collection comes at every few hundredth safepoint', async () => {
    const stress = ['--stress', 'collectEverySafepoint=300'];
    const args = ['random-graph', '--heap', '64MiB', '--scale', '0.002'];
    const [plain, stressed] = [await report(...args), await report(...args, ...stress)];
    expect(stressed.cycles).toBeGreaterThan(20);
    expect(stressed.checksum).toBe(plain.checksum);
  }, 60_000);
});
