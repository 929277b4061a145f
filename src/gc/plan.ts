// What the collector knows of a cycle between its pauses, and the control words that carry it to the fault servers.

import { alignUp } from '../heap/geometry.ts';
import {
  CTL_BLACK_DELTA,
  CTL_BLACK_LINE,
  CTL_COMPACTED_BYTES,
  CTL_CURSOR,
  CTL_FROM_ALIAS,
  CTL_FRONT,
  CTL_TO_ALIAS,
  CTL_USED_BYTES,
  PAGE_BYTES,
  PAGE_LOG2,
} from '../heap/layout.ts';
import type { WorkerContext } from './context.ts';

/**
 * Computes forwarding and page sources for everything below the black line. Runs beside mutators; the bitmaps are final.
 * @returns milliseconds that the kernel took: what is left of the phase does not grow with the heap.
 */
export function planCompaction(context: WorkerContext, blackLine: number): number {
  const { control, kernels, arena } = context;
  const { heap, aliases } = arena.geometry;
  const start = performance.now();
  const live = kernels.plan(blackLine);
  const kernelMs = performance.now() - start;
  const front = control[CTL_FRONT]!;
  control[CTL_BLACK_LINE] = blackLine;
  control[CTL_COMPACTED_BYTES] = live;
  control[CTL_BLACK_DELTA] = blackLine - heap - alignUp(live, PAGE_BYTES);
  control[CTL_FROM_ALIAS] = aliases[front]!;
  control[CTL_TO_ALIAS] = aliases[1 - front]!;
  return kernelMs;
}

/** Fixes the black part, in the pause: no object is allocated between this and the flip. Returns the bytes of to-space in use. */
export function planBlack(context: WorkerContext): number {
  const { control, kernels } = context;
  const { heap } = context.arena.geometry;
  const blackLine = control[CTL_BLACK_LINE]!;
  const blackBytes = control[CTL_CURSOR]! - blackLine;
  const firstBlack = alignUp(control[CTL_COMPACTED_BYTES]!, PAGE_BYTES);
  kernels.slideBlackFirsts((blackLine - heap) >> PAGE_LOG2, firstBlack >> PAGE_LOG2, blackBytes >> PAGE_LOG2);
  control[CTL_USED_BYTES] = firstBlack + blackBytes;
  return firstBlack + blackBytes;
}

/** Offset in from-space above which nothing is needed any more once all to-space pages from `page` on are built. */
export function deadFrom(context: WorkerContext, page: number): number {
  const { control, pageSource } = context;
  if (page === 0) return 0;
  const firstBlack = alignUp(control[CTL_COMPACTED_BYTES]!, PAGE_BYTES) >> PAGE_LOG2;
  if (page >= firstBlack) return page * PAGE_BYTES + control[CTL_BLACK_DELTA]!;
  // Pages below need from-space up to where this page's contents begin: objects only slide down.
  return alignUp(pageSource[page]! - context.arena.geometry.heap, PAGE_BYTES);
}
