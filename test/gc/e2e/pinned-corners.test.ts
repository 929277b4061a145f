// The non-moving space where it meets the rest: each was a defect once.

import { describe, expect, test } from 'vitest';
import { batch, succeed } from './support.ts';

const CONCURRENT = [{}, { verify: 'full' }, { fill: 'copy' }];
const ALL = [...CONCURRENT, { collector: 'stop-the-world' }];

describe('the non-moving space', () => {
  describe.each(ALL)('%j', (options) => {
    const corner = batch('pinned-corners', {
      smallHandleTable: ['smallHandleTable', options],
      largerThanHeap: ['largerThanHeap', options],
      heapFull: ['heapFull', options],
      partsGiveWay: ['partsGiveWay', options],
    });

    test('beside a handle table smaller than a page', () => corner('smallHandleTable'));

    test('holds objects that are larger than the heap, one after the other', () => corner('largerThanHeap'));

    test('serves large objects while the heap is full', () => corner('heapFull'));

    test('gives raw data what references have used, and back', () => corner('partsGiveWay'));
  });

  test('with thousands of pages of one size', async () => {
    expect(await succeed<number>('pinned-corners', 'manyPages')).toBeGreaterThan(500_000 * 16);
  });
});

test.each(CONCURRENT)('a cycle is given up while it clears weak references, %j', (options) =>
  succeed('pinned-corners', 'abandonedWhileClearing', options),
);
