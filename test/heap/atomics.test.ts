// Atomic operations, bulk copies and their cards, on a heap without a collector.
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckedMutator } from '#src/heap/checked-mutator.js';
import { CARD_BYTES, CARD_CLEAN, CARD_DIRTY } from '#src/heap/layout.js';
import { Mutator } from '#src/heap/mutator.js';
import type { Ref } from '#src/heap/ref.js';
import { ArenaHarness } from '../support/arena-harness.ts';
import { forSeeds } from '../support/random.ts';

const h = new ArenaHarness();
const cell = h.types.record('Cell', { a: 'ref', b: 'ref', i: 'i32', w: 'i64' });
const refs = h.types.refArray('Refs');
const bytes = h.types.rawArray('Bytes', 'u8');
const host = { tid: 1, currentCpu: () => 0, assertCollectorAlive() {} };
const options = {
  collectEveryAllocation: 0,
  collectEverySafepoint: 0,
  faultSamples: 0,
  largeObjectBytes: 2 ** 31,
  collects: false,
};
const isMisuse = expect.objectContaining({ code: 'ERR_TYPE' });

let m: Mutator;
const attach = (checked: boolean): Mutator =>
  checked
    ? new CheckedMutator(h.tables, host, { ...options, checked }, () => {})
    : new Mutator(h.tables, host, { ...options, checked });

afterEach(() => {
  m.leave();
  m.detach();
  h.reset();
});
afterAll(() => h.close());

describe.each([false, true])('checked: %s', (checked) => {
  beforeEach(() => {
    m = attach(checked);
    m.enter();
  });
  const clean = (): void => {
    const { cards, heapBytes } = h.tables.geometry;
    h.bytes.fill(CARD_CLEAN, cards, cards + heapBytes / CARD_BYTES);
  };
  const dirty = (): number[] => {
    const { cards, heapBytes } = h.tables.geometry;
    const found: number[] = [];
    for (let i = 0; i < heapBytes / CARD_BYTES; i++) if (h.bytes[cards + i] === CARD_DIRTY) found.push(i);
    return found;
  };
  const cardOf = (address: number): number => Math.floor((address - h.heap) / CARD_BYTES);

  test('references: results, contents and cards', () => {
    const [x, y, z] = [m.allocate(cell), m.allocate(cell), m.allocate(cell)];
    const { a, b } = cell.offset;
    clean();
    expect(m.atomicLoadRef(x, a)).toBe(0);
    expect(dirty()).toEqual([]);
    m.atomicStoreRef(x, a, y);
    expect([m.atomicLoadRef(x, a), m.getRef(x, b), dirty()]).toEqual([y, 0, [cardOf(x + a)]]);
    clean();
    expect(m.exchangeRef(x, a, z)).toBe(y);
    expect([m.getRef(x, a), dirty()]).toEqual([z, [cardOf(x + a)]]);
    clean();
    // What fails stores nothing and dirties nothing.
    expect(m.compareExchangeRef(x, a, y, x)).toBe(z);
    expect([m.getRef(x, a), dirty()]).toEqual([z, []]);
    expect(m.compareExchangeRef(x, a, z, x)).toBe(z);
    expect([m.getRef(x, a), dirty()]).toEqual([x, [cardOf(x + a)]]);
  });

  test('elements', () => {
    const array = m.allocateArray(refs, 100);
    const x = m.allocate(cell);
    clean();
    expect(m.compareExchangeElement(array, 99, 0 as Ref, x)).toBe(0);
    expect(m.exchangeElement(array, 0, x)).toBe(0);
    m.atomicStoreElement(array, 50, x);
    expect([0, 1, 50, 98, 99].map((i) => m.atomicLoadElement(array, i))).toEqual([x, 0, x, 0, x]);
    expect(dirty()).toEqual([8, 208, 404].map((at) => cardOf(array + at)));
  });

  test('integers wrap round as those of JavaScript do', () => {
    const x = m.allocate(cell);
    const { i, w } = cell.offset;
    clean();
    m.atomicStoreI32(x, i, 0x7fffffff);
    expect(m.addI32(x, i, 1)).toBe(0x7fffffff);
    expect(m.subI32(x, i, 1)).toBe(-0x80000000);
    expect(m.andI32(x, i, 0xff)).toBe(0x7fffffff);
    expect(m.orI32(x, i, 0x100)).toBe(0xff);
    expect(m.xorI32(x, i, 3)).toBe(0x1ff);
    expect(m.exchangeI32(x, i, -1)).toBe(0x1fc);
    expect(m.compareExchangeI32(x, i, 7, 8)).toBe(-1);
    expect(m.compareExchangeI32(x, i, -1, 8)).toBe(-1);
    expect(m.atomicLoadI32(x, i)).toBe(8);
    m.atomicStoreI64(x, w, 2n ** 63n - 1n);
    expect(m.addI64(x, w, 1n)).toBe(2n ** 63n - 1n);
    expect(m.atomicLoadI64(x, w)).toBe(-(2n ** 63n));
    expect(m.exchangeI64(x, w, 5n)).toBe(-(2n ** 63n));
    expect(m.compareExchangeI64(x, w, 6n, 7n)).toBe(5n);
    expect(m.compareExchangeI64(x, w, 5n, -7n)).toBe(5n);
    expect(m.atomicLoadI64(x, w)).toBe(-7n);
    expect([m.atomicLoadI32(x, i), m.getRef(x, cell.offset.a), dirty()]).toEqual([8, 0, []]);
  });

  test('copyElements against a model: overlapping, empty, any alignment; cards of exactly the range', () => {
    forSeeds(5, (random) => {
      const arrays = [m.allocateArray(refs, 300), m.allocateArray(refs, 301)];
      const things = Array.from({ length: 50 }, () => m.allocate(cell));
      const model = arrays.map((array) => {
        const list = Array.from({ length: m.length(array) }, () => random.pick(things));
        for (const [i, ref] of list.entries()) m.setElement(array, i, ref);
        return list;
      });
      for (let round = 0; round < 100; round++) {
        const [s, t] = [random.int(0, 1), random.int(0, 1)];
        const count = random.int(0, 250);
        const from = random.int(0, model[s]!.length - count);
        const to = random.int(0, model[t]!.length - count);
        clean();
        m.copyElements(arrays[s]!, from, arrays[t]!, to, count);
        const moved = model[s]!.slice(from, from + count);
        model[t]!.splice(to, count, ...moved);
        for (const k of [0, 1]) {
          const is = model[k]!.map((_, i) => m.getElement(arrays[k]!, i));
          expect(is).toEqual(model[k]!);
        }
        const expected = new Set<number>();
        for (let i = to; i < to + count; i++) expected.add(cardOf(arrays[t]! + 8 + 4 * i));
        expect(dirty()).toEqual([...expected]);
      }
    });
  });

  test('fillElements, copyBytes and fillBytes', () => {
    const [array, raw, x] = [m.allocateArray(refs, 64), m.allocateArray(bytes, 100), m.allocate(cell)];
    clean();
    m.fillElements(array, 10, 50, x);
    const list = Array.from({ length: 64 }, (_, i) => m.getElement(array, i));
    expect(list).toEqual(Array.from({ length: 64 }, (_, i) => (i >= 10 && i < 50 ? x : 0)));
    expect(dirty()).toEqual([...new Set([48, 128, 204].map((at) => cardOf(array + at)))]);
    clean();
    m.fillElements(array, 5, 5, x);
    m.fillBytes(raw, 0, 100, 1);
    m.fillBytes(raw, 10, 20, 7);
    m.copyBytes(raw, 10, raw, 15, 10);
    const is = Array.from({ length: 100 }, (_, i) => m.getU8(raw, 8 + i));
    expect(is).toEqual(Array.from({ length: 100 }, (_, i) => (i >= 10 && i < 25 ? 7 : 1)));
    expect(dirty()).toEqual([]);
  });
});

describe('a verifying heap refuses', () => {
  beforeEach(() => {
    m = attach(true);
    m.enter();
  });
  test('wrong fields, values and ranges', () => {
    const [x, array, raw] = [m.allocate(cell), m.allocateArray(refs, 8), m.allocateArray(bytes, 8)];
    const { a, i, w } = cell.offset;
    const stale = (x + 4096 * 64) as Ref;
    const wrong: (() => unknown)[] = [
      // What does not compile is refused at run time too.
      () => m.atomicLoadRef(x, i as number),
      () => m.atomicStoreRef(0 as Ref, a, x),
      () => m.exchangeRef(x, a, stale),
      () => m.compareExchangeRef(x, a, stale, x),
      () => m.compareExchangeRef(x, a, x, stale),
      () => m.exchangeElement(array, 8, x),
      () => m.addI32(x, a as number, 1),
      () => m.addI32(x, i + 2, 1),
      () => m.addI64(x, a as number, 1n),
      () => m.atomicLoadI64(x, w + 4),
      () => m.exchangeI32(array, 8, 1),
      () => m.copyElements(array, 0, array, 4, 5),
      () => m.copyElements(array, -1, array, 4, 2),
      () => m.copyElements(array, 0, array, 0, -1),
      () => m.copyElements(array, 0, raw, 0, 1),
      () => m.copyElements(x, 0, array, 0, 1),
      () => m.fillElements(array, 0, 9, x),
      () => m.fillElements(array, 0, 1, stale),
      () => m.copyBytes(raw, 0, raw, 1, 8),
      () => m.copyBytes(array, 0, raw, 0, 4),
      () => m.fillBytes(raw, 0, 9, 0),
    ];
    for (const body of wrong) expect(body, String(body)).toThrow(isMisuse);
    // The ends of what is allowed.
    m.copyElements(array, 0, array, 3, 5);
    m.fillBytes(raw, 0, 8, 1);
  });
});
