// What happened on a heap, event by event, as the harness uses it. The only file that knows how a heap is traced.

import type { Heap } from 'tospace';
import { monotonicMs } from '../workloads/clock.ts';

/** An event; a moment has no duration. Kinds: recorded-facts.ts. */
export interface RecordedEvent {
  /** Id of a thread. */
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
  /** Events that came after there were as many as were wanted. */
  readonly omitted?: number;
}

export interface Recorder {
  /** Takes what has happened since the last time: often enough that nothing is overwritten. */
  drain(): void;
  /** Ends it. */
  finish(): Recording;
}

/** What `heap.trace()` gives, as far as it is used here. */
interface TraceSource {
  readonly lost: number;
  read(): TraceEvent[];
  close(): void;
}

export interface TraceEvent {
  readonly type: string;
  readonly thread: { readonly kind: string; readonly index: number; readonly name: string };
  /** On `performance.now() * 1000` of the thread that reads. */
  readonly startUs: number;
  readonly durationUs: number;
  readonly [detail: string]: unknown;
}

/** Begins to record, `most` events at most; undefined where this build of the heap cannot be traced. */
export function startRecorder(heap: Heap, most: number = Number.POSITIVE_INFINITY): Recorder | undefined {
  const { trace } = heap as unknown as { trace?: () => TraceSource };
  if (trace === undefined) return undefined;
  const source = trace.call(heap);
  const toMonotonic = monotonicMs() - performance.now();
  const read: TraceEvent[] = [];
  let omitted = 0;
  const drain = (): void => {
    for (const event of source.read())
      if (read.length < most) read.push(event);
      else omitted++;
  };
  return {
    drain,
    finish() {
      drain();
      source.close();
      return { ...convert(read, toMonotonic), lost: source.lost, omitted };
    },
  };
}

/** Steps of a pause whose names here are other ones. */
const STEP_NAMES: Readonly<Record<string, string>> = { stop: 'safepoint', trace: 'remark' };

/** From a heap's trace to events of the harness. @param toMonotonic milliseconds from the reader's clock to that of all. */
export function convert(trace: readonly TraceEvent[], toMonotonic: number): Omit<Recording, 'lost'> {
  const threads = new Map<string, RecordedThread>();
  const events: RecordedEvent[] = [];
  for (const event of trace) {
    const { type, thread, startUs, durationUs, ...rest } = event;
    const id = `${thread.kind} ${thread.index}`;
    threads.set(id, { id, name: thread.name, role: thread.kind });
    const startMs = startUs / 1000 + toMonotonic;
    const add = (kind: string, us = durationUs, at = startMs): void => {
      events.push({ thread: id, kind, startMs: at, durationUs: us, details: details(rest) });
    };
    if (type === 'stopped') add(`stopped:${String(rest.pause)}`);
    else if (type === 'stall') add(`stall:${String(rest.reason)}`);
    else if (type === 'phase') add(`phase:${String(rest.phase)}`);
    else if (type === 'pause') {
      add(`pause:${String(rest.pause)}`);
      // Steps come one after the other and add up to their pause.
      let at = startMs;
      for (const [step, us] of Object.entries(rest.stepsUs as Record<string, number>)) {
        add(`step:${String(rest.pause)}:${STEP_NAMES[step] ?? step}`, us, at);
        at += us / 1000;
      }
    } else add(type);
  }
  return { threads: [...threads.values()], events };
}

function details(rest: Readonly<Record<string, unknown>>): RecordedEvent['details'] {
  return Object.fromEntries(
    Object.entries(rest).filter(([, value]) => typeof value === 'number' || typeof value === 'string'),
  ) as RecordedEvent['details'];
}
