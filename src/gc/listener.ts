// Who is told of cycles, on the thread that created the heap: the heap's listener first, then its EventEmitter, then the channels of
// diagnostics_channel. All of them hear of a pause when its cycle is over: nobody can be called while pauses are as short as these, and the
// event loop may stand still in a mutator. The times in the reports are exact all the same.
//
// What one of them throws is an uncaught exception of this thread, as diagnostics_channel treats its subscribers: it keeps nobody else from
// being told, and heap.close(), which tells what has come until then, from closing.

import { channel } from 'node:diagnostics_channel';
import { decodeError } from '../errors.ts';
import { monotonicOffsetMs } from '../heap/clock.ts';
import type { PhaseName } from '../heap/trace-ring.ts';
import type { CycleReport } from './cycle.ts';
import type { CycleStart, HeapEvent } from './events.ts';
import type { PauseReport } from './pause-clock.ts';
import type { Heap } from './heap.ts';
import type { HeapEvents } from './heap-access.ts';

/**
 * For a runtime that keeps statistics of its own: plain methods, called on the thread that created the heap, from its event loop. Nothing is
 * allocated for a method that is not there.
 */
export interface HeapListener {
  /** A cycle has begun. */
  cycleStarted?(start: CycleStart): void;
  /** For each phase of a cycle that completed, in their order. @param startMs on this thread's performance.now() */
  phase?(name: PhaseName, startMs: number, durationMs: number): void;
  /** For each pause of a cycle that completed, in their order, after its phases. */
  pause?(pause: PauseReport, report: CycleReport): void;
  /** A cycle has completed. */
  cycleEnded?(report: CycleReport): void;
  /** A cycle was given up before it moved anything. */
  cycleAbandoned?(error: Error): void;
}

/** Message of the channel `tospace:cycle:start`. */
export interface CycleStartMessage {
  readonly heap: Heap;
  readonly start: CycleStart;
}
/** Message of the channel `tospace:pause`: one for each pause of a cycle that completed, before `tospace:cycle:end`. */
export interface PauseMessage {
  readonly heap: Heap;
  readonly pause: PauseReport;
  readonly report: CycleReport;
}
/** Message of the channel `tospace:cycle:end`. */
export interface CycleEndMessage {
  readonly heap: Heap;
  readonly report: CycleReport;
}
/** Message of the channel `tospace:cycle:abandoned`. */
export interface CycleAbandonedMessage {
  readonly heap: Heap;
  readonly error: Error;
}

export const PAUSE_CHANNEL = 'tospace:pause';
const startChannel = channel('tospace:cycle:start');
const pauseChannel = channel(PAUSE_CHANNEL);
const endChannel = channel('tospace:cycle:end');
const abandonedChannel = channel('tospace:cycle:abandoned');

/** Tells everybody what the collector has sent. */
export function announce(heap: Heap, event: HeapEvent): void {
  switch (event.type) {
    case 'start':
      announceStart(heap, event.start, event.offsetMs);
      break;
    case 'cycle':
      announceEnd(heap, event.report, event.offsetMs);
      break;
    case 'abandoned': {
      const error = decodeError(event.error) as Error;
      const { listener } = heap;
      if (listener?.cycleAbandoned !== undefined) tell(() => listener.cycleAbandoned!(error));
      emitToEach(heap, 'abandoned', error);
      if (abandonedChannel.hasSubscribers) abandonedChannel.publish({ heap, error });
    }
  }
}

function tell(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** As `heap.emit`, which ends with the first listener that throws. */
function emitToEach<Event extends keyof HeapEvents>(
  heap: Heap,
  event: Event,
  message: HeapEvents[Event][0],
): void {
  if (heap.listenerCount(event) === 0) return;
  for (const listener of heap.rawListeners(event) as ((message: unknown) => void)[])
    tell(() => listener.call(heap, message));
}

function announceStart(heap: Heap, start: CycleStart, offsetMs: number): void {
  shift(start, offsetMs);
  const { listener } = heap;
  if (listener?.cycleStarted !== undefined) tell(() => listener.cycleStarted!(start));
  emitToEach(heap, 'start', start);
  if (startChannel.hasSubscribers) startChannel.publish({ heap, start });
}

function announceEnd(heap: Heap, report: CycleReport, offsetMs: number): void {
  shift(report, offsetMs);
  for (const pause of report.pauses) shift(pause, offsetMs);
  const { listener } = heap;
  if (listener?.phase !== undefined) {
    let endMs = report.startMs;
    for (const name in report.phasesMs) {
      const startMs = endMs;
      const durationMs = report.phasesMs[name as PhaseName]!;
      endMs += durationMs;
      tell(() => listener.phase?.(name as PhaseName, startMs, durationMs));
    }
  }
  if (listener?.pause !== undefined)
    for (const pause of report.pauses) tell(() => listener.pause?.(pause, report));
  if (listener?.cycleEnded !== undefined) tell(() => listener.cycleEnded!(report));
  if (pauseChannel.hasSubscribers) {
    for (const pause of report.pauses) pauseChannel.publish({ heap, pause, report });
  }
  emitToEach(heap, 'cycle', report);
  if (endChannel.hasSubscribers) endChannel.publish({ heap, report });
}

/** Moves a time from the collector's performance.now() to this thread's. In place: the message is ours. */
function shift(timed: { readonly startMs: number }, offsetMs: number): void {
  (timed as { startMs: number }).startMs += offsetMs - monotonicOffsetMs();
}
