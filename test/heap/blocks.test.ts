// What the collector does for a thread that was terminated while it prepared a block.
import { afterAll, beforeEach, expect, test } from 'vitest';
import { BlockSource, finishPendingBlock } from '#src/heap/blocks.js';
import { CTL_DIRTY_END, CTL_LIMIT, T_PENDING_BLOCK, T_PENDING_BYTES } from '#src/heap/layout.js';
import { ArenaHarness } from '../support/arena-harness.ts';

const h = new ArenaHarness();
const record = h.tables.threads[5]!;
beforeEach(() => {
  h.reset();
  h.control[CTL_LIMIT] = h.end;
});
afterAll(() => h.close());

test('the pages of the block name its start, and its old bytes are gone; its neighbours are left alone', () => {
  h.bytes.fill(0xab, h.heap, h.heap + 16 * 4096);
  h.control[CTL_DIRTY_END] = h.heap + 7 * 4096;
  for (let page = 0; page < 16; page++) h.setPageFirst(page, 1234);
  record[T_PENDING_BLOCK] = h.heap + 4 * 4096;
  record[T_PENDING_BYTES] = 4 * 4096;
  finishPendingBlock(h.tables, record);
  expect(record[T_PENDING_BYTES]).toBe(0);
  for (let page = 0; page < 16; page++) {
    const inside = page >= 4 && page < 8;
    expect(h.pageFirst(page)).toBe(inside ? h.heap + 4 * 4096 : 1234);
    // Behind the end of what may be dirty nothing needs zeroing.
    const zeroed = page >= 4 && page < 7;
    const bytes = new Set(h.bytes.subarray(h.heap + page * 4096, h.heap + (page + 1) * 4096));
    expect([...bytes]).toEqual([zeroed ? 0 : 0xab]);
  }
  // Done once.
  h.setPageFirst(4, 99);
  finishPendingBlock(h.tables, record);
  expect(h.pageFirst(4)).toBe(99);
});

test('a block that was taken is prepared, and nothing is pending then', () => {
  h.control[CTL_DIRTY_END] = h.end;
  h.bytes.fill(0xab, h.heap, h.heap + 8 * 4096);
  const blocks = new BlockSource(h.tables, record);
  const first = blocks.take(100, 8192);
  const second = blocks.take(4097, 100);
  expect([first, second, record[T_PENDING_BYTES]]).toEqual([h.heap, h.heap + 8192, 0]);
  expect(h.bytes.subarray(h.heap, h.heap + 4 * 4096).every((byte) => byte === 0)).toBe(true);
  expect([0, 1, 2, 3].map((page) => h.pageFirst(page))).toEqual([first, first, second, second]);
  expect(h.bytes[h.heap + 4 * 4096]).toBe(0xab);
});
