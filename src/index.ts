// The public entry of tospace.

export { TospaceError, type ErrorCode } from './errors.ts';
export type { CycleReport } from './gc/cycle.ts';
export { formatCycle } from './gc/cycle-log.ts';
export type { CycleStart } from './gc/events.ts';
export { type AttachOptions, attachHeap, Heap, HeapAccess, type SharedHeap } from './gc/heap.ts';
export {
  type HeapEntryDetail,
  type HeapEntryList,
  HeapObserver,
  HeapPerformanceEntry,
} from './gc/heap-observer.ts';
export type {
  CycleAbandonedMessage,
  CycleEndMessage,
  CycleStartMessage,
  HeapListener,
  PauseMessage,
} from './gc/listener.ts';
export {
  type CollectorName,
  DEFAULT_OPTIONS,
  type DelayPoint,
  type HeapOptions,
  type ResolvedOptions,
  type StressOptions,
} from './gc/options.ts';
export type { PauseReport } from './gc/pause-clock.ts';
export type { ReferenceCounts } from './gc/references.ts';
export type { HeapStatistics } from './gc/statistics.ts';
export type { TracedSpace, TraceEvent, TraceRecorder, TraceThread } from './gc/trace.ts';
export type { CycleCause } from './heap/causes.ts';
export type { Summary } from './heap/histogram.ts';
export { InternTable, type InternTableTypes } from './heap/intern-table.ts';
export { Mutator } from './heap/mutator.ts';
export { Persistent, type SharedHandle } from './heap/persistent.ts';
export { type Local, NULL, type Ref } from './heap/ref.ts';
export type {
  CycleOutcome,
  FaultOutcome,
  PauseKind,
  PauseStep,
  PhaseName,
  StallReason,
} from './heap/trace-ring.ts';
export type {
  ArrayType,
  ElementKind,
  EphemeronType,
  FieldKind,
  HeapType,
  RawArrayType,
  RecordType,
  RefArrayType,
  WeakRecordType,
} from './heap/types.ts';

export { HeapWeakMap, type WeakMapTypes } from './heap/weak-map.ts';

import { Heap } from './gc/heap.ts';
import type { HeapOptions } from './gc/options.ts';

/** Creates a heap. See {@link Heap.create}. */
export function createHeap(options: HeapOptions = {}): Promise<Heap> {
  return Heap.create(options);
}
