// The non-moving space where it meets the rest: each was a defect once.

import { describe, expect, test } from 'vitest';
import { inOneProcess, succeed } from './support.ts';

const CONCURRENT = [{}, { verify: 'full' }, { fill: 'copy' }];
const ALL = [...CONCURRENT, { collector: 'stop-the-world' }];

describe('the non-moving space', () => {
  describe.each(ALL)('%j', (options) => {
    const corners = inOneProcess('pinned-corners', [
      ['smallHandleTable', options],
      ['largerThanHeap', options],
      ['heapFull', options],
      ['partsGiveWay', options],
    ]);

    test('beside a handle table smaller than a page', () => corners(0));

    test('holds objects that are larger than the heap, one after the other', () => corners(1));

    test('serves large objects while the heap is full', () => corners(2));

    test('gives raw data what references have used, and back', () => corners(3));
  });

  test('with thousands of pages of one size', async () => {
    expect(await succeed<number>('pinned-corners', 'manyPages')).toBeGreaterThan(500_000 * 16);
  });
});

test.each(CONCURRENT)('a cycle is given up while it clears weak references, %j', (options) =>
  succeed('pinned-corners', 'abandonedWhileClearing', options),
);
