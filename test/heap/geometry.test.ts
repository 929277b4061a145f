import { describe, expect, test } from 'vitest';
import { type Geometry, GIB, KIB, layOut, MEMORY_BYTES, MIB, STEERED_RESIDUE } from '#src/heap/geometry.js';
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
  TRACE_BYTES,
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
  const chunks = g.managedBytes / 512;
  const pages = g.heapBytes / 4096;
  const granuleBits = g.nonMovingBytes / 64;
  return [
    ['null guard', 0, NULL_GUARD_BYTES],
    ['heap', g.heap, g.windowBytes],
    ['non-moving window', g.nonMoving, g.nonMovingWindowBytes],
    ['alias A', g.aliases[0], g.heapBytes],
    ['alias B', g.aliases[1], g.heapBytes],
    ['alias N', g.nonMovingAlias, g.nonMovingBytes],
    ['control', g.control, CTL_WORDS * 4],
    ['threads', g.threads, MAX_THREADS * THREAD_BYTES],
    ['workers', g.workers, MAX_WORKERS * WORKER_BYTES],
    ['histograms', g.histograms, (MAX_THREADS * HISTOGRAMS_PER_THREAD + MAX_WORKERS) * HISTOGRAM_WORDS * 4],
    ['types', g.types, MAX_TYPES * 16],
    ['typeMaps', g.typeMaps, g.typeMapBytes],
    // A run of live bits, or eight cards that are read at once, may be looked at up to one word behind the last.
    ['marks', g.marks, chunks * 8 + 8],
    ['lives', g.lives, chunks * 8 + 8],
    ['chunks', g.chunks, (g.heapBytes / 512) * 4],
    // Cards are read in groups of 64.
    ['cards', g.cards, Math.ceil(g.managedBytes / CARD_BYTES / 64) * 64],
    ['pageWords', g.pageWords, g.managedBytes / 1024],
    ['pageFirst', g.pageFirst, (pages + 1) * 4],
    ['pageSource', g.pageSource, (pages + 1) * 4],
    ['spans', g.spans, g.nonMovingBytes / 1024],
    ['allocated', g.allocated, granuleBits],
    ['fresh', g.fresh, granuleBits],
    ['shadowStacks', g.shadowStacks, MAX_THREADS * SHADOW_SLOTS * 4],
    ['markStack', g.markStack, g.markStackBytes],
    ['staging', g.staging, MAX_WORKERS * 65536],
    ['cardBuffer', g.cardBuffer, CARD_BUFFER_ENTRIES * 4],
    ['traces', g.traces, TRACE_BYTES],
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
  if ((g.memoryAddress + g.heap) % g.alignBytes !== 0) throw new Error('the heap is not on its boundary');
  if ((g.memoryAddress + g.nonMoving) % g.nonMovingAlignBytes !== 0)
    throw new Error('the non-moving window is not on its boundary');
  if (g.windowBytes % g.alignBytes !== 0 || g.windowBytes < g.heapBytes)
    throw new Error('the heap window is not whole');
  if (g.nonMovingWindowBytes % g.nonMovingAlignBytes !== 0 || g.nonMovingWindowBytes < g.nonMovingBytes)
    throw new Error('the non-moving window is not whole');
  // Ends are kept in signed words, and references are small integers.
  if (g.nonMoving + g.nonMovingBytes >= 2 ** 31) throw new Error('references reach 2^31');
  if (g.nonMoving < g.heap + g.windowBytes) throw new Error('the non-moving window is not behind the heap');
  if (g.managedBytes !== g.nonMoving + g.nonMovingBytes - g.heap) throw new Error('side tables do not reach');
}

/** Where the arena has a memory begin. */
const STEERED = BASE + STEERED_RESIDUE;

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
    const g = layOutFor(STEERED, heapBytes);
    expect(g.heap).toBe(NULL_GUARD_BYTES);
    expect(g.alignBytes).toBe(heapBytes <= GIB ? GIB : 2 * MIB);
    expect(g.nonMovingAlignBytes).toBe(heapBytes <= 768 * MIB + 4096 ? GIB : 2 * MIB);
  });
});

test('random addresses, sizes and tables', () => {
  forSeeds(300, (random) => {
    const heapBytes = random.int(64, 262144) * 4096;
    const geometry = layOut(BASE + random.int(0, 16383) * WASM_PAGE, {
      heapBytes,
      markStackEntries: random.pick([8, 16384, 4 * MIB, 4097]),
      nonMovingBytes: random.int(16, 65536) * 4096,
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
