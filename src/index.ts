// The public entry of tospace.

export { TospaceError, type ErrorCode } from './errors.ts';
export type { CycleReport } from './gc/cycle.ts';
export type { FlipTimes } from './gc/flip.ts';
export type { SizingReport } from './gc/governor.ts';
export { formatCycle } from './gc/cycle-log.ts';
export type { CycleStart } from './gc/events.ts';
export { createHeap, type Heap } from './gc/heap.ts';
export {
  type AttachOptions,
  attachHeap,
  type HeapAccess,
  type HeapEvents,
} from './gc/heap-access.ts';
export type { SharedHeap } from './gc/shared-heap.ts';
export {
  type HeapEntryDetail,
  type HeapEntryList,
  HeapObserver,
  type HeapPerformanceEntry,
} from './gc/heap-observer.ts';
export type {
  CycleAbandonedMessage,
  CycleEndMessage,
  CycleStartMessage,
  HeapListener,
  PauseMessage,
} from './gc/listener.ts';
export type {
  HeapGraph,
  HeapObject,
  HeapReference,
  HeapRoots,
  RootPath,
  TypeUsage,
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
export type { RunBody, ScopeBody } from './heap/bodies.ts';
export type { ReferenceCounts } from './gc/references.ts';
export type { CurrentPhase, HeapStatistics } from './gc/statistics.ts';
export type { Summary } from './heap/histogram.ts';
export { InternTable, type InternTableTypes } from './heap/intern-table.ts';
export type { CollectOptions } from './heap/cycle-requests.ts';
export type { Mutator } from './heap/mutator.ts';
export type { Persistent, SharedHandle } from './heap/persistent.ts';
export { type Local, NULL, type Offset, type Ref } from './heap/ref.ts';
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
