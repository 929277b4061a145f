import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import {
  PAGE_MAPPED,
  PAGE_MAPPING,
  PAGE_OWNER_SHIFT,
  PAGE_PROCESSED,
  PAGE_PROCESSING,
  PAGE_STATE_MASK,
  PAGE_UNPROCESSED,
} from '#src/heap/layout.js';
import { ArenaHarness } from '../../support/arena-harness.ts';
import { endThreads, startThread } from '../../support/threads.ts';

const PAGES = 10_000;
const h = new ArenaHarness({ heapBytes: PAGES * 4096 });
const { kernels } = h;
const STATES = [PAGE_UNPROCESSED, PAGE_PROCESSING, PAGE_PROCESSED, PAGE_MAPPING, PAGE_MAPPED] as const;

const words = h.tables.words(h.tables.geometry.pageWords, PAGES);
const state = (page: number): number => kernels.pageWord(page) & PAGE_STATE_MASK;
const owner = (page: number): number => kernels.pageWord(page) >>> PAGE_OWNER_SHIFT;
const setState = (page: number, to: number, by = 0): void => {
  words[page] = to | (by << PAGE_OWNER_SHIFT);
};

beforeEach(() => kernels.clearPageWords(0, PAGES));
afterEach(endThreads);
afterAll(() => h.close());

test('states are numbered in the order in which a page takes them, and 0 is where it begins', () => {
  expect(STATES).toEqual([0, 1, 2, 3, 4]);
});

test('a page goes all the way, and its word names who moved it last', () => {
  expect(kernels.claimPages(7, 8, 3)).toBe(1);
  expect([state(7), owner(7)]).toEqual([PAGE_PROCESSING, 3]);
  expect(kernels.movePages(7, 1, PAGE_PROCESSING, PAGE_PROCESSED, 3)).toBe(1);
  expect([state(7), owner(7)]).toEqual([PAGE_PROCESSED, 3]);
  // Another worker may map what was built and left.
  expect(kernels.movePages(7, 1, PAGE_PROCESSED, PAGE_MAPPING, 15)).toBe(1);
  expect([state(7), owner(7)]).toEqual([PAGE_MAPPING, 15]);
  expect(kernels.movePages(7, 1, PAGE_MAPPING, PAGE_MAPPED, 15)).toBe(1);
  expect([state(7), owner(7)]).toEqual([PAGE_MAPPED, 15]);
  expect([state(6), state(8)]).toEqual([PAGE_UNPROCESSED, PAGE_UNPROCESSED]);
});

for (const actual of STATES) {
  test(`a page in state ${actual} is moved from ${actual} and from no other state`, () => {
    for (const from of STATES) {
      setState(0, actual, 1);
      const moved = kernels.movePages(0, 1, from, PAGE_MAPPED, 2);
      expect(moved).toBe(from === actual ? 1 : 0);
      if (from !== actual) expect([state(0), owner(0)]).toEqual([actual, 1]);
    }
  });

  test(`a page in state ${actual} is ${actual === PAGE_UNPROCESSED ? '' : 'not '}claimed`, () => {
    // An unprocessed page has no owner: its word is 0.
    setState(0, actual, actual === PAGE_UNPROCESSED ? 0 : 1);
    expect(kernels.claimPages(0, 1, 2)).toBe(actual === PAGE_UNPROCESSED ? 1 : 0);
    if (actual !== PAGE_UNPROCESSED) expect([state(0), owner(0)]).toEqual([actual, 1]);
  });
}

test('a run stops short at the first page that is in another state, and touches none behind it', () => {
  kernels.claimPages(0, 6, 1);
  setState(3, PAGE_MAPPED, 2);
  expect(kernels.movePages(0, 6, PAGE_PROCESSING, PAGE_PROCESSED, 1)).toBe(3);
  expect([0, 1, 2, 3, 4, 5].map(state)).toEqual([2, 2, 2, 4, 1, 1]);
});

test('a claim ends before its limit and at the first page that is taken', () => {
  expect(kernels.claimPages(10, 10, 1)).toBe(0);
  expect(kernels.claimPages(11, 10, 1)).toBe(0);
  expect(kernels.claimPages(10, 14, 1)).toBe(4);
  expect(state(14)).toBe(PAGE_UNPROCESSED);
  expect(kernels.claimPages(8, 20, 2)).toBe(2);
  expect(kernels.claimPages(10, 14, 2)).toBe(0);
  expect([8, 9, 10, 13, 14].map(owner)).toEqual([2, 2, 1, 1, 0]);
});

test('firstPageBelow finds the first page whose state is lower, or the limit', () => {
  for (let page = 0; page < 10; page++) setState(page, PAGE_MAPPED, 9);
  setState(4, PAGE_PROCESSED, 9);
  setState(6, PAGE_UNPROCESSED);
  expect(kernels.firstPageBelow(0, 10, PAGE_MAPPED)).toBe(4);
  expect(kernels.firstPageBelow(4, 10, PAGE_MAPPED)).toBe(4);
  expect(kernels.firstPageBelow(5, 10, PAGE_MAPPED)).toBe(6);
  expect(kernels.firstPageBelow(0, 10, PAGE_PROCESSED)).toBe(6);
  expect(kernels.firstPageBelow(7, 10, PAGE_MAPPED)).toBe(10);
  expect(kernels.firstPageBelow(0, 4, PAGE_MAPPED)).toBe(4);
  expect(kernels.firstPageBelow(3, 3, PAGE_MAPPED)).toBe(3);
  expect(kernels.firstPageBelow(0, 10, PAGE_UNPROCESSED)).toBe(10);
});

test('lowestPageAtLeast walks down to the beginning of the run that has reached a state', () => {
  for (let page = 0; page < 10; page++) setState(page, PAGE_PROCESSED, 9);
  expect(kernels.lowestPageAtLeast(10, PAGE_PROCESSED)).toBe(0);
  setState(4, PAGE_PROCESSING, 9);
  expect(kernels.lowestPageAtLeast(10, PAGE_PROCESSED)).toBe(5);
  expect(kernels.lowestPageAtLeast(5, PAGE_PROCESSED)).toBe(5);
  expect(kernels.lowestPageAtLeast(4, PAGE_PROCESSED)).toBe(0);
  expect(kernels.lowestPageAtLeast(10, PAGE_MAPPED)).toBe(10);
  expect(kernels.lowestPageAtLeast(0, PAGE_PROCESSED)).toBe(0);
});

test('clearPageWords opens a window of exactly so many pages', () => {
  for (let page = 0; page < 10; page++) setState(page, PAGE_MAPPED, 9);
  kernels.clearPageWords(0, 6);
  expect(Array.from({ length: 10 }, (_, page) => kernels.pageWord(page) & PAGE_STATE_MASK)).toEqual([
    0, 0, 0, 0, 0, 0, 4, 4, 4, 4,
  ]);
});

test('of two threads that race for 10 000 pages exactly one gets each', async () => {
  const rounds = 10;
  const shared = new Int32Array(new SharedArrayBuffer(1024));
  const threads = [0, 1].map((index) =>
    startThread('claim', h.tables, { shared, index, pages: PAGES, count: rounds }),
  );
  await Promise.all(threads.map((thread) => thread.ready));
  // No timer runs meanwhile: if a thread has failed, only this ends the wait.
  const deadline = performance.now() + 15_000;
  for (let round = 1; round <= rounds; round++) {
    kernels.clearPageWords(0, PAGES);
    Atomics.store(shared, 0, round);
    while (Atomics.load(shared, 5) < 2 * round) {
      if (performance.now() > deadline) throw new Error(`round ${round}: the threads do not end it`);
      expect(Atomics.wait(shared, 6, 0, 5)).toBe('timed-out');
    }
  }
  const claimed = (await Promise.all(threads.map((thread) => thread.result))) as number[][][];
  const all = Array.from({ length: PAGES }, (_, page) => page);
  for (let round = 0; round < rounds; round++) {
    const pages = claimed.flatMap((rounds) => rounds[round]!);
    expect(pages.length).toBe(PAGES);
    expect(pages.sort((a, b) => a - b)).toEqual(all);
  }
  // The last round's words still say who it was.
  claimed.forEach((rounds, index) => {
    const word = PAGE_PROCESSING | ((index + 1) << PAGE_OWNER_SHIFT);
    expect(rounds.at(-1)!.every((page) => kernels.pageWord(page) === word)).toBe(true);
  });
});
