// The slow side of allocation, against a stubbed world.
import { expect, test } from 'vitest';
import { Allocator } from '#src/heap/allocator.js';
import type { CycleRequests } from '#src/heap/cycle-requests.js';
import { CTL_ALLOC_EPOCH, CTL_CURSOR, CTL_CYCLES_DONE, CTL_LIMIT } from '#src/heap/layout.js';
import type { Tables } from '#src/heap/tables.js';
import type { MutatorThread } from '#src/heap/thread.js';

test('a cycle that ends between the look at the ticket and the look at the epoch does not put the allocation to sleep', () => {
  const heap = 0x10000;
  const buffer = new SharedArrayBuffer(1 << 20);
  const control = new Int32Array(buffer, 0, 1024);
  control[CTL_LIMIT] = heap + 65536;
  control[CTL_CURSOR] = heap + 65536;
  const tables = {
    control,
    geometry: { heap, heapBytes: 65536, pageFirst: 16384 },
    bytes: (at: number, count: number) => new Uint8Array(buffer, at, count),
    words: (at: number, count: number) => new Int32Array(buffer, at, count),
    histogram: () => ({ record() {} }),
  } as unknown as Tables;
  let asked = 0;
  let waits = 0;
  const requests = {
    ask: () => ++asked,
    suggest() {},
    isDone(ticket: number) {
      const done = control[CTL_CYCLES_DONE]! - ticket >= 0;
      // Right after this look, in the second stall, the collector ends the cycle: it answers the ticket, then bumps the epoch.
      if (!done && waits === 1) {
        control[CTL_CYCLES_DONE] = ticket;
        control[CTL_ALLOC_EPOCH]!++;
      }
      return done;
    },
    waitForChange(word: number, seen: number) {
      waits++;
      // The first wait ends with the flip, which made no room.
      if (waits === 1) control[CTL_ALLOC_EPOCH]!++;
      else if (control[word] === seen && control[CTL_CYCLES_DONE] === asked)
        throw new Error('asleep, and nobody will wake it');
      // Any later cycle ends at once, and makes no room either.
      else control[CTL_CYCLES_DONE] = asked;
      if (waits > 1000) throw new Error('never gives up');
    },
  } as unknown as CycleRequests;
  const thread = {
    record: new Int32Array(buffer, 8192, 64),
    index: 0,
    blocking: (body: () => void) => body(),
    assertUsable() {},
    trace: { span() {} },
  } as unknown as MutatorThread;
  const allocator = new Allocator(tables, thread, requests, { stress: false, collects: true });
  expect(allocator.place(64)).toBe(0);
});
