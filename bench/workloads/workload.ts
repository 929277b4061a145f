// What a workload is: a function that uses a heap as an application would, and returns a checksum of everything it read. The same seed
// and scale give the same checksum under every collector and on every heap: a collector that loses or damages an object is found out.

import type { HeapAccess, Mutator } from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import type { Operations } from './operations.ts';

/** The load of a workload that runs by the clock. */
export interface Load {
  readonly seconds: number;
  /** Bytes per second. */
  readonly rate: number;
  readonly liveBytes: number;
}

export const DEFAULT_LOAD: Load = Object.freeze({ seconds: 60, rate: 200e6, liveBytes: 256 * 2 ** 20 });

export interface WorkloadContext {
  readonly heap: HeapAccess;
  /** Running: the workload is called inside `mutator.run`. */
  readonly mutator: Mutator;
  /** Seeds the pseudo-random generator of workloads that have one. */
  readonly seed: number;
  /** Amount of work, 1 is the default size. The live data does not grow beyond scale 1: any scale runs on any heap from 64 MiB. */
  readonly scale: number;
  /** How much `hyperalloc` keeps alive, in bytes of the managed heap; without it the scale says. */
  readonly liveBytes?: number;
  /** Threads that run the workload on this heap, each with a mutator of its own; 1 unless it is `threaded`. */
  readonly threads: number;
  /** Which of them this is, from 0. */
  readonly thread: number;
  /** Told of the beginning and the end of every operation. */
  readonly operations: Operations;
  /** For workloads that run by the clock. */
  readonly load: Load;
  /**
   * Asks for a cycle and does not wait for it; nothing when one is under way. Undefined where nobody can be asked: cycles then come by
   * themselves. No safepoint.
   */
  collect?(): void;
  /** Adds a figure of the workload's own to the report. */
  detail(name: string, value: unknown): void;
  /** Tells how much of the work is done, 0 to 1. Cheap, but not meant for the innermost loop. */
  progress(done: number): void;
}

/** The checksum of a workload: its only thread's, or, where it is threaded, one over all threads' in their order. */
export function combine(workload: { readonly threaded?: boolean }, checksums: readonly number[]): number {
  return workload.threaded === true ? checksums.reduce(addWord, CHECKSUM_START) >>> 0 : checksums[0];
}

export interface Workload {
  readonly name: string;
  /** One line for the help text. */
  readonly summary: string;
  /** Runs by the clock, takes `--seconds`, `--rate` and `--live`, and is measured with a hiccup meter beside it. */
  readonly hiccups?: boolean;
  /** Runs in any number of threads at once: `run` is called in each, and `combine` makes one checksum of theirs. */
  readonly threaded?: boolean;
  /** Calls `collect` of its context: somebody must be there who answers. */
  readonly asksForCycles?: boolean;
  /** Runs it and returns its checksum, an unsigned 32-bit integer. */
  run(context: WorkloadContext): number;
}
