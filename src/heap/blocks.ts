// Blocks: runs of fresh pages taken from the heap's shared cursor. A block holds one thread's allocation buffer, or one large object.
//
// The cursor only grows between flips, and moves by whole pages, so that after a flip no new object shares a page with contents that
// are still being built. Every page of a block names the block's start as its first object: that is all the collector needs to find
// the objects of a black page by walking, and nothing has to be recorded in a pause.

import {
  CTL_CURSOR,
  CTL_DIRTY_END,
  CTL_LIMIT,
  CTL_TRIGGER,
  PAGE_BYTES,
  PAGE_LOG2,
  T_ALLOCATED_BYTES,
  T_BUFFER,
  T_CURSOR,
  T_LIMIT,
  T_PENDING_BLOCK,
  T_PENDING_BYTES,
} from './layout.ts';
import { assertBuiltinStackRoom } from './stack-room.ts';
import { Tables } from './tables.ts';

/** A read of one word maps this much page cache around it (the kernel's fault_around_bytes, 64 KiB by default). */
const FAULT_AROUND_BYTES = 65536;

/**
 * Gives up a thread's allocation buffer, and counts what was allocated in it. Its unused end stays zero. Called by the thread, or by the
 * collector while the thread is stopped.
 */
export function retireBuffer(record: Int32Array<SharedArrayBuffer>): void {
  const allocated = Tables.float(record, T_ALLOCATED_BYTES);
  allocated[0] = allocated[0]! + (record[T_CURSOR]! - record[T_BUFFER]!);
  record[T_CURSOR] = 0;
  record[T_LIMIT] = 0;
  record[T_BUFFER] = 0;
}

/**
 * On the collector: does for a thread that was terminated while it prepared a block what the thread did not come to. Before the next
 * flip, because black pages are walked by what their blocks say.
 */
export function finishPendingBlock(tables: Tables, record: Int32Array<SharedArrayBuffer>): void {
  const bytes = record[T_PENDING_BYTES]!;
  if (bytes === 0) return;
  prepareBlock(tables, record[T_PENDING_BLOCK]!, bytes);
  record[T_PENDING_BYTES] = 0;
}

/** Names the block's start in each of its pages, and zeroes it as far as it may hold old bytes. */
function prepareBlock(tables: Tables, start: number, bytes: number): void {
  const { control, geometry } = tables;
  const first = (start - geometry.heap) >> PAGE_LOG2;
  tables
    .words(geometry.pageFirst, geometry.heapBytes >>> PAGE_LOG2)
    .fill(start, first, first + (bytes >> PAGE_LOG2));
  const end = Math.min(start + bytes, control[CTL_DIRTY_END]!);
  if (end > start) tables.bytes(start, end - start).fill(0);
}

export class BlockSource {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #heap: Uint8Array<SharedArrayBuffer>;
  readonly #pageFirst: Int32Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  /** The record of the thread that takes. */
  readonly #record: Int32Array<SharedArrayBuffer>;
  /** Bytes of the last block taken. */
  taken = 0;

  constructor(tables: Tables, record: Int32Array<SharedArrayBuffer>) {
    const { geometry } = tables;
    this.#record = record;
    this.#control = tables.control;
    this.#heap = tables.bytes(geometry.heap, geometry.heapBytes);
    this.#pageFirst = tables.words(geometry.pageFirst, geometry.heapBytes >>> PAGE_LOG2);
    this.#heapBase = geometry.heap;
  }

  /**
   * Takes a zeroed block of at least `bytes`, and of `wanted` if there is room.
   * @returns its address, or 0 when the heap has no room; its length is then in `taken`.
   * @throws RangeError at the end of V8's stack; nothing is taken then.
   */
  take(bytes: number, wanted: number): number {
    assertBuiltinStackRoom();
    const control = this.#control;
    // No bit operations: near 2^31 they would make a negative number of it, for which there is always room.
    const least = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    for (;;) {
      const start = Atomics.load(control, CTL_CURSOR);
      const room = control[CTL_LIMIT]! - start;
      if (room < least) return 0;
      const length = Math.min(Math.max(least, wanted), room);
      if (Atomics.compareExchange(control, CTL_CURSOR, start, start + length) !== start) continue;
      // From here on, without a call or a turn of a loop in between (where a thread may be terminated), the block is known to be unprepared.
      // And until it is prepared no function of ours is called: at the end of V8's stack that would throw, and leave a thread that goes on
      // with an unprepared block. For functions of V8's own there is room.
      this.#record[T_PENDING_BLOCK] = start;
      this.#record[T_PENDING_BYTES] = length;
      this.taken = length;
      const first = (start - this.#heapBase) >> PAGE_LOG2;
      this.#pageFirst.fill(start, first, first + (length >> PAGE_LOG2));
      // Pages that were never used in this memfd are zero already; reused ones hold what they held two cycles ago.
      const from = start - this.#heapBase;
      const to = Math.min(start + length, control[CTL_DIRTY_END]!) - this.#heapBase;
      // Reading first lets one page fault map sixteen cached pages; writing would take one fault for each.
      for (let at = from; at < to; at += FAULT_AROUND_BYTES) Atomics.load(this.#heap, at);
      if (to > from) this.#heap.fill(0, from, to);
      this.#record[T_PENDING_BYTES] = 0;
      return start;
    }
  }

  /** True when allocation has gone far enough to ask for a cycle. */
  get pastTrigger(): boolean {
    return this.#control[CTL_CURSOR]! > this.#control[CTL_TRIGGER]!;
  }
}
