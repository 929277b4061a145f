// What the harness tells a process that measures one of our own forms, and what that writes: facts as JSON, and the log of operations.

import type { Configuration, Facts } from './schema.ts';

export interface ChildInput {
  /** With the heap's size resolved. */
  readonly configuration: Configuration;
  /** Where the raw log of operations goes, see bench/workloads/operations.ts. */
  readonly operationsFile: string;
  readonly factsFile: string;
  /** Milliseconds between samples of the timeline. */
  readonly sampleMs: number;
}

/** What the process itself knows: what is computed from the log of operations, the harness adds. */
export type ChildFacts = Omit<Facts, 'operations'>;
