// The collector's side of the non-moving space: sweep, and what a cycle and its flip need to know of it (the space itself: heap/non-moving.ts).
//
// At the flip the window's page tables move away, as the heap's do, but the same file stays under it: its pages are in the page cache, so
// that a touch takes a MINOR fault. The page's references are then rewritten where they are, through the alias, and UFFDIO_CONTINUE maps
// it: nothing is copied, and nothing in the pause grows with the number of objects. Android does the same for its linear allocator.
//
// What is rewritten are the objects of the bitmaps `marks` and `fresh`: those that lived when the flip came. Both are constant while a
// window is open. An object that is allocated in the window is in neither: it holds new references, and its page may be rewritten later.

import { alignUp } from '../heap/geometry.ts';
import {
  CHUNK_BYTES,
  CTL_NON_MOVING_CLOSING,
  CTL_NON_MOVING_FRESH,
  CTL_NON_MOVING_HIDDEN,
  CTL_NON_MOVING_LIVE,
  CTL_NON_MOVING_LOCK,
  CTL_NON_MOVING_RAW,
  CTL_NON_MOVING_SINCE,
  CTL_NON_MOVING_SWEEPS,
  CTL_NON_MOVING_TOP,
  CTL_PERSISTENT_TOP,
  GRANULE_LOG2,
  HEADER_BYTES,
  PAGE_BYTES,
  PAGE_LOG2,
  PAGE_MAPPED,
  PAGE_STATE_MASK,
  PAGE_UNPROCESSED,
  SPAN_CELLS,
  SPAN_FIRST,
  SPAN_FREE,
  SPAN_KIND_MASK,
  SPAN_VALUE_SHIFT,
} from '../heap/layout.ts';
import { withLock } from '../heap/lock.ts';
import type { WorkerContext } from './context.ts';

/** Pages swept under the lock at a time: a mutator that allocates here waits so long, well under a millisecond. */
const SWEEP_SLICE_PAGES = 256;

/** Words of a bitmap for one page: 512 granules. */
const WORDS_PER_PAGE = PAGE_BYTES >>> (GRANULE_LOG2 + 5);

export class NonMoving {
  readonly #context: WorkerContext;
  readonly #spans: Int32Array<SharedArrayBuffer>;
  readonly #allocated: Int32Array<SharedArrayBuffer>;
  readonly #fresh: Int32Array<SharedArrayBuffer>;
  /** Mark bits of the space. */
  readonly #marks: Int32Array<SharedArrayBuffer>;
  readonly #base: number;
  readonly #pages: number;
  /** Bytes of the array of persistent handles, which is the first object. */
  readonly #persistentBytes: number;
  // of the sweep under way
  #freedObjects = 0;
  #freedBytes = 0;

  constructor(context: WorkerContext) {
    const { tables } = context;
    const { geometry } = tables;
    const { heap, nonMoving, nonMovingBytes, spans, allocated, fresh, marks } = geometry;
    this.#context = context;
    this.#base = nonMoving;
    this.#persistentBytes = alignUp(HEADER_BYTES + geometry.persistentSlots * 4, PAGE_BYTES);
    this.#pages = nonMovingBytes >>> PAGE_LOG2;
    this.#spans = tables.words(spans, this.#pages);
    this.#allocated = tables.words(allocated, this.#pages * WORDS_PER_PAGE);
    this.#fresh = tables.words(fresh, this.#pages * WORDS_PER_PAGE);
    this.#marks = tables.words(marks + ((nonMoving - heap) / CHUNK_BYTES) * 8, this.#pages * WORDS_PER_PAGE);
  }

  /** Bytes from the space's base that may hold references. */
  get usedBytes(): number {
    return this.#context.control[CTL_NON_MOVING_TOP]! - this.#base;
  }

  /** Bytes of the window that a flip has to hide: none while there is nothing but the array for persistent handles, and no handle. */
  get hiddenBytes(): number {
    const { control } = this.#context;
    const empty = control[CTL_PERSISTENT_TOP] === 0 && this.usedBytes === this.#persistentBytes;
    return empty ? 0 : this.usedBytes;
  }

  /** In the flip pause: the first `bytes` are hidden, and what is allocated from here on holds new references. */
  openWindow(bytes: number): void {
    this.#context.control[CTL_NON_MOVING_HIDDEN] = this.#base + bytes;
    this.eraseLine();
  }

  /** Before the window is unregistered: pages that were free are not waited for, and may be touched at this very moment. */
  beginClose(): void {
    Atomics.store(this.#context.control, CTL_NON_MOVING_CLOSING, 1);
  }

  /** When no server has a fault in hand any more. */
  closeWindow(): void {
    this.#context.control[CTL_NON_MOVING_HIDDEN] = this.#base;
    Atomics.store(this.#context.control, CTL_NON_MOVING_CLOSING, 0);
  }

  /** Before marking, beside mutators: the line is erased, and nobody sets these bits until the next remark. */
  forgetFresh(): void {
    const { control } = this.#context;
    this.#fresh.fill(0, 0, (this.usedBytes >>> PAGE_LOG2) * WORDS_PER_PAGE);
    this.#fresh.fill(0, ((control[CTL_NON_MOVING_RAW]! - this.#base) >>> PAGE_LOG2) * WORDS_PER_PAGE);
  }

  /** In the remark pause: what is allocated from here on is live in this cycle. */
  drawLine(): void {
    this.#context.control[CTL_NON_MOVING_FRESH] = 1;
  }

  /** What is allocated from here on belongs to the next cycle. */
  eraseLine(): void {
    this.#context.control[CTL_NON_MOVING_FRESH] = 0;
  }

  /**
   * Between remark and flip, beside mutators: frees what is not marked, and gives pages without objects back to the system.
   * @returns what it freed.
   */
  sweep(): { objects: number; bytes: number } {
    const { control } = this.#context;
    let live = 0;
    this.#freedObjects = 0;
    this.#freedBytes = 0;
    const part = (from: number, to: number): void => {
      for (let page = from; page < to; page += SWEEP_SLICE_PAGES) {
        const end = Math.min(page + SWEEP_SLICE_PAGES, to);
        live += withLock(control, CTL_NON_MOVING_LOCK, () => this.#sweepPages(page, end));
      }
    };
    part(0, this.usedBytes >>> PAGE_LOG2);
    part((control[CTL_NON_MOVING_RAW]! - this.#base) >>> PAGE_LOG2, this.#pages);
    withLock(control, CTL_NON_MOVING_LOCK, () => {
      this.#takeBordersBack();
      control[CTL_NON_MOVING_SINCE] = 0;
      control[CTL_NON_MOVING_LIVE] = live;
      control[CTL_NON_MOVING_SWEEPS] = control[CTL_NON_MOVING_SWEEPS]! + 1;
    });
    return { objects: this.#freedObjects, bytes: this.#freedBytes };
  }

  /**
   * Free pages beside the borders belong to neither part any more. No bit of a free page is set in any bitmap: marks and fresh bits need not
   * be cleared between the borders. Cards there may be dirty, which costs the next owner a look.
   */
  #takeBordersBack(): void {
    const { control } = this.#context;
    let top = this.usedBytes >>> PAGE_LOG2;
    while (top > 0 && this.#spans[top - 1] === SPAN_FREE) top--;
    control[CTL_NON_MOVING_TOP] = this.#base + top * PAGE_BYTES;
    let raw = (control[CTL_NON_MOVING_RAW]! - this.#base) >>> PAGE_LOG2;
    while (raw < this.#pages && this.#spans[raw] === SPAN_FREE) raw++;
    control[CTL_NON_MOVING_RAW] = this.#base + raw * PAGE_BYTES;
  }

  /** Sweeps what begins on the pages [from, to); returns the bytes that stay. */
  #sweepPages(from: number, to: number): number {
    let live = 0;
    for (let page = from; page < to; page++) {
      const word = this.#spans[page]!;
      const kind = word & SPAN_KIND_MASK;
      const value = word >>> SPAN_VALUE_SHIFT;
      if (kind === SPAN_CELLS) {
        const freedBefore = this.#freedObjects;
        const objects = this.#keepLive(page);
        this.#freedBytes += (this.#freedObjects - freedBefore) * value;
        if (objects === 0) this.#free(page, 1);
        live += objects * value;
      } else if (kind === SPAN_FIRST) {
        const at = page * WORDS_PER_PAGE;
        if (
          this.#allocated[at] !== 0 &&
          (this.#allocated[at]! & (this.#marks[at]! | this.#fresh[at]!)) === 0
        ) {
          this.#freedObjects++;
          this.#freedBytes += value * PAGE_BYTES;
        }
        this.#allocated[at] = this.#allocated[at]! & (this.#marks[at]! | this.#fresh[at]!);
        if (this.#allocated[at] === 0) this.#free(page, value);
        else live += value * PAGE_BYTES;
      }
    }
    return live;
  }

  /** Leaves the bits of the page's live objects; returns how many there are. */
  #keepLive(page: number): number {
    let objects = 0;
    const end = (page + 1) * WORDS_PER_PAGE;
    for (let i = page * WORDS_PER_PAGE; i < end; i++) {
      const before = this.#allocated[i]!;
      if (before === 0) continue;
      let bits = before & (this.#marks[i]! | this.#fresh[i]!);
      this.#allocated[i] = bits;
      for (let gone = before & ~bits; gone !== 0; gone &= gone - 1) this.#freedObjects++;
      for (; bits !== 0; bits &= bits - 1) objects++;
    }
    return objects;
  }

  /** A free page is a hole of the file: it takes no memory and reads as zeroes. */
  #free(page: number, count: number): void {
    this.#context.arena.nonMovingMemfd.punch(page * PAGE_BYTES, count * PAGE_BYTES);
    this.#spans.fill(SPAN_FREE, page, page + count);
  }

  /**
   * Runs of pages in use among the first `bytes` of the space: [first, behind the last), counted from the heap's first page, no longer than
   * `most`. What is allocated meanwhile may or may not be among them.
   */
  *usedRuns(bytes: number, most: number): Generator<readonly [from: number, to: number]> {
    const first = this.#firstPage;
    const pages = bytes >>> PAGE_LOG2;
    for (let page = 0; page < pages; ) {
      const from = page;
      while (page < pages && page - from < most && this.#spans[page] !== SPAN_FREE) page++;
      if (page > from) yield [first + from, first + page];
      else page++;
    }
  }

  /** Bytes of the space that the open window hides. */
  get windowBytes(): number {
    return this.#context.control[CTL_NON_MOVING_HIDDEN]! - this.#base;
  }

  /** True while a worker has a page of the open window in hand. Pages that nobody has taken were free when the window opened. */
  get unfinished(): boolean {
    const { kernels } = this.#context;
    const first = this.#firstPage;
    const end = first + (this.windowBytes >>> PAGE_LOG2);
    for (let page = kernels.firstPageBelow(first, end, PAGE_MAPPED); page < end; ) {
      if ((kernels.pageWord(page) & PAGE_STATE_MASK) !== PAGE_UNPROCESSED) return true;
      page = kernels.firstPageBelow(page + 1, end, PAGE_MAPPED);
    }
    return false;
  }

  /** The space's first page, counted from the heap's first. */
  get #firstPage(): number {
    return (this.#base - this.#context.tables.geometry.heap) >>> PAGE_LOG2;
  }
}
