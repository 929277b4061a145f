// The collector's side of the non-moving space: the sweep, what a window hides, and pages rewritten in place.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NonMoving } from '#src/gc/non-moving.js';
import { planBlack, planCompaction } from '#src/gc/plan.js';
import { MIB } from '#src/heap/geometry.js';
import {
  CTL_NON_MOVING_FRESH,
  CTL_NON_MOVING_LIVE,
  CTL_NON_MOVING_RAW,
  CTL_NON_MOVING_SINCE,
  CTL_NON_MOVING_SWEEPS,
  CTL_NON_MOVING_TOP,
  CTL_PERSISTENT_TOP,
  PAGE_MAPPED,
  PAGE_MAPPING,
  PAGE_PROCESSED,
  PAGE_PROCESSING,
  PAGE_UNPROCESSED,
  SPAN_FREE,
} from '#src/heap/layout.js';
import { NonMovingSpace } from '#src/heap/non-moving.js';
import { ArenaHarness } from '../../support/arena-harness.ts';
import { forSeeds, type Random } from '../../support/random.ts';
import { defineModelTypes } from '../../support/random-heap.ts';

const PAGE = 4096;
const PERSISTENT_PAGES = 2;

let h: ArenaHarness;
let space: NonMovingSpace;
let collector: NonMoving;
let base: number;

function begin(): void {
  h = new ArenaHarness({ nonMovingBytes: 4 * MIB });
  space = new NonMovingSpace(h.tables);
  collector = new NonMoving(h.context());
  base = h.tables.geometry.nonMoving;
  h.kernels.markBegin(h.end);
  mark(base);
}
beforeEach(begin);
afterEach(() => h.close());

function setBit(table: number, index: number): void {
  h.words[table / 4 + (index >>> 5)]! |= 1 << (index & 31);
}
const mark = (ref: number): void => setBit(h.tables.geometry.marks, (ref - h.heap) / 8);
const freshen = (ref: number): void => setBit(h.tables.geometry.fresh, (ref - base) / 8);
const objects = (): number[] => [...space.objects()];
const ascending = (refs: readonly number[]): number[] => [...refs].sort((a, b) => a - b);
const held = (): number => h.arena.nonMovingMemfd.allocatedBytes();

describe('the sweep', () => {
  test('frees cells and spans that are neither marked nor fresh, and counts what stays', () => {
    const kept: number[] = [base];
    let live = PERSISTENT_PAGES * PAGE;
    for (let i = 0; i < 600; i++) {
      const bytes = [24, 100, 700, 2048, 3000, 5 * PAGE][i % 6]!;
      if (i % 6 === 5 && i % 36 !== 5) continue;
      const ref = space.take(bytes, i % 4 === 0);
      h.bytes.fill(0xcc, ref, ref + bytes);
      const fate = i % 5;
      if (fate === 1) mark(ref);
      if (fate === 2) freshen(ref);
      if (fate === 3) {
        mark(ref);
        freshen(ref);
      }
      if (fate === 0 || fate === 4) continue;
      kept.push(ref);
      live += space.extent(ref);
    }
    const sweeps = h.control[CTL_NON_MOVING_SWEEPS]!;
    collector.sweep();
    expect(objects()).toEqual(ascending(kept));
    expect(h.control[CTL_NON_MOVING_LIVE]).toBe(live);
    expect(h.control[CTL_NON_MOVING_SINCE]).toBe(0);
    expect(h.control[CTL_NON_MOVING_SWEEPS]).toBe(sweeps + 1);
    for (const ref of kept.slice(1)) expect([h.bytes[ref], h.bytes[ref + 16]]).toEqual([0xcc, 0xcc]);
    // A second one with the same marks has nothing to do.
    collector.sweep();
    expect(objects()).toEqual(ascending(kept));
  });

  test('gives the memory of pages without objects back to the system, and of no others', () => {
    const large = space.take(100 * PAGE, false);
    const raw = space.take(200 * PAGE, true);
    const cells = Array.from({ length: 64 }, () => space.take(1024, false));
    for (const [at, bytes] of [
      [large, 100 * PAGE],
      [raw, 200 * PAGE],
      [cells[0]!, 16 * PAGE],
    ] as const)
      h.bytes.fill(1, at, at + bytes);
    const before = held();
    expect(before).toBeGreaterThanOrEqual(316 * PAGE);
    mark(large);
    // One object on each of three pages of cells.
    for (const i of [0, 7, 40]) mark(cells[i]!);
    collector.sweep();
    expect(before - held()).toBe((200 + 13) * PAGE);
    expect(h.bytes[raw]).toBe(0);
    expect(h.bytes[large + 100 * PAGE - 1]).toBe(1);
    expect(cells.map((ref) => h.bytes[ref])).toEqual(
      cells.map((_, i) => Number([0, 1, 10].includes(i >> 2))),
    );
  });

  test.each([1, 2, 3])(
    'frees %i pages of an object whose thread ended before it wrote the first one',
    (written) => {
      const before = space.take(3000, false);
      const object = space.take(4 * PAGE, false);
      const behind = space.take(3 * PAGE, false);
      for (const ref of [before, behind]) mark(ref);
      // As take leaves it when it is cut short: the words of the last pages, and no object.
      const word = (page: number): number => h.tables.geometry.spans / 4 + (object - base) / PAGE + page;
      h.words[h.tables.geometry.allocated / 4 + (((object - base) / 8) >>> 5)] = 0;
      for (let page = 0; page < 4 - written; page++) h.words[word(page)] = SPAN_FREE;
      collector.sweep();
      expect([0, 1, 2, 3].map((page) => h.words[word(page)])).toEqual([
        SPAN_FREE,
        SPAN_FREE,
        SPAN_FREE,
        SPAN_FREE,
      ]);
      expect(objects()).toEqual(ascending([base, before, behind]));
      expect(space.extent(behind)).toBe(3 * PAGE);
    },
  );

  test('lets one part have what the other gave up', () => {
    const fillUp = (raw: boolean): number[] => {
      const refs: number[] = [];
      for (let ref = space.take(16 * PAGE, raw); ref !== 0; ref = space.take(16 * PAGE, raw)) refs.push(ref);
      return refs;
    };
    const refs = fillUp(false);
    expect(refs.length).toBe(63);
    expect(fillUp(true)).toEqual([]);
    // The topmost that lives holds the boundary.
    mark(refs[5]!);
    collector.sweep();
    expect(h.control[CTL_NON_MOVING_TOP]).toBe(refs[5]! + 16 * PAGE);
    expect(h.control[CTL_NON_MOVING_RAW]).toBe(base + 4 * MIB);
    const raws = fillUp(true);
    expect(raws.length).toBe(57);
    mark(raws[0]!);
    collector.sweep();
    expect(h.control[CTL_NON_MOVING_RAW]).toBe(raws[0]!);
    expect(fillUp(false).length).toBe(63 - 1 - 1);
  });

  test('leaves what is allocated between its slices alone', () => {
    // Pages of an object that ends behind a slice of 256 pages are free before the next slice looks.
    const long = space.take(400 * PAGE, false);
    const behind = space.take(8, false);
    mark(behind);
    collector.sweep();
    expect(objects()).toEqual([base, behind]);
    expect(space.take(400 * PAGE, false)).toBe(long);
  });
});

describe('bits of fresh objects', () => {
  test('are forgotten in both parts, and set between the lines only', () => {
    collector.drawLine();
    const refs = [space.take(64, false), space.take(9 * PAGE, true)];
    collector.eraseLine();
    const after = space.take(64, true);
    mark(refs[0]!);
    collector.sweep();
    expect(objects()).toEqual([base, ...refs]);
    expect(objects()).not.toContain(after);
    collector.forgetFresh();
    collector.sweep();
    expect(objects()).toEqual([base, refs[0]]);
    expect(h.control[CTL_NON_MOVING_FRESH]).toBe(0);
  });
});

describe('a window', () => {
  const heapPages = (): number => (base - h.heap) / PAGE;

  test('hides nothing while there are only unused persistent handles, and then all that may hold references', () => {
    space.take(9000, true);
    expect(collector.hiddenBytes).toBe(0);
    h.control[CTL_PERSISTENT_TOP] = 1;
    expect(collector.hiddenBytes).toBe(PERSISTENT_PAGES * PAGE);
    h.control[CTL_PERSISTENT_TOP] = 0;
    space.take(3 * PAGE, false);
    expect(collector.hiddenBytes).toBe((PERSISTENT_PAGES + 3) * PAGE);
    expect(collector.windowBytes).toBe(0);
    collector.openWindow(collector.hiddenBytes);
    space.take(5 * PAGE, false);
    expect(collector.windowBytes).toBe((PERSISTENT_PAGES + 3) * PAGE);
    collector.beginClose();
    collector.closeWindow();
    expect(collector.windowBytes).toBe(0);
  });

  test('has runs of pages in use, without the free ones, none longer than asked', () => {
    const a = space.take(3 * PAGE, false);
    space.take(7 * PAGE, false);
    const c = space.take(40 * PAGE, false);
    space.take(PAGE, false);
    space.take(64, false);
    for (const ref of [a, c]) mark(ref);
    mark(space.take(64, false));
    collector.sweep();
    const first = heapPages();
    const runs = [...collector.usedRuns(collector.usedBytes, 16)].map(([from, to]) => [
      from - first,
      to - first,
    ]);
    expect(runs).toEqual([
      [0, 5],
      [12, 28],
      [28, 44],
      [44, 52],
      [53, 54],
    ]);
    expect([...collector.usedRuns(3 * PAGE, 2)].map(([from, to]) => [from - first, to - first])).toEqual([
      [0, 2],
      [2, 3],
    ]);
  });

  test('is unfinished while somebody has a page in hand, not for pages that nobody took', () => {
    const bytes = space.take(20 * PAGE, false) + 20 * PAGE - base;
    collector.openWindow(bytes);
    const { kernels } = h;
    const page = heapPages() + 7;
    expect(collector.unfinished).toBe(false);
    expect(kernels.claimPages(page, page + 2, 1)).toBe(2);
    const states = [PAGE_PROCESSING, PAGE_PROCESSED, PAGE_MAPPING, PAGE_MAPPED];
    for (let i = 1; i < states.length; i++) {
      expect(collector.unfinished).toBe(true);
      expect(kernels.movePages(page, 2, states[i - 1]!, states[i]!, 1)).toBe(2);
    }
    expect(kernels.pageWord(page + 2) & 7).toBe(PAGE_UNPROCESSED);
    expect(collector.unfinished).toBe(false);
  });
});

describe('pages rewritten in place', () => {
  /** A plan under which much of the heap moves; returns addresses that references may hold, most of which it changes. */
  function plan(random: Random): number[] {
    const record = h.types.recordLayout('r24', 24, [8]);
    const all: number[] = [];
    for (let at = h.heap; at < h.heap + 256 * 1024; at += 24) all.push(h.put(at, record));
    const blackLine = h.heap + 256 * 1024;
    const black: number[] = [];
    for (let at = blackLine; at < blackLine + 4 * PAGE; at += 24) black.push(h.put(at, record));
    h.setCursor(blackLine + 4 * PAGE);
    const live = all.filter(() => random.chance(0.5));
    for (let i = 0; i < live.length; i += 1000) {
      h.setRoots(live.slice(i, i + 1000));
      h.markRoots();
      while (h.kernels.markDrain(10_000) > 0);
    }
    h.setRoots([]);
    planCompaction(h.context(), blackLine);
    planBlack(h.context());
    const moved = [...live, ...black].filter((ref) => h.kernels.forwardOne(ref) !== ref);
    expect(moved.length).toBeGreaterThan(live.length / 2);
    // Null, links of the persistent table and pinned objects stay.
    return [...live, ...black, 0, 0xffff_fffe, 0xffff_f000, base, base + 5 * PAGE + 16];
  }

  interface Placed {
    readonly ref: number;
    readonly bytes: number;
    readonly slots: readonly number[];
    readonly fate: 'marked' | 'fresh' | 'both' | 'neither';
  }

  function populate(random: Random, targets: readonly number[]): Placed[] {
    const types = defineModelTypes(h);
    const placed: Placed[] = [];
    for (let i = 0; i < 1200; i++) {
      const record = random.pick(types.records);
      const length = random.chance(0.8) ? random.int(0, 300) : random.int(0, 9000);
      const kind = random.pick(['record', 'record', 'refs', 'raw'] as const);
      const elements = Array.from({ length: kind === 'refs' ? length : 0 }, (_, k) => 8 + 4 * k);
      const slots = kind === 'record' ? record.slots : elements;
      const exact = kind === 'record' ? record.bytes : 8 + length * (kind === 'refs' ? 4 : 1);
      const bytes = Math.ceil(exact / 8) * 8;
      const ref = space.take(bytes, kind === 'raw' && random.chance(0.5));
      if (ref === 0) break;
      // Raw words look like references that move: one that is rewritten by mistake shows.
      for (let at = 8; at < space.extent(ref); at += 4) h.set(ref, at, random.pick(targets));
      if (kind === 'record') h.put(ref, record.id, random.pick(targets));
      else h.put(ref, kind === 'refs' ? types.refs : types.bytes, length);
      const fate = random.pick(['marked', 'fresh', 'both', 'neither'] as const);
      if (fate === 'marked' || fate === 'both') mark(ref);
      if (fate === 'fresh' || fate === 'both') freshen(ref);
      placed.push({ ref, bytes, slots, fate });
    }
    return placed;
  }

  test('equal a naive model, in any order and in runs of any length', () => {
    forSeeds(8, (random) => {
      h.close();
      begin();
      const targets = plan(random);
      const placed = populate(random, targets);
      const top = h.control[CTL_NON_MOVING_TOP]!;
      const pages = (top - base) / PAGE;
      const expected = h.bytes.slice(base, base + 4 * MIB);
      const words = new Uint32Array(expected.buffer);
      const chosen = Array.from({ length: pages }, () => random.chance(0.8));
      let rewritten = 0;
      for (const { ref, slots, fate } of placed) {
        if (fate === 'neither' || ref >= top) continue;
        for (const slot of slots) {
          const at = ref + slot - base;
          if (!chosen[Math.floor(at / PAGE)]) continue;
          const to = h.kernels.forwardOne(words[at / 4]!) >>> 0;
          if (to !== words[at / 4]) rewritten++;
          words[at / 4] = to;
        }
      }
      expect(rewritten).toBeGreaterThan(1000);
      const runs: [number, number][] = [];
      for (let page = 0; page < pages; ) {
        if (!chosen[page]) {
          page++;
          continue;
        }
        let count = 1;
        const most = random.int(1, 16);
        while (count < most && chosen[page + count]) count++;
        runs.push([page, count]);
        page += count;
      }
      const first = (base - h.heap) / PAGE;
      for (const [page, count] of random.shuffle(runs)) h.kernels.fixPages(first + page, count);
      const actual = Buffer.from(h.tables.buffer, base, 4 * MIB);
      if (!actual.equals(expected)) {
        const at = actual.findIndex((byte, i) => byte !== expected[i]);
        const object = placed.find(({ ref }) => ref <= base + at && base + at < ref + space.extent(ref));
        const at4 = at & -4;
        expect.fail(
          `byte ${at} (page ${at >> 12}, ${chosen[at >> 12] ? 'fixed' : 'not fixed'}, offset ${base + at - (object?.ref ?? 0)} of ` +
            `${object?.fate} ${object?.bytes}): ${h.words[(base + at4) / 4]} instead of ${words[at4 / 4]}`,
        );
      }
    });
  });

  test('pages without objects are made present, and stay zero', () => {
    const far = space.take(30 * PAGE, false);
    mark(far);
    const gone = space.take(10 * PAGE, false);
    mark(space.take(8, false));
    collector.sweep();
    const before = held();
    const first = (gone - h.heap) / PAGE;
    h.kernels.fixPages(first, 10);
    expect(held() - before).toBe(10 * PAGE);
    expect(h.bytes.subarray(gone, gone + 10 * PAGE).every((byte) => byte === 0)).toBe(true);
  });

  test('an array of handles is rewritten as far as it is long', () => {
    forSeeds(1, (random) => {
      const targets = plan(random).filter((ref) => h.kernels.forwardOne(ref) !== ref);
      const refs = Array.from({ length: 1024 }, (_, i) => targets[i % targets.length]!);
      h.setRoots(refs);
      // Shorter than what is there: the rest is free.
      const used = 700;
      h.words[h.persistent / 4 - 1] = used;
      h.kernels.fixPages((base - h.heap) / PAGE, PERSISTENT_PAGES);
      for (const [i, ref] of refs.entries())
        expect(h.words[h.persistent / 4 + i]).toBe(i < used ? h.kernels.forwardOne(ref) : ref);
    });
  });
});
