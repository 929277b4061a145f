// What a fault server does about a fault: by the state in which it finds the page, and after the window has closed.
import { afterAll, beforeEach, expect, test } from 'vitest';
import { Builder } from '#src/gc/builder.js';
import { FAULT_BUILT, FAULT_LATE, FAULT_SHARED, FaultService } from '#src/gc/fault-service.js';
import {
  CTL_NON_MOVING_HIDDEN,
  CTL_WINDOW,
  PAGE_BYTES,
  PAGE_MAPPED,
  PAGE_MAPPING,
  PAGE_PROCESSED,
  PAGE_PROCESSING,
  PAGE_STATE_MASK,
  PAGE_UNPROCESSED,
  W_FAULTS,
  W_FAULTS_LATE,
  W_FAULTS_SHARED,
  W_HINT,
} from '#src/heap/layout.js';
import { ENOENT } from '#src/uffd/index.js';
import { ArenaHarness } from '../../support/arena-harness.ts';

const PAGES = 8;
const PAGE = 3;
const OTHER_WORKER = 9;

const h = new ArenaHarness();
const { kernels, heap } = h;
const realHeap = h.arena.real(heap);
afterAll(() => h.close());

const record = new Int32Array(new SharedArrayBuffer(256));
let calls: string[];
let answer: number;
let service: FaultService;

const note =
  (what: string, result: () => number) =>
  (address: number, bytes: number): number => {
    calls.push(`${what} ${(address - realHeap) / PAGE_BYTES}, ${bytes / PAGE_BYTES}`);
    return result();
  };
const uffd = { continue: note('continue', () => answer), wake: note('wake', () => 0) };

beforeEach(() => {
  h.reset();
  record.fill(0);
  calls = [];
  answer = PAGE_BYTES;
  const type = h.types.rawArray('page', 'u8').id;
  for (let page = 0; page < PAGES; page++) {
    h.put(heap + page * PAGE_BYTES, type, 4000 + page);
    h.setPageFirst(page, heap + page * PAGE_BYTES);
  }
  h.setPlan({ compacted: 0, blackLine: heap, used: PAGES * PAGE_BYTES });
  h.control[CTL_NON_MOVING_HIDDEN] = h.tables.geometry.nonMoving;
  h.control[CTL_WINDOW] = 1;
  const context = h.context({ record, uffd, options: { fill: 'continue' }, worker: 3 });
  service = new FaultService(context, new Builder(context), uffd);
});

const state = (): number => kernels.pageWord(PAGE) & PAGE_STATE_MASK;
/** The page's length word in the memfd to which the heap moves. */
const built = (): number => h.words[(h.tables.geometry.aliases[1] + PAGE * PAGE_BYTES + 4) / 4]!;
const counts = (): number[] => [record[W_FAULTS]!, record[W_FAULTS_SHARED]!, record[W_FAULTS_LATE]!];

/** Takes the page to `to` on behalf of another worker. */
function takeTo(to: number): void {
  kernels.claimPages(PAGE, PAGE + 1, OTHER_WORKER);
  if (to !== PAGE_PROCESSING) kernels.movePages(PAGE, 1, PAGE_PROCESSING, to, OTHER_WORKER);
}

test('a page that nobody has begun is built and installed; its neighbours are a hint for the collector', () => {
  expect(service.serve(PAGE)).toBe(FAULT_BUILT);
  expect(calls).toEqual([`continue ${PAGE}, 1`]);
  expect([state(), built()]).toEqual([PAGE_MAPPED, 4000 + PAGE]);
  expect(kernels.pageWord(PAGE + 1) & PAGE_STATE_MASK).toBe(PAGE_UNPROCESSED);
  expect(record[W_HINT]).toBe(PAGE + 1);
  expect(counts()).toEqual([1, 0, 0]);
});

test.each([
  ['being built', PAGE_PROCESSING],
  ['being installed', PAGE_MAPPING],
])('a page that is %s by another worker is left to it', (_, to) => {
  takeTo(to);
  expect(service.serve(PAGE)).toBe(FAULT_SHARED);
  expect([calls, state()]).toEqual([[], to]);
  expect(counts()).toEqual([1, 1, 0]);
});

test('a page that another worker has built is installed', () => {
  takeTo(PAGE_PROCESSED);
  expect(service.serve(PAGE)).toBe(FAULT_SHARED);
  expect([calls, state()]).toEqual([[`continue ${PAGE}, 1`], PAGE_MAPPED]);
  expect(counts()).toEqual([1, 1, 0]);
});

test('whoever faulted on a page that is there by now is woken; one whose entry has gone is mapped again', () => {
  takeTo(PAGE_MAPPED);
  expect(service.serve(PAGE)).toBe(FAULT_LATE);
  expect(calls).toEqual([`continue ${PAGE}, 1`]);
  answer = -ENOENT;
  expect(service.serve(PAGE)).toBe(FAULT_LATE);
  expect(calls.slice(1)).toEqual([`continue ${PAGE}, 1`, `wake ${PAGE}, 1`]);
  expect(counts()).toEqual([2, 0, 2]);
});

test('a message that outlived its window wakes, and touches neither the page nor its word', () => {
  service.serve(PAGE);
  // As the collector closes it. The page is in use from now on, and holds what the program wrote.
  h.control[CTL_WINDOW] = 0;
  kernels.clearPageWords(0, PAGES);
  h.words[(h.tables.geometry.aliases[1] + PAGE * PAGE_BYTES + 4) / 4] = 77;
  record.fill(0);
  calls = [];
  expect(service.pageOf(realHeap + PAGE * PAGE_BYTES + 5)).toBe(PAGE);
  expect(service.serve(PAGE)).toBe(FAULT_LATE);
  expect(calls).toEqual([`wake ${PAGE}, 1`]);
  expect([state(), built()]).toEqual([PAGE_UNPROCESSED, 77]);
  expect(record[W_HINT]).toBe(0);
  expect(counts()).toEqual([1, 0, 1]);
});

test('a fault from elsewhere is a defect while the window is open, and nothing afterwards', () => {
  const { nonMoving } = h.tables.geometry;
  for (const address of [realHeap - 1, realHeap + PAGES * PAGE_BYTES, h.arena.real(nonMoving)]) {
    h.control[CTL_WINDOW] = 1;
    expect(() => service.pageOf(address)).toThrow(/registered parts/);
    h.control[CTL_WINDOW] = 0;
    expect(() => service.pageOf(address)).not.toThrow();
  }
  h.control[CTL_WINDOW] = 1;
  h.control[CTL_NON_MOVING_HIDDEN] = nonMoving + PAGE_BYTES;
  expect(service.pageOf(h.arena.real(nonMoving))).toBe((nonMoving - heap) / PAGE_BYTES);
});
