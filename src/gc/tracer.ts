// Tracing: what the concurrent mark, the remark pause and the stop-the-world collector have in common.

import { invariant } from '../errors.ts';
import {
  CARD_FIRST_ROUND,
  CARD_LAST_ROUND,
  CTL_CURSOR,
  CTL_NON_MOVING_TOP,
  CTL_EPHEMERONS_DEFINED,
  CTL_PERSISTENT,
  CTL_REFERENCE_TABLE,
  REFS_GUARDS,
  REFS_ROOTS_END,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
} from '../heap/layout.ts';
import type { WorkerContext } from './context.ts';

/** Objects traced between looks at whether the heap is closing: well under a millisecond. */
const DRAIN_BUDGET = 16384;

export class Tracer {
  readonly #context: WorkerContext;
  /** Throws when the cycle is to be given up; called between slices of work. */
  readonly #checkpoint: () => void;
  #round = CARD_FIRST_ROUND;
  /** Objects that had not fitted on the mark stack when the trace from the roots was complete. */
  #overflows = 0;
  /** Where marks of earlier cycles may stand. */
  #markedEnd: number;

  constructor(context: WorkerContext, checkpoint: () => void) {
    this.#context = context;
    this.#checkpoint = checkpoint;
    this.#markedEnd = context.arena.geometry.heap;
  }

  /** Forgets the last trace: bitmaps, cards and mark stack are empty afterwards. */
  begin(): void {
    const { kernels, control } = this.#context;
    // Lists before bitmaps: neither knows of the other, but a list that an abandoned cycle left is of that cycle.
    kernels.referencesBegin(Atomics.load(control, CTL_EPHEMERONS_DEFINED));
    kernels.markBegin(this.#markedEnd);
    this.#round = CARD_FIRST_ROUND;
  }

  /** Marks what the roots name. The shadow stacks of running threads are read as they are: remark reads them again. */
  markRoots(): void {
    const { kernels, control, tables } = this.#context;
    for (const i of tables.attached()) {
      const thread = tables.threads[i]!;
      kernels.markRoots(thread[T_SHADOW_BASE]!, Atomics.load(thread, T_SHADOW_TOP));
    }
    // The persistent handles are an object. Once marked, cards tell of its changes: a remark pause does not read it again.
    const persistent = control.byteOffset + CTL_PERSISTENT * 4;
    kernels.markRoots(persistent, persistent + 4);
    const references = control[CTL_REFERENCE_TABLE]!;
    kernels.markRoots(references + REFS_GUARDS * 4, references + REFS_ROOTS_END * 4);
  }

  /** Traces until the mark stack is empty, and no ephemeron waits for a key that it has no longer. */
  drain(): void {
    const { kernels } = this.#context;
    try {
      do {
        while (this.#slice() > 0) this.#checkpoint();
      } while (kernels.settleStrays() > 0);
    } finally {
      // A trace that is given up has marked, too.
      this.#markedEnd = Math.max(this.#markedEnd, this.#cursor);
    }
  }

  /** Traces some objects; returns what is left on the mark stack. */
  #slice(): number {
    const { kernels, options } = this.#context;
    const slow = options.stress.slowMarkPercent ?? 0;
    if (slow === 0) return kernels.markDrain(DRAIN_BUDGET);
    const start = performance.now();
    const left = kernels.markDrain(DRAIN_BUDGET);
    const end = performance.now();
    // Work, not sleep: a slower algorithm would keep the CPU.
    while (performance.now() < end + ((end - start) * slow) / 100);
    return left;
  }

  /**
   * One round of cleaning: takes the marked groups, ages their dirty cards, rescans these and traces what they lead to. `handshake`
   * separates each two steps.
   * @returns how many cards were dirty.
   */
  cleanCards(handshake: () => void): number {
    const { kernels } = this.#context;
    const round = this.#round++;
    invariant(round <= CARD_LAST_ROUND, 'rounds of card cleaning fit a byte');
    const { heap, nonMoving } = this.#context.arena.geometry;
    const end = this.#cursor;
    const nonMovingEnd = this.#nonMovingTop;
    kernels.takeGroups(heap, end);
    kernels.takeGroups(nonMoving, nonMovingEnd);
    handshake();
    const dirty = kernels.ageCards(heap, end, round);
    const nonMovingDirty = kernels.ageCards(nonMoving, nonMovingEnd, round);
    handshake();
    // Those that running threads show now: the fewer are new in the pause.
    this.markRoots();
    kernels.scanAgedCards(heap, end, round);
    kernels.scanAgedCards(nonMoving, nonMovingEnd, round);
    this.drain();
    return dirty + nonMovingDirty;
  }

  /**
   * With all mutators stopped: marks everything that is reachable and was not found yet.
   * @returns how many cards were dirty.
   */
  finish(): number {
    const { kernels } = this.#context;
    const { heap, nonMoving } = this.#context.arena.geometry;
    this.markRoots();
    this.drain();
    // One pass, but where the mark stack overflowed: what did not fit waits on cards that the tracer dirtied itself.
    let cards = 0;
    for (let overflows = -1; overflows !== kernels.markOverflows(); ) {
      overflows = kernels.markOverflows();
      cards +=
        kernels.scanDirtyCards(heap, this.#cursor) + kernels.scanDirtyCards(nonMoving, this.#nonMovingTop);
      this.drain();
    }
    this.#overflows = kernels.markOverflows();
    return cards;
  }

  /**
   * Traces from what is on the mark stack, after the remark pause and beside mutators who cannot reach what is found: cards mean nothing
   * any more, and what did not fit on the mark stack is found by its mark.
   */
  drainUnreachable(end: number): void {
    const { kernels } = this.#context;
    this.drain();
    if (kernels.markOverflows() === this.#overflows) return;
    while (kernels.scanUnscanned(end) > 0) this.drain();
  }

  get #cursor(): number {
    return Atomics.load(this.#context.control, CTL_CURSOR);
  }

  get #nonMovingTop(): number {
    return Atomics.load(this.#context.control, CTL_NON_MOVING_TOP);
  }
}
