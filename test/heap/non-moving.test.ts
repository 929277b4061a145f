// The allocator of the non-moving space alone: nobody collects, what a sweep would do is done by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MIB } from '#src/heap/geometry.js';
import {
  CTL_NON_MOVING_FRESH,
  CTL_NON_MOVING_RAW,
  CTL_NON_MOVING_SINCE,
  CTL_NON_MOVING_SWEEPS,
  CTL_NON_MOVING_TOP,
  CTL_PERSISTENT,
  SPAN_CELLS,
  SPAN_FIRST,
  SPAN_FREE,
  SPAN_KIND_MASK,
  SPAN_REST,
  SPAN_VALUE_SHIFT,
} from '#src/heap/layout.js';
import { NonMovingSpace } from '#src/heap/non-moving.js';
import { ArenaHarness } from '../support/arena-harness.ts';
import { forSeeds } from '../support/random.ts';

const PAGE = 4096;
const PAGES = MIB / PAGE;
/** The array of 1024 persistent handles, with its header. */
const PERSISTENT_PAGES = 2;
const CELLS = [
  16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 816, 1024, 1360, 2048,
];

let h: ArenaHarness;
let space: NonMovingSpace;
let base: number;
let spans: Int32Array;
beforeEach(() => {
  h = new ArenaHarness({ nonMovingBytes: MIB });
  space = new NonMovingSpace(h.tables);
  base = h.tables.geometry.nonMoving;
  spans = h.tables.words(h.tables.geometry.spans, PAGES);
});
afterEach(() => h.close());

const pageOf = (ref: number): number => (ref - base) >>> 12;
const span = (page: number): [kind: number, value: number] => [
  spans[page]! & SPAN_KIND_MASK,
  spans[page]! >>> SPAN_VALUE_SHIFT,
];
const isZero = (ref: number, bytes: number): boolean =>
  h.bytes.subarray(ref, ref + bytes).every((byte) => byte === 0);

/** What a sweep does with a dead object. */
function free(ref: number): void {
  const first = pageOf(ref);
  const [kind, value] = span(first);
  const granule = (ref - base) / 8;
  const { allocated } = h.tables.geometry;
  h.words[allocated / 4 + (granule >>> 5)]! &= ~(1 << (granule & 31));
  h.control[CTL_NON_MOVING_SWEEPS]!++;
  if (kind === SPAN_CELLS && [...space.objects()].some((other) => pageOf(other) === first)) return;
  const pages = kind === SPAN_CELLS ? 1 : value;
  spans.fill(SPAN_FREE, first, first + pages);
  h.arena.nonMovingMemfd.punch(first * PAGE, pages * PAGE);
}

test('the array of persistent handles is the first object', () => {
  expect([...space.objects()]).toEqual([base]);
  expect(h.control[CTL_PERSISTENT]).toBe(base);
  expect(space.extent(base)).toBe(PERSISTENT_PAGES * PAGE);
  expect(h.control[CTL_NON_MOVING_TOP]).toBe(base + PERSISTENT_PAGES * PAGE);
});

describe.each([
  ['references', false],
  ['raw data', true],
])('%s', (_, raw) => {
  test.each(CELLS)('cells of %d bytes fill a page one behind the other', (cell) => {
    const count = Math.floor(PAGE / cell);
    const refs = Array.from({ length: count }, () => space.take(cell, raw));
    const page = raw ? PAGES - 1 : PERSISTENT_PAGES;
    expect(refs).toEqual(refs.map((_ref, i) => base + page * PAGE + i * cell));
    expect(span(page)).toEqual([SPAN_CELLS, cell]);
    expect(refs.every((ref) => space.isAllocated(ref) && space.extent(ref) === cell)).toBe(true);
    // The page is full: the next one is the neighbour, away from the part's own end.
    expect(pageOf(space.take(cell, raw))).toBe(raw ? page - 1 : page + 1);
  });

  test('every size from 8 to 2048 bytes gets the smallest cell that holds it, on 16 bytes', () => {
    for (let bytes = 8; bytes <= 2048; bytes += 8) {
      const ref = space.take(bytes, raw);
      expect(space.extent(ref), `${bytes} bytes`).toBe(CELLS.find((cell) => cell >= bytes));
      expect((ref - base) % 16).toBe(0);
    }
  });

  test.each([
    [2049, 1],
    [2056, 1],
    [4096, 1],
    [4097, 2],
    [4104, 2],
    [8192, 2],
    [10 * PAGE - 8, 10],
    [100 * PAGE, 100],
  ])('%d bytes take %d pages of their own', (bytes, pages) => {
    const ref = space.take(bytes, raw);
    const first = pageOf(ref);
    expect((ref - base) % PAGE).toBe(0);
    expect(first).toBe(raw ? PAGES - pages : PERSISTENT_PAGES);
    expect(space.extent(ref)).toBe(pages * PAGE);
    expect(span(first)).toEqual([SPAN_FIRST, pages]);
    for (let i = 1; i < pages; i++) expect(span(first + i)).toEqual([SPAN_REST, i]);
  });

  test('a cell that is free again is reused and reads as zeroes', () => {
    const refs = Array.from({ length: 3 * Math.floor(PAGE / 48) }, () => space.take(48, raw));
    for (const ref of refs) h.bytes.fill(0xee, ref, ref + 48);
    const victim = refs[Math.floor(PAGE / 48) + 7]!;
    free(victim);
    expect(space.isAllocated(victim)).toBe(false);
    expect(space.take(40, raw)).toBe(victim);
    expect(isZero(victim, 48)).toBe(true);
    // Its neighbours are as they were.
    expect(h.bytes[victim - 1]).toBe(0xee);
    expect(h.bytes[victim + 48]).toBe(0xee);
  });

  test('pages that are free again are reused, also for cells, and read as zeroes', () => {
    const large = space.take(5 * PAGE, raw);
    const behind = space.take(3 * PAGE, raw);
    h.bytes.fill(0xee, large, large + 5 * PAGE);
    free(large);
    const ref = space.take(4 * PAGE + 8, raw);
    expect(ref).toBe(large);
    expect(isZero(ref, 5 * PAGE)).toBe(true);
    h.bytes.fill(0xee, large, large + 5 * PAGE);
    free(ref);
    const cell = space.take(64, raw);
    expect(pageOf(cell)).toBe(raw ? pageOf(large) + 4 : pageOf(large));
    expect(isZero(cell, 64)).toBe(true);
    expect(space.isAllocated(behind)).toBe(true);
  });

  test('a hole that is too small is passed over, and taken by what fits', () => {
    const [a, b, c] = [space.take(3 * PAGE, raw), space.take(PAGE, raw), space.take(2 * PAGE, raw)];
    free(b);
    const two = space.take(2 * PAGE, raw);
    expect([a, b, c]).not.toContain(two);
    expect(space.take(PAGE, raw)).toBe(b);
    free(a);
    free(b);
    // Together with the hole beside it, what was two objects holds one.
    expect(space.take(4 * PAGE, raw)).toBe(Math.min(a, b));
  });

  test('a space in pieces has no room for a run that is longer than the longest piece', () => {
    const refs: number[] = [];
    for (let ref = space.take(PAGE, raw); ref !== 0; ref = space.take(PAGE, raw)) refs.push(ref);
    expect(refs.length).toBe(PAGES - PERSISTENT_PAGES);
    expect(space.take(8, raw)).toBe(0);
    for (let i = 0; i < refs.length; i += 2) free(refs[i]!);
    expect(space.take(PAGE + 1, raw)).toBe(0);
    free(refs[1]!);
    const ref = space.take(3 * PAGE, raw);
    expect(ref).toBe(Math.min(refs[0]!, refs[2]!));
    expect(space.take(2 * PAGE, raw)).toBe(0);
    expect(space.take(PAGE, raw)).toBeGreaterThan(0);
  });

  test('what is larger than the space is refused, and takes nothing', () => {
    const before = spans.slice();
    expect(space.take(MIB - PERSISTENT_PAGES * PAGE + 8, raw)).toBe(0);
    expect(spans).toEqual(before);
    expect(space.take(MIB - PERSISTENT_PAGES * PAGE, raw)).toBeGreaterThan(0);
    expect(space.take(8, raw)).toBe(0);
    expect(space.take(8, !raw)).toBe(0);
  });
});

test('references grow up and raw data down until they meet', () => {
  const refs: number[] = [];
  const raws: number[] = [];
  for (;;) {
    const ref = space.take(7 * PAGE, false);
    const raw = space.take(3 * PAGE, true);
    if (ref > 0) refs.push(ref);
    if (raw > 0) raws.push(raw);
    expect(h.control[CTL_NON_MOVING_TOP]).toBeLessThanOrEqual(h.control[CTL_NON_MOVING_RAW]!);
    if (ref === 0 && raw === 0) break;
  }
  expect(refs).toEqual(refs.map((_, i) => base + (PERSISTENT_PAGES + 7 * i) * PAGE));
  expect(raws).toEqual(raws.map((_, i) => base + (PAGES - 3 * (i + 1)) * PAGE));
  expect(h.control[CTL_NON_MOVING_TOP]).toBe(refs.at(-1)! + 7 * PAGE);
  expect(h.control[CTL_NON_MOVING_RAW]).toBe(raws.at(-1)!);
  // What is left between them fits neither.
  expect(raws.at(-1)! - (refs.at(-1)! + 7 * PAGE)).toBeLessThan(3 * PAGE);
});

test('two threads share pages of cells and never a cell', () => {
  const other = new NonMovingSpace(h.tables);
  const refs = Array.from({ length: 500 }, (_, i) => (i % 3 === 0 ? other : space).take(96, i % 2 === 0));
  expect(new Set(refs).size).toBe(refs.length);
  expect(new Set(refs.map(pageOf)).size).toBeLessThanOrEqual(2 + 2 * Math.ceil(250 / 42));
});

test('only objects from after the line are fresh, and what was allocated is counted by its room', () => {
  const { fresh } = h.tables.geometry;
  const isFresh = (ref: number): boolean =>
    ((h.words[fresh / 4 + ((ref - base) >>> 8)]! >>> (((ref - base) >>> 3) & 31)) & 1) === 1;
  const since = h.control[CTL_NON_MOVING_SINCE]!;
  const before = space.take(100, false);
  h.control[CTL_NON_MOVING_FRESH] = 1;
  const after = [space.take(100, false), space.take(9000, false), space.take(24, true)];
  h.control[CTL_NON_MOVING_FRESH] = 0;
  const later = space.take(100, true);
  expect([before, later].map(isFresh)).toEqual([false, false]);
  expect(after.map(isFresh)).toEqual([true, true, true]);
  expect(h.control[CTL_NON_MOVING_SINCE]! - since).toBe(3 * 112 + 3 * PAGE + 32);
});

test('random histories: nothing overlaps, everything is zeroed, and what fits nowhere is refused rightly', () => {
  forSeeds(6, (random) => {
    h.close();
    h = new ArenaHarness({ nonMovingBytes: MIB });
    const spaces = [new NonMovingSpace(h.tables), new NonMovingSpace(h.tables)];
    [space] = spaces as [NonMovingSpace];
    base = h.tables.geometry.nonMoving;
    spans = h.tables.words(h.tables.geometry.spans, PAGES);
    const live = new Map<number, { bytes: number; raw: boolean }>();
    // Whose each page is: how many objects have something on it, and the cells it is divided into (0: pages of an object's own).
    const model = Array.from({ length: PAGES }, () => ({ objects: 0, cell: 0, raw: false }));
    for (let page = 0; page < PERSISTENT_PAGES; page++) model[page]!.objects = 1;
    const size = (): number =>
      random.chance(0.7)
        ? random.int(1, 256) * 8
        : random.chance(0.8)
          ? random.int(257, 4000) * 8
          : random.int(1, 128) * PAGE;
    for (let step = 0; step < 3000; step++) {
      if (random.chance(step % 1000 < 600 ? 0.35 : 0.65) && live.size > 0) {
        const ref = random.pick([...live.keys()]);
        const { bytes } = live.get(ref)!;
        free(ref);
        live.delete(ref);
        for (let page = pageOf(ref); page <= pageOf(ref + bytes - 1); page++) model[page]!.objects--;
        continue;
      }
      const bytes = size();
      const raw = random.chance(0.5);
      const ref = random.pick(spaces).take(bytes, raw);
      const cell = bytes <= 2048 ? CELLS.find((one) => one >= bytes)! : 0;
      const room = cell || Math.ceil(bytes / PAGE) * PAGE;
      if (ref === 0) {
        const top = (h.control[CTL_NON_MOVING_TOP]! - base) / PAGE;
        const bottom = (h.control[CTL_NON_MOVING_RAW]! - base) / PAGE;
        const [low, high] = raw ? [top, PAGES] : [0, bottom];
        let run = 0;
        for (let page = low; page < high; page++) {
          run = model[page]!.objects === 0 ? run + 1 : 0;
          if (run * PAGE >= room)
            expect.fail(`${bytes} bytes were refused, and page ${page} ends a free run`);
        }
        continue;
      }
      if (!isZero(ref, room)) expect.fail(`${bytes} bytes at ${ref - base} are not zeroed`);
      if (ref < base || ref + room > base + MIB) expect.fail(`${bytes} bytes at ${ref - base} lie outside`);
      for (const [at, other] of live) {
        if (at < ref + room && ref < at + other.bytes) expect.fail(`${ref - base} overlaps ${at - base}`);
      }
      for (let page = pageOf(ref); page <= pageOf(ref + room - 1); page++) {
        const there = model[page]!;
        if (there.objects > 0 && (there.cell !== cell || cell === 0 || there.raw !== raw))
          expect.fail(`page ${page} has ${there.cell} and gets ${cell}, raw ${there.raw} and ${raw}`);
        Object.assign(there, { objects: there.objects + 1, cell, raw });
      }
      h.bytes.fill(0xdd, ref, ref + room);
      live.set(ref, { bytes: room, raw });
    }
    expect([...space.objects()]).toEqual([base, ...[...live.keys()].sort((a, b) => a - b)]);
  });
});
