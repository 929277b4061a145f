// The stop-the-world collector: the same kernels and the same flip, all of it in one pause. It needs no userfaultfd, because nobody
// runs while pages are missing. It is the baseline that the concurrent collector is measured against, and what runs where
// userfaultfd is not to be had.

import {
  BATCH_PAGES,
  CTL_BLACK_LINE,
  CTL_COMPACTED_BYTES,
  CTL_CURSOR,
  CTL_CYCLE,
  CTL_TO_ALIAS,
  CTL_USED_BYTES,
  PAGE_BYTES,
  PAGE_LOG2,
  PAUSE_FULL,
  PHASE_CLOSE,
  PHASE_COMPACT,
  PHASE_FLIP,
  PHASE_MARK,
  PHASE_PLAN,
} from '../heap/layout.ts';
import { STEP_WORK, TRACE_PAGES } from '../heap/trace-ring.ts';
import type { WorkerContext } from './context.ts';
import type { Collector, CycleReport, World } from './cycle.ts';
import type { CycleClock } from './cycle-clock.ts';
import type { CollectorParts } from './collector-parts.ts';
import { clearAttics, flipMappings, rehearseFlip } from './flip.ts';
import type { NonMoving } from './non-moving.ts';
import { PageFixer } from './page-fixer.ts';
import type { Governor } from './governor.ts';
import { planBlack, planCompaction } from './plan.ts';
import { NO_REFERENCES, type References } from './references.ts';
import type { Retention } from './retention.ts';
import type { Tracer } from './tracer.ts';
import { createPageChecker, type PageChecker } from './verify/page-checker.ts';
import type { Verifier } from './verify/verifier.ts';

export class StopTheWorldCollector implements Collector {
  readonly #context: WorkerContext;
  readonly #world: World;
  readonly #tracer: Tracer;
  readonly #nonMoving: NonMoving;
  readonly #verifier: Verifier | undefined;
  readonly #references: References;
  readonly #retention: Retention;
  readonly #checker: PageChecker | undefined;
  readonly #governor: Governor;

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
    this.#checker = createPageChecker(context);
    this.#governor = governor;
  }

  cycle(release: boolean, clock: CycleClock): CycleReport {
    const { control, arena, options } = this.#context;
    const { heap } = arena.geometry;
    const releases = release || options.retention === 'release';
    if (releases) this.#retention.emptyBack();
    this.#retention.sample();
    rehearseFlip(this.#context, false);

    this.#world.releaseDeadThreads();
    this.#governor.begin();
    let usedBytesBefore = 0;
    let usedBytes = 0;
    let remarkCards = 0;
    let planKernelMs = 0;
    let references = NO_REFERENCES;
    let nonMovingFreed = { objects: 0, bytes: 0 };
    const { pauses } = this.#world;
    const flip = this.#world.paused(PAUSE_FULL, () => {
      clock.lap('prepare', pauses.startMs);
      clock.lap('stop', pauses.lastMs);
      this.#world.retireBuffers();
      usedBytesBefore = control[CTL_CURSOR]! - heap;

      this.#context.enter(PHASE_MARK, 'mark');
      this.#tracer.begin();
      this.#nonMoving.forgetFresh();
      remarkCards = this.#tracer.finish();
      control[CTL_BLACK_LINE] = control[CTL_CURSOR]!;
      this.#verifier?.afterRemark();
      clock.lap('mark');

      this.#context.enter(PHASE_PLAN, 'plan');
      this.#references.begin();
      references = this.#references.process();
      clock.lap('references');
      planKernelMs = planCompaction(this.#context, control[CTL_BLACK_LINE]!);
      nonMovingFreed = this.#nonMoving.sweep();
      this.#verifier?.afterPlan();
      usedBytes = planBlack(this.#context);
      this.#governor.planned(control[CTL_COMPACTED_BYTES]!);
      this.#verifier?.beforeFlip(usedBytesBefore);
      clock.lap('plan');

      this.#context.enter(PHASE_FLIP, 'flip');
      this.#retention.beginWindow(usedBytesBefore);
      const dirtyBytes = this.#retention.backDirtyBytes;
      const hidden = { heapBytes: usedBytes, nonMovingBytes: 0 };
      const times = flipMappings(this.#context, hidden, false);
      this.#world.adoptToSpace(usedBytes, dirtyBytes);
      this.#world.forwardRoots();
      this.#verifier?.afterFlip();
      clock.lap('flip');

      this.#context.enter(PHASE_COMPACT, 'compact');
      this.#compact();
      this.#world.announceRoom();
      pauses.step(STEP_WORK);
      clock.lap('compact', pauses.lastMs);
      return times;
    });

    clock.lap('resume', pauses.lastMs);
    this.#governor.flipped(usedBytesBefore, usedBytes);
    this.#governor.compacted();
    this.#context.enter(PHASE_CLOSE, 'close');
    if (releases) this.#retention.releaseAll();
    else this.#retention.trimBack(this.#governor, usedBytes);
    clearAttics(this.#context, { heapBytes: usedBytesBefore, nonMovingBytes: 0 });
    const verifier = this.#verifier;
    if (verifier !== undefined) {
      this.#world.pausedForVerification(() => verifier.afterClose(this.#retention.backDirtyBytes));
    }
    this.#retention.sample();
    clock.lap('close');
    this.#governor.end();

    return {
      cycle: control[CTL_CYCLE]!,
      collector: 'stop-the-world',
      cause: clock.cause,
      startMs: clock.startMs,
      durationMs: clock.durationMs,
      freedBytes: usedBytesBefore - usedBytes,
      nonMovingFreed,
      usedBytesBefore,
      usedBytesAfter: usedBytes,
      liveBytes: control[CTL_COMPACTED_BYTES]!,
      blackBytes: 0,
      precleanRounds: 0,
      remarkCards,
      references,
      phasesMs: clock.phasesMs,
      phasesCpuMs: clock.phasesCpuMs,
      pauses: pauses.take(),
      mutatorPauseMaxUs: this.#world.mutatorPauseMaxUs,
      planKernelMs,
      flip,
      sizing: this.#governor.report(),
      sharedBytesAfter: arena.sharedBytes(),
    };
  }

  /** Builds all of to-space through its alias; the heap window shows the same pages. */
  #compact(): void {
    const { kernels, control } = this.#context;
    const target = control[CTL_TO_ALIAS]! >>> 0;
    const pages = control[CTL_USED_BYTES]! >> PAGE_LOG2;
    const { trace } = this.#context;
    const start = trace.on ? performance.now() : 0;
    if (pages > 0) kernels.buildPages(0, pages, target);
    if (start !== 0 && pages > 0) trace.span(TRACE_PAGES, 0, start, performance.now(), 0, pages);
    this.#checker?.check(0, pages, target);
    this.#context.countPages(pages, pages * PAGE_BYTES);
    const fixer = new PageFixer(this.#context, this.#checker);
    for (const [from, to] of this.#nonMoving.usedRuns(this.#nonMoving.usedBytes, BATCH_PAGES)) {
      const start = trace.on ? performance.now() : 0;
      fixer.fix(from, to - from);
      if (start !== 0) trace.span(TRACE_PAGES, 0, start, performance.now(), from, to - from);
    }
  }
}
