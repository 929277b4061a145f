import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { Tracer } from '#src/gc/tracer.js';
import {
  CARD_BUFFER_ENTRIES,
  CARD_BYTES,
  CARD_CLEAN,
  CARD_DIRTY,
  CARD_FIRST_ROUND,
  CTL_MARK_STACK,
  CTL_MARK_STACK_END,
  T_STATE,
  THREAD_SAFE,
} from '#src/heap/layout.js';
import { ShadowStack } from '#src/heap/shadow-stack.js';
import type { Ref } from '#src/heap/ref.js';
import { ArenaHarness } from '../../support/arena-harness.ts';
import { forSeeds } from '../../support/random.ts';

const CARD = CARD_BYTES;
const h = new ArenaHarness({ heapBytes: 2 * 1024 * 1024 });
const { kernels, heap } = h;

const pair = h.types.recordLayout('pair', 16, [8, 12]);
const raw24 = h.types.recordLayout('raw', 24, []);
const empty = h.types.recordLayout('empty', 8, []);
const refs = h.types.refArray('refs').id;
const ints = h.types.rawArray('ints', 'i32').id;
const bytes = h.types.rawArray('bytes', 'u8').id;
const doubles = h.types.rawArray('doubles', 'f64').id;
/** 5 000 fields of 4 bytes, of which every seventh is a reference: its map has 79 words of 64 bits, some of them with none. */
const WIDE_BYTES = 8 + 5000 * 4;
const wideRefs = Array.from({ length: 5000 }, (_, i) => 8 + i * 4).filter(
  (_, i) => i % 7 === 0 || i === 4999,
);
const wide = h.types.recordLayout(
  'wide',
  WIDE_BYTES,
  wideRefs.filter((at) => at < 4000 || at > 12000),
);

beforeEach(() => h.reset());
afterAll(() => h.close());

/** Marks from `roots` to the end, without cards. */
function mark(roots: readonly number[]): void {
  h.setRoots(roots);
  kernels.markBegin(h.end);
  h.markRoots();
  while (kernels.markDrain(1000) > 0);
}

/** Granules of [from, to) that are live. */
function liveGranules(from: number, to: number): number[] {
  const found: number[] = [];
  for (let at = from; at < to; at += 8) if (h.isLive(at)) found.push(at);
  return found;
}

describe('tracing', () => {
  test('a record is marked at its first granule, live over all of them, and its references are followed', () => {
    const a = h.put(heap + 40, pair);
    const b = h.put(heap + 400, raw24);
    h.set(a, 12, b);
    h.put(heap + 80, raw24);
    mark([a]);
    expect([h.isMarked(a), h.isMarked(a + 8), h.isMarked(b), h.isMarked(heap + 80)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(liveGranules(heap, heap + 1024)).toEqual([a, a + 8, b, b + 8, b + 16]);
  });

  test('the first and the last granule of the heap hold objects', () => {
    const first = h.put(heap, empty);
    const last = h.put(h.end - 8, empty);
    mark([first, last]);
    expect([h.isMarked(first), h.isMarked(last)]).toEqual([true, true]);
    expect(liveGranules(heap, heap + 64)).toEqual([first]);
    expect(liveGranules(h.end - 64, h.end)).toEqual([last]);
  });

  test('null, and references below, behind and far outside the two spaces, are left alone', () => {
    const behind = heap + h.tables.geometry.managedBytes;
    const outside = [0, 8, heap - 8, behind, behind + 8, 0x8000_0000, 0xffff_ffff, ~5];
    const a = h.put(heap + 8, refs, outside.length);
    for (const [i, ref] of outside.entries()) h.set(a, 8 + 4 * i, ref);
    const { marks, lives, cards } = h.tables.geometry;
    mark([...outside, a]);
    expect(kernels.markPending()).toBe(0);
    // Nothing but the array's own bits, in the whole of both bitmaps and around them.
    const bits = (from: number, to: number): number => {
      let count = 0;
      for (let at = from; at < to; at++) for (let b = h.bytes[at]!; b !== 0; b &= b - 1) count++;
      return count;
    };
    expect(bits(marks, lives)).toBe(1);
    expect(bits(lives, h.tables.geometry.chunks)).toBe((8 + 4 * outside.length) / 8);
    expect(bits(cards, h.tables.geometry.pageWords)).toBe(0);
  });

  test('the map of a record may have many words: each reference of 5 000 fields is followed, and nothing else', () => {
    const a = h.put(heap + 504, wide);
    let next = heap + 65536;
    const targets: number[] = [];
    for (let i = 0; i < 5000; i++) {
      const at = 8 + i * 4;
      h.set(a, at, h.put(next, empty));
      if (wideRefs.includes(at) && (at < 4000 || at > 12000)) targets.push(next);
      next += 8;
    }
    mark([a]);
    const marked: number[] = [];
    for (let at = heap + 65536; at < next; at += 8) if (h.isMarked(at)) marked.push(at);
    expect(marked).toEqual(targets);
    expect(liveGranules(a - 64, a + WIDE_BYTES + 64)).toEqual(
      Array.from({ length: WIDE_BYTES / 8 }, (_, i) => a + 8 * i),
    );
  });

  test('an array of references is followed up to its length and not into its padding', () => {
    const array = h.put(heap, refs, 3);
    const targets = [0, 1, 2, 3].map((i) => h.put(heap + 4096 + 8 * i, empty));
    for (const [i, ref] of targets.entries()) h.set(array, 8 + 4 * i, ref);
    mark([array]);
    expect(targets.map((ref) => h.isMarked(ref))).toEqual([true, true, true, false]);
    expect(liveGranules(heap, heap + 64).length).toBe(3);
  });

  test.each([
    ['i32', ints, 100, 408],
    ['u8', bytes, 9, 24],
    ['f64', doubles, 64, 520],
    ['u8, empty', bytes, 0, 8],
  ])(
    'a raw array of %s is never scanned, and is as long as its elements need',
    (_, type, length, expected) => {
      const array = h.put(heap + 256, type, length);
      const target = h.put(heap + 8192, empty);
      for (let at = 8; at < expected; at += 4) h.set(array, at, target);
      mark([array]);
      expect(h.isMarked(target)).toBe(false);
      expect(liveGranules(heap, heap + 4096)).toEqual(
        Array.from({ length: expected / 8 }, (_, i) => array + 8 * i),
      );
    },
  );

  test('the 16 bits beside the type belong to the embedder', () => {
    const a = h.put(heap, pair | (0xbeef << 16));
    const b = h.put(heap + 64, empty | (0xffff << 16));
    h.set(a, 8, b);
    mark([a]);
    expect(liveGranules(heap, heap + 512)).toEqual([a, a + 8, b]);
  });

  test('cycles end, and an object with many references to it is scanned once', () => {
    const a = h.put(heap, pair);
    const b = h.put(heap + 16, pair);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      h.set(from, 8, to);
      h.set(from, 12, to);
    }
    h.setRoots([a, a, b]);
    kernels.markBegin(h.end);
    h.markRoots();
    expect(kernels.markPending()).toBe(2);
    expect(kernels.markDrain(1)).toBe(1);
    expect(kernels.markDrain(1)).toBe(0);
  });

  test('markDrain does no more than its budget and says what is left', () => {
    const array = h.put(heap, refs, 100);
    for (let i = 0; i < 100; i++) h.set(array, 8 + 4 * i, h.put(heap + 4096 + 8 * i, empty));
    h.setRoots([array]);
    kernels.markBegin(h.end);
    h.markRoots();
    expect(kernels.markDrain(0)).toBe(1);
    expect(kernels.markDrain(1)).toBe(100);
    expect(kernels.markDrain(30)).toBe(70);
    expect(kernels.markDrain(1000)).toBe(0);
  });

  test('markBegin clears bitmaps below its end, and all cards', () => {
    mark([h.put(heap, empty), h.put(h.end - 8, empty)]);
    h.setCard(heap, CARD_DIRTY);
    h.setCard(h.end - 8, CARD_DIRTY);
    kernels.markBegin(heap + 4096);
    expect([h.isMarked(heap), h.isLive(heap), h.isMarked(h.end - 8), h.isLive(h.end - 8)]).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect([h.card(heap), h.card(h.end - 8)]).toEqual([CARD_CLEAN, CARD_CLEAN]);
    kernels.markBegin(h.end);
    expect([h.isMarked(h.end - 8), h.isLive(h.end - 8)]).toEqual([false, false]);
  });
});

describe('cards', () => {
  const ROUND = CARD_FIRST_ROUND;

  test('ageing turns dirty cards below the end into the round, counts them, and leaves other numbers', () => {
    // Cards are looked at in groups of 64: the end is on the border of one.
    const end = heap + 128 * CARD;
    for (const card of [0, 9, 63, 64, 127, 128]) h.setCard(heap + card * CARD, CARD_DIRTY);
    h.setCard(heap + 10 * CARD, 7);
    expect(kernels.countDirtyCards(end)).toBe(5);
    expect([kernels.takeGroups(h.heap, end), kernels.takeGroups(h.heap, end)]).toEqual([2, 0]);
    expect(kernels.ageCards(h.heap, end, ROUND)).toBe(5);
    const found = [0, 9, 10, 63, 64, 127, 128].map((card) => h.card(heap + card * CARD));
    expect(found).toEqual([ROUND, ROUND, 7, ROUND, ROUND, ROUND, CARD_DIRTY]);
    expect(kernels.countDirtyCards(end)).toBe(0);
    expect(kernels.ageCards(h.heap, end, ROUND + 1)).toBe(0);
    expect(kernels.ageCards(h.heap, h.end, ROUND + 1)).toBe(0);
    expect(kernels.takeGroups(h.heap, h.end)).toBe(1);
    expect(kernels.ageCards(h.heap, h.end, ROUND + 1)).toBe(1);
  });

  test('a group is marked or taken on its own, anywhere, and a scan lets go of it', () => {
    const groups = (h.end - heap) / (64 * CARD);
    for (const group of [0, 15, 16, 17, 31, groups - 1]) {
      h.setCard(heap + group * 64 * CARD + 5 * CARD, CARD_DIRTY);
      expect(kernels.takeGroups(h.heap, h.end), `group ${group}`).toBe(1);
      expect(kernels.ageCards(h.heap, h.end, ROUND), `group ${group}`).toBe(1);
      kernels.scanAgedCards(h.heap, h.end, ROUND);
      expect(kernels.ageCards(h.heap, h.end, ROUND), `group ${group}`).toBe(0);
      expect(kernels.scanDirtyCards(h.heap, h.end), `group ${group}`).toBe(0);
    }
  });

  test('a card that becomes dirty after its group was taken is aged with it, and the group marked again', () => {
    const a = h.put(heap, pair);
    const x = h.put(heap + 8192, empty);
    mark([a]);
    h.setCard(a, CARD_DIRTY);
    expect(kernels.takeGroups(h.heap, h.end)).toBe(1);
    h.set(a, 8, x);
    h.setCard(a + CARD, CARD_DIRTY);
    expect(kernels.ageCards(h.heap, h.end, ROUND)).toBe(2);
    kernels.scanAgedCards(h.heap, h.end, ROUND);
    expect(h.isMarked(x)).toBe(true);
    expect(kernels.takeGroups(h.heap, h.end)).toBe(1);
  });

  test('every card may be dirty: each is scanned once, and nothing is written behind the buffer of cards', () => {
    const { cardBuffer } = h.tables.geometry;
    const cards = (h.end - heap) / CARD;
    const guard = cardBuffer + CARD_BUFFER_ENTRIES * 4;
    h.bytes.fill(0xab, guard, guard + 4096);
    const objects = Array.from({ length: cards }, (_, card) => h.put(heap + card * CARD, pair));
    for (let i = 0; i < cards; i += 1000) {
      h.setRoots(objects.slice(i, i + 1000));
      if (i === 0) kernels.markBegin(h.end);
      h.markRoots();
      while (kernels.markDrain(10_000) > 0);
    }
    for (const [i, object] of objects.entries()) {
      h.set(object, 8, h.put(object + 32, empty));
      h.setCard(heap + i * CARD, CARD_DIRTY);
    }
    let scanned = 0;
    // More references than the mark stack holds: what overflows is dirty again, and found in the next round.
    for (let round = 0; kernels.countDirtyCards(h.end) > 0 && round < 10; round++) {
      scanned = Math.max(scanned, kernels.scanDirtyCards(h.heap, h.end));
      while (kernels.markDrain(10_000) > 0);
    }
    expect(scanned).toBe(cards);
    expect(objects.filter((object) => !h.isMarked(object + 32)).length).toBe(0);
    expect(h.bytes.subarray(guard, guard + 4096).every((byte) => byte === 0xab)).toBe(true);
  });

  test('only the cards that carry the round are scanned', () => {
    const [a, b, c] = [0, 1, 2].map((card) => h.put(heap + card * CARD, pair));
    const [x, y, z] = [0, 1, 2].map((i) => h.put(heap + 8192 + 8 * i, empty));
    mark([a!, b!, c!]);
    h.set(a!, 8, x!);
    h.set(b!, 8, y!);
    h.set(c!, 8, z!);
    h.setCard(a!, ROUND);
    h.setCard(b!, ROUND + 1);
    h.setCard(c!, CARD_DIRTY);
    kernels.scanAgedCards(h.heap, h.end, ROUND);
    expect(kernels.markPending()).toBe(1);
    expect([x!, y!, z!].map((ref) => h.isMarked(ref))).toEqual([true, false, false]);
  });

  test('an unmarked object on a dirty card is not scanned, and does not become live', () => {
    const dead = h.put(heap + 16, pair);
    const marked = h.put(heap + 64, pair);
    const [x, y] = [0, 1].map((i) => h.put(heap + 8192 + 8 * i, empty));
    mark([marked]);
    h.set(dead, 8, x!);
    h.set(marked, 8, y!);
    h.setCard(heap, ROUND);
    kernels.scanAgedCards(h.heap, h.end, ROUND);
    expect([h.isMarked(x!), h.isMarked(y!), h.isLive(dead)]).toEqual([false, true, false]);
  });

  test('a card dirtied after ageing stays dirty through the scan: it belongs to the next round', () => {
    const a = h.put(heap, pair);
    const x = h.put(heap + 8192, empty);
    mark([a]);
    h.setCard(a, CARD_DIRTY);
    expect(kernels.takeGroups(h.heap, h.end)).toBe(1);
    expect(kernels.ageCards(h.heap, h.end, ROUND)).toBe(1);
    h.set(a, 8, x);
    h.setCard(a, CARD_DIRTY);
    kernels.scanAgedCards(h.heap, h.end, ROUND);
    expect([h.isMarked(x), h.card(a)]).toEqual([false, CARD_DIRTY]);
    expect(kernels.takeGroups(h.heap, h.end)).toBe(1);
    expect(kernels.ageCards(h.heap, h.end, ROUND + 1)).toBe(1);
    kernels.scanAgedCards(h.heap, h.end, ROUND + 1);
    expect(h.isMarked(x)).toBe(true);
  });

  test.each([3, 9, 19])(
    'card %i of a long array is dirty: of the array, only its slots on that card are visited',
    (card) => {
      const length = 2500; // 78 cards
      const array = h.put(heap + 40, refs, length);
      mark([array]);
      const targets = Array.from({ length }, (_, i) => h.put(heap + 65536 + 8 * i, empty));
      for (const [i, ref] of targets.entries()) h.set(array, 8 + 4 * i, ref);
      h.setCard(heap + card * CARD, ROUND);
      kernels.scanAgedCards(h.heap, h.end, ROUND);
      for (let i = 0; i < length; i++) {
        const at = array + 8 + 4 * i;
        expect(h.isMarked(targets[i]!), `slot ${i}`).toBe(
          at >= heap + card * CARD && at < heap + (card + 1) * CARD,
        );
      }
    },
  );

  test('a record over many cards is found from each of them', () => {
    const at = heap + 3 * CARD + 200;
    const a = h.put(at, wide);
    mark([a]);
    const slots = wideRefs.filter((offset) => offset > 12000);
    const targets = slots.map((offset, i) => {
      const target = h.put(heap + 65536 + 8 * i, empty);
      h.set(a, offset, target);
      return target;
    });
    h.setCard(a + slots[slots.length >> 1]!, ROUND);
    kernels.scanAgedCards(h.heap, h.end, ROUND);
    expect(targets.every((ref) => h.isMarked(ref))).toBe(true);
  });

  test('the object that reaches into a dirty card is found although dirty cards and small objects lie before it', () => {
    const small = h.put(heap, pair);
    const array = h.put(heap + CARD + 480, refs, 1000);
    const behind = h.put(heap + CARD + 480 + 4008, pair);
    mark([small, array, behind]);
    const targets = [0, 1, 2].map((i) => h.put(heap + 65536 + 8 * i, empty));
    h.set(small, 8, targets[0]!);
    const slot = 8 + 4 * 600;
    h.set(array, slot, targets[1]!);
    h.set(behind, 8, targets[2]!);
    for (const at of [small, array + slot, behind]) h.setCard(at, ROUND);
    kernels.scanAgedCards(h.heap, h.end, ROUND);
    expect(targets.map((ref) => h.isMarked(ref))).toEqual([true, true, true]);
  });

  test('in a pause dirty cards are scanned and cleaned, and aged ones left', () => {
    const [a, b, c] = [0, 9, 64].map((card) => h.put(heap + card * CARD, pair));
    const [x, y, z] = [0, 1, 2].map((i) => h.put(heap + 65536 + 8 * i, empty));
    mark([a!, b!, c!]);
    h.set(a!, 8, x!);
    h.set(b!, 8, y!);
    h.set(c!, 8, z!);
    h.setCard(a!, CARD_DIRTY);
    h.setCard(b!, ROUND);
    h.setCard(c!, CARD_DIRTY);
    expect(kernels.scanDirtyCards(h.heap, heap + 64 * CARD)).toBe(1);
    expect([x!, y!, z!].map((ref) => h.isMarked(ref))).toEqual([true, false, false]);
    expect([a!, b!, c!].map((ref) => h.card(ref))).toEqual([CARD_CLEAN, ROUND, CARD_DIRTY]);
  });
});

/** A graph of 20 000 objects and more references than a small stack can hold at a time. */
function buildGraph(random: { int(low: number, high: number): number; chance(p: number): boolean }): {
  objects: number[];
  edges: Map<number, number[]>;
  roots: number[];
  cursor: number;
} {
  const objects: number[] = [];
  let at = heap;
  while (at < h.end - 32768 && objects.length < 20_000) {
    if (random.chance(0.02)) {
      const length = random.int(0, 1500);
      objects.push(h.put(at, refs, length));
      at += (8 + 4 * length + 7) & -8;
    } else {
      objects.push(h.put(at, pair));
      at += 16;
    }
  }
  const edges = new Map<number, number[]>();
  for (const object of objects) {
    const slots = (h.get(object, 0) & 0xffff) === pair ? 2 : h.get(object, 4);
    const out: number[] = [];
    for (let i = 0; i < slots; i++) {
      const to = random.chance(0.3) ? 0 : objects[random.int(0, objects.length - 1)]!;
      h.set(object, 8 + 4 * i, to);
      if (to !== 0) out.push(to);
    }
    edges.set(object, out);
  }
  const roots = Array.from({ length: random.int(1, 5) }, () => objects[random.int(0, objects.length - 1)]!);
  return { objects, edges, roots, cursor: Math.ceil(at / 4096) * 4096 };
}

function reachable(roots: readonly number[], edges: ReadonlyMap<number, readonly number[]>): Set<number> {
  const seen = new Set(roots);
  for (const from of seen) for (const to of edges.get(from)!) seen.add(to);
  return seen;
}

describe('the tracer', () => {
  for (const entries of [8, 64, 16384]) {
    test(`marks what is reachable and nothing else, with a mark stack of ${entries} entries`, () => {
      // The stack is made short in the control block: kernels bound after that see it so.
      const stackEnd = h.control[CTL_MARK_STACK_END]!;
      h.control[CTL_MARK_STACK_END] = h.control[CTL_MARK_STACK]! + entries * 4;
      (kernels as unknown as { bind(control: number): void }).bind(h.tables.geometry.control);
      try {
        forSeeds(10, (random) => {
          h.reset();
          h.control[CTL_MARK_STACK_END] = h.control[CTL_MARK_STACK]! + entries * 4;
          const graph = buildGraph(random);
          h.setCursor(graph.cursor);
          h.setRoots(graph.roots);
          const tracer = new Tracer(h.context(), () => {});
          tracer.begin();
          tracer.finish();
          const expected = reachable(graph.roots, graph.edges);
          for (const object of graph.objects) {
            if (h.isMarked(object) !== expected.has(object))
              expect.fail(`object ${object - heap} is ${h.isMarked(object)}`);
            const size = (h.get(object, 0) & 0xffff) === pair ? 16 : (8 + 4 * h.get(object, 4) + 7) & -8;
            for (let at = object; at < object + size; at += 8) {
              if (h.isLive(at) !== expected.has(object))
                expect.fail(`granule ${at - object} of object ${object - heap}`);
            }
          }
          expect(kernels.countDirtyCards(h.end)).toBe(0);
          if (entries === 8 && expected.size > 5000) expect(kernels.markOverflows()).toBeGreaterThan(100);
          if (entries === 16384) expect(kernels.markOverflows()).toBeLessThan(20_000);
        });
      } finally {
        h.control[CTL_MARK_STACK_END] = stackEnd;
        (kernels as unknown as { bind(control: number): void }).bind(h.tables.geometry.control);
      }
    });
  }

  test('an array that overflows the stack while its first card is being scanned is scanned on all its cards', () => {
    const stackEnd = h.control[CTL_MARK_STACK_END]!;
    h.control[CTL_MARK_STACK_END] = h.control[CTL_MARK_STACK]! + 8 * 4;
    const { bind } = kernels as unknown as { bind(control: number): void };
    bind(h.tables.geometry.control);
    try {
      const parent = h.put(heap, refs, 9);
      const long = h.put(heap + 48, refs, 2000);
      h.setCursor(h.end);
      h.setRoots([parent]);
      const tracer = new Tracer(h.context(), () => {});
      tracer.begin();
      tracer.markRoots();
      tracer.drain();
      // Eight references fill the stack, the ninth is the long array.
      for (let i = 0; i < 8; i++) h.set(parent, 8 + 4 * i, h.put(heap + 32768 + 8 * i, empty));
      h.set(parent, 8 + 4 * 8, long);
      const targets = Array.from({ length: 2000 }, (_, i) => h.put(heap + 65536 + 8 * i, empty));
      for (const [i, ref] of targets.entries()) h.set(long, 8 + 4 * i, ref);
      h.setCard(parent, CARD_DIRTY);
      tracer.finish();
      expect(kernels.markOverflows()).toBeGreaterThan(0);
      expect(targets.filter((ref) => !h.isMarked(ref)).length).toBe(0);
    } finally {
      h.control[CTL_MARK_STACK_END] = stackEnd;
      bind(h.tables.geometry.control);
    }
  });

  test('roots are the used slots of attached threads and of the persistent table', () => {
    const objects = Array.from({ length: 6 }, (_, i) => h.put(heap + 64 * i, empty));
    h.setCursor(heap + 4096);
    h.tables.threads[5]![T_STATE] = THREAD_SAFE;
    const stack = new ShadowStack(h.tables, 5);
    stack.push(objects[0] as Ref);
    stack.push(objects[1] as Ref);
    stack.push(objects[2] as Ref);
    stack.truncate(2);
    // A thread that is not attached has no roots, whatever its slots hold.
    const detached = new ShadowStack(h.tables, 6);
    detached.push(objects[3] as Ref);
    h.setRoots([objects[4]!, 0, ~3]);
    const tracer = new Tracer(h.context(), () => {});
    tracer.begin();
    tracer.finish();
    expect(objects.map((ref) => h.isMarked(ref))).toEqual([true, true, false, false, true, false]);
  });

  test('a second trace forgets the first', () => {
    const [a, b] = [h.put(heap, empty), h.put(heap + 8, empty)];
    h.setCursor(heap + 4096);
    const tracer = new Tracer(h.context(), () => {});
    for (const [root, other] of [
      [a, b],
      [b, a],
    ] as const) {
      h.setRoots([root]);
      tracer.begin();
      tracer.finish();
      expect([h.isMarked(root), h.isLive(root), h.isMarked(other), h.isLive(other)]).toEqual([
        true,
        true,
        false,
        false,
      ]);
    }
  });

  test.each([
    ['taking and ageing', 0],
    ['ageing and scanning', 1],
  ])('what is stored between %s is found in that round or in the next', (_, when) => {
    const links = 50;
    // Each in a card group of its own.
    const chain = Array.from({ length: links }, (_, i) => h.put(heap + 64 * CARD * i, pair));
    h.setCursor(heap + 64 * CARD * links);
    h.setRoots([chain[0]!]);
    const tracer = new Tracer(h.context(), () => {});
    tracer.begin();
    tracer.markRoots();
    tracer.drain();
    for (let i = 0; i < links - 1; i++) {
      let step = 0;
      const dirty = tracer.cleanCards(() => {
        if (step++ !== when) return;
        h.set(chain[i]!, 8, chain[i + 1]!);
        h.setCard(chain[i]!, CARD_DIRTY);
      });
      expect(dirty).toBe(i === 0 ? 0 : 1);
    }
    tracer.finish();
    expect(chain.every((ref) => h.isMarked(ref))).toBe(true);
  });

  test('the checkpoint may give a trace up, and the next one is whole', () => {
    const array = h.put(heap, refs, 40_000);
    for (let i = 0; i < 40_000; i++) h.set(array, 8 + 4 * i, h.put(heap + 262144 + 8 * i, empty));
    h.setCursor(heap + 262144 + 8 * 40_000 + 512);
    h.setRoots([array]);
    let stop = true;
    const tracer = new Tracer(h.context(), () => {
      if (stop) throw new Error('enough');
    });
    tracer.begin();
    expect(() => tracer.finish()).toThrow('enough');
    stop = false;
    tracer.begin();
    tracer.finish();
    for (let i = 0; i < 40_000; i++) if (!h.isMarked(heap + 262144 + 8 * i)) expect.fail(`element ${i}`);
  });
});
