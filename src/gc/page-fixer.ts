// Rewrites pages of the non-moving space, and has it checked where the heap verifies.

import { PAGE_BYTES } from '../heap/layout.ts';
import type { WorkerContext } from './context.ts';
import type { PageChecker } from './verify/page-checker.ts';

export class PageFixer {
  readonly #context: WorkerContext;
  readonly #checker: PageChecker | undefined;

  constructor(context: WorkerContext, checker: PageChecker | undefined) {
    this.#context = context;
    this.#checker = checker;
  }

  /** Forwards the references on `count` pages from `page` on (counted from the heap's first). Once in a window. */
  fix(page: number, count: number): void {
    const { kernels, tables } = this.#context;
    const { heap, nonMoving, nonMovingAlias } = tables.geometry;
    if (this.#checker === undefined) {
      kernels.fixPages(page, count);
      return;
    }
    const at = heap + page * PAGE_BYTES - nonMoving + nonMovingAlias;
    const before = tables.bytes(at, count * PAGE_BYTES).slice();
    kernels.fixPages(page, count);
    this.#checker.checkFixed(page, count, before);
  }
}
