// The sweep: the collector walks to-space from its end to its beginning in batches, builds what nobody has built yet, and lets
// from-space go behind itself.
//
// Downwards, as Android does it: the newest objects are at the top and are touched first; and because compaction moves objects down
// only, once all pages from i on are built nothing above the source of page i is needed any more.
//
// The pages of the non-moving space come last: they are rewritten where they are, in any order.
//
// Fault servers build single pages and leave hints; the neighbourhood of a fault is taken next, before the walk goes on.

import { invariant } from '../errors.ts';
import {
  BATCH_PAGES,
  COLLECTOR,
  CTL_USED_BYTES,
  PAGE_LOG2,
  PAGE_MAPPED,
  PAGE_PROCESSED,
  W_BUSY,
  W_HINT,
} from '../heap/layout.ts';
import type { Builder } from './builder.ts';
import type { NonMoving } from './non-moving.ts';
import { sleep, type WorkerContext } from './context.ts';
import type { Peers } from './peers.ts';
import { deadFrom } from './plan.ts';
import type { Retention } from './retention.ts';

/** Milliseconds between looks at what the last pages and servers are waiting for. */
const DRAIN_SLEEP_MS = 0.05;
/** Milliseconds of waiting for servers after which their threads are checked. */
const DRAIN_CHECK_MS = 50;

export class Sweep {
  readonly #context: WorkerContext;
  readonly #builder: Builder;
  readonly #nonMoving: NonMoving;
  readonly #retention: Retention;
  readonly #peers: Peers;
  /** Told after every batch how many pages of the window are built. */
  readonly #onBatch: (pages: number) => void;

  constructor(
    context: WorkerContext,
    builder: Builder,
    nonMoving: NonMoving,
    retention: Retention,
    peers: Peers,
    onBatch: (pages: number) => void = () => {},
  ) {
    this.#context = context;
    this.#builder = builder;
    this.#nonMoving = nonMoving;
    this.#retention = retention;
    this.#peers = peers;
    this.#onBatch = onBatch;
  }

  /** Builds every page of the window. On return all are mapped and no server is at work. */
  run(): void {
    const { kernels, control, options } = this.#context;
    const pages = control[CTL_USED_BYTES]! >> PAGE_LOG2;
    const releases = options.retention === 'release';
    // All pages from here on are built.
    let done = pages;
    for (let end = pages; end > 0; ) {
      this.#context.reach('batch');
      this.#followHints(pages);
      const begin = (((end - 1) / BATCH_PAGES) | 0) * BATCH_PAGES;
      this.#builder.buildRange(begin, end);
      end = begin;
      this.#onBatch(pages - begin);
      if (releases) {
        done = kernels.lowestPageAtLeast(done, PAGE_PROCESSED);
        this.#retention.releaseAbove(deadFrom(this.#context, done));
      }
    }
    for (const [from, to] of this.#nonMoving.usedRuns(this.#nonMoving.windowBytes, BATCH_PAGES)) {
      this.#context.reach('batch');
      this.#followHints(pages);
      this.#builder.buildRange(from, to);
    }
    this.#drain(pages);
  }

  /** Builds the batch around each page that a server has just built for a mutator. */
  #followHints(pages: number): void {
    const { tables, workers } = this.#context;
    for (let i = COLLECTOR + 1; i < workers; i++) {
      const record = tables.workers[i]!;
      if (Atomics.load(record, W_HINT) === 0) continue;
      const page = Atomics.exchange(record, W_HINT, 0) - 1;
      // Neighbours in the non-moving space have nothing to do with each other.
      if (page >= pages) continue;
      const begin = page - (page % BATCH_PAGES);
      this.#builder.buildRange(begin, Math.min(begin + BATCH_PAGES, pages));
    }
  }

  /** Waits for the pages that servers have claimed, then for the servers to be done with what they have read. */
  #drain(pages: number): void {
    const { kernels } = this.#context;
    const pause = this.#patience();
    for (let page = 0; ; pause()) {
      page = kernels.firstPageBelow(page, pages, PAGE_MAPPED);
      if (page === pages) break;
    }
    while (this.#nonMoving.unfinished) pause();
    this.awaitServers();
    invariant(
      kernels.firstPageBelow(0, pages, PAGE_MAPPED) === pages,
      'a window closes when every page is mapped',
    );
  }

  /** Waits until no server holds a fault that it has read. */
  awaitServers(): void {
    const { tables, workers } = this.#context;
    const pause = this.#patience();
    for (let i = COLLECTOR + 1; i < workers; i++) {
      const record = tables.workers[i]!;
      while (Atomics.load(record, W_BUSY) !== 0) pause();
      Atomics.store(record, W_HINT, 0);
    }
  }

  /** A short sleep that looks now and then whether the others are still alive. */
  #patience(): () => void {
    let checked = performance.now();
    return () => {
      sleep(DRAIN_SLEEP_MS);
      if (performance.now() - checked > DRAIN_CHECK_MS) {
        this.#peers.assertAlive();
        checked = performance.now();
      }
    };
  }
}
