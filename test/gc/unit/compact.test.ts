import { afterAll, describe, expect, test } from 'vitest';
import { planBlack, planCompaction } from '#src/gc/plan.js';
import { CTL_BLACK_LINE, CTL_COMPACTED_BYTES, CTL_USED_BYTES, PAGE_BYTES } from '#src/heap/layout.js';
import { ArenaHarness, GUARD_BYTE } from '../../support/arena-harness.ts';
import { forSeeds, type Random } from '../../support/random.ts';
import {
  compactNaively,
  defineModelTypes,
  type HeapShape,
  type ModelHeap,
  type ModelPlan,
  randomHeap,
} from '../../support/random-heap.ts';
import { SOAK } from '../e2e/support.ts';

const h = new ArenaHarness();
const types = defineModelTypes(h);
const context = h.context();
const { kernels, heap } = h;
const g = h.tables.geometry;
afterAll(() => h.close());

/** Marks exactly the live objects: without a drain a root is marked only, so each is scanned alone and its references point to live ones. */
function markLive(model: ModelHeap): void {
  kernels.markBegin(h.end);
  const chunk = 1000;
  for (let i = 0; i < model.live.length; i += chunk) {
    h.setRoots(model.live.slice(i, i + chunk).map((object) => object.at));
    h.markRoots();
    while (kernels.markDrain(10_000) > 0);
  }
}

/** Heaps whose live objects refer to black ones would mark those too: as in a cycle, black objects have no marks. */
function prepare(random: Random, shape: HeapShape): { model: ModelHeap; naive: ModelPlan } {
  h.reset();
  const model = randomHeap(h, types, random, shape);
  const naive = compactNaively(h, model);
  // References to black objects are stored after the trace, as mutators do.
  const black = new Set(model.black.map((object) => object.at));
  const later: [number, number, number][] = [];
  for (const object of model.live) {
    for (const slot of object.slots) {
      const ref = h.get(object.at, slot);
      if (!black.has(ref)) continue;
      later.push([object.at, slot, ref]);
      h.set(object.at, slot, 0);
    }
  }
  markLive(model);
  for (const [at, slot, ref] of later) h.set(at, slot, ref);
  planCompaction(context, model.blackLine);
  planBlack(context);
  return { model, naive };
}

const SHAPES: Record<string, HeapShape> = {
  mixed: { fill: 'mixed', oldPart: 0.6, survival: 0.5, black: 'some' },
  'few survivors': { fill: 'mixed', oldPart: 0.7, survival: 0.03, black: 'some' },
  'everything lives': { fill: 'mixed', oldPart: 0.5, survival: 1, black: 'some' },
  'nothing lives': { fill: 'mixed', oldPart: 0.5, survival: 0, black: 'some' },
  'small objects': { fill: 'small', oldPart: 0.5, survival: 0.5, black: 'some' },
  'large objects': { fill: 'large', oldPart: 0.8, survival: 0.6, black: 'some' },
  'whole pages': { fill: 'pages', oldPart: 0.5, survival: 0.5, black: 'some' },
  'no black pages': { fill: 'mixed', oldPart: 1, survival: 0.5, black: 'none' },
  'a full heap that lives': { fill: 'mixed', oldPart: 1, survival: 1, black: 'none' },
  'a full heap with black pages': { fill: 'mixed', oldPart: 0.5, survival: 0.9, black: 'full' },
  'black pages only': { fill: 'mixed', oldPart: 0, survival: 0, black: 'full' },
  'an empty heap': { fill: 'mixed', oldPart: 0, survival: 0, black: 'none' },
};

/** Builds [page, page + count) into a place between guards and compares; the guards must stand, whatever was there before. */
function checkRun(naive: ModelPlan, page: number, count: number): void {
  const target = g.staging + PAGE_BYTES;
  const low = page * PAGE_BYTES;
  const length = count * PAGE_BYTES;
  // The guards look like references that move: a slot outside the run that was rewritten by mistake would show, too.
  const guard = [...naive.moved].find(([from, to]) => from !== to)?.[0] ?? GUARD_BYTE;
  h.words.fill(guard, g.staging / 4, (target + length + PAGE_BYTES) / 4);
  kernels.buildPages(page, count, target);
  const built = Buffer.from(h.tables.buffer, target, length);
  const expected = Buffer.from(naive.image.buffer, low, length);
  if (!built.equals(expected)) {
    const at = built.findIndex((byte, i) => byte !== expected[i]);
    expect.fail(`pages ${page}+${count}: offset ${low + at} is ${built[at]} instead of ${expected[at]}`);
  }
  for (const at of [target - PAGE_BYTES, target + length]) {
    if (h.words.subarray(at / 4, (at + PAGE_BYTES) / 4).some((word) => word !== guard)) {
      expect.fail(`building pages ${page}+${count} wrote outside its run`);
    }
  }
}

describe.each(Object.entries(SHAPES))('%s', (_, shape) => {
  test('the plan equals a naive one', () => {
    forSeeds(SOAK ? 12 : 4, (random) => {
      const { model, naive } = prepare(random, shape);
      expect(h.control[CTL_COMPACTED_BYTES]).toBe(naive.compacted);
      expect(h.control[CTL_USED_BYTES]).toBe(naive.used);
      expect(h.control[CTL_BLACK_LINE]).toBe(model.blackLine);
      for (const [from, to] of naive.moved) {
        if (kernels.forwardOne(from) !== to)
          expect.fail(`${from - heap} goes to ${kernels.forwardOne(from) - heap}, not ${to - heap}`);
      }
      for (const ref of [0, 8, heap - 8, h.end, h.end + 8]) expect(kernels.forwardOne(ref)).toBe(ref);
      expect(kernels.forwardOne(0xffff_fff8) >>> 0).toBe(0xffff_fff8);

      // Prefix sums: live bytes below every chunk.
      const before = new Uint32Array((model.blackLine - heap) / 512 + 1);
      for (const object of model.live) {
        for (let at = object.at - heap; at < object.at - heap + object.bytes; at += 8)
          before[(at >>> 9) + 1]! += 8;
      }
      for (let chunk = 0, sum = 0; chunk < before.length - 1; chunk++) {
        sum += before[chunk]!;
        const word = h.words[g.chunks / 4 + chunk]!;
        if (word !== heap + sum) expect.fail(`chunk ${chunk}: ${word - heap} instead of ${sum}`);
      }
      // First object and source of every compacted page.
      let offset = 0;
      let page = 0;
      for (const object of model.live) {
        for (; page * PAGE_BYTES < offset + object.bytes; page++) {
          expect(h.pageFirst(page) - heap, `first object of page ${page}`).toBe(object.at - heap);
          expect(h.pageSource(page) - heap, `source of page ${page}`).toBe(
            object.at - heap + page * PAGE_BYTES - offset,
          );
        }
        offset += object.bytes;
      }
      // Black pages begin with the same buffers as before, and keep the numbers of from-space.
      const firstBlack = Math.ceil(naive.compacted / PAGE_BYTES);
      for (let i = firstBlack; i < naive.used / PAGE_BYTES; i++) {
        const first = h.pageFirst(i);
        expect(first >= model.blackLine && first < model.cursor).toBe(true);
        expect(
          (first - heap) / PAGE_BYTES - (model.blackLine - heap) / PAGE_BYTES + firstBlack,
        ).toBeLessThanOrEqual(i);
      }
    });
  });

  test('pages built in any order and in runs of any length equal a naive compaction', () => {
    forSeeds(SOAK ? 12 : 4, (random) => {
      const { naive } = prepare(random, shape);
      const pages = naive.used / PAGE_BYTES;
      const runs: [number, number][] = [];
      for (let page = 0; page < pages; ) {
        const count = Math.min(random.pick([1, 1, 2, 5, 16]), pages - page);
        runs.push([page, count]);
        page += count;
      }
      for (const [page, count] of random.shuffle(runs)) checkRun(naive, page, count);
    });
  });

  test('every page built alone, and all pages at once through the alias, equal a naive compaction', () => {
    forSeeds(2, (random) => {
      const { naive } = prepare(random, shape);
      const pages = naive.used / PAGE_BYTES;
      for (let page = pages - 1; page >= 0; page--) checkRun(naive, page, 1);
      // The shadow is dirty: reused pages hold what they held two cycles ago.
      h.bytes.fill(GUARD_BYTE, g.aliases[1], g.aliases[1] + g.heapBytes);
      kernels.buildPages(0, pages, g.aliases[1]);
      expect(
        Buffer.from(h.tables.buffer, g.aliases[1], naive.used).equals(Buffer.from(naive.image.buffer)),
      ).toBe(true);
      expect(
        h.bytes
          .subarray(g.aliases[1] + naive.used, g.aliases[1] + g.heapBytes)
          .every((byte) => byte === GUARD_BYTE),
      ).toBe(true);
    });
  });
});

describe('cases by hand', () => {
  const pair = types.records[1]!.id;
  const page4096 = types.records.find((record) => record.bytes === 4096)!;

  function build(
    old: readonly (readonly [at: number, bytes: number, slots: readonly number[]])[],
    blackLine = h.end,
  ): ModelPlan {
    const live = old.map(([at, bytes, slots]) => ({ at, bytes, slots }));
    const model = { old: live, live, black: [], blackLine, cursor: blackLine };
    h.setCursor(blackLine);
    const naive = compactNaively(h, model);
    markLive(model);
    planCompaction(context, blackLine);
    planBlack(context);
    return naive;
  }

  test('one live object in the last 8 bytes of the heap moves to its beginning', () => {
    h.reset();
    h.put(h.end - 8, types.records[0]!.id, 77);
    const naive = build([[h.end - 8, 8, []]]);
    expect(naive.used).toBe(PAGE_BYTES);
    expect(kernels.forwardOne(h.end - 8)).toBe(heap);
    expect([h.pageFirst(0), h.pageSource(0)]).toEqual([h.end - 8, h.end - 8]);
    checkRun(naive, 0, 1);
  });

  test('an object that fills its page exactly leaves the next page to the next object', () => {
    h.reset();
    const ats = [heap + 64, heap + 64 + 4096 + 8, heap + 64 + 3 * 4096];
    for (const at of ats) h.put(at, page4096.id);
    h.set(ats[0]!, 4092, ats[2]!);
    h.set(ats[2]!, 8, ats[1]!);
    const naive = build(ats.map((at) => [at, 4096, page4096.slots]));
    expect(naive.compacted).toBe(3 * PAGE_BYTES);
    expect([0, 1, 2].map((page) => h.pageFirst(page))).toEqual(ats);
    expect([0, 1, 2].map((page) => h.pageSource(page))).toEqual(ats);
    for (let page = 0; page < 3; page++) checkRun(naive, page, 1);
  });

  test('the tail of the last compacted page is zero, whether its page is built alone or in a run', () => {
    h.reset();
    h.put(heap + 8000, pair);
    const naive = build([[heap + 8000, 16, [8, 12]]]);
    expect(naive.image.subarray(16).every((byte) => byte === 0)).toBe(true);
    checkRun(naive, 0, 1);
  });

  test('a reference slot on the border between two pages is rewritten by the page that holds it', () => {
    h.reset();
    const length = 3000;
    const filler = h.put(heap + 16, types.bytes, 4080 - 8);
    const array = h.put(heap + 8192, types.refs, length);
    const target = h.put(h.end - 16, pair);
    for (let i = 0; i < length; i++) h.set(array, 8 + 4 * i, i % 3 === 0 ? target : i % 3 === 1 ? array : 0);
    const naive = build([
      [filler, 4080, []],
      [array, 8 + 4 * length, Array.from({ length }, (_, i) => 8 + 4 * i)],
      [target, 16, [8, 12]],
    ]);
    for (let page = 0; page < naive.used / PAGE_BYTES; page++) checkRun(naive, page, 1);
    checkRun(naive, 0, naive.used / PAGE_BYTES);
  });

  test('slideBlackFirsts moves exactly the entries of the black pages, also where both ranges overlap', () => {
    h.reset();
    for (let page = 0; page < 40; page++) h.setPageFirst(page, 1000 + page);
    kernels.slideBlackFirsts(10, 7, 20);
    const entries = Array.from({ length: 40 }, (_, page) => h.pageFirst(page) - 1000);
    expect(entries.slice(0, 7)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(entries.slice(7, 27)).toEqual(Array.from({ length: 20 }, (_, i) => 10 + i));
    expect(entries.slice(27)).toEqual(Array.from({ length: 13 }, (_, i) => 27 + i));
    kernels.slideBlackFirsts(10, 7, 0);
    expect(h.pageFirst(7)).toBe(1010);
  });

  test('root slots are rewritten once each, those outside the range not at all', () => {
    h.reset();
    h.put(h.end - 16, pair);
    build([[h.end - 16, 16, [8, 12]]]);
    h.setRoots([h.end - 16, 0, ~7, h.end - 16]);
    kernels.forwardRoots(h.persistent, h.persistent + 12);
    expect([0, 1, 2, 3].map((slot) => h.words[h.persistent / 4 + slot])).toEqual([
      heap,
      0,
      ~7 >>> 0,
      h.end - 16,
    ]);
  });

  test('fillWords fills exactly its range', () => {
    h.bytes.fill(GUARD_BYTE, g.staging, g.staging + 64);
    kernels.fillWords(g.staging + 8, g.staging + 24, 0x0102_0304);
    kernels.fillWords(g.staging + 32, g.staging + 40, 0);
    const guard = 0xabab_abab;
    const words = h.words.subarray(g.staging / 4, g.staging / 4 + 11);
    expect([...words]).toEqual([
      guard,
      guard,
      0x0102_0304,
      0x0102_0304,
      0x0102_0304,
      0x0102_0304,
      guard,
      guard,
      0,
      0,
      guard,
    ]);
  });
});
