// The options of a heap, as a program gives them and as a heap uses them.

import type { InjectionPlan } from '../../uffd/index.ts';
import type { Duration, DurationText, Size, SizeText } from './values.ts';

export type CollectorName = 'concurrent' | 'stop-the-world' | 'none';

/**
 * Where stress can hold the collector up: at the beginning of a phase, for remark and flip before the mutators are asked to stop; `…Pause`:
 * when they have stopped (collector `concurrent`); `batch` and `install`: before every batch, every installation of a run of pages.
 */
export type DelayPoint =
  | 'mark'
  | 'remark'
  | 'remarkPause'
  | 'plan'
  | 'flip'
  | 'flipPause'
  | 'compact'
  | 'batch'
  | 'install'
  | 'close';

/** Ways to make rare interleavings common. For tests; every member is off by default. */
export interface StressOptions {
  /** Collect at every n-th allocation. */
  readonly collectEveryAllocation?: number;
  /** Collect at every n-th explicit safepoint. */
  readonly collectEverySafepoint?: number;
  /** Milliseconds the collector sleeps when it reaches a point. */
  readonly delayMs?: Readonly<Partial<Record<DelayPoint, number>>>;
  /** Per cent by which marking takes longer than it does, 0 to 1 000: a regression to look for. */
  readonly slowMarkPercent?: number;
  /** The to-space page before whose installation `delayMs.install` strikes; default: every one. */
  readonly delayedPage?: number;
  /** Entries of the mark stack: a tiny one makes marking overflow. */
  readonly markStackEntries?: number;
  /** System calls that fail or are delayed. */
  readonly injection?: InjectionPlan;
  /** Throw in the named worker when it reaches the point: what happens when a worker dies. */
  readonly crash?: {
    readonly worker: 'collector' | 'server';
    readonly at: DelayPoint | 'fault';
    readonly how: 'throw' | 'exit';
  };
}

export interface HeapOptions {
  /**
   * `concurrent` compacts behind the program's back, `stop-the-world` in one pause, `none` never. `auto` is `concurrent`, or
   * `stop-the-world` where no userfaultfd can be had: `heap.mode` says why. Default `concurrent`, which throws there.
   */
  readonly collector?: CollectorName | 'auto';
  /** Capacity of the moving space: a multiple of 4 KiB from 256 KiB to about 1.2 GiB. Default 256 MiB. */
  readonly heap?: Size;
  /**
   * What the heap keeps for itself without need: a multiple of 4 KiB from 256 KiB to `heap`. Between the two it grows and
   * shrinks as the program needs. Default 32 MiB, or `heap` where that is less.
   */
  readonly minHeap?: Size;
  /** Part of the heap that live data should fill at most, 0.1 to 0.95, as long as there is capacity. Default 0.6. */
  readonly targetUtilisation?: number;
  /**
   * When cycles begin. `auto`: when what is left is just enough for what will be allocated while the cycle runs. A number, 0.05 to 0.95:
   * when this part of the room left by the last cycle is allocated; the heap's size is then fixed. Default `auto`.
   */
  readonly trigger?: 'auto' | number;
  /**
   * Time without allocation, and with all threads in safe regions, after which the heap collects once and gives memory back;
   * 0 is never. Only where `trigger` is `auto`. Default 5 s.
   */
  readonly idleCollectMs?: Duration;
  /** Persistent handles that may exist at a time. Default 65 536. */
  readonly persistentSlots?: number;
  /**
   * Capacity of the space for pinned and large objects, a multiple of 4 KiB. Besides `heap`; takes memory as it is used.
   * Default: a quarter of `heap`, between 4 and 256 MiB (a sixteenth above 1 GiB, where address space is short), and room for all
   * persistent handles.
   */
  readonly nonMoving?: Size;
  /**
   * Arrays of at least this size, header included, are allocated in the non-moving space while it has room: they are not copied at
   * every cycle. 4 KiB to 2 GiB. Default 128 KiB.
   */
  readonly largeObject?: Size;
  /** Room for reference maps of record types: 8 bytes for every 64 words up to the last reference. Default 1 MiB. */
  readonly typeMaps?: Size;
  /**
   * How a built page reaches mutators: `continue` builds it in the shadow and maps it (UFFDIO_CONTINUE), `copy` builds it in a buffer
   * and copies it (UFFDIO_COPY). Default `continue`.
   */
  readonly fill?: 'continue' | 'copy';
  /**
   * What becomes of from-space: `recycle` keeps its pages for the cycle after the next (twice the memory, the fastest), `release` gives
   * them back to the system behind the sweep. Default `recycle`; `copy` needs `release`.
   */
  readonly retention?: 'recycle' | 'release';
  /**
   * Fault servers, 1 to 15. Faults of several threads at once wait for each other where there are fewer servers than that. Default `auto`:
   * one CPU less than there are, at least 1 and at most 4.
   */
  readonly servers?: number | 'auto';
  /**
   * `mutator` keeps a fault server on the CPU of a mutator, whose CPU is free while it faults; `any` leaves it to the kernel. Default
   * `mutator`.
   */
  readonly placement?: 'mutator' | 'any';
  /** Which kind of userfaultfd to open. Default `auto`: the full kind when allowed, otherwise the user-mode-only one. */
  readonly userfaultfd?: 'auto' | 'full' | 'user-mode-only';
  /** Time after which a mutator that does not reach a safepoint is reported on standard error. Default 5 s. */
  readonly safepointWarnMs?: Duration;
  /**
   * Time after which a collection that waits for such a mutator is given up: the heap stays as it was, whoever asked for the
   * collection is told by ERR_TIMEOUT which thread it was, and the others run on. 0 is never. Default 30 s.
   */
  readonly safepointTimeoutMs?: Duration;
  /**
   * `phase` checks the whole heap at every phase boundary; `full` also checks every page before it is installed and every operation of a
   * mutator, and so finds stale references where they are used. Slow: `full` 10 to 100 times. Default `off`.
   */
  readonly verify?: 'off' | 'phase' | 'full';
  /**
   * Whether the collector and the mutators that it stops run under a real-time policy while a short pause lasts (SCHED_FIFO): other threads
   * of the machine then do not lengthen it. `auto` where the process may (CAP_SYS_NICE), `raise` or an error, `keep` never. Threads
   * under a scheduling policy of their own keep it; where the collector is one, nobody is raised. Only for the collector `concurrent`, and
   * not where `verify` makes pauses long. Default `auto`.
   */
  readonly pausePriority?: 'auto' | 'raise' | 'keep';
  /**
   * Pages that every thread touches and times when it leaves a flip pause, 0 to 64: the samples of `stats().faults.latencyUs`. They delay
   * the thread, so that only who measures should ask for them. Default 0.
   */
  readonly faultSamples?: number;
  /** `cycles` writes a line for each cycle to standard error, in Android's form (see formatCycle). Default `none`. */
  readonly log?: 'none' | 'cycles';
  /** For tests. */
  readonly stress?: StressOptions;
}

/** Options as a heap uses them: every one is there, sizes are in bytes and durations in milliseconds. */
export type ResolvedOptions = {
  readonly [Key in Exclude<keyof HeapOptions, 'servers' | 'collector'>]-?: Exclude<
    HeapOptions[Key],
    SizeText | DurationText | undefined
  >;
} & { readonly servers: number; readonly collector: CollectorName };

/** Options before it is known whether there is a userfaultfd. */
export type PlannedOptions = Omit<ResolvedOptions, 'collector'> & {
  readonly collector: CollectorName | 'auto';
};
