// Fault latency as a mutator sees it. A thread cannot tell that a plain load faulted, so a sample is taken where faults are likely: when it
// leaves a flip pause, it touches the pages of its newest roots that are not installed yet, clock in hand. It would touch them next anyway.

import type { Histogram } from './histogram.ts';
import { CTL_WINDOW, HISTOGRAM_FAULT, PAGE_LOG2, PAGE_MAPPED, PAGE_STATE_MASK } from './layout.ts';
import type { ShadowStack } from './shadow-stack.ts';
import type { Tables } from './tables.ts';
import { touch } from './touch.ts';

/** Roots looked at after a flip. */
const SAMPLES_PER_FLIP = 8;

export class FaultSampler {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #pageWords: Int32Array<SharedArrayBuffer>;
  readonly #heap: Int32Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #latency: Histogram;

  constructor(tables: Tables, thread: number) {
    const { heap, heapBytes, pageWords } = tables.geometry;
    this.#control = tables.control;
    this.#pageWords = tables.words(pageWords, heapBytes >>> PAGE_LOG2);
    this.#heap = tables.words(heap, heapBytes >>> 2);
    this.#heapBase = heap;
    this.#latency = tables.histogram(thread, HISTOGRAM_FAULT);
  }

  sample(roots: ShadowStack): void {
    const slots = Math.min(roots.depth, SAMPLES_PER_FLIP);
    for (let below = 0; below < slots; below++) {
      const offset = roots.peek(below) - this.#heapBase;
      const page = offset >> PAGE_LOG2;
      if (page < 0 || page >= this.#pageWords.length || Atomics.load(this.#control, CTL_WINDOW) === 0)
        continue;
      if ((Atomics.load(this.#pageWords, page) & PAGE_STATE_MASK) === PAGE_MAPPED) continue;
      const start = performance.now();
      touch(this.#heap, offset >> 2);
      this.#latency.record((performance.now() - start) * 1e6);
    }
  }
}
