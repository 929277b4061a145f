// The public entry of tospace.

export { TospaceError, type ErrorCode } from './errors.ts';
export type { CycleReport } from './gc/cycle.ts';
export { formatCycle } from './gc/cycle-log.ts';
export type { CycleStart } from './gc/events.ts';
export { Heap } from './gc/heap.ts';
export { type AttachOptions, attachHeap, HeapAccess } from './gc/heap-access.ts';
export type { SharedHeap } from './gc/shared-heap.ts';
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
  HeapGraph,
  type HeapObject,
  type HeapReference,
  type HeapRoots,
  type RootPath,
  type TypeUsage,
} from './gc/inspect/graph.ts';
export type { SnapshotOptions } from './gc/inspect/index.ts';
export {
  type CollectorName,
  DEFAULT_OPTIONS,
  type DelayPoint,
  type HeapOptions,
  type ResolvedOptions,
  type StressOptions,
} from './gc/options.ts';
export type { PauseReport } from './gc/pause-clock.ts';
export { GUEST_ABI_VERSION, GUEST_MODULE, type GuestAbi, type GuestImports } from './heap/guest.ts';
export type { TracedSpace, TraceEvent, TraceRecorder, TraceThread } from './gc/trace.ts';
export type { CycleCause } from './heap/causes.ts';
export { formatOptions, HEAP_OPTIONS, type OptionDescription, parseOptions } from './gc/options/text.ts';
export type { Duration, DurationText, Size, SizeText } from './gc/options/values.ts';
export type { HeapMode } from './gc/mode.ts';
export type { ReferenceCounts } from './gc/references.ts';
export type { CurrentPhase, HeapStatistics } from './gc/statistics.ts';
export type { Summary } from './heap/histogram.ts';
export { InternTable, type InternTableTypes } from './heap/intern-table.ts';
export { Mutator } from './heap/mutator.ts';
export { Persistent, type SharedHandle } from './heap/persistent.ts';
export { type Local, NULL, type Offset, type Ref } from './heap/ref.ts';
export type { Synchronous } from './heap/synchronous.ts';
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
  RecordDescriptor,
  RecordType,
  RefArrayType,
  Shape,
  WeakRecordType,
} from './heap/types.ts';

export { HeapWeakMap, type WeakMapTypes } from './heap/weak-map.ts';

import { Heap } from './gc/heap.ts';
import type { HeapOptions } from './gc/options.ts';

/** Creates a heap. See {@link Heap.create}. */
export function createHeap(options: HeapOptions = {}): Promise<Heap> {
  return Heap.create(options);
}
