// Pinned and large objects: what stays where it is, whatever the collector does around it. A failure names its seed.
import { describe, expect, test } from 'vitest';
import { UFFDIO_REGISTER } from '#src/uffd/index.js';
import { batch, SEED, succeed, SOAK } from './support.ts';

const MIB = 1024 * 1024;

const MODES = {
  continue: {},
  copy: { fill: 'copy' },
  'stop-the-world': { collector: 'stop-the-world' },
} as const;
const VERIFIED = {
  ...MODES,
  'continue, verified': { verify: 'full' },
  'copy, verified, 2 servers': { fill: 'copy', verify: 'full', servers: 2 },
  'stop-the-world, verified': { collector: 'stop-the-world', verify: 'full' },
} as const;

const CYCLES = SOAK ? 40 : 15;
const LEAST_FAULTS = 100;

describe(`seed ${SEED}`, () => {
  test.each(Object.entries(VERIFIED))('pinned objects keep their addresses: %s', async (_, options) => {
    const { cycles, leftBytes } = await succeed<{ cycles: number; leftBytes: number }>(
      'pinned',
      'addresses',
      {
        options: { heap: MIB, persistentSlots: 1000, ...options },
        cycles: CYCLES,
        seed: SEED,
      },
    );
    expect(cycles).toBeGreaterThanOrEqual(CYCLES - 2);
    expect(leftBytes).toBe(4096);
  });

  test.each(Object.entries(MODES))(
    'an array of a million references keeps its elements: %s',
    async (_, options) => {
      const { faults } = await succeed<{ faults: number }>('pinned', 'largeArray', {
        // The window is held open until the mutator has read all over the array.
        options: {
          heap: 16 * MIB,
          nonMoving: 8 * MIB,
          stress: { delayMs: { batch: 1 } },
          ...options,
        },
        length: 1_000_000,
        rounds: SOAK ? 6 : 4,
        leastFaults: 'collector' in options ? 0 : LEAST_FAULTS,
        seed: SEED,
      });
      if (!('collector' in options)) expect(faults).toBeGreaterThanOrEqual(LEAST_FAULTS);
    },
  );

  test('an array of references keeps its elements: verified', async () => {
    await succeed('pinned', 'largeArray', {
      options: { heap: 16 * MIB, verify: 'full' },
      length: 50_000,
      rounds: 3,
      seed: SEED,
    });
  });
});

test.each([
  ['any userfaultfd', {}],
  ['user mode only', { userfaultfd: 'user-mode-only' }],
  ['user mode only, copy, verified', { userfaultfd: 'user-mode-only', fill: 'copy', verify: 'full' }],
])('pinned raw arrays may be handed to system calls at any time: %s', async (_, options) => {
  const { calls, cycles } = await succeed<{ calls: number; cycles: number }>('pinned', 'systemCalls', {
    options: { heap: 4 * MIB, stress: { delayMs: { batch: 0.5, close: 2 } }, ...options },
    milliseconds: SOAK ? 1500 : 200,
    bytes: 150_000,
  });
  expect(calls).toBeGreaterThan(20);
  expect(cycles).toBeGreaterThan(2);
});

test.each(Object.entries(MODES))('200 000 persistent handles survive cycles: %s', async (_, options) => {
  const counts = await succeed<{
    asked: number;
    faults: number;
    builtByCollector: number;
    handlePages: number;
  }>('pinned', 'handles', {
    options: { heap: 64 * MIB, idleCollectMs: 0, stress: { delayMs: { batch: 1 } }, ...options },
    count: 200_000,
  });
  if ('collector' in options) return;
  // Pages of handles are not read by a pause, but by whoever touches them first: a fault each, and for all others the sweep.
  expect(counts.faults).toBeGreaterThan(0);
  expect(counts.faults).toBeLessThan(4 * counts.asked);
  expect(counts.builtByCollector).toBeGreaterThan(counts.handlePages);
});

const sameFor = (scenario: string, modes: object) => {
  const result = batch<boolean>(
    'pinned',
    Object.fromEntries(
      Object.entries(modes).map(([name, options]) => [name, [scenario, { options }] as const]),
    ),
  );
  return Object.keys(modes).map((name) => [name, result] as const);
};

test.each(sameFor('full', SOAK ? VERIFIED : { ...MODES, 'continue, verified': { verify: 'full' } }))(
  'a full space refuses what is pinned, and nothing else: %s',
  async (name, result) => {
    expect(await result(name)).toBe(true);
  },
);

test.each(sameFor('largerThanHeap', MODES))(
  'an array larger than the heap waits for room in the non-moving space: %s',
  async (name, result) => {
    expect(await result(name)).toBe(true);
  },
);

test.each(sameFor('givenBack', MODES))(
  'the memory of dead large objects goes back to the system: %s',
  async (name, result) => {
    const [six, three, none] = await result<{ shared: number; nonMoving: number }[]>(name);
    expect(six!.nonMoving).toBeGreaterThanOrEqual(24 * MIB);
    expect(six!.shared).toBeGreaterThanOrEqual(24 * MIB);
    expect(three!.nonMoving).toBeLessThan(13 * MIB);
    expect(six!.shared - three!.shared).toBeGreaterThanOrEqual(11 * MIB);
    expect(none!.nonMoving).toBeLessThan(MIB);
    expect(none!.shared).toBeLessThan(MIB);
  },
);

describe('a cycle that is given up between remark and flip loses no pinned object', () => {
  const calls = [
    ['mremap', { call: 'mremap', from: 13, to: 20 }],
    ['registration', { call: 'ioctl', request: UFFDIO_REGISTER, from: 9, to: 16 }],
  ] as const;
  test.each(
    calls.flatMap(([name, plan]) =>
      (SOAK ? ['off', 'full'] : [name === 'mremap' ? 'phase' : 'off']).map(
        (verify) => [name, verify, plan] as const,
      ),
    ),
  )('%s, verify %s', async (_, verify, plan) => {
    expect(await succeed<number>('pinned', 'abandoned', { options: { verify }, ...plan })).toBeGreaterThan(0);
  });
});
