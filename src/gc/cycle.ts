// The phases of a cycle that both compacting collectors share, and what a cycle reports.

import { TospaceError } from '../errors.ts';
import type { CycleCause } from '../heap/causes.ts';
import { finishPendingBlock, retireBuffer } from '../heap/blocks.ts';
import {
  CTL_ALLOC_EPOCH,
  CTL_CLOSING,
  CTL_CURSOR,
  CTL_CYCLE,
  CTL_DIRTY_END,
  CTL_FROM_ALIAS,
  CTL_FRONT,
  CTL_PHASE,
  CTL_REFERENCE_TABLE,
  CTL_TO_ALIAS,
  PAUSE_NONE,
  PAUSE_VERIFY,
  REFS_GUARDS,
  REFS_ROOTS_END,
  T_BUFFER,
  T_CURSOR,
  T_LIMIT,
  T_NAME,
  T_PAUSE_CYCLE,
  T_PAUSE_NS,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  T_STATE,
  T_TID,
  PHASE_FLIP,
  THREAD_FREE,
  THREAD_RUNNING,
} from '../heap/layout.ts';
import { releasePersistents } from '../heap/persistent.ts';
import { Safepoints } from '../heap/safepoint.ts';
import { noteTimeout, timeoutError } from '../heap/safepoint-timeout.ts';
import type { Tables } from '../heap/tables.ts';
import { readName } from '../heap/thread-name.ts';
import { type PhaseName, STEP_RESUME, STEP_STOP, STEP_VERIFY } from '../heap/trace-ring.ts';
import type { WorkerContext } from './context.ts';
import type { CycleClock } from './cycle-clock.ts';
import type { CollectorName } from './options.ts';
import { PauseClock, type PauseReport } from './pause-clock.ts';
import type { FlipTimes } from './flip.ts';
import type { SizingReport } from './governor.ts';
import { PausePriority } from './pause-priority.ts';
import { Peers } from './peers.ts';
import type { ReferenceCounts } from './references.ts';
import { say } from './standard-error.ts';

/** Thrown inside a cycle that is given up before the flip, because the heap is closing. */
export class CycleCancelled extends Error {}

/** What one cycle did. Times are the collector's own; what mutators saw is in the heap's statistics. */
export interface CycleReport {
  readonly cycle: number;
  readonly collector: CollectorName;
  /** Why it began: the most pressing of the requests that it answers. */
  readonly cause: CycleCause;
  /** When it began: milliseconds, on performance.now() of the thread that created the heap. */
  readonly startMs: number;
  /** Milliseconds that it took: the sum of its phases. */
  readonly durationMs: number;
  /** Bytes of heap that the flip gave back to allocation, and what died in the non-moving space. */
  readonly freedBytes: number;
  readonly nonMovingFreed: { readonly objects: number; readonly bytes: number };
  /** Bytes of the heap in use when the cycle began, and after the flip. */
  readonly usedBytesBefore: number;
  readonly usedBytesAfter: number;
  readonly liveBytes: number;
  /** Bytes allocated between remark and flip. */
  readonly blackBytes: number;
  readonly precleanRounds: number;
  /** Dirty cards left for the remark pause. */
  readonly remarkCards: number;
  /** What became of weak records, ephemerons and guarded objects. */
  readonly references: ReferenceCounts;
  /** Milliseconds of each phase, in their order. */
  readonly phasesMs: Readonly<Partial<Record<PhaseName, number>>>;
  /** Milliseconds of CPU time that the collector's own thread spent in each phase, without its servers. */
  readonly phasesCpuMs: Readonly<Partial<Record<PhaseName, number>>>;
  /** The pauses as the collector saw them, in their order. */
  readonly pauses: readonly PauseReport[];
  /** Microseconds of the longest pause that a mutator saw, as far as mutators had run again and said so; 0: none did. */
  readonly mutatorPauseMaxUs: number;
  /** Milliseconds of the plan phase that grow with the heap. */
  readonly planKernelMs: number;
  readonly flip: FlipTimes;
  readonly sizing: SizingReport;
  /** Bytes of memory that both memfds hold at the end of the cycle. */
  readonly sharedBytesAfter: number;
}

/** The mutators' buffers, roots and cursor, as the collector handles them while all threads are stopped. */
export class World {
  readonly #context: WorkerContext;
  readonly safepoints: Safepoints;
  readonly #peers: Peers;
  readonly #priority: PausePriority;
  #warned = new Set<number>();
  /** The kind of pause being waited for; PAUSE_NONE is a handshake. */
  #awaited = PAUSE_NONE;
  readonly pauses: PauseClock;
  /** Why patience gave up. */
  #gaveUp: Error = new CycleCancelled();

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#peers = new Peers(context);
    this.#priority = new PausePriority(context);
    this.safepoints = new Safepoints(context.control, context.tables.threads, (thread, waitedMs) =>
      this.#wait(thread, waitedMs),
    );
    this.pauses = new PauseClock(context.trace, context.control);
  }

  /**
   * Stops all mutators.
   * @throws CycleCancelled when the heap began to close before all had stopped, TospaceError ERR_TIMEOUT when one does not stop; all run
   * on then.
   */
  stop(kind: number): void {
    this.#warned.clear();
    this.#awaited = kind;
    this.pauses.begin(kind);
    if (!this.safepoints.stop(kind)) {
      this.pauses.end(STEP_STOP);
      throw this.#gaveUp;
    }
    this.pauses.step(STEP_STOP);
  }

  resume(): void {
    this.safepoints.resume();
    this.pauses.end(STEP_RESUME);
  }

  /**
   * Runs `body` while all mutators are stopped. When it fails in a way that no heap survives they stay stopped: they would see whatever
   * is half done until the process has ended.
   * @throws as {@link stop}; or what `body` throws.
   */
  paused<T>(kind: number, body: () => T): T {
    this.stop(kind);
    let result: T;
    try {
      result = body();
    } catch (error) {
      if (isSurvivable(this.#context.control, error)) this.resume();
      throw error;
    }
    this.resume();
    return result;
  }

  /**
   * As {@link paused}, for the pauses that are meant to be short: in them the scheduler lets nobody go first. Not where a verifier makes
   * them long (pause-priority.ts).
   */
  pausedBriefly<T>(kind: number, body: () => T): T {
    this.#priority.raise();
    try {
      return this.paused(kind, body);
    } finally {
      this.#priority.restore();
    }
  }

  /**
   * Runs a check of the verifier while all mutators are stopped. The cycle is complete by then: when a thread does not stop the check is
   * left out, with a note.
   */
  pausedForVerification(body: () => void): void {
    try {
      this.paused(PAUSE_VERIFY, () => {
        body();
        this.pauses.step(STEP_VERIFY);
      });
    } catch (error) {
      if (!isTimeout(error)) throw error;
      say(`the verification at the end of a cycle was left out: ${error.message}`);
    }
  }

  /**
   * Detaches threads that ended in a safe region, or while they attached, without saying so (terminated, say): nobody waits for them, and
   * their roots are void.
   */
  releaseDeadThreads(): void {
    const { tables } = this.#context;
    for (const [i, thread] of tables.threads.entries()) {
      const state = Atomics.load(thread, T_STATE);
      if (state !== THREAD_FREE && state !== THREAD_RUNNING) releaseIfDead(tables, this.#peers, i);
    }
  }

  /**
   * @throws CycleCancelled when the heap began to close before all threads had answered, TospaceError ERR_TIMEOUT when one does not
   * answer.
   */
  handshake(): void {
    this.#warned.clear();
    this.#awaited = PAUSE_NONE;
    if (!this.safepoints.handshake()) throw this.#gaveUp;
  }

  /**
   * A thread does not answer: a dead one is detached; a slow one is reported once, and given up after a while; and a closing heap waits
   * for nobody.
   */
  #wait(index: number, waitedMs: number): boolean {
    const { control, tables, options } = this.#context;
    this.#priority.restore();
    if (Atomics.load(control, CTL_CLOSING) !== 0) {
      this.#gaveUp = new CycleCancelled();
      return false;
    }
    this.#peers.assertAlive();
    if (releaseIfDead(tables, this.#peers, index)) return true;
    const thread = tables.threads[index]!;
    if (waitedMs > options.safepointWarnMs && !this.#warned.has(index)) {
      this.#warned.add(index);
      reportSlow(thread, waitedMs, 'a collection');
    }
    if (options.safepointTimeoutMs === 0 || waitedMs <= options.safepointTimeoutMs) return true;
    noteTimeout(control, thread, this.#awaited, waitedMs);
    this.#gaveUp = timeoutError(control);
    return false;
  }

  /** Empties every thread's allocation buffer: whatever is allocated next comes from fresh pages. */
  retireBuffers(): void {
    const { tables } = this.#context;
    for (const i of tables.attached()) retireBuffer(tables.threads[i]!);
  }

  /** Rewrites every root once. Persistent handles are elements of a pinned array, whose pages are rewritten when they are needed. */
  forwardRoots(): void {
    const { tables, control, kernels } = this.#context;
    for (const i of tables.attached()) {
      const thread = tables.threads[i]!;
      kernels.forwardRoots(thread[T_SHADOW_BASE]!, thread[T_SHADOW_TOP]!);
    }
    const references = control[CTL_REFERENCE_TABLE]!;
    kernels.forwardRoots(references + REFS_GUARDS * 4, references + REFS_ROOTS_END * 4);
  }

  /**
   * After the mappings were flipped: from now on to-space is the heap. `usedBytes` of it are taken, and pages below `dirtyBytes` may
   * hold old contents.
   */
  adoptToSpace(usedBytes: number, dirtyBytes: number): void {
    const { control, arena } = this.#context;
    const { heap, heapBytes, aliases } = arena.geometry;
    const front = 1 - control[CTL_FRONT]!;
    control[CTL_FROM_ALIAS] = aliases[1 - front]!;
    control[CTL_TO_ALIAS] = aliases[front]!;
    control[CTL_FRONT] = front;
    Atomics.store(control, CTL_CURSOR, heap + usedBytes);
    control[CTL_DIRTY_END] = heap + Math.min(dirtyBytes, heapBytes);
  }

  /** Microseconds of the longest pause that a mutator saw in this cycle, as far as they have said. */
  get mutatorPauseMaxUs(): number {
    const { tables, control } = this.#context;
    const cycle = (control[CTL_CYCLE]! + 1) | 0;
    let ns = 0;
    for (const thread of tables.threads) {
      if (Atomics.load(thread, T_PAUSE_CYCLE) === cycle) ns = Math.max(ns, thread[T_PAUSE_NS]!);
    }
    return ns / 1000;
  }

  /** Lets stalled allocations try again. */
  announceRoom(): void {
    const { control } = this.#context;
    Atomics.add(control, CTL_ALLOC_EPOCH, 1);
    Atomics.notify(control, CTL_ALLOC_EPOCH);
  }
}

/** True for a stop or handshake that was given up. */
export function isTimeout(error: unknown): error is TospaceError {
  return error instanceof TospaceError && error.code === 'ERR_TIMEOUT';
}

/** Says on standard error that a thread keeps others waiting. */
export function reportSlow(thread: Int32Array<SharedArrayBuffer>, waitedMs: number, what: string): void {
  say(
    `"${readName(thread, T_NAME)}" (thread id ${thread[T_TID]}) has not reached a safepoint for ${Math.round(waitedMs)} ms, ` +
      `and ${what} waits for it. Call mutator.safepoint() in long loops, and leave() before blocking.`,
  );
}

/**
 * Detaches the thread with this record if its operating-system thread is gone: its roots are released, persistent ones too.
 * @returns whether it was.
 */
export function releaseIfDead(tables: Tables, peers: Peers, index: number): boolean {
  const thread = tables.threads[index]!;
  const tid = thread[T_TID]!;
  // Nobody changes a dead thread's record; if it is another's by now, it shows another id.
  if (tid === 0 || peers.threadExists(tid) || thread[T_TID] !== tid) return false;
  releaseThread(tables, index);
  return true;
}

function releaseThread(tables: Tables, index: number): void {
  const thread = tables.threads[index]!;
  finishPendingBlock(tables, thread);
  releasePersistents(tables, index);
  Atomics.store(thread, T_SHADOW_TOP, thread[T_SHADOW_BASE]!);
  thread[T_CURSOR] = 0;
  thread[T_LIMIT] = 0;
  thread[T_BUFFER] = 0;
  thread[T_TID] = 0;
  Atomics.store(thread, T_STATE, THREAD_FREE);
}

/**
 * True when a cycle that ended with `error` moved nothing and can be given up: a system call failed before the flip, or a thread did not
 * stop. After the flip somebody would have to finish the window, and the heap's own invariants do not forgive.
 */
export function isSurvivable(control: Int32Array, error: unknown): boolean {
  if (error instanceof CycleCancelled) return true;
  const fromKernel = error instanceof Error && 'syscall' in error && error.syscall !== undefined;
  return (
    (fromKernel || isTimeout(error)) &&
    Atomics.load(control as Int32Array<SharedArrayBuffer>, CTL_PHASE) <= PHASE_FLIP
  );
}

export interface Collector {
  /** Runs one cycle. @param release give free memory back. @throws CycleCancelled, or an error before anything has moved. */
  cycle(release: boolean, clock: CycleClock): CycleReport;
}
