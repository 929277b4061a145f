// The kit's hand on a heap's collections.
//
// *Calm and storm.* The heaps of some checks collect at every allocation. The kit switches that off (calm) while it prepares a trial, and
// on (storm) while the runtime's code runs, by standing in for `mutator.collect`, through which stress collects.
//
// *Everything moves.* An object moves when something below it has died. So the first object of such a heap is the spacer, an array of raw
// data whose length shrinks before every collection: all that lies above slides down by some bytes, every time. Only beside the
// stop-the-world collector: a concurrent one may be reading the length.

import type { Heap } from '../gc/heap.ts';
import { HEADER_BYTES } from '../heap/layout.ts';
import type { CollectOptions } from '../heap/cycle-requests.ts';
import type { Mutator } from '../heap/mutator.ts';
import type { Persistent } from '../heap/persistent.ts';
import type { RawArrayType } from '../heap/types.ts';

/** Bytes of the spacer: less than a large object has, which would not move. */
const SPACER_BYTES = 24_000;
/** By how much it shrinks: enough for 3 000 collections. */
const SPACER_STEP_BYTES = 8;

export class Stress {
  /** No collection but those that the kit asks for. */
  calm = true;
  /** Collections that were asked for, in calm too. */
  asked = 0;
  readonly #collects = new WeakMap<Mutator, () => void>();
  #spacer: { readonly mutator: Mutator; readonly at: Persistent } | undefined;

  /** From now on, mutators of this heap collect when the kit lets them. */
  constructor(heap: Heap) {
    const attach = heap.attach.bind(heap);
    const value = (...args: Parameters<Heap['attach']>): Mutator => this.#adopt(attach(...args));
    Object.defineProperty(heap, 'attach', { value });
  }

  #adopt(mutator: Mutator): Mutator {
    const collect = mutator.collect.bind(mutator);
    this.#collects.set(mutator, collect);
    const value = (options?: CollectOptions): void => {
      this.asked++;
      if (this.calm) return;
      this.#shrinkSpacer(mutator);
      collect(options);
    };
    Object.defineProperty(mutator, 'collect', { value });
    return mutator;
  }

  /** Puts the spacer at the bottom of the empty heap. Keep `kit` attached. */
  placeSpacer(kit: Mutator, type: RawArrayType): void {
    const at = kit.run(() => kit.persist(kit.allocateArray(type, SPACER_BYTES - HEADER_BYTES)));
    this.#spacer = { mutator: kit, at };
  }

  #shrinkSpacer(mutator: Mutator): void {
    if (this.#spacer === undefined) return;
    // Borrowed: the kit's own mutator must not run while the runtime's does, whose safepoints it would have to wait for.
    const length = (mutator.borrow(this.#spacer.at.share()).get() >>> 2) + 1;
    const { i32 } = mutator;
    if (i32[length]! > SPACER_STEP_BYTES) i32[length] = i32[length]! - SPACER_STEP_BYTES;
  }

  /** Collects now, and moves everything. */
  collect(mutator: Mutator): void {
    this.#shrinkSpacer(mutator);
    this.#collects.get(mutator)!();
  }

  /** Runs the runtime's code with stress on. */
  storm<T>(body: () => T): T {
    this.calm = false;
    try {
      return body();
    } finally {
      this.calm = true;
    }
  }
}
