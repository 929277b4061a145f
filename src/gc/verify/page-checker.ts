// Checks every page between its building and its installation: builds it again, the slow way, and compares byte by byte.

import { alignUp } from '../../heap/geometry.ts';
import {
  CTL_BLACK_DELTA,
  CTL_COMPACTED_BYTES,
  CTL_FROM_ALIAS,
  CTL_NON_MOVING_CLOSING,
  PAGE_BYTES,
} from '../../heap/layout.ts';
import type { WorkerContext } from '../context.ts';
import { corrupt, HeapView, hex, type ObjectShape, slotsWithin } from './view.ts';

export interface PageChecker {
  /** Checks `count` pages from `page` on, built at the address `target`. @throws TospaceError ERR_VERIFY */
  check(page: number, count: number, target: number): void;
  /** Checks `count` pages of the non-moving space, rewritten in place; `before` is what they held. @throws TospaceError ERR_VERIFY */
  checkFixed(page: number, count: number, before: Uint8Array): void;
}

/** A checker when the heap verifies, else undefined. */
export function createPageChecker(context: WorkerContext): PageChecker | undefined {
  return context.options.verify === 'full' ? new NaiveBuilder(context) : undefined;
}

class NaiveBuilder implements PageChecker {
  readonly #context: WorkerContext;
  readonly #view: HeapView;
  readonly #bytes: Uint8Array;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#view = new HeapView(context.tables);
    this.#bytes = new Uint8Array(context.tables.buffer);
  }

  check(page: number, count: number, target: number): void {
    for (let i = 0; i < count; i++) this.#checkPage(page + i, target + i * PAGE_BYTES);
  }

  #checkPage(page: number, target: number): void {
    const expected = new Uint8Array(PAGE_BYTES);
    const firstBlack = alignUp(this.#context.control[CTL_COMPACTED_BYTES]!, PAGE_BYTES) / PAGE_BYTES;
    if (page < firstBlack) this.#buildCompacted(page, expected);
    else this.#buildBlack(page, expected);
    for (let i = 0; i < PAGE_BYTES; i++) {
      if (this.#bytes[target + i] !== expected[i]) {
        throw corrupt(
          `page ${page} was built with ${this.#bytes[target + i]} instead of ${expected[i]} at byte ${i} (heap address ${hex(
            this.#view.base + page * PAGE_BYTES + i,
          )})`,
        );
      }
    }
  }

  checkFixed(page: number, count: number, before: Uint8Array): void {
    const view = this.#view;
    const { control } = this.#context;
    const { nonMoving, nonMovingAlias } = this.#context.tables.geometry;
    const low = view.base + page * PAGE_BYTES;
    const high = low + count * PAGE_BYTES;
    const expected = before.slice();
    const out = new DataView(expected.buffer);
    for (const ref of view.nonMoving.objects()) {
      if (ref >= high || ref + view.nonMoving.extent(ref) <= low) continue;
      // What was allocated since the flip has new references already.
      if (!view.bit(view.marks, ref) && !view.isFresh(ref)) continue;
      // Its thread was terminated before it wrote the header.
      if (view.words[(ref + nonMovingAlias - nonMoving) / 4] === 0) continue;
      const shape = view.shape(ref, nonMovingAlias - nonMoving, high, () => `page ${page}`);
      for (const slot of slotsWithin(shape, Math.max(0, low - ref), Math.min(shape.bytes, high - ref))) {
        const at = ref + slot - low;
        out.setUint32(at, view.forward(out.getUint32(at, true)), true);
      }
    }
    const target = low - nonMoving + nonMovingAlias;
    for (let i = 0; i < expected.length; i++) {
      if (this.#bytes[target + i] !== expected[i]) {
        // While the window closes, a page that was free at the flip may be anybody's already.
        if (Atomics.load(control, CTL_NON_MOVING_CLOSING) !== 0) return;
        throw corrupt(
          `pinned page ${page} holds ${this.#bytes[target + i]} instead of ${expected[i]} at byte ${i} (address ${hex(low + i)})`,
        );
      }
    }
  }

  #buildCompacted(page: number, into: Uint8Array): void {
    const view = this.#view;
    const { geometry, control } = this.#context.tables;
    const bias = (control[CTL_FROM_ALIAS]! >>> 0) - view.base;
    const low = page * PAGE_BYTES;
    const high = Math.min(low + PAGE_BYTES, control[CTL_COMPACTED_BYTES]!);
    let ref = view.words[geometry.pageFirst / 4 + page]!;
    let at = low - (view.words[geometry.pageSource / 4 + page]! - ref);
    while (at < high) {
      if (!view.bit(view.marks, ref)) throw corrupt(`page ${page} takes ${hex(ref)} for an object`);
      const shape = view.shape(ref, bias, view.base + view.bytes, () => `page ${page}`);
      this.#place(ref + bias, shape, at - low, into, high - low);
      at += shape.bytes;
      ref += shape.bytes;
      while (at < high && !view.bit(view.marks, ref)) ref += 8;
    }
  }

  #buildBlack(page: number, into: Uint8Array): void {
    const view = this.#view;
    const { geometry, control } = this.#context.tables;
    const delta = control[CTL_BLACK_DELTA]!;
    const bias = (control[CTL_FROM_ALIAS]! >>> 0) - view.base;
    const source = view.base + page * PAGE_BYTES + delta;
    let ref = view.words[geometry.pageFirst / 4 + page]!;
    while (ref < source + PAGE_BYTES) {
      if ((view.words[(ref + bias) / 4]! & 0xffff) === 0) {
        ref += 8;
        continue;
      }
      const shape = view.shape(ref, bias, view.base + view.bytes, () => `black page ${page}`);
      this.#place(ref + bias, shape, ref - source, into, PAGE_BYTES);
      ref += shape.bytes;
    }
  }

  /** Copies an object whose first byte belongs at `at` (which may lie outside) and forwards its references. */
  #place(source: number, shape: ObjectShape, at: number, into: Uint8Array, limit: number): void {
    const begin = Math.max(0, -at);
    const end = Math.min(shape.bytes, limit - at);
    for (let i = begin; i < end; i++) into[at + i] = this.#bytes[source + i]!;
    const out = new DataView(into.buffer);
    for (const slot of slotsWithin(shape, begin, end)) {
      out.setUint32(at + slot, this.#view.forward(this.#view.words[(source + slot) / 4]!), true);
    }
  }
}
