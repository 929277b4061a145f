// Weak references, ephemerons, and objects that come back: what happens between the trace and the plan.
//
// The three are one question, asked of the mark bits when the trace from the roots is complete: is this object dead? Nothing is asked of
// a to-space page, and nothing waits for one: fields are cleared where they are, before the flip, and page building then forwards what is
// left of them like any other field.
//
//   remark   PAUSE. The trace from the roots is complete. If some live weak field holds an unmarked object, CTL_REFERENCES is raised:
//            from here on getWeak takes an unmarked object for null
//   clear    the weak fields found by the trace are gone through; dead ones become null by compare-and-swap
//   settle   handshake; CTL_REFERENCES is lowered. No mutator is any longer between loading a weak field and looking at the word
//   revive   guards whose objects are dead are taken out of the list of guards, and what their objects reach is marked
//   clear    once more, what came to light with them
//   deliver  they are appended to their queues, where mutators ask for them
//
// **Dying at one instant.** All weak references to an object become null together: in the remark pause, when its mark bit was not set
// although the trace was complete. Before it, each gives the object; after it, each gives null, whether its field is cleared yet or
// not. A reader reads a mark bit; it takes no lock and never waits, for the collector or for anybody (Android blocks a reader until its
// reference is processed, or did: ART 2043 measures for how long).
//
// **What a mutator can reach after remark is marked or black.** Its roots and the strong fields of what it reaches are marked, because
// the trace was complete when it stopped; weak fields give it nothing unmarked; what it allocates lies above the black line. So whatever
// it stores in a weak field is alive, whether the record is marked or black, and only fields stored before the pause can hold a dead
// object. They are in records that the trace has scanned, or whose card it has rescanned, since the store: those are on its lists. A
// black record was filled after the pause, with live objects. A store that meets the clearing of the same field wins it, since the
// clearing is a compare-and-swap from the dead object; an ephemeron's key and value go in one.
//
// **Ephemerons** have their values traced as soon as their keys are marked. They wait in buckets by key (kernels/references.ts), so the
// trace stays linear, and remark finds them in the same buckets: it looks at no ephemeron whose key it does not reach.
//
// **Guards** are how objects are finalized: by the program. `guard(object)` asks for the object back when nothing else reaches it,
// `nextFinalizable()` hands it out. The collector runs no code of the program's, and delivers nothing at close. A guard is a record of 16
// bytes in the heap, with a weak field that is not cleared and a link to the guard before it; they move like any object and the
// pause rewrites the root that names the newest, however many there are. Rules:
//
//   - weak references to a guarded object are cleared, and ephemerons with it as key, *before* it comes back
//   - it comes back with all it reaches, whole: strong fields as they were. So two guarded objects that reach each other both come back
//     (no order by reachability, no cycle that is never freed)
//   - weak fields inside of what came back are judged by the marks after all of it is marked: they keep what came back with them
//   - objects that one cycle found dead are queued in the order in which they were guarded, behind those of earlier cycles
//   - each call of `guard` gives the object back once; guarded twice it comes back twice, in the same cycle; guarded again after it came
//     back, it comes back again
//
// **Marking after remark is sound** here because nobody but the collector can reach what it marks: an object that is unmarked when the
// trace is complete cannot be loaded, so none of its fields can change, and the trace of it needs no cards and no second look. It meets no
// black object: its fields are older than the black line. What does not fit on the mark stack is found by its mark and its missing
// live bits, because cards belong to nobody in this phase.
//
// A cycle that is abandoned after this (the flip may fail) has cleared and delivered for good: that the objects were dead does not depend
// on whether anything moves. One that is abandoned in `settle`, because a thread does not answer, leaves CTL_REFERENCES raised: its marks
// answer readers until the next cycle has settled.
//
// Departures from Android: nobody blocks; the lists run through the objects; ephemerons; finalization by asking instead of a thread.

import {
  CTL_BLACK_LINE,
  CTL_REFERENCES,
  FINALIZER_QUEUES,
  GUARD_NEXT,
  REFS_GUARDS,
  REFS_HEADS,
  REFS_LOCK,
  REFS_NEW_HEADS,
  REFS_NEW_TAILS,
  REFS_TAILS,
  REFS_WORDS,
} from '../heap/layout.ts';
import { withLock } from '../heap/lock.ts';
import type { WorkerContext } from './context.ts';
import type { Tracer } from './tracer.ts';

/** What a cycle did with references that are not strong. */
export interface ReferenceCounts {
  /** Weak records whose objects were dead. */
  readonly weakCleared: number;
  /** Ephemerons whose keys were dead. */
  readonly ephemeronsCleared: number;
  /** Guarded objects that were found dead and can be asked for. */
  readonly finalizable: number;
}

export const NO_REFERENCES: ReferenceCounts = Object.freeze({
  weakCleared: 0,
  ephemeronsCleared: 0,
  finalizable: 0,
});

export class References {
  readonly #context: WorkerContext;
  readonly #tracer: Tracer;
  readonly #table: Int32Array<SharedArrayBuffer>;
  /** The heap's words, for links between guards. */
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(context: WorkerContext, tracer: Tracer) {
    const { geometry } = context.tables;
    this.#context = context;
    this.#tracer = tracer;
    this.#table = context.tables.words(geometry.references, REFS_WORDS);
    this.#words = context.tables.words(0, (geometry.heap + geometry.windowBytes) / 4);
  }

  /** In the pause in which the trace is completed. */
  begin(): void {
    const { control, kernels } = this.#context;
    Atomics.store(control, CTL_REFERENCES, kernels.referencesFound() > 0 ? 1 : 0);
  }

  /**
   * Everything else, in the order above.
   * @param handshake waits until every mutator has passed a safepoint; undefined while they are stopped.
   */
  process(handshake?: () => void): ReferenceCounts {
    const { control, kernels } = this.#context;
    let weakCleared = 0;
    let ephemeronsCleared = 0;
    const clear = (): void => {
      weakCleared += kernels.clearDead();
      ephemeronsCleared += kernels.ephemeronsCleared();
    };
    if (Atomics.load(control, CTL_REFERENCES) !== 0) {
      clear();
      handshake?.();
      this.settled();
    }
    const finalizable = this.#revive();
    if (finalizable > 0) {
      clear();
      this.#deliver();
    }
    return { weakCleared, ephemeronsCleared, finalizable };
  }

  /** All weak fields are cleared, and every mutator has passed a safepoint since. */
  settled(): void {
    Atomics.store(this.#context.control, CTL_REFERENCES, 0);
  }

  /** Finds the guards with dead objects and marks what these reach; returns how many. */
  #revive(): number {
    const { control, kernels } = this.#context;
    // Mutators put new guards before this one meanwhile; below it the list is the collector's alone.
    const newest = Atomics.load(this.#table, REFS_GUARDS);
    if (newest === 0) return 0;
    const stays = kernels.sweepGuards(newest);
    if (stays !== newest) this.#replace(newest, stays);
    const count = kernels.resurrect();
    if (count > 0) this.#tracer.drainUnreachable(control[CTL_BLACK_LINE]!);
    return count;
  }

  /** Lets the list of guards go on with `by` where it went on with `guard`. */
  #replace(guard: number, by: number): void {
    const table = this.#table;
    withLock(table, REFS_LOCK, () => {
      if (table[REFS_GUARDS] === guard) {
        table[REFS_GUARDS] = by;
        return;
      }
      let at = table[REFS_GUARDS]!;
      while (this.#words[(at + GUARD_NEXT) >> 2] !== guard) at = this.#words[(at + GUARD_NEXT) >> 2]!;
      this.#words[(at + GUARD_NEXT) >> 2] = by;
    });
  }

  /** Appends the new ready guards to their queues. */
  #deliver(): void {
    const table = this.#table;
    withLock(table, REFS_LOCK, () => {
      for (let queue = 0; queue < FINALIZER_QUEUES; queue++) {
        const head = table[REFS_NEW_HEADS + queue]!;
        if (head === 0) continue;
        const tail = table[REFS_TAILS + queue]!;
        if (tail === 0) Atomics.store(table, REFS_HEADS + queue, head);
        else this.#words[(tail + GUARD_NEXT) >> 2] = head;
        table[REFS_TAILS + queue] = table[REFS_NEW_TAILS + queue]!;
        table[REFS_NEW_HEADS + queue] = 0;
        table[REFS_NEW_TAILS + queue] = 0;
      }
    });
  }
}
