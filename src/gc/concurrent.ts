// The concurrent collector.
//
// A mark-compact collector without a read barrier, after Android's userfaultfd collector (ART CMC; Kermany and Petrank's Compressor is
// the common ancestor). The program runs during all phases but two short pauses.
//
//   mark     trace from the roots while mutators run; they dirty a card after each reference store. Rounds of pre-cleaning then rescan
//            dirty cards until few are left; where that does not come about, allocation is paced
//   remark   PAUSE. Roots again, the last dirty cards. Allocation buffers are retired and the black line drawn: whatever is allocated
//            above it until the end of the cycle lives
//   plan     weak fields to dead objects are cleared, guarded objects come back (references.ts)
//            the non-moving space is swept
//            prefix sums: forwarding becomes a function of two tables. Page sources for every to-space page
//   flip     PAUSE. Page tables away, other memfd under the heap, its used part registered (flip.ts); roots rewritten; the non-moving window
//            is hidden likewise (non-moving.ts)
//   compact  mutators fault on what is not built yet and are served first, the sweep builds the rest, from-space leaves behind it
//   close    servers drained → unregister → from-space's page tables dropped. In this order: unregistering hands a blocked faulter
//            whatever page is there, and a late fault must not be served from freed memory
//
// Departures from Android: pages live in memfds that take turns under the heap instead of private memory; black pages need no walk in
// the pause, because every page of an allocation buffer names the buffer's start; type descriptors are outside the heap.
//
// Not handled here: parallel marking, generations. Weak references, ephemerons and finalization: references.ts.

import { alignUp } from '../heap/geometry.ts';
import {
  CTL_BLACK_LINE,
  CTL_COMPACTED_BYTES,
  CTL_CURSOR,
  CTL_CYCLE,
  CTL_WINDOW,
  PAGE_BYTES,
  PAGE_LOG2,
  PAUSE_FLIP,
  PAUSE_REMARK,
  PHASE_CLOSE,
  PHASE_COMPACT,
  PHASE_FLIP,
  PHASE_MARK,
  PHASE_PLAN,
  PHASE_REMARK,
} from '../heap/layout.ts';
import { STEP_PLAN, STEP_RETIRE, STEP_ROOTS, STEP_TRACE, STEP_VERIFY } from '../heap/trace-ring.ts';
import { check } from '../uffd/index.ts';
import { Builder } from './builder.ts';
import type { WorkerContext } from './context.ts';
import type { Collector, CycleReport, World } from './cycle.ts';
import type { CycleClock } from './cycle-clock.ts';
import type { CollectorParts } from './collector-parts.ts';
import { clearAttics, type FlipTimes, flipMappings, rehearseFlip } from './flip.ts';
import type { NonMoving } from './non-moving.ts';
import type { Governor } from './governor.ts';
import { Peers } from './peers.ts';
import type { References } from './references.ts';
import { placeServers } from './placement.ts';
import { planBlack, planCompaction } from './plan.ts';
import type { Retention } from './retention.ts';
import { Sweep } from './sweep.ts';
import type { Tracer } from './tracer.ts';
import type { Verifier } from './verify/verifier.ts';
import { createPageChecker } from './verify/page-checker.ts';

/** Pre-cleaning stops when a round finds no more dirty cards than this: their rescan takes some 10 µs in the pause. */
const PRECLEAN_ENOUGH_CARDS = 256;
/** ... or after this many rounds. */
const PRECLEAN_ROUNDS_MAX = 16;
/**
 * A round that finds more than this part of the one before does not lead to an end: mutators allocate or store as fast as the marker
 * follows. Allocation is then paced (pacer.ts).
 */
const PRECLEAN_PROGRESS = 0.5;

/** Room for black pages in what is warmed before the flip: what a fast mutator allocates while the plan is made. */
const WARM_BLACK_BYTES = 2 * 1024 * 1024;

/** What a flip leaves for the close: how much of each window it hid, and how much of from-space was in use. */
interface FlipOutcome {
  readonly usedBytes: number;
  readonly fromBytes: number;
  readonly nonMovingBytes: number;
  readonly times: FlipTimes;
}

export class ConcurrentCollector implements Collector {
  readonly #context: WorkerContext;
  readonly #world: World;
  readonly #tracer: Tracer;
  readonly #nonMoving: NonMoving;
  readonly #verifier: Verifier | undefined;
  readonly #references: References;
  readonly #retention: Retention;
  readonly #sweep: Sweep;
  readonly #governor: Governor;
  /** True from the beginning of a cycle to its flip: when the next one begins, that it was given up. */
  #unsettled = false;

  constructor({
    context,
    world,
    tracer,
    nonMoving,
    references,
    retention,
    verifier,
    governor,
  }: CollectorParts) {
    this.#context = context;
    this.#world = world;
    this.#tracer = tracer;
    this.#nonMoving = nonMoving;
    this.#verifier = verifier;
    this.#references = references;
    this.#retention = retention;
    this.#sweep = new Sweep(
      context,
      new Builder(context, createPageChecker(context)),
      nonMoving,
      retention,
      new Peers(context),
      (pages) => governor.batch(pages),
    );
    this.#governor = governor;
  }

  cycle(release: boolean, clock: CycleClock): CycleReport {
    const { control, arena } = this.#context;
    const { heap } = arena.geometry;
    this.#world.releaseDeadThreads();
    const usedBytesBefore = Atomics.load(control, CTL_CURSOR) - heap;
    this.#governor.begin();

    let precleanRounds: number;
    let remarkCards: number;
    try {
      this.#context.enter(PHASE_MARK, 'mark');
      precleanRounds = this.#mark();
      clock.lap('mark');

      this.#context.enter(PHASE_REMARK, 'remark');
      remarkCards = this.#remark();
      clock.lap('remark');
    } finally {
      this.#governor.pacer.converged();
    }

    this.#context.enter(PHASE_PLAN, 'plan');
    const references = this.#references.process(() => this.#world.handshake());
    clock.lap('references');

    const planKernelMs = planCompaction(this.#context, control[CTL_BLACK_LINE]!);
    const nonMovingFreed = this.#nonMoving.sweep();
    this.#governor.planned(control[CTL_COMPACTED_BYTES]!);
    this.#verifier?.afterPlan();
    if (release || this.#context.options.retention === 'release') this.#retention.emptyBack();
    else this.#warmBack();
    this.#retention.sample();
    placeServers(this.#context);
    clock.lap('plan');

    this.#context.enter(PHASE_FLIP, 'flip');
    const flip = this.#flip();
    clock.lap('flip');
    this.#governor.flipped(flip.fromBytes, flip.usedBytes);

    this.#context.enter(PHASE_COMPACT, 'compact');
    this.#sweep.run();
    clock.lap('compact');
    this.#governor.compacted();

    this.#context.enter(PHASE_CLOSE, 'close');
    this.#close(flip, release);
    clock.lap('close');
    this.#governor.end();

    const liveBytes = control[CTL_COMPACTED_BYTES]!;
    return {
      cycle: control[CTL_CYCLE]!,
      collector: 'concurrent',
      cause: clock.cause,
      startMs: clock.startMs,
      durationMs: clock.durationMs,
      freedBytes: flip.fromBytes - flip.usedBytes,
      nonMovingFreed,
      usedBytesBefore,
      usedBytesAfter: flip.usedBytes,
      liveBytes,
      blackBytes: flip.usedBytes - alignUp(liveBytes, PAGE_BYTES),
      precleanRounds,
      remarkCards,
      references,
      phasesMs: clock.phasesMs,
      phasesCpuMs: clock.phasesCpuMs,
      pauses: this.#world.pauses.take(),
      mutatorPauseMaxUs: this.#world.mutatorPauseMaxUs,
      planKernelMs,
      flip: flip.times,
      sizing: this.#governor.report(),
      sharedBytesAfter: arena.sharedBytes(),
    };
  }

  /**
   * Before the marks of a cycle that was given up are forgotten: mutators may be going by them, and setting fresh bits. Twice, because a
   * mutator may look at a mark right after it has found that it has to.
   */
  #settle(): void {
    this.#world.handshake();
    this.#references.settled();
    this.#nonMoving.eraseLine();
    this.#world.handshake();
  }

  #mark(): number {
    const tracer = this.#tracer;
    if (this.#unsettled) this.#settle();
    this.#unsettled = true;
    tracer.begin();
    this.#nonMoving.forgetFresh();
    // The cards are clean from here on for everybody: no mutator is still between a store and its card.
    this.#world.handshake();
    tracer.markRoots();
    tracer.drain();
    this.#governor.traced();
    let last = Number.POSITIVE_INFINITY;
    for (let round = 1; round <= PRECLEAN_ROUNDS_MAX; round++) {
      const dirty = tracer.cleanCards(() => this.#world.handshake());
      if (dirty <= PRECLEAN_ENOUGH_CARDS) return round;
      if (dirty > last * PRECLEAN_PROGRESS) this.#governor.pacer.slower();
      last = dirty;
    }
    return PRECLEAN_ROUNDS_MAX;
  }

  /** Makes the next to-space ready where pages are kept: not more of them than are worth keeping, and those mapped that come first. */
  #warmBack(): void {
    const { control } = this.#context;
    const liveBytes = control[CTL_COMPACTED_BYTES]!;
    const blackBytes = Atomics.load(control, CTL_CURSOR) - control[CTL_BLACK_LINE]!;
    this.#retention.trimBack(this.#governor, alignUp(liveBytes, PAGE_BYTES) + blackBytes);
    this.#retention.warmBack(liveBytes + WARM_BLACK_BYTES);
  }

  #remark(): number {
    const { control } = this.#context;
    return this.#world.pausedBriefly(PAUSE_REMARK, () => {
      this.#context.reach('remarkPause');
      this.#world.retireBuffers();
      this.#world.pauses.step(STEP_RETIRE);
      const cards = this.#tracer.finish();
      control[CTL_BLACK_LINE] = control[CTL_CURSOR]!;
      this.#nonMoving.drawLine();
      this.#references.begin();
      this.#world.pauses.step(STEP_TRACE);
      if (this.#verifier !== undefined) {
        this.#verifier.afterRemark();
        this.#world.pauses.step(STEP_VERIFY);
      }
      return cards;
    });
  }

  #flip(): FlipOutcome {
    const { control, arena } = this.#context;
    // One that has read a message of the window before, and was kept from its CPU since, must find that one closed, not the next one open.
    this.#sweep.awaitServers();
    rehearseFlip(this.#context, true);
    return this.#world.pausedBriefly(PAUSE_FLIP, () => {
      this.#context.reach('flipPause');
      this.#world.retireBuffers();
      const fromBytes = control[CTL_CURSOR]! - arena.geometry.heap;
      const usedBytes = planBlack(this.#context);
      if (this.#verifier !== undefined) {
        this.#world.pauses.step(STEP_PLAN);
        this.#verifier.beforeFlip(fromBytes);
        this.#world.pauses.step(STEP_VERIFY);
      }
      this.#retention.beginWindow(fromBytes);
      const dirtyBytes = this.#retention.backDirtyBytes;
      const nonMovingBytes = this.#nonMoving.hiddenBytes;
      this.#world.pauses.step(STEP_PLAN);
      const times = flipMappings(this.#context, { heapBytes: usedBytes, nonMovingBytes }, true);
      // The point of no return: nothing below can fail.
      this.#world.pauses.flipped(times);
      this.#world.adoptToSpace(usedBytes, dirtyBytes);
      this.#world.forwardRoots();
      this.#nonMoving.openWindow(nonMovingBytes);
      this.#unsettled = false;
      Atomics.store(control, CTL_WINDOW, 1);
      if (this.#verifier !== undefined) {
        this.#world.pauses.step(STEP_ROOTS);
        this.#verifier.afterFlip();
        this.#world.pauses.step(STEP_VERIFY);
      }
      this.#world.announceRoom();
      this.#world.pauses.step(STEP_ROOTS);
      return { usedBytes, fromBytes, nonMovingBytes, times };
    });
  }

  #close({ fromBytes, usedBytes, nonMovingBytes }: FlipOutcome, release: boolean): void {
    const { control, arena, options } = this.#context;
    const { heap, nonMoving } = arena.geometry;
    this.#nonMoving.beginClose();
    this.#unregister(heap, usedBytes);
    this.#unregister(nonMoving, nonMovingBytes);
    // Unregistering withdraws the messages of all who sleep, but not that of a thread which a signal has woken and which has not run since:
    // a server may still read it, whenever that is. It says that it is busy and then asks whether the window is open; so either it is waited
    // for, while all pages are mapped, or it finds the window closed and leaves the page alone.
    Atomics.store(control, CTL_WINDOW, 0);
    this.#sweep.awaitServers();
    this.#nonMoving.closeWindow();
    // For the next window, whose plan is then made the sooner.
    this.#context.kernels.clearPageWords(0, usedBytes >> PAGE_LOG2);
    this.#context.kernels.clearPageWords((nonMoving - heap) >> PAGE_LOG2, nonMovingBytes >> PAGE_LOG2);
    if (release || options.retention === 'release') this.#retention.releaseAll();
    else this.#retention.trimBack(this.#governor, usedBytes);
    clearAttics(this.#context, { heapBytes: fromBytes, nonMovingBytes });
    const verifier = this.#verifier;
    if (verifier !== undefined) {
      this.#world.pausedForVerification(() => verifier.afterClose(this.#retention.backDirtyBytes));
    }
    this.#retention.sample();
  }

  #unregister(window: number, bytes: number): void {
    if (bytes === 0) return;
    const { uffd, arena } = this.#context;
    check(uffd!.unregister(arena.real(window), bytes), 'ioctl', 'unregistering a window');
  }
}
