// What happened on a heap, event by event, as the harness uses it. The only file that knows how a heap is traced.

import type { Heap } from 'tospace';

/** An event; a moment has no duration. */
export interface RecordedEvent {
  readonly thread: string;
  readonly kind: string;
  /** On the clock of `monotonicMs`. */
  readonly startMs: number;
  readonly durationUs: number;
  readonly details: Readonly<Record<string, number | string>>;
}

export interface RecordedThread {
  readonly id: string;
  readonly name: string;
  /** `mutator`, `collector`, `server`. */
  readonly role: string;
}

export interface Recording {
  readonly threads: readonly RecordedThread[];
  readonly events: readonly RecordedEvent[];
  /** Events that were overwritten before they were read: figures that need all of them are not known then. */
  readonly lost: number;
}

export interface Recorder {
  /** Takes what has happened since the last time: often enough that nothing is overwritten. */
  drain(): void;
  /** Ends it. */
  finish(): Recording;
}

/** Begins to record; undefined where this build of the heap cannot be traced. */
export function startRecorder(heap: Heap): Recorder | undefined {
  void heap;
  return undefined;
}
