// Fault latency as a mutator sees it. A thread cannot tell that a plain load faulted, so a sample is taken where faults are likely: when it
// leaves a flip pause, it touches the pages of its newest roots, and of what these refer to, that are not installed yet, clock in hand. It
// would touch most of them next anyway.

import type { Histogram } from './histogram.ts';
import {
  CTL_USED_BYTES,
  CTL_WINDOW,
  HISTOGRAM_FAULT,
  PAGE_LOG2,
  PAGE_MAPPED,
  PAGE_STATE_MASK,
} from './layout.ts';
import type { ShadowStack } from './shadow-stack.ts';
import type { Tables } from './tables.ts';
import { touch } from './touch.ts';
import { TRACE_SAMPLED_FAULT, TraceRing } from './trace-ring.ts';

/** Pages that are timed after a flip, and roots that are looked at for them. */
const SAMPLES_PER_FLIP = 8;
const ROOTS_PER_FLIP = 8;

/** Words of a root object that are looked at, spread over the first page of it. */
const WORDS_PER_ROOT = 16;

export class FaultSampler {
  readonly #trace: TraceRing;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #pageWords: Int32Array<SharedArrayBuffer>;
  readonly #heap: Int32Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #bytes: number;
  readonly #latency: Histogram;

  constructor(tables: Tables, thread: number) {
    const { heap, heapBytes, pageWords } = tables.geometry;
    this.#control = tables.control;
    this.#pageWords = tables.words(pageWords, heapBytes >>> PAGE_LOG2);
    this.#heap = tables.words(heap, heapBytes >>> 2);
    this.#heapBase = heap;
    this.#bytes = heapBytes;
    this.#latency = tables.histogram(thread, HISTOGRAM_FAULT);
    // Of the thread's own ring, on which it writes here and elsewhere.
    this.#trace = new TraceRing(tables, thread);
  }

  sample(roots: ShadowStack): void {
    let left = SAMPLES_PER_FLIP;
    for (let below = 0; below < Math.min(roots.depth, ROOTS_PER_FLIP) && left > 0; below++) {
      const root = roots.peek(below) - this.#heapBase;
      if (root < 0 || root >= this.#bytes) continue;
      left -= this.#time(root);
      // Whether a word is a reference does not matter here: touching any page of the heap is allowed, and timed all the same.
      const end = Math.min((root >>> PAGE_LOG2) + 1, this.#pageWords.length) << PAGE_LOG2;
      const step = Math.max(4, ((end - root) / WORDS_PER_ROOT) & -4);
      for (let at = root; at < end && left > 0; at += step)
        left -= this.#time(this.#heap[at >> 2]! - this.#heapBase);
    }
  }

  /** Touches the page at `offset` if it belongs to the window and is not installed; returns 1 when it was timed. */
  #time(offset: number): number {
    if (
      offset < 0 ||
      offset >= this.#control[CTL_USED_BYTES]! ||
      Atomics.load(this.#control, CTL_WINDOW) === 0
    )
      return 0;
    if ((Atomics.load(this.#pageWords, offset >>> PAGE_LOG2) & PAGE_STATE_MASK) === PAGE_MAPPED) return 0;
    const start = performance.now();
    touch(this.#heap, offset >> 2);
    const end = performance.now();
    this.#latency.record((end - start) * 1e6);
    this.#trace.span(TRACE_SAMPLED_FAULT, 0, start, end, offset >>> PAGE_LOG2);
    return 1;
  }
}
