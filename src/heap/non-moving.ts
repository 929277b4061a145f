// The non-moving space: pinned objects and large ones. They keep their address, so that a system call or a runtime may hold it, and a
// large object is not copied at every cycle. Mark-sweep, by bitmaps: an object is allocated when the bit of its first granule is set, and
// a sweep leaves the bits of the marked ones.
//
// A page of the space is free (a hole of the file, which reads as zeroes), or divided into equal cells for small objects, or one of the
// pages that a larger object has of its own. The word for each page says which (layout.ts, SPAN_…), so that from any page the objects on it
// are found without reading it.
//
// Objects with references lie at the bottom of the space and raw data at its top, growing towards each other. Only the bottom is hidden by
// a flip: raw data never faults, and may be handed to a system call at any time, whatever kind of userfaultfd the heap has.
//
//   base                          TOP                RAW                       end
//   | references: hidden, fixed    | nothing          | raw data: never touched |
//
// A sweep takes both borders back as far as there are free pages, so that either part may grow into what the other has used.
//
// Everything here is written under one lock, which is never held across a safepoint. The collector takes it to sweep (gc/non-moving.ts).
// A thread may be terminated while it holds the lock: whatever it has done by then is no object yet, and the next
// sweep frees it.

import { isBitSet, setBit } from './bitmap.ts';
import {
  CTL_NON_MOVING_FRESH,
  CTL_NON_MOVING_LOCK,
  CTL_NON_MOVING_RAW,
  CTL_NON_MOVING_SINCE,
  CTL_NON_MOVING_SWEEPS,
  CTL_NON_MOVING_TOP,
  GRANULE_LOG2,
  PAGE_BYTES,
  PAGE_LOG2,
  SPAN_CELLS,
  SPAN_FIRST,
  SPAN_FREE,
  SPAN_KIND_MASK,
  SPAN_REST,
  SPAN_VALUE_SHIFT,
} from './layout.ts';
import { withRepairableLock } from './lock.ts';
import { StackPath } from './stack-room.ts';
import type { Tables } from './tables.ts';

/** Bytes of cells. Between two sizes at most a quarter of a cell is lost; the last ones divide a page by 5, 4, 3 and 2. */
const CELL_BYTES: readonly number[] = [
  16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 816, 1024, 1360, 2048,
];
const CELL_BYTES_MAX = 2048;

/** The smallest cell that holds an object, by its size in units of 16 bytes. */
const CELL_FOR: readonly number[] = Array.from(
  { length: CELL_BYTES_MAX / 16 + 1 },
  (_, units) => CELL_BYTES.find((bytes) => bytes >= units * 16)!,
);

const TAKE = new StackPath();

export class NonMovingSpace {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #memory: Uint8Array<SharedArrayBuffer>;
  readonly #spans: Int32Array<SharedArrayBuffer>;
  readonly #allocated: Int32Array<SharedArrayBuffer>;
  readonly #fresh: Int32Array<SharedArrayBuffer>;
  readonly #base: number;
  readonly #pages: number;
  // Hints: what this thread knows to be taken, which only a sweep can change.
  /**
   * Page at which to look for a free cell, by its bytes: pages before it were full. The complement of a page: all others were full when
   * this thread took it. Negative sizes stand for raw data.
   */
  readonly #cells = new Map<number, number>();
  /** No page before the one, or from the other on, is free. */
  #freeFrom = 0;
  #freeEnd: number;
  /** Number of sweeps when the hints were taken. */
  #sweeps = 0;

  constructor(tables: Tables) {
    const { nonMoving, nonMovingBytes, spans, allocated, fresh } = tables.geometry;
    this.#control = tables.control;
    this.#memory = tables.bytes(nonMoving, nonMovingBytes);
    this.#pages = nonMovingBytes >>> PAGE_LOG2;
    this.#spans = tables.words(spans, this.#pages);
    const words = nonMovingBytes >>> (GRANULE_LOG2 + 5);
    this.#allocated = tables.words(allocated, words);
    this.#fresh = tables.words(fresh, words);
    this.#base = nonMoving;
    this.#freeEnd = this.#pages;
  }

  /**
   * Takes zeroed room for an object of `bytes`. The caller writes its header before its next safepoint.
   * @param raw the object has no references.
   * @returns its address, or 0 when there is no room.
   */
  take(bytes: number, raw: boolean): number {
    TAKE.assertRoom();
    const cell = bytes <= CELL_BYTES_MAX ? CELL_FOR[Math.ceil(bytes / 16)]! : 0;
    const control = this.#control;
    const at = withRepairableLock(control, CTL_NON_MOVING_LOCK, () => {
      this.#forgetHints();
      const offset =
        cell > 0 ? this.#takeCell(cell, raw) : this.#takePages(Math.ceil(bytes / PAGE_BYTES), raw);
      if (offset < 0) return -1;
      // What makes it an object.
      setBit(this.#allocated, offset);
      // The collector has drawn its line already: what comes now is live, and its references belong to the space before the flip.
      if (control[CTL_NON_MOVING_FRESH] !== 0) setBit(this.#fresh, offset);
      control[CTL_NON_MOVING_SINCE] =
        control[CTL_NON_MOVING_SINCE]! + (cell > 0 ? cell : Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES);
      return offset;
    });
    TAKE.end();
    if (at < 0) return 0;
    // Pages of an object's own come as holes of the file. A cell may have been in use.
    if (cell > 0) this.#memory.fill(0, at, at + cell);
    return this.#base + at;
  }

  /** When there was a sweep since they were taken. */
  #forgetHints(): void {
    const sweeps = this.#control[CTL_NON_MOVING_SWEEPS]!;
    if (this.#sweeps === sweeps) return;
    this.#sweeps = sweeps;
    this.#cells.clear();
    this.#freeFrom = 0;
    this.#freeEnd = this.#pages;
  }

  #takeCell(cell: number, raw: boolean): number {
    const key = raw ? -cell : cell;
    const word = (cell << SPAN_VALUE_SHIFT) | SPAN_CELLS;
    const [low, high] = this.#part(raw);
    const hint = this.#cells.get(key) ?? low;
    const end = hint < 0 ? Math.min(high, ~hint + 1) : high;
    for (let page = hint < 0 ? ~hint : Math.max(low, hint); page < end; page++) {
      if (this.#spans[page] !== word) continue;
      const begin = page << PAGE_LOG2;
      for (let at = begin; at + cell <= begin + PAGE_BYTES; at += cell) {
        if (isBitSet(this.#allocated, at)) continue;
        this.#cells.set(key, hint < 0 ? hint : page);
        return at;
      }
    }
    // Every page of this kind is full, but for those that other threads have taken since this one looked: from here on only the new page is
    // looked at, or a space with many pages of a kind would be searched through for each further one.
    const first = this.#takeRun(1, raw);
    if (first < 0) {
      this.#cells.set(key, high);
      return -1;
    }
    this.#spans[first] = word;
    this.#cells.set(key, ~first);
    return first << PAGE_LOG2;
  }

  #takePages(pages: number, raw: boolean): number {
    const first = this.#takeRun(pages, raw);
    if (first < 0) return -1;
    // The first page last: it is what makes the others an object. What a thread leaves that is terminated before that, the next sweep frees.
    for (let i = pages - 1; i > 0; i--) this.#spans[first + i] = (i << SPAN_VALUE_SHIFT) | SPAN_REST;
    this.#spans[first] = (pages << SPAN_VALUE_SHIFT) | SPAN_FIRST;
    return first << PAGE_LOG2;
  }

  /** Pages of the part for references, or of that for raw data. */
  #part(raw: boolean): readonly [low: number, high: number] {
    const control = this.#control;
    return raw
      ? [(control[CTL_NON_MOVING_RAW]! - this.#base) >>> PAGE_LOG2, this.#pages]
      : [0, (control[CTL_NON_MOVING_TOP]! - this.#base) >>> PAGE_LOG2];
  }

  /** First page of `count` free ones, the nearest to the part's own end of the space, or -1. Grows the part if need be. */
  #takeRun(count: number, raw: boolean): number {
    const control = this.#control;
    const [, top] = this.#part(false);
    const [bottom] = this.#part(true);
    const spans = this.#spans;
    let run = 0;
    if (raw) {
      for (let page = this.#freeEnd - 1; page >= top; page--) {
        run = spans[page] === SPAN_FREE ? run + 1 : 0;
        if (run < count) continue;
        if (page < bottom) control[CTL_NON_MOVING_RAW] = this.#base + page * PAGE_BYTES;
        if (count === 1) this.#freeEnd = page;
        return page;
      }
    } else {
      for (let page = this.#freeFrom; page < bottom; page++) {
        run = spans[page] === SPAN_FREE ? run + 1 : 0;
        if (run < count) continue;
        if (page >= top) control[CTL_NON_MOVING_TOP] = this.#base + (page + 1) * PAGE_BYTES;
        if (count === 1) this.#freeFrom = page + 1;
        return page - count + 1;
      }
    }
    return -1;
  }

  /** True when an object begins at the offset. For checks. */
  isAllocated(ref: number): boolean {
    return isBitSet(this.#allocated, ref - this.#base);
  }

  /** The objects of the space, by address. For checks, while nobody allocates. */
  *objects(): Generator<number> {
    for (let word = 0; word < this.#allocated.length; word++) {
      for (let bits = this.#allocated[word]!; bits !== 0; bits &= bits - 1) {
        yield this.#base + ((word * 32 + 31 - Math.clz32(bits & -bits)) << GRANULE_LOG2);
      }
    }
  }

  /** Bytes of the room that the object at `ref` takes. */
  extent(ref: number): number {
    const word = this.#spans[(ref - this.#base) >>> PAGE_LOG2]!;
    const value = word >>> SPAN_VALUE_SHIFT;
    return (word & SPAN_KIND_MASK) === SPAN_CELLS ? value : value * PAGE_BYTES;
  }
}
