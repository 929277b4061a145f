import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { TospaceError } from '#src/errors.js';
import { CTL_TYPE_COUNT, KIND_RAW_ARRAY, KIND_RECORD, KIND_REF_ARRAY, MAX_TYPES } from '#src/heap/layout.js';
import { type ElementKind, type FieldKind, MAX_RECORD_BYTES, placeFields } from '#src/heap/types.js';
import { readTypeText } from '#src/heap/type-names.js';
import { ArenaHarness } from '../support/arena-harness.ts';
import { endThreads, startThread } from '../support/threads.ts';

const h = new ArenaHarness();
afterEach(endThreads);
afterAll(() => h.close());

const entry = (id: number): number[] => [...h.tables.words(h.tables.geometry.types + id * 16, 4)];
const map = (id: number): number[] => {
  const [, , at, words] = entry(id);
  return [...new Uint32Array(h.tables.buffer, at! >>> 0, words! * 2)];
};

function refusal(body: () => unknown): TospaceError {
  try {
    body();
  } catch (error) {
    if (error instanceof TospaceError) return error;
    throw error;
  }
  return expect.fail('accepted');
}

describe('placement', () => {
  test('fields follow each other in their order, each on a multiple of its size', () => {
    expect(
      placeFields({
        a: 'u8',
        b: 'ref',
        c: 'i16',
        d: 'u8',
        e: 'f64',
        f: 'i8',
        g: 'i64',
        h: 'f32',
        i: 'u16',
        j: 'i32',
        k: 'u32',
      }),
    ).toEqual({
      offset: { a: 8, b: 12, c: 16, d: 18, e: 24, f: 32, g: 40, h: 48, i: 52, j: 56, k: 60 },
      bytes: 64,
    });
  });

  test('a record without fields is its header; sizes are multiples of 8', () => {
    expect(placeFields({})).toEqual({ offset: {}, bytes: 8 });
    expect(placeFields({ a: 'u8' }).bytes).toBe(16);
    expect(placeFields({ a: 'f64', b: 'u8' }).bytes).toBe(24);
  });

  test.each(['int', '', 'REF', 'toString', 'constructor', '__proto__', undefined, null, 4])(
    '%s is no kind of field',
    (kind) => {
      const error = refusal(() => h.types.record('t', { x: kind as FieldKind }));
      expect([error.code, error.message.includes('field x'), error.hint.includes('i64')]).toEqual([
        'ERR_TYPE',
        true,
        true,
      ]);
    },
  );
});

describe('registration', () => {
  test('a record: kind, size and reference map as the layout draws them', () => {
    const type = h.types.record('node', { left: 'ref', key: 'f64', right: 'ref' });
    expect(type).toMatchObject({
      kind: 'record',
      name: 'node',
      bytes: 32,
      offset: { left: 8, key: 16, right: 24 },
    });
    expect(entry(type.id)).toEqual([KIND_RECORD, 32, expect.any(Number), 1]);
    expect(map(type.id)).toEqual([(1 << 2) | (1 << 6), 0]);
    expect(Object.isFrozen(type) && Object.isFrozen(type.offset) && Object.isFrozen(type.fields)).toBe(true);
    expect(structuredClone(type)).toEqual(type);
  });

  test('a map has as many words as its last reference needs, and none without references', () => {
    expect(map(h.types.recordLayout('raw', 4096, []))).toEqual([]);
    expect(map(h.types.recordLayout('word 0', 4096, [252]))).toEqual([0, 0x8000_0000]);
    expect(map(h.types.recordLayout('word 1', 4096, [256, 124, 128]))).toEqual([0x8000_0000, 1, 1, 0]);
    const last = h.types.recordLayout('last', MAX_RECORD_BYTES, [MAX_RECORD_BYTES - 4]);
    expect(map(last).length).toBe(MAX_RECORD_BYTES / 128);
    expect(map(last).at(-1)).toBe(0x8000_0000);
  });

  test('arrays: the logarithm of the element', () => {
    expect(entry(h.types.refArray('refs').id).slice(0, 2)).toEqual([KIND_REF_ARRAY, 2]);
    const sizes: [ElementKind, number][] = [
      ['i8', 0],
      ['u8', 0],
      ['i16', 1],
      ['u16', 1],
      ['i32', 2],
      ['u32', 2],
      ['f32', 2],
      ['i64', 3],
      ['f64', 3],
    ];
    for (const [element, log2] of sizes) {
      const type = h.types.rawArray('raw', element);
      expect(entry(type.id)).toEqual([KIND_RAW_ARRAY, log2, expect.any(Number), 0]);
      expect(type.elementBytes).toBe(2 ** log2);
    }
  });

  test.each([0, 4, 7, 12, -8, 8.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_RECORD_BYTES + 8, '16'])(
    '%s is no size of a record',
    (bytes) => {
      const error = refusal(() => h.types.recordLayout('t', bytes as number, []));
      expect([error.code, error.message.includes(`type t: ${bytes}`), error.hint.length > 0]).toEqual([
        'ERR_TYPE',
        true,
        true,
      ]);
    },
  );

  test.each([0, 4, 7, 10, 16, 24, -4, 8.5, Number.NaN])(
    '%s is no offset of a reference in 16 bytes',
    (at) => {
      const error = refusal(() => h.types.recordLayout('t', 16, [8, at]));
      expect([
        error.code,
        error.message.includes(`${at} is not the offset`),
        error.hint.includes('8 to 12'),
      ]).toEqual(['ERR_TYPE', true, true]);
    },
  );

  test.each(['ref', 'toString', 'int', undefined])('%s is no element of a raw array', (element) => {
    const error = refusal(() => h.types.rawArray('t', element as ElementKind));
    expect([error.code, error.hint.length > 0]).toEqual(['ERR_TYPE', true]);
  });

  test('what is refused takes no id', () => {
    const before = h.control[CTL_TYPE_COUNT];
    refusal(() => h.types.recordLayout('t', 12, []));
    refusal(() => h.types.rawArray('t', 'ref' as ElementKind));
    expect(h.control[CTL_TYPE_COUNT]).toBe(before);
    expect(h.types.refArray('next').id).toBe(before);
  });

  test('maps that do not fit any more are refused, and the registry goes on', () => {
    const small = new ArenaHarness({ typeMapBytes: 4096 });
    try {
      const wide = (): number => small.types.recordLayout('wide', 65536, [65532]);
      expect([wide(), wide()]).toEqual([2, 3]);
      const error = refusal(wide);
      expect([error.code, error.hint.includes('typeMaps')]).toEqual(['ERR_TYPE', true]);
      expect(small.types.refArray('refs').id).toBe(4);
    } finally {
      small.close();
    }
  });

  test('names of types and of their reference fields can be read by others', () => {
    const made = h.types.record('Zoë', { a: 'i32', b: 'ref', c: 'f64', d: 'ref' });
    const { b, d } = made.offset;
    expect(readTypeText(h.tables, made.id)).toEqual({ name: 'Zoë', fields: { b, d } });
    expect(readTypeText(h.tables, h.types.refArray('').id)).toEqual({ name: '', fields: {} });
    const free = h.control[CTL_TYPE_COUNT]!;
    expect(readTypeText(h.tables, free)).toBeUndefined();
  });

  test('a type for whose name there is no room is registered all the same', () => {
    const full = new ArenaHarness();
    try {
      const long = 'x'.repeat(1024 * 1024);
      const ids = Array.from({ length: 5 }, () => full.types.refArray(long).id);
      expect(ids.map((id) => readTypeText(full.tables, id)?.name.length)).toEqual([
        long.length,
        long.length,
        long.length,
        undefined,
        undefined,
      ]);
      const short = full.types.record('short', { a: 'ref' });
      expect(readTypeText(full.tables, short.id)?.name).toBe('short');
    } finally {
      full.close();
    }
  });

  test('65 534 types besides that of the persistent handles, and no more', () => {
    const full = new ArenaHarness();
    try {
      const ids = Array.from({ length: MAX_TYPES - 2 }, () => full.types.recordLayout('t', 8, []));
      expect([ids[0], ids.at(-1), new Set(ids).size]).toEqual([2, 65535, 65534]);
      for (let i = 0; i < 2; i++) {
        const error = refusal(() => full.types.refArray('one too many'));
        expect([error.code, error.message.includes('65535'), error.hint.length > 0]).toEqual([
          'ERR_TYPE',
          true,
          true,
        ]);
      }
      expect(readTypeText(full.tables, 65535)).toEqual({ name: 't', fields: {} });
      // The last entry ends where the reference maps begin or before.
      expect(full.tables.words(full.tables.geometry.types + 65535 * 16, 1)[0]).toBe(KIND_RECORD);
    } finally {
      full.close();
    }
  });

  test('threads that register at the same time get distinct ids, and all entries are whole', async () => {
    const count = 2000;
    const first = h.control[CTL_TYPE_COUNT]!;
    const shared = new Int32Array(new SharedArrayBuffer(256));
    const threads = [0, 1].map((index) => startThread('register', h.tables, { shared, index, count }));
    await Promise.all(threads.map((thread) => thread.ready));
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    const ids = (await Promise.all(threads.map((thread) => thread.result))) as number[][];
    expect(ids.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 2 * count }, (_, i) => first + i));
    const maps = new Set<number>();
    for (const id of ids.flat()) {
      const [kind, bytes, at, words] = entry(id);
      if (kind !== KIND_RECORD || bytes !== 16 || words !== 1 || map(id)[0] !== 4)
        expect.fail(`type ${id}: ${entry(id)}`);
      maps.add(at!);
    }
    expect(maps.size).toBe(2 * count);
  });
});
