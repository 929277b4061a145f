// What the collector does with the record of a thread that is gone, in every state in which a thread can end.
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { World } from '#src/gc/cycle.js';
import {
  CTL_DIRTY_END,
  CTL_PERSISTENT_FREE,
  CTL_PERSISTENT_TOP,
  T_CURSOR,
  T_PENDING_BLOCK,
  T_PENDING_BYTES,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  T_STATE,
  T_TID,
  THREAD_ATTACHING,
  THREAD_FREE,
  THREAD_RUNNING,
  THREAD_SAFE,
  THREAD_STOPPED,
} from '#src/heap/layout.js';
import { PersistentTable } from '#src/heap/persistent.js';
import type { Ref } from '#src/heap/ref.js';
import { ArenaHarness } from '../../support/arena-harness.ts';

const h = new ArenaHarness();
/** Larger than any id that Linux gives a thread. */
const NOBODY = 2 ** 22 + 7;
const INDEX = 9;
const record = h.tables.threads[INDEX]!;
const options = { safepointWarnMs: 1000, safepointTimeoutMs: 5000, stress: {} };

beforeEach(() => {
  h.reset();
  record[T_SHADOW_BASE] = h.tables.geometry.shadowStacks + INDEX * 65536 * 4;
  record[T_SHADOW_TOP] = record[T_SHADOW_BASE]! + 40;
  record[T_CURSOR] = h.heap;
});
afterAll(() => h.close());

const world = (): World => new World(h.context({ options, workers: 0 }));

describe('before a cycle', () => {
  test.each([
    ['in a safe region', THREAD_SAFE],
    ['stopped', THREAD_STOPPED],
    ['attaching', THREAD_ATTACHING],
  ])('a thread that ended %s is detached, and its roots are void', (_, state) => {
    record[T_TID] = NOBODY;
    record[T_STATE] = state;
    world().releaseDeadThreads();
    expect([record[T_STATE], record[T_TID], record[T_CURSOR]]).toEqual([THREAD_FREE, 0, 0]);
    expect(record[T_SHADOW_TOP]).toBe(record[T_SHADOW_BASE]);
  });

  test.each([
    ['lives', () => h.kernel.gettid(), THREAD_SAFE],
    ['has just begun to attach', () => 0, THREAD_ATTACHING],
  ])('a thread that %s is left alone', (_, tid, state) => {
    record[T_TID] = tid();
    record[T_STATE] = state;
    world().releaseDeadThreads();
    expect([record[T_STATE], record[T_TID]]).toEqual([state, tid()]);
  });
});

test('a stop detaches a thread that ended while it ran, finishes its block, and gives back its persistent handles only', () => {
  const handles = (index: number): PersistentTable =>
    new PersistentTable(h.tables, {
      index,
      usable: true,
      assertReference() {},
      noteReference() {},
      assertRunning() {},
      run: (body) => body(),
    });
  const [dead, alive] = [handles(INDEX), handles(INDEX + 1)];
  const ref = (i: number): Ref => (h.heap + 8 * i) as Ref;
  for (let i = 0; i < 6; i++) (i % 2 === 0 ? dead : alive).create(ref(i));
  // One that it had closed itself.
  dead.create(ref(9)).close();
  record[T_TID] = NOBODY;
  record[T_STATE] = THREAD_RUNNING;
  record[T_PENDING_BLOCK] = h.heap + 8192;
  record[T_PENDING_BYTES] = 4096;
  h.control[CTL_DIRTY_END] = h.end;
  h.bytes.fill(0xab, h.heap, h.heap + 16384);
  expect(world().paused(1, () => record[T_STATE])).toBe(THREAD_FREE);
  expect(h.bytes.subarray(h.heap + 8192, h.heap + 12288).every((byte) => byte === 0)).toBe(true);
  expect([h.bytes[h.heap + 8191], h.bytes[h.heap + 12288]]).toEqual([0xab, 0xab]);
  const { persistent } = h;
  const { persistentOwners } = h.tables.geometry;
  const top = h.control[CTL_PERSISTENT_TOP]!;
  expect(top).toBe(7);
  const free = new Set<number>();
  for (let next = h.control[CTL_PERSISTENT_FREE]!; next !== 0; next = ~h.words[persistent / 4 + next - 1]!)
    free.add(next - 1);
  expect([...free].sort()).toEqual([0, 2, 4, 6]);
  for (let i = 0; i < top; i++) {
    expect(h.words[persistentOwners / 4 + i]! & 0xff).toBe(free.has(i) ? 0 : INDEX + 2);
    if (!free.has(i)) expect(h.words[persistent / 4 + i]).toBe(ref(i));
  }
});
