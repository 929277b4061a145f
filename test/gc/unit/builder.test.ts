import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { TospaceError } from '#src/errors.js';
import { Builder } from '#src/gc/builder.js';
import type { Kernels } from '#src/gc/kernels.js';
import {
  PAGE_BYTES,
  PAGE_MAPPED,
  PAGE_MAPPING,
  PAGE_PROCESSED,
  PAGE_PROCESSING,
  PAGE_STATE_MASK,
  PAGE_UNPROCESSED,
  W_EAGAIN,
  W_EEXIST,
} from '#src/heap/layout.js';
import { EAGAIN, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, errnoName } from '#src/uffd/index.js';
import { ArenaHarness } from '../../support/arena-harness.ts';

const PAGES = 40;
const h = new ArenaHarness();
const { kernels, heap } = h;
const realHeap = h.arena.real(heap);
afterAll(() => h.close());

interface Call {
  readonly what: 'copy' | 'continue' | 'wake';
  readonly page: number;
  readonly pages: number;
}

/** Stands in for a userfaultfd: notes every call, and answers from `script` (a number of pages, or -errno) as long as it lasts. */
class FakeUffd {
  readonly calls: Call[] = [];
  readonly contents: number[] = [];
  script: number[] = [];

  #answer(what: 'copy' | 'continue', dst: number, length: number): number {
    const page = (dst - realHeap) / PAGE_BYTES;
    this.calls.push({ what, page, pages: length / PAGE_BYTES });
    const next = this.script.shift();
    if (next === undefined) return length;
    return next < 0 ? next : next * PAGE_BYTES;
  }

  continue(dst: number, length: number): number {
    return this.#answer('continue', dst, length);
  }

  copy(dst: number, source: number, length: number): number {
    for (let at = 0; at < length; at += PAGE_BYTES) {
      this.contents[(dst - realHeap + at) / PAGE_BYTES] =
        h.words[(source - h.tables.geometry.memoryAddress + at + 4) / 4]!;
    }
    return this.#answer('copy', dst, length);
  }

  wake(dst: number, length: number): number {
    this.calls.push({ what: 'wake', page: (dst - realHeap) / PAGE_BYTES, pages: length / PAGE_BYTES });
    return 0;
  }
}

let uffd: FakeUffd;
let counted: number;
const record = new Int32Array(new SharedArrayBuffer(256));

function builder(
  fill: 'continue' | 'copy',
  over: { kernels?: Partial<Kernels>; worker?: number; reach?: () => void } = {},
): Builder {
  const context = h.context({
    uffd,
    record,
    options: { fill },
    worker: over.worker ?? 3,
    kernels: { ...kernels, ...over.kernels },
    reach: over.reach ?? (() => {}),
    countPages: (pages: number) => {
      counted += pages;
    },
  });
  return new Builder(context);
}

const states = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => kernels.pageWord(from + i) & PAGE_STATE_MASK);
const all = (count: number, state: number): number[] => Array.from({ length: count }, () => state);

beforeEach(() => {
  h.reset();
  uffd = new FakeUffd();
  record.fill(0);
  counted = 0;
  // All pages are black and do not move; each holds one array that says which page it is.
  const type = h.types.rawArray('page', 'u8').id;
  for (let page = 0; page < PAGES; page++) {
    h.put(heap + page * PAGE_BYTES, type, 4000 + page);
    h.setPageFirst(page, heap + page * PAGE_BYTES);
  }
  h.setPlan({ compacted: 0, blackLine: heap, used: PAGES * PAGE_BYTES });
});

describe.each(['continue', 'copy'] as const)('%s', (fill) => {
  test('builds and installs all unprocessed pages of a range in batches', () => {
    expect(builder(fill).buildRange(0, PAGES)).toBe(PAGES);
    expect(states(0, PAGES)).toEqual(all(PAGES, PAGE_MAPPED));
    expect(uffd.calls).toEqual([
      { what: fill, page: 0, pages: 16 },
      { what: fill, page: 16, pages: 16 },
      { what: fill, page: 32, pages: 8 },
    ]);
    const shadow = h.tables.geometry.aliases[1];
    const built = Array.from({ length: PAGES }, (_, page) => h.words[(shadow + page * PAGE_BYTES + 4) / 4]!);
    const expected = Array.from({ length: PAGES }, (_, page) => 4000 + page);
    expect(fill === 'copy' ? uffd.contents : built).toEqual(expected);
    // Pages that are copied must not appear in the memfd before: UFFDIO_COPY would find them there.
    if (fill === 'copy') expect(built).toEqual(all(PAGES, 0));
    expect(counted).toBe(PAGES);
  });

  test('pages of others are left alone, whatever their state', () => {
    kernels.claimPages(2, 6, 9);
    kernels.movePages(3, 1, PAGE_PROCESSING, PAGE_PROCESSED, 9);
    kernels.movePages(4, 1, PAGE_PROCESSING, PAGE_MAPPING, 9);
    kernels.movePages(5, 1, PAGE_PROCESSING, PAGE_MAPPED, 9);
    expect(builder(fill).buildRange(0, 8)).toBe(4);
    expect(states(0, 8)).toEqual([4, 4, PAGE_PROCESSING, PAGE_PROCESSED, PAGE_MAPPING, PAGE_MAPPED, 4, 4]);
    expect(uffd.calls.map(({ page, pages }) => [page, pages])).toEqual([
      [0, 2],
      [6, 2],
    ]);
    expect(builder(fill).claimAndBuild(2, 3)).toBe(0);
  });

  test('pages are mapping, and nothing else is, while the system call is made', () => {
    let seen: number[] = [];
    builder(fill, {
      reach: () => {
        seen = states(4, 8);
      },
    }).claimAndBuild(5, 7);
    expect(seen).toEqual([PAGE_UNPROCESSED, PAGE_MAPPING, PAGE_MAPPING, PAGE_UNPROCESSED]);
  });

  test.runIf(fill === 'continue')(
    'EEXIST: the page is mapped already; its faulters are woken, and the rest is installed',
    () => {
      uffd.script = [-EEXIST];
      builder(fill).buildRange(8, 12);
      expect(uffd.calls).toEqual([
        { what: fill, page: 8, pages: 4 },
        { what: 'wake', page: 8, pages: 1 },
        { what: fill, page: 9, pages: 3 },
      ]);
      expect(states(8, 12)).toEqual(all(4, PAGE_MAPPED));
      expect(record[W_EEXIST]).toBe(1);
    },
  );

  test.runIf(fill === 'continue')(
    'partial success, then EEXIST: goes on behind the page that stopped it',
    () => {
      uffd.script = [2, -EEXIST, 1];
      builder(fill).buildRange(0, 6);
      expect(uffd.calls).toEqual([
        { what: fill, page: 0, pages: 6 },
        { what: fill, page: 2, pages: 4 },
        { what: 'wake', page: 2, pages: 1 },
        { what: fill, page: 3, pages: 3 },
        { what: fill, page: 4, pages: 2 },
      ]);
      expect(states(0, 6)).toEqual(all(6, PAGE_MAPPED));
    },
  );

  test.runIf(fill === 'copy')(
    'EEXIST: somebody else put contents there, and the copy is lost; nothing goes on as if it were not',
    () => {
      uffd.script = [2, -EEXIST];
      expect(() => builder(fill).buildRange(0, 6)).toThrow(
        expect.objectContaining({ code: 'ERR_SYSCALL', errnoName: 'EEXIST' }),
      );
      expect(states(2, 6)).not.toContain(PAGE_MAPPED);
    },
  );

  test.runIf(fill === 'copy')('partial success: goes on with the source to match', () => {
    uffd.script = [2, 1];
    builder(fill).buildRange(0, 6);
    expect(uffd.calls.map(({ page, pages }) => [page, pages])).toEqual([
      [0, 6],
      [2, 4],
      [3, 3],
    ]);
    expect(uffd.contents.slice(0, 6)).toEqual([4000, 4001, 4002, 4003, 4004, 4005]);
  });

  test('EAGAIN is tried again until it succeeds', () => {
    uffd.script = [-EAGAIN, -EAGAIN, 1, -EAGAIN];
    builder(fill).buildRange(0, 2);
    expect(uffd.calls.map(({ page, pages }) => [page, pages])).toEqual([
      [0, 2],
      [0, 2],
      [0, 2],
      [1, 1],
      [1, 1],
    ]);
    expect(record[W_EAGAIN]).toBe(3);
    expect(states(0, 2)).toEqual(all(2, PAGE_MAPPED));
  });

  test('EAGAIN for ever ends in a typed error', () => {
    const again = { shift: () => -EAGAIN } as unknown as number[];
    uffd.script = again;
    uffd.calls.push = () => 0;
    expect(() => builder(fill).buildRange(0, 1)).toThrow(
      expect.objectContaining({
        code: 'ERR_SYSCALL',
        errnoName: 'EAGAIN',
        syscall: 'ioctl',
        hint: expect.stringMatching(/./),
      }),
    );
    expect(states(0, 1)).toEqual([PAGE_MAPPING]);
  });

  test.each([EFAULT, ENOENT, ENOMEM, EINVAL])('errno %i is a typed error that names the page', (errno) => {
    uffd.script = [1, -errno];
    let error: unknown;
    try {
      builder(fill).buildRange(7, 10);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(TospaceError);
    expect(error).toMatchObject({
      code: 'ERR_SYSCALL',
      errno,
      errnoName: errnoName(errno),
      syscall: 'ioctl',
    });
    expect((error as TospaceError).hint).toContain('ENOMEM');
    expect((error as TospaceError).message).toMatch(/page \d+/);
    // Nobody may believe that the page is there.
    expect(states(7, 10)).toEqual(all(3, PAGE_MAPPING));
  });

  test('a page that somebody else moves while its owner builds it breaks an invariant', () => {
    const thief = {
      buildPages: (page: number, count: number, target: number) => {
        kernels.buildPages(page, count, target);
        kernels.movePages(page, 1, PAGE_PROCESSING, PAGE_MAPPED, 9);
      },
    };
    expect(() => builder(fill, { kernels: thief }).claimAndBuild(0, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_INVARIANT' }),
    );
    expect(uffd.calls).toEqual([]);
  });
});

test('continue: a processed page that another worker takes over is left to it, and the others are installed', () => {
  const taken = {
    movePages: (page: number, count: number, from: number, to: number, owner: number) => {
      const moved = kernels.movePages(page, count, from, to, owner);
      if (to === PAGE_PROCESSED) kernels.movePages(page + 2, 1, PAGE_PROCESSED, PAGE_MAPPING, 9);
      return moved;
    },
  };
  builder('continue', { kernels: taken }).claimAndBuild(4, 9);
  expect(uffd.calls).toEqual([
    { what: 'continue', page: 4, pages: 2 },
    { what: 'continue', page: 7, pages: 2 },
  ]);
  expect(states(4, 9)).toEqual([PAGE_MAPPED, PAGE_MAPPED, PAGE_MAPPING, PAGE_MAPPED, PAGE_MAPPED]);
  expect(kernels.pageWord(6) >>> 8).toBe(9);
});

test('continue: mapProcessed maps what another worker built and left, once', () => {
  kernels.claimPages(0, 3, 9);
  kernels.movePages(0, 3, PAGE_PROCESSING, PAGE_PROCESSED, 9);
  builder('continue').mapProcessed(1, 1);
  builder('continue', { worker: 5 }).mapProcessed(1, 1);
  expect(uffd.calls).toEqual([{ what: 'continue', page: 1, pages: 1 }]);
  expect(states(0, 3)).toEqual([PAGE_PROCESSED, PAGE_MAPPED, PAGE_PROCESSED]);
});

test('copy: what another worker staged in its own buffer is never mapped', () => {
  kernels.claimPages(0, 2, 9);
  kernels.movePages(0, 2, PAGE_PROCESSING, PAGE_PROCESSED, 9);
  const mine = builder('copy');
  expect(() => mine.mapProcessed(0, 1)).toThrow(expect.objectContaining({ code: 'ERR_INVARIANT' }));
  expect(mine.buildRange(0, 2)).toBe(0);
  expect(uffd.calls).toEqual([]);
  expect(states(0, 2)).toEqual([PAGE_PROCESSED, PAGE_PROCESSED]);
});

test('copy: workers stage in buffers of their own', () => {
  const { staging } = h.tables.geometry;
  h.bytes.fill(0xab, staging, staging + 16 * 65536);
  builder('copy', { worker: 2 }).claimAndBuild(0, 16);
  const touched = (worker: number): boolean =>
    h.bytes.subarray(staging + worker * 65536, staging + (worker + 1) * 65536).some((b) => b !== 0xab);
  expect([0, 1, 2, 3].map(touched)).toEqual([false, false, true, false]);
});
