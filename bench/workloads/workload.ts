// What a workload is: a function that uses a heap as an application would, and returns a checksum of everything it read. The same seed
// and scale give the same checksum under every collector and on every heap: a collector that loses or damages an object is found out.

import type { HeapAccess, Mutator } from 'tospace';

export interface WorkloadContext {
  readonly heap: HeapAccess;
  /** Running: the workload is called inside `mutator.run`. */
  readonly mutator: Mutator;
  /** Seeds the pseudo-random generator of workloads that have one. */
  readonly seed: number;
  /** Amount of work, 1 is the default size. The live data does not grow beyond scale 1: any scale runs on any heap from 64 MiB. */
  readonly scale: number;
  /** Tells how much of the work is done, 0 to 1. Cheap, but not meant for the innermost loop. */
  progress(done: number): void;
}

export interface Workload {
  readonly name: string;
  /** One line for the help text. */
  readonly summary: string;
  /** Runs it and returns its checksum, an unsigned 32-bit integer. */
  run(context: WorkloadContext): number;
}
