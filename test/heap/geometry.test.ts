import { describe, expect, test } from 'vitest';
import { type Geometry, GIB, KIB, layOut, MEMORY_BYTES, MIB } from '#src/heap/geometry.js';
import {
  CARD_BUFFER_ENTRIES,
  CARD_BYTES,
  CTL_WORDS,
  HISTOGRAM_WORDS,
  HISTOGRAMS_PER_THREAD,
  MAX_THREADS,
  MAX_TYPES,
  MAX_WORKERS,
  NULL_GUARD_BYTES,
  SHADOW_SLOTS,
  THREAD_BYTES,
  WORKER_BYTES,
} from '#src/heap/layout.js';
import { forSeeds } from '../support/random.ts';

const WASM_PAGE = 64 * KIB;
/** Somewhere above, as addresses of memories are. */
const BASE = 0x7f12 * 4 * GIB;

function layOutFor(memoryAddress: number, heapBytes: number): Geometry {
  return layOut(memoryAddress, {
    heapBytes,
    markStackEntries: Math.min(Math.max(heapBytes / 64, 16 * KIB), 4 * MIB),
    persistentSlots: 65536,
    typeMapBytes: MIB,
  });
}

/** Every region of a geometry with the bytes that its users touch. */
function regions(g: Geometry): [name: string, at: number, bytes: number][] {
  const chunks = g.heapBytes / 512;
  const pages = g.heapBytes / 4096;
  return [
    ['null guard', 0, NULL_GUARD_BYTES],
    ['heap', g.heap, g.windowBytes],
    ['alias A', g.aliases[0], g.windowBytes],
    ['alias B', g.aliases[1], g.windowBytes],
    ['control', g.control, CTL_WORDS * 4],
    ['threads', g.threads, MAX_THREADS * THREAD_BYTES],
    ['workers', g.workers, MAX_WORKERS * WORKER_BYTES],
    ['histograms', g.histograms, (MAX_THREADS * HISTOGRAMS_PER_THREAD + MAX_WORKERS) * HISTOGRAM_WORDS * 4],
    ['types', g.types, MAX_TYPES * 16],
    ['typeMaps', g.typeMaps, g.typeMapBytes],
    // A run of live bits, or eight cards that are read at once, may be looked at up to one word behind the last.
    ['marks', g.marks, chunks * 8 + 8],
    ['lives', g.lives, chunks * 8 + 8],
    ['chunks', g.chunks, chunks * 4],
    // Cards are read in groups of 64.
    ['cards', g.cards, Math.ceil(g.heapBytes / CARD_BYTES / 64) * 64],
    ['pageWords', g.pageWords, pages * 4],
    ['pageFirst', g.pageFirst, (pages + 1) * 4],
    ['pageSource', g.pageSource, (pages + 1) * 4],
    ['persistent', g.persistent, g.persistentSlots * 4],
    ['shadowStacks', g.shadowStacks, MAX_THREADS * SHADOW_SLOTS * 4],
    ['markStack', g.markStack, g.markStackBytes],
    ['staging', g.staging, MAX_WORKERS * 65536],
    ['cardBuffer', g.cardBuffer, CARD_BUFFER_ENTRIES * 4],
  ];
}

/** Everything that must hold for every heap at every address; throws what does not. */
function check(g: Geometry): void {
  const sorted = regions(g).sort((a, b) => a[1] - b[1]);
  for (const [i, [name, at, bytes]] of sorted.entries()) {
    if (at % 4096 !== 0) throw new Error(`${name} is not on a page boundary`);
    const next = sorted[i + 1];
    const limit = next?.[1] ?? MEMORY_BYTES;
    if (at + bytes > limit) throw new Error(`${name} reaches into ${next?.[0] ?? 'nowhere'}`);
  }
  for (const window of [g.heap, ...g.aliases]) {
    if ((g.memoryAddress + window) % g.alignBytes !== 0) throw new Error('a window is not on its boundary');
  }
  if (g.windowBytes % g.alignBytes !== 0 || g.windowBytes < g.heapBytes)
    throw new Error('windows are not whole');
  // The heap's end is kept in a signed word, and references are small integers.
  if (g.heap + g.heapBytes >= 2 ** 31) throw new Error(`the heap ends at ${g.heap + g.heapBytes}`);
  if (g.heap + g.windowBytes > 2 ** 31 + 2 * MIB)
    throw new Error(`the heap window ends at ${g.heap + g.windowBytes}`);
  if (g.aliases.some((alias) => alias < g.heap)) throw new Error('the heap is not the first window');
}

const SIZES = [
  256 * KIB,
  260 * KIB,
  MIB,
  5 * MIB + 4096,
  64 * MIB,
  256 * MIB,
  768 * MIB + 4096,
  GIB - 4096,
  GIB,
  GIB + 4096,
  1.125 * GIB,
  1.19 * GIB,
].map((bytes) => Math.floor(bytes / 4096) * 4096);

describe.each(SIZES)('a heap of %i bytes', (heapBytes) => {
  test('is laid out at every address that a memory may have', () => {
    for (let rest = 0; rest < GIB; rest += 61 * WASM_PAGE) check(layOutFor(BASE + rest, heapBytes));
    for (const rest of [
      0,
      WASM_PAGE,
      2 * WASM_PAGE,
      2 * MIB - WASM_PAGE,
      2 * MIB,
      GIB / 2,
      GIB - 2 * MIB,
      GIB - 2 * WASM_PAGE,
      GIB - WASM_PAGE,
    ]) {
      check(layOutFor(BASE + rest, heapBytes));
    }
  });

  test('has windows of whole GiB where they fit, so that a flip moves its page tables by 1 GiB entries', () => {
    for (const rest of [WASM_PAGE, GIB / 2, GIB - WASM_PAGE]) {
      expect(layOutFor(BASE + rest, heapBytes).alignBytes).toBe(heapBytes <= GIB ? GIB : 2 * MIB);
    }
  });
});

test('a memory that begins on a whole GiB: the end of a 1 GiB heap stays below 2^31', () => {
  check(layOutFor(BASE, GIB));
  expect(layOutFor(BASE, GIB).alignBytes).toBe(GIB);
  expect(layOutFor(BASE, GIB).heapBytes).toBe(GIB - 4096);
  expect(layOutFor(BASE + WASM_PAGE, GIB).heapBytes).toBe(GIB);
  expect(layOutFor(BASE, GIB - 4096).alignBytes).toBe(GIB);
});

test('random addresses, sizes and tables', () => {
  forSeeds(300, (random) => {
    const heapBytes = random.int(64, 1.1 * 262144) * 4096;
    const geometry = layOut(BASE + random.int(0, 16383) * WASM_PAGE, {
      heapBytes,
      markStackEntries: random.pick([8, 16384, 4 * MIB, 4097]),
      persistentSlots: random.pick([1, 1000, 65536, MIB]),
      typeMapBytes: random.int(1, 1024) * 4096,
    });
    check(geometry);
  });
});

test.each([1.34 * GIB, 2 * GIB, 4 * GIB])(
  'a heap of %d bytes does not fit, and the error says what does',
  (bytes) => {
    for (const rest of [0, WASM_PAGE, GIB / 2]) {
      expect(() => layOutFor(BASE + rest, Math.ceil(bytes / 4096) * 4096)).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION', hint: expect.stringContaining('heapBytes') }),
      );
    }
  },
);

test('tables that do not fit beside the windows are refused as well', () => {
  expect(() =>
    layOut(BASE + WASM_PAGE, {
      heapBytes: GIB,
      markStackEntries: 2 ** 28,
      persistentSlots: 65536,
      typeMapBytes: MIB,
    }),
  ).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
});
