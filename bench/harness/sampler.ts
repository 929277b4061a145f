// Memory over time, looked at from a thread that has nothing else to do.

import type { Heap } from 'tospace';
import { rssBytes } from './proc.ts';
import type { TimelineSample } from './schema.ts';

/** A run that is long has samples further apart in the end: half of them go whenever there are so many. */
const SAMPLES_MAX = 1000;

export class MemorySampler {
  #samples: TimelineSample[] = [];
  readonly #timer: NodeJS.Timeout;
  #stride = 1;
  #skipped = 0;

  /** @param also called with every look at the memory, samples or not. */
  constructor(intervalMs: number, heap?: Heap, also?: () => void) {
    this.#timer = setInterval(() => {
      also?.();
      this.#sample(heap);
    }, intervalMs);
  }

  #sample(heap: Heap | undefined): void {
    if (++this.#skipped < this.#stride) return;
    this.#skipped = 0;
    const stats = heap?.stats();
    this.#samples.push({
      ms: performance.now(),
      usedBytes: stats?.usedBytes ?? null,
      softLimitBytes: stats?.sizing.softLimitBytes ?? null,
      rssBytes: rssBytes('self'),
      memfdBytes: stats?.sharedBytes ?? null,
      phase: stats?.phase ?? null,
    });
    if (this.#samples.length < SAMPLES_MAX) return;
    this.#samples = this.#samples.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Times are of this thread's `performance.now`. */
  get samples(): readonly TimelineSample[] {
    return this.#samples;
  }
}
