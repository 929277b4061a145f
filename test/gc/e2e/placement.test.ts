// Objects that span pages, fill them, end at the heap's last byte; heaps that are full, empty, or all alive.

import { describe, expect, test } from 'vitest';
import { batch, succeed } from './support.ts';

const COLLECTORS = {
  continue: { collector: 'concurrent', fill: 'continue', verify: 'full' },
  'continue, release': { collector: 'concurrent', fill: 'continue', retention: 'release', verify: 'full' },
  copy: { collector: 'concurrent', fill: 'copy', verify: 'full' },
  'stop-the-world': { collector: 'stop-the-world', verify: 'full' },
} as const;

describe.each(Object.entries(COLLECTORS))('%s', (_, options) => {
  const cases = {
    'objects around every page boundary keep their contents': ['sizes', { options }],
    'an array as large as the heap': ['wholeHeap', { options }],
    'objects of 16 bytes up to the last byte of the heap': ['lastByte', { options, objectBytes: 16 }],
    'objects of 32 bytes up to the last byte of the heap': ['lastByte', { options, objectBytes: 32 }],
    'objects of 4096 bytes up to the last byte of the heap': ['lastByte', { options, objectBytes: 4096 }],
    'an array larger than half of the heap slides over itself': ['overHalf', { options }],
    'nothing alive, one object alive, everything alive': ['extremes', { options }],
  } as const;
  const result = batch('placement', cases);
  test.each(Object.keys(cases))('%s', result);
});

// Most of their time they wait for a compaction that is held back.
describe.concurrent.each(['continue', 'copy'] as const)('%s', (fill) => {
  test('a cycle with a thousand faults: compaction is held back and the mutator reads and writes everything', async () => {
    const outcome = await succeed<{ faults: number }>('placement', 'faults', {
      options: { fill },
      pages: 2048,
      compactMs: 3000,
    });
    expect(outcome.faults).toBeGreaterThan(1000);
  });

  test('a thousand faults served by three servers, verified', async () => {
    const options = { fill, servers: 3, verify: 'full', placement: 'any' };
    const outcome = await succeed<{ faults: number }>('placement', 'faults', {
      options,
      pages: 1024,
      compactMs: 2500,
    });
    expect(outcome.faults).toBeGreaterThan(500);
  });

  test('a cycle without any fault', () => succeed('placement', 'noFault', { options: { fill } }));
});
