// The non-moving space where it meets the rest: each was a defect once.

import { describe, expect, test } from 'vitest';
import { succeed } from './support.ts';

const CONCURRENT = [{}, { verify: 'full' }, { fill: 'copy' }];
const ALL = [...CONCURRENT, { collector: 'stop-the-world' }];

describe('the non-moving space', () => {
  test.each(ALL)('beside a handle table smaller than a page, %j', (options) =>
    succeed('pinned-corners', 'smallHandleTable', options),
  );

  test.each(ALL)('holds objects that are larger than the heap, one after the other, %j', (options) =>
    succeed('pinned-corners', 'largerThanHeap', options),
  );

  test.each(ALL)('serves large objects while the heap is full, %j', (options) =>
    succeed('pinned-corners', 'heapFull', options),
  );

  test.each(ALL)('gives raw data what references have used, and back, %j', (options) =>
    succeed('pinned-corners', 'partsGiveWay', options),
  );

  test('with thousands of pages of one size', async () => {
    expect(await succeed<number>('pinned-corners', 'manyPages')).toBeGreaterThan(2_000_000 * 16);
  });
});

test.each(CONCURRENT)('a cycle is given up while it clears weak references, %j', (options) =>
  succeed('pinned-corners', 'abandonedWhileClearing', options),
);
