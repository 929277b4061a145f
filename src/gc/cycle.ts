// The phases of a cycle that both compacting collectors share, and what a cycle reports.

import { retireBuffer } from '../heap/blocks.ts';
import {
  CTL_ALLOC_EPOCH,
  CTL_CLOSING,
  CTL_CURSOR,
  CTL_DIRTY_END,
  CTL_FROM_ALIAS,
  CTL_FRONT,
  CTL_PERSISTENT,
  CTL_PERSISTENT_TOP,
  CTL_PHASE,
  CTL_TO_ALIAS,
  T_BUFFER,
  T_CURSOR,
  T_LIMIT,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  T_STATE,
  T_TID,
  PHASE_FLIP,
  THREAD_FREE,
  THREAD_SAFE,
  THREAD_STOPPED,
} from '../heap/layout.ts';
import { Safepoints } from '../heap/safepoint.ts';
import type { Tables } from '../heap/tables.ts';
import type { WorkerContext } from './context.ts';
import type { FlipTimes } from './flip.ts';
import type { SizingReport } from './governor.ts';
import { Peers } from './peers.ts';

/** Thrown inside a cycle that is given up before the flip, because the heap is closing. */
export class CycleCancelled extends Error {}

/** What one cycle did. Times are the collector's own; what mutators saw is in the heap's statistics. */
export interface CycleReport {
  readonly cycle: number;
  readonly collector: string;
  /** Bytes of the heap in use when the cycle began, and after the flip. */
  readonly usedBytesBefore: number;
  readonly usedBytesAfter: number;
  readonly liveBytes: number;
  /** Bytes allocated between remark and flip. */
  readonly blackBytes: number;
  readonly precleanRounds: number;
  /** Dirty cards left for the remark pause. */
  readonly remarkCards: number;
  /** Milliseconds of each phase, in their order. */
  readonly phasesMs: Readonly<Record<string, number>>;
  /** Milliseconds of the plan phase that grow with the heap. */
  readonly planKernelMs: number;
  readonly flip: FlipTimes;
  readonly sizing: SizingReport;
  /** Bytes of memory that both memfds hold at the end of the cycle. */
  readonly sharedBytesAfter: number;
}

/** Milliseconds by name, for the phases of one cycle. */
export class PhaseClock {
  readonly phasesMs: Record<string, number> = {};
  #since = performance.now();

  /** Ends the phase `name`. */
  lap(name: string): void {
    const now = performance.now();
    this.phasesMs[name] = Math.round((now - this.#since) * 1000) / 1000;
    this.#since = now;
  }
}

/** The mutators' buffers, roots and cursor, as the collector handles them while all threads are stopped. */
export class World {
  readonly #context: WorkerContext;
  readonly safepoints: Safepoints;
  readonly #peers: Peers;
  #warned = new Set<number>();

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#peers = new Peers(context);
    this.safepoints = new Safepoints(context.control, context.tables.threads, (thread, waitedMs) =>
      this.#wait(thread, waitedMs),
    );
  }

  /** Stops all mutators. @throws CycleCancelled when the heap began to close before all had stopped. */
  stop(kind: number): void {
    this.#warned.clear();
    if (!this.safepoints.stop(kind)) throw new CycleCancelled();
  }

  resume(): void {
    this.safepoints.resume();
  }

  /**
   * Runs `body` while all mutators are stopped. When it fails in a way that no heap survives they stay stopped: they would see whatever
   * is half done until the process has ended.
   * @throws CycleCancelled when the heap began to close before all had stopped; or what `body` throws.
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

  /** Detaches threads that ended in a safe region without saying so (terminated, say): nobody waits for them, and their roots are void. */
  releaseDeadThreads(): void {
    const { tables } = this.#context;
    for (const i of tables.attached()) {
      const thread = tables.threads[i]!;
      const state = Atomics.load(thread, T_STATE);
      const tid = thread[T_TID]!;
      if ((state !== THREAD_SAFE && state !== THREAD_STOPPED) || this.#peers.threadExists(tid)) continue;
      // Nobody changes a dead thread's record; if it is another's by now, it shows another id.
      if (thread[T_TID] === tid) releaseThread(tables, i);
    }
  }

  /** @throws CycleCancelled when the heap began to close before all threads had answered. */
  handshake(): void {
    this.#warned.clear();
    if (!this.safepoints.handshake()) throw new CycleCancelled();
  }

  /** A thread does not answer: a dead one is detached, a slow one is reported once, and a closing heap waits for nobody. */
  #wait(thread: number, waitedMs: number): boolean {
    const { control, tables, options } = this.#context;
    if (Atomics.load(control, CTL_CLOSING) !== 0) return false;
    this.#peers.assertAlive();
    const tid = tables.threads[thread]![T_TID]!;
    if (!this.#peers.threadExists(tid)) {
      releaseThread(tables, thread);
    } else if (waitedMs > options.safepointWarnMs && !this.#warned.has(thread)) {
      this.#warned.add(thread);
      process.stderr.write(
        `tospace: thread ${tid} has not reached a safepoint for ${Math.round(waitedMs)} ms, and a collection waits for it. ` +
          'Call mutator.safepoint() in long loops, and leave() before blocking.\n',
      );
    }
    return true;
  }

  /** Empties every thread's allocation buffer: whatever is allocated next comes from fresh pages. */
  retireBuffers(): void {
    const { tables } = this.#context;
    for (const i of tables.attached()) retireBuffer(tables.threads[i]!);
  }

  /** Rewrites every root once. */
  forwardRoots(): void {
    const { tables, control, kernels } = this.#context;
    for (const i of tables.attached()) {
      const thread = tables.threads[i]!;
      kernels.forwardRoots(thread[T_SHADOW_BASE]!, thread[T_SHADOW_TOP]!);
    }
    const persistent = control[CTL_PERSISTENT]!;
    kernels.forwardRoots(persistent, persistent + control[CTL_PERSISTENT_TOP]! * 4);
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

  /** Lets stalled allocations try again. */
  announceRoom(): void {
    const { control } = this.#context;
    Atomics.add(control, CTL_ALLOC_EPOCH, 1);
    Atomics.notify(control, CTL_ALLOC_EPOCH);
  }
}

/** Detaches a thread whose operating-system thread is gone: its roots are released. */
function releaseThread(tables: Tables, index: number): void {
  const thread = tables.threads[index]!;
  Atomics.store(thread, T_SHADOW_TOP, thread[T_SHADOW_BASE]!);
  thread[T_CURSOR] = 0;
  thread[T_LIMIT] = 0;
  thread[T_BUFFER] = 0;
  thread[T_TID] = 0;
  Atomics.store(thread, T_STATE, THREAD_FREE);
}

/**
 * True when a cycle that ended with `error` moved nothing and can be given up: a system call failed before the flip. After the flip
 * somebody would have to finish the window, and the heap's own invariants do not forgive.
 */
export function isSurvivable(control: Int32Array, error: unknown): boolean {
  if (error instanceof CycleCancelled) return true;
  const fromKernel = error instanceof Error && 'syscall' in error && error.syscall !== undefined;
  return fromKernel && Atomics.load(control as Int32Array<SharedArrayBuffer>, CTL_PHASE) <= PHASE_FLIP;
}

export interface Collector {
  /** Runs one cycle. @param release give free memory back. @throws CycleCancelled, or an error before anything has moved. */
  cycle(release: boolean): CycleReport;
}
