// ART 080-oom-fragmentation, rebuilt: one huge array is to be had from a heap that is all holes.

import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { succeed } from '../support.ts';

const MIB = 1024 * 1024;
const folder = fileURLToPath(new URL('./programs', import.meta.url));

const MODES = {
  continue: {},
  'copy, 2 servers': { fill: 'copy', servers: 2 },
  'stop-the-world': { collector: 'stop-the-world' },
  'continue, verified': { verify: 'full' },
} as const;

const HEAP_BYTES = 4 * MIB;

/** In how many of two rounds the huge array was in the non-moving space. */
async function fragment(keepEvery: number, part: number, options: object, fits = false): Promise<number> {
  const rounds = 2;
  const { small, pinned } = await succeed<{ small: number; pinned: number }>(
    'fragmentation',
    'fragment',
    {
      options: { heap: HEAP_BYTES, persistentSlots: 1000, ...options },
      smallBytes: 4000,
      hugeBytes: Math.floor(HEAP_BYTES * part),
      rounds,
      keepEvery,
      fits,
    },
    { folder, timeoutMs: 110_000 },
  );
  expect(small).toBeGreaterThan(rounds * 800);
  return pinned;
}

describe.each(Object.entries(MODES))('080-oom-fragmentation: %s', (_, options) => {
  const inHeap = { largeObject: 2 ** 31, ...options };

  test('every second stays, and all but a fiftieth of the rest is one array', async () => {
    expect(await fragment(2, 0.47, inHeap)).toBe(0);
  });

  test('every third stays, and the array takes more than half of the heap', async () => {
    expect(await fragment(3, 0.62, inHeap)).toBe(0);
  });

  test('the non-moving space is too small: it falls back to the heap', async () => {
    expect(await fragment(3, 0.62, { nonMoving: MIB, ...options })).toBe(0);
  });

  test('by default it goes to the non-moving space, and needs nothing of the heap', async () => {
    expect(await fragment(3, 0.45, options, true)).toBe(2);
  });
});
