// Trace rings: what happens in the heap, as small binary events in shared memory.
//
// Every thread that has something to tell writes to a ring of its own, and nobody else does: no event takes a shared counter, allocates, or
// waits. Any number of readers follow, each with a position of its own, and none of them writes. A ring that is full goes on at its
// beginning; a reader that fell behind finds out how many events it has missed (gc/trace.ts).
//
// While nobody traces (CTL_TRACES is 0) nothing is written, so that the rings take no memory, and looking costs one plain load, on slow
// paths only.
//
// An event, in 32-bit words:
//
//   0–1 start   2–3 end: float64, microseconds of the system's monotonic clock   4 kind | code << 8   5, 6, 7 arguments
//
// Events are written when they end, so that a span and what lies inside it come in the order of their ends. An event that is counted in the
// ring's head is complete. The one behind it may be half written: it overwrites the oldest, which a reader must not use then.

import { monotonicOffsetMs } from './clock.ts';
import {
  CTL_TRACES,
  MAX_THREADS,
  NAME_WORDS,
  TRACE_HEAD_BYTES,
  TRACE_HEADS_BYTES,
  TRACE_RECORD_WORDS,
  TRACE_THREAD_EVENTS,
  TRACE_WORKER_EVENTS,
} from './layout.ts';
import type { Tables } from './tables.ts';

// Kinds of events, with their codes and arguments. Numbers in traces mean the lists below by their index.
/** Code: cause. Arguments: cycle. */
export const TRACE_CYCLE_START = 1;
/** Code: outcome. Arguments: cycle, cause. */
export const TRACE_CYCLE = 2;
/** Code: phase. Arguments: cycle. */
export const TRACE_PHASE = 3;
/** Code: step. Precedes the TRACE_PAUSE that it belongs to. */
export const TRACE_STEP = 4;
/** A pause as the collector sees it. Code: PAUSE_…. Arguments: cycle, number of steps. */
export const TRACE_PAUSE = 5;
/** A pause as a mutator sees it. Code: PAUSE_…. */
export const TRACE_STOPPED = 6;
/** A fault served. Code: outcome. Arguments: page, EEXISTs, EAGAINs. */
export const TRACE_FAULT = 7;
/** Pages built by the sweep. Arguments: first page, pages. */
export const TRACE_PAGES = 8;
/** A fault that the mutator timed itself. Arguments: page. */
export const TRACE_SAMPLED_FAULT = 9;
/** Code: reason. */
export const TRACE_STALL = 10;
/** Code: phase. In place of the end and the arguments: bytes used, live, shared, soft limit, non-moving. */
export const TRACE_COUNTERS = 11;
/** In place of the end and the arguments: the thread's name. */
export const TRACE_ATTACHED = 12;
export const TRACE_DETACHED = 13;

/** Phases in which a cycle spends its time, in the order in which they may come. */
export type PhaseName =
  | 'prepare'
  | 'stop'
  | 'mark'
  | 'remark'
  | 'references'
  | 'plan'
  | 'flip'
  | 'compact'
  | 'resume'
  | 'close';
export const PHASES: readonly PhaseName[] = [
  'prepare',
  'stop',
  'mark',
  'remark',
  'references',
  'plan',
  'flip',
  'compact',
  'resume',
  'close',
];

/** Steps of a pause, in the order in which they may come. */
export type PauseStep =
  | 'stop'
  | 'retire'
  | 'trace'
  | 'plan'
  | 'move'
  | 'map'
  | 'register'
  | 'hide'
  | 'roots'
  | 'work'
  | 'verify'
  | 'resume';
export const STEPS: readonly PauseStep[] = [
  'stop',
  'retire',
  'trace',
  'plan',
  'move',
  'map',
  'register',
  'hide',
  'roots',
  'work',
  'verify',
  'resume',
];

// Indexes in STEPS, for the pauses themselves.
export const STEP_STOP = 0;
export const STEP_RETIRE = 1;
export const STEP_TRACE = 2;
export const STEP_PLAN = 3;
export const STEP_MOVE = 4;
export const STEP_MAP = 5;
export const STEP_REGISTER = 6;
export const STEP_HIDE = 7;
export const STEP_ROOTS = 8;
export const STEP_WORK = 9;
export const STEP_VERIFY = 10;
export const STEP_RESUME = 11;

/** Kinds of pause: PAUSE_… is the index. */
export type PauseKind = 'remark' | 'flip' | 'full' | 'verify';
export const PAUSES: readonly (PauseKind | undefined)[] = [undefined, 'remark', 'flip', 'full', 'verify'];

/** `completed`: it has compacted the heap. `abandoned`: it moved nothing. `cancelled`: the heap was closed under it. */
export type CycleOutcome = 'completed' | 'abandoned' | 'cancelled';
export const OUTCOMES: readonly CycleOutcome[] = ['completed', 'abandoned', 'cancelled'];

/** `built` by the server; `shared`: another worker was building the page; `late`: it was there already. */
export type FaultOutcome = 'built' | 'shared' | 'late';
export const FAULT_OUTCOMES: readonly FaultOutcome[] = ['built', 'shared', 'late'];

/** `room`: for a collection to make room. `pace`: because the collector asked everybody who allocates to wait a little. */
export type StallReason = 'room' | 'pace';
export const STALL_REASONS: readonly StallReason[] = ['room', 'pace'];

/** What counters are traced, in bytes. */
export interface TracedBytes {
  readonly used: number;
  readonly live: number;
  readonly shared: number;
  readonly softLimit: number;
  readonly nonMoving: number;
}

/** Where a ring lies. Threads' rings come first, then workers'. */
export function ringPlace(
  tables: Tables,
  ring: number,
): {
  readonly head: Int32Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly events: number;
} {
  const { traces } = tables.geometry;
  const recordBytes = TRACE_RECORD_WORDS * 4;
  const isThread = ring < MAX_THREADS;
  const events = isThread ? TRACE_THREAD_EVENTS : TRACE_WORKER_EVENTS;
  const before = isThread
    ? ring * TRACE_THREAD_EVENTS
    : MAX_THREADS * TRACE_THREAD_EVENTS + (ring - MAX_THREADS) * TRACE_WORKER_EVENTS;
  return {
    head: tables.words(traces + ring * TRACE_HEAD_BYTES, 1),
    words: tables.words(traces + TRACE_HEADS_BYTES + before * recordBytes, events * TRACE_RECORD_WORDS),
    events,
  };
}

/** The writing end of a ring. All times are of the writing thread's performance.now(). */
export class TraceRing {
  readonly #control: Int32Array<SharedArrayBuffer>;
  /** Events ever written, modulo 2^32. */
  readonly #head: Int32Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #times: Float64Array<SharedArrayBuffer>;
  readonly #mask: number;
  readonly #offsetMs = monotonicOffsetMs();

  /** @param ring index of the thread's record, or MAX_THREADS + index of the worker. */
  constructor(tables: Tables, ring: number) {
    const { head, words, events } = ringPlace(tables, ring);
    this.#control = tables.control;
    this.#head = head;
    this.#words = words;
    this.#times = new Float64Array(words.buffer, words.byteOffset, words.length / 2);
    this.#mask = events - 1;
  }

  /** True while somebody traces: for those who would otherwise not look at the clock. */
  get on(): boolean {
    return this.#control[CTL_TRACES] !== 0;
  }

  /** Writes an event, if somebody traces. */
  span(kind: number, code: number, startMs: number, endMs: number, a = 0, b = 0, c = 0): void {
    if (!this.on) return;
    const at = this.#begin(kind, code, startMs);
    this.#times[(at >> 1) + 1] = (endMs + this.#offsetMs) * 1000;
    this.#words[at + 5] = a;
    this.#words[at + 6] = b;
    this.#words[at + 7] = c;
    this.#end();
  }

  /** Writes the counters at the end of a phase (index in PHASES), if somebody traces. */
  counters(phase: number, atMs: number, bytes: TracedBytes): void {
    if (!this.on) return;
    const at = this.#begin(TRACE_COUNTERS, phase, atMs);
    this.#words[at + 2] = bytes.used;
    this.#words[at + 3] = bytes.live;
    this.#words[at + 5] = bytes.shared;
    this.#words[at + 6] = bytes.softLimit;
    this.#words[at + 7] = bytes.nonMoving;
    this.#end();
  }

  /** Writes that the thread has attached, with its name from the words of its record, if somebody traces. */
  attached(record: Int32Array, nameAt: number): void {
    if (!this.on) return;
    const at = this.#begin(TRACE_ATTACHED, 0, performance.now());
    for (let i = 0; i < NAME_WORDS; i++) this.#words[at + (i < 2 ? 2 + i : 3 + i)] = record[nameAt + i]!;
    this.#end();
  }

  /** Index of the first word of the next event, with its beginning filled in. */
  #begin(kind: number, code: number, startMs: number): number {
    const at = (this.#head[0]! & this.#mask) * TRACE_RECORD_WORDS;
    this.#times[at >> 1] = (startMs + this.#offsetMs) * 1000;
    this.#words[at + 4] = kind | (code << 8);
    return at;
  }

  #end(): void {
    Atomics.store(this.#head, 0, (this.#head[0]! + 1) | 0);
  }
}
