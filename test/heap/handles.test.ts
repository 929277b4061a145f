import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import {
  CTL_PERSISTENT_TOP,
  SHADOW_SLOTS,
  T_SHADOW_BASE,
  T_SHADOW_LIMIT,
  T_SHADOW_TOP,
} from '#src/heap/layout.js';
import { PersistentTable } from '#src/heap/persistent.js';
import type { Local, Ref } from '#src/heap/ref.js';
import { ShadowStack } from '#src/heap/shadow-stack.js';
import { ArenaHarness } from '../support/arena-harness.ts';

const SLOTS = 100;
const h = new ArenaHarness({ persistentSlots: SLOTS });
const g = h.tables.geometry;
beforeEach(() => h.reset());
afterAll(() => h.close());
const ref = (i: number): Ref => (h.heap + 8 * i) as Ref;

describe('persistent handles', () => {
  let running = true;
  let entered = 0;
  const owner = {
    index: 3,
    usable: true,
    assertReference: () => {},
    noteReference: () => {},
    assertRunning: () => {
      if (!running) throw new Error('not running');
    },
    run: <T>(body: () => T): T => {
      entered++;
      return body();
    },
  };
  const table = (): PersistentTable => new PersistentTable(h.tables, owner);
  const slots = (): number[] => [
    ...h.words.subarray(h.persistent / 4, h.persistent / 4 + h.control[CTL_PERSISTENT_TOP]!),
  ];
  beforeEach(() => {
    running = true;
    entered = 0;
  });

  test('hold a reference, take another, and read what the collector wrote into their slot', () => {
    const handle = table().create(ref(1));
    expect(handle.get()).toBe(ref(1));
    handle.set(ref(2));
    expect(slots()).toEqual([ref(2)]);
    h.words[h.persistent / 4] = ref(3);
    expect(handle.get()).toBe(ref(3));
  });

  test('slots that were given back are used again before new ones', () => {
    const handles = Array.from({ length: 10 }, (_, i) => table().create(ref(i)));
    for (const i of [2, 7, 4]) handles[i]!.close();
    const again = [100, 101, 102, 103].map((i) => table().create(ref(i)));
    expect(h.control[CTL_PERSISTENT_TOP]).toBe(11);
    expect(again.map((handle) => handle.get())).toEqual([100, 101, 102, 103].map(ref));
    expect([0, 1, 3, 5, 6, 8, 9].map((i) => handles[i]!.get())).toEqual([0, 1, 3, 5, 6, 8, 9].map(ref));
    expect(new Set(slots()).size).toBe(11);
  });

  test('what a free slot holds is never taken for a reference: marking and forwarding leave it alone', () => {
    const handles = Array.from({ length: SLOTS }, (_, i) => table().create(ref(i)));
    for (const handle of handles) handle.close();
    const links = slots();
    expect(links.length).toBe(SLOTS);
    // Above every window, wherever the heap lies.
    for (const link of links) expect(link).toBeGreaterThan(2 ** 32 - 2 ** 25);
    h.kernels.markBegin(h.end);
    h.kernels.markRoots(h.persistent, h.persistent + SLOTS * 4);
    expect(h.kernels.markPending()).toBe(0);
    h.setPlan({ compacted: 0, blackLine: h.end, used: 0 });
    h.kernels.forwardRoots(h.persistent, h.persistent + SLOTS * 4);
    expect(slots()).toEqual(links);
    // The chain is whole: all of them can be taken again.
    const again = Array.from({ length: SLOTS }, (_, i) => table().create(ref(i)));
    expect(new Set(again.map((handle) => handle.get())).size).toBe(SLOTS);
  });

  test('a full table is a typed error, and a slot given back makes room', () => {
    const handles = Array.from({ length: SLOTS }, (_, i) => table().create(ref(i)));
    for (let i = 0; i < 2; i++) {
      expect(() => table().create(ref(0))).toThrow(
        expect.objectContaining({
          code: 'ERR_HANDLE',
          message: expect.stringContaining('100'),
          hint: expect.stringContaining('persistentSlots'),
        }),
      );
    }
    handles[50]!.close();
    expect(table().create(ref(7)).get()).toBe(ref(7));
    expect(handles[99]!.get()).toBe(ref(99));
  });

  test('a closed handle refuses everything but closing, and never frees a slot twice', () => {
    const handle = table().create(ref(1));
    handle.close();
    handle.close();
    handle[Symbol.dispose]();
    expect(entered).toBe(1);
    const error = expect.objectContaining({ code: 'ERR_HANDLE', hint: expect.stringMatching(/./) });
    expect(() => handle.get()).toThrow(error);
    expect(() => handle.set(ref(2))).toThrow(error);
    const [a, b] = [table().create(ref(3)), table().create(ref(4))];
    expect([a.get(), b.get()]).toEqual([ref(3), ref(4)]);
  });

  test('slots are touched by running mutators only', () => {
    const handle = table().create(ref(1));
    running = false;
    for (const use of [() => table().create(ref(2)), () => handle.get(), () => handle.set(ref(2))])
      expect(use).toThrow('not running');
    expect(slots()).toEqual([ref(1)]);
  });
});

describe.each([false, true])('the shadow stack (checked: %s)', (checked) => {
  test('slots below the top are roots; the record says where they are', () => {
    const stack = new ShadowStack(h.tables, 3, checked ? () => {} : undefined);
    const thread = h.tables.threads[3]!;
    const locals = [1, 2, 3].map((i) => stack.push(ref(i)));
    expect(locals.map((local) => stack.get(local))).toEqual([1, 2, 3].map(ref));
    stack.set(locals[1]!, ref(9));
    expect([stack.depth, stack.peek(0), stack.peek(1), stack.peek(2)]).toEqual([3, ref(3), ref(9), ref(1)]);
    const base = thread[T_SHADOW_BASE]! >>> 0;
    expect(base).toBe(g.shadowStacks + 3 * SHADOW_SLOTS * 4);
    expect((thread[T_SHADOW_TOP]! >>> 0) - base).toBe(12);
    expect((thread[T_SHADOW_LIMIT]! >>> 0) - base).toBe(SHADOW_SLOTS * 4);
    expect([...h.words.subarray(base / 4, base / 4 + 3)]).toEqual([ref(1), ref(9), ref(3)]);
  });

  test('stacks of two threads do not overlap', () => {
    const [a, b] = [
      new ShadowStack(h.tables, 0, checked ? () => {} : undefined),
      new ShadowStack(h.tables, 1, checked ? () => {} : undefined),
    ];
    for (let i = 0; i < SHADOW_SLOTS; i++) a.push(ref(1));
    const local = b.push(ref(2));
    expect([b.get(local), b.depth, a.depth]).toEqual([ref(2), 1, SHADOW_SLOTS]);
  });

  test('a full stack is a typed error and stays usable', () => {
    const stack = new ShadowStack(h.tables, 0, checked ? () => {} : undefined);
    let last = 0 as Local;
    for (let i = 0; i < SHADOW_SLOTS; i++) last = stack.push(ref(i));
    expect(() => stack.push(ref(0))).toThrow(
      expect.objectContaining({
        code: 'ERR_HANDLE',
        message: expect.stringContaining('65536'),
        hint: expect.stringContaining('scope'),
      }),
    );
    expect([stack.depth, stack.get(last)]).toEqual([SHADOW_SLOTS, ref(SHADOW_SLOTS - 1)]);
    stack.truncate(SHADOW_SLOTS - 1);
    expect(stack.get(stack.push(ref(5)))).toBe(ref(5));
  });

  test('truncate releases everything from a depth on', () => {
    const stack = new ShadowStack(h.tables, 0, checked ? () => {} : undefined);
    const keep = stack.push(ref(1));
    for (let i = 0; i < 10; i++) stack.push(ref(2));
    stack.truncate(1);
    expect([stack.depth, stack.get(keep), stack.peek(0)]).toEqual([1, ref(1), ref(1)]);
    stack.truncate(0);
    expect(stack.depth).toBe(0);
  });
});

test('a handle that outlived its scope is found in a checked heap, also when its slot is in use again', () => {
  const stack = new ShadowStack(h.tables, 0, () => {});
  const outer = stack.push(ref(1));
  const stale = stack.push(ref(2));
  stack.truncate(1);
  const error = expect.objectContaining({ code: 'ERR_HANDLE', hint: expect.stringMatching(/./) });
  expect(() => stack.get(stale)).toThrow(error);
  const fresh = stack.push(ref(3));
  expect(() => stack.get(stale)).toThrow(error);
  expect(() => stack.set(stale, ref(4))).toThrow(error);
  expect([stack.get(fresh), stack.get(outer)]).toEqual([ref(3), ref(1)]);
  expect(() => stack.get(12345 as Local)).toThrow(error);
});
