// Objects that span pages, fill them, end at the heap's last byte; heaps that are full, empty, or all alive.

import { describe, expect, test } from 'vitest';
import { succeed } from './support.ts';

const COLLECTORS = {
  continue: { collector: 'concurrent', fill: 'continue', verify: 'full' },
  'continue, release': { collector: 'concurrent', fill: 'continue', retention: 'release', verify: 'full' },
  copy: { collector: 'concurrent', fill: 'copy', verify: 'full' },
  'stop-the-world': { collector: 'stop-the-world', verify: 'full' },
} as const;

describe.each(Object.entries(COLLECTORS))('%s', (_, options) => {
  test('objects around every page boundary keep their contents', () =>
    succeed('placement', 'sizes', { options }));
  test('an array as large as the heap', () => succeed('placement', 'wholeHeap', { options }));
  test.each([16, 32, 4096])('objects of %i bytes up to the last byte of the heap', (objectBytes) =>
    succeed('placement', 'lastByte', { options, objectBytes }),
  );
  test('an array larger than half of the heap slides over itself', () =>
    succeed('placement', 'overHalf', { options }));
  test('nothing alive, one object alive, everything alive', () =>
    succeed('placement', 'extremes', { options }));
});

describe.each(['continue', 'copy'] as const)('%s', (fill) => {
  test('a cycle with a thousand faults: compaction is held back and the mutator reads and writes everything', async () => {
    const outcome = await succeed<{ faults: number }>('placement', 'faults', {
      options: { fill },
      pages: 2048,
      batchMs: 25,
    });
    expect(outcome.faults).toBeGreaterThan(1000);
  });

  test('a thousand faults served by three servers, verified', async () => {
    const options = { fill, servers: 3, verify: 'full', placement: 'any' };
    const outcome = await succeed<{ faults: number }>('placement', 'faults', {
      options,
      pages: 1024,
      batchMs: 40,
    });
    expect(outcome.faults).toBeGreaterThan(500);
  });

  test('a cycle without any fault', () => succeed('placement', 'noFault', { options: { fill } }));
});
