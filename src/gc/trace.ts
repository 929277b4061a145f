// The reading end of the trace rings (the writing one, and how both agree: heap/trace-ring.ts).

import { type CycleCause, CAUSES } from '../heap/causes.ts';
import { monotonicOffsetMs } from '../heap/clock.ts';
import { CTL_TRACES, MAX_THREADS, NAME_WORDS, PAGE_LOG2, T_NAME } from '../heap/layout.ts';
import { TRACE_RECORD_WORDS } from '../heap/trace-layout.ts';
import type { Tables } from '../heap/tables.ts';
import { readName } from '../heap/thread-name.ts';
import {
  type CycleOutcome,
  FAULT_OUTCOMES,
  type FaultOutcome,
  OUTCOMES,
  type PauseKind,
  PAUSES,
  type PauseStep,
  type PhaseName,
  PHASES,
  ringPlace,
  STALL_REASONS,
  type StallReason,
  STEPS,
  TRACE_ATTACHED,
  TRACE_COUNTERS,
  TRACE_CYCLE,
  TRACE_CYCLE_START,
  TRACE_DETACHED,
  TRACE_FAULT,
  TRACE_PAGES,
  TRACE_PAUSE,
  TRACE_PHASE,
  TRACE_SAMPLED_FAULT,
  TRACE_STALL,
  TRACE_STEP,
  TRACE_STOPPED,
} from '../heap/trace-ring.ts';

/** Who wrote an event. */
export interface TraceThread {
  readonly kind: 'collector' | 'server' | 'mutator';
  /** Of a mutator its `mutator.index`, which a later thread may get again; of a server from 1 on; of the collector 0. */
  readonly index: number;
  /** Empty where events were lost, and with them who it was. */
  readonly name: string;
}

/** Which space a page belongs to. */
export type TracedSpace = 'heap' | 'non-moving';

interface Timed {
  readonly thread: TraceThread;
  /** Microseconds, on `performance.now() * 1000` of the thread that reads. */
  readonly startUs: number;
  /** Microseconds; 0 of events that have no duration. */
  readonly durationUs: number;
}

/**
 * What happened. On the collector's thread a cycle consists of its phases, without a gap; a pause lies inside a phase (`remark`, `flip`), or
 * under the stop-the-world collector consists of phases (`stop` to `resume`); its steps add up to it. Events of one thread are nested or
 * apart, but for `counters`. Pages are counted from the heap's first page; those of the non-moving space have higher numbers.
 */
export type TraceEvent =
  /** The collector began a cycle. */
  | (Timed & { readonly type: 'cycle-start'; readonly cycle: number; readonly cause: CycleCause })
  /** It ended one. One that did not complete also spent time in a phase that is not in the trace. */
  | (Timed & {
      readonly type: 'cycle';
      readonly cycle: number;
      readonly cause: CycleCause;
      readonly outcome: CycleOutcome;
    })
  /** It ended a phase. */
  | (Timed & { readonly type: 'phase'; readonly cycle: number; readonly phase: PhaseName })
  /** It ended a pause: microseconds of the steps in their order, see PauseReport. */
  | (Timed & {
      readonly type: 'pause';
      readonly cycle: number;
      readonly pause: PauseKind;
      readonly stepsUs: Readonly<Partial<Record<PauseStep, number>>>;
    })
  /** It built pages in the sweep. Pages that a server built are `fault` events. */
  | (Timed & {
      readonly type: 'pages';
      readonly space: TracedSpace;
      readonly page: number;
      readonly pages: number;
    })
  /** At the beginning of a cycle (`prepare`) and at the end of each phase. */
  | (Timed & {
      readonly type: 'counters';
      readonly phase: PhaseName;
      /** Bytes of heap taken by blocks, and how many of them the last complete marking found alive. */
      readonly usedBytes: number;
      readonly liveBytes: number;
      /** Bytes of memory that the heap's two memory files hold. */
      readonly sharedBytes: number;
      /** Bytes of heap that the next cycle is to be over before. */
      readonly softLimitBytes: number;
      readonly nonMovingBytes: number;
    })
  /** A server served a fault; EEXISTs and EAGAINs that it met are counted. */
  | (Timed & {
      readonly type: 'fault';
      readonly space: TracedSpace;
      readonly page: number;
      readonly outcome: FaultOutcome;
      readonly eexist: number;
      readonly eagain: number;
    })
  /** A mutator was stopped: from reaching the safepoint to running again. */
  | (Timed & { readonly type: 'stopped'; readonly pause: PauseKind })
  /** An allocation of a mutator waited. */
  | (Timed & { readonly type: 'stall'; readonly reason: StallReason })
  /** A mutator touched a page that was not built yet, clock in hand: a sample of its faults, taken after a flip. */
  | (Timed & { readonly type: 'sampled-fault'; readonly space: TracedSpace; readonly page: number })
  /** A mutator thread came or went. */
  | (Timed & { readonly type: 'attached' | 'detached' });

/** A reader's place in one ring. */
interface Follower {
  readonly head: Int32Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly events: number;
  /** Events read or given up, modulo 2^32. */
  position: number;
  thread: TraceThread;
  /** Steps that wait for their pause: code and microseconds by turns. */
  steps: number[];
}

/**
 * Records what all threads of a heap do, from its creation to `close`. Read it often enough: a ring holds some 2 000 events of a mutator, and
 * 32 000 of the collector or a server; what was overwritten is counted in `lost`. There may be several recorders at a time, on any
 * threads of the heap; each gets every event.
 */
export class TraceRecorder {
  readonly #tables: Tables;
  readonly #followers: readonly Follower[];
  readonly #nonMovingPage: number;
  readonly #offsetUs = monotonicOffsetMs() * 1000;
  #lost = 0;
  #open = true;

  /** Use `heap.trace()`. */
  constructor(tables: Tables, workers: number) {
    const { geometry } = tables;
    this.#tables = tables;
    this.#nonMovingPage = (geometry.nonMoving - geometry.heap) >>> PAGE_LOG2;
    const rings = [
      ...tables.threads.keys(),
      ...Array.from({ length: workers }, (_, worker) => MAX_THREADS + worker),
    ];
    // In this order: a thread that attaches meanwhile has written its name, or writes an event that says it.
    Atomics.add(tables.control, CTL_TRACES, 1);
    this.#followers = rings.map((ring) => {
      const place = ringPlace(tables, ring);
      const position = Atomics.load(place.head, 0);
      return { ...place, position, thread: this.#threadOf(ring), steps: [] };
    });
  }

  /** Events lost so far, as far as `read` has found out, because they were overwritten before they were read. */
  get lost(): number {
    return this.#lost;
  }

  /**
   * Takes the events since the last call, sorted by their beginnings, and where these are equal the longer first. An event is there when it
   * has ended: one call's events may begin before those of the call before. Works after `close`, and after the heap is closed, for
   * what was recorded until then.
   */
  read(): TraceEvent[] {
    const events: TraceEvent[] = [];
    for (const [i, follower] of this.#followers.entries()) this.#follow(i, follower, events);
    return events.sort((a, b) => a.startUs - b.startUs || b.durationUs - a.durationUs);
  }

  /** Stops to record. Closing twice does nothing. A thread that ends without closing its recorder leaves recording on. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    Atomics.sub(this.#tables.control, CTL_TRACES, 1);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #threadOf(ring: number): TraceThread {
    if (ring < MAX_THREADS)
      return { kind: 'mutator', index: ring, name: readName(this.#tables.threads[ring]!, T_NAME) };
    const index = ring - MAX_THREADS;
    return index === 0
      ? { kind: 'collector', index, name: 'collector' }
      : { kind: 'server', index, name: `fault server ${index}` };
  }

  /**
   * Whose the oldest events are that were kept, from `position` on, where what was lost may have been the attaching of another thread: the
   * record's, unless somebody has attached since.
   */
  #threadBefore({ head, words, events }: Follower, ring: number, position: number): TraceThread {
    const thread = this.#threadOf(ring);
    const count = (Atomics.load(head, 0) - position) >>> 0;
    for (let i = 0; i < Math.min(count, events); i++) {
      const at = ((position + i) & (events - 1)) * TRACE_RECORD_WORDS;
      if ((words[at + 4]! & 0xff) === TRACE_ATTACHED) return { ...thread, name: '' };
    }
    return thread;
  }

  #follow(ring: number, follower: Follower, into: TraceEvent[]): void {
    const { head, words, events, position } = follower;
    const end = Atomics.load(head, 0);
    const count = (end - position) >>> 0;
    if (count === 0) return;
    // The oldest event of a full ring may be under the writer's hand.
    const kept = events - 1;
    const from = Math.max(0, count - kept);
    const copy = new Int32Array((count - from) * TRACE_RECORD_WORDS);
    for (let i = from; i < count; i++) {
      const at = ((position + i) & (events - 1)) * TRACE_RECORD_WORDS;
      copy.set(words.subarray(at, at + TRACE_RECORD_WORDS), (i - from) * TRACE_RECORD_WORDS);
    }
    // What was overwritten while it was being copied is no event.
    const written = (Atomics.load(head, 0) - position) >>> 0;
    const first = Math.min(Math.max(from, written - kept), count);
    follower.position = end;
    if (first > 0) {
      this.#lost += first;
      follower.steps = [];
      if (ring < MAX_THREADS) follower.thread = this.#threadBefore(follower, ring, end - count + first);
    }
    const times = new Float64Array(copy.buffer);
    for (let i = first; i < count; i++) this.#decode(follower, copy, times, i - from, into);
  }

  #decode(
    follower: Follower,
    words: Int32Array,
    times: Float64Array,
    index: number,
    into: TraceEvent[],
  ): void {
    const at = index * TRACE_RECORD_WORDS;
    const kind = words[at + 4]! & 0xff;
    const code = words[at + 4]! >>> 8;
    const [a, b, c] = [words[at + 5]!, words[at + 6]!, words[at + 7]!];
    const start = times[at / 2]!;
    const spanUs = times[at / 2 + 1]! - start;
    if (kind === TRACE_ATTACHED) {
      const name = new Int32Array(NAME_WORDS);
      name.set([words[at + 2]!, words[at + 3]!, a, b, c]);
      follower.thread = { ...follower.thread, name: readName(name, 0) };
    }
    const timed = { thread: follower.thread, startUs: start - this.#offsetUs, durationUs: spanUs };
    switch (kind) {
      case TRACE_CYCLE_START:
        into.push({ type: 'cycle-start', ...timed, cycle: a, cause: CAUSES[code]! });
        break;
      case TRACE_CYCLE:
        into.push({ type: 'cycle', ...timed, cycle: a, cause: CAUSES[b]!, outcome: OUTCOMES[code]! });
        break;
      case TRACE_PHASE:
        into.push({ type: 'phase', ...timed, cycle: a, phase: PHASES[code]! });
        break;
      case TRACE_STEP:
        follower.steps.push(code, spanUs);
        break;
      case TRACE_PAUSE: {
        const { steps } = follower;
        follower.steps = [];
        // Recording began, or events were lost, between its steps: half a pause is no pause.
        if (steps.length !== b * 2) {
          this.#lost++;
          break;
        }
        into.push({ type: 'pause', ...timed, cycle: a, pause: PAUSES[code]!, stepsUs: sumOfSteps(steps) });
        break;
      }
      case TRACE_STOPPED:
        into.push({ type: 'stopped', ...timed, pause: PAUSES[code]! });
        break;
      case TRACE_FAULT:
        into.push({
          type: 'fault',
          ...timed,
          space: this.#spaceOf(a),
          page: a,
          outcome: FAULT_OUTCOMES[code]!,
          eexist: b,
          eagain: c,
        });
        break;
      case TRACE_PAGES:
        into.push({ type: 'pages', ...timed, space: this.#spaceOf(a), page: a, pages: b });
        break;
      case TRACE_SAMPLED_FAULT:
        into.push({ type: 'sampled-fault', ...timed, space: this.#spaceOf(a), page: a });
        break;
      case TRACE_STALL:
        into.push({ type: 'stall', ...timed, reason: STALL_REASONS[code]! });
        break;
      case TRACE_COUNTERS:
        into.push({
          type: 'counters',
          ...timed,
          durationUs: 0,
          phase: PHASES[code]!,
          usedBytes: words[at + 2]!,
          liveBytes: words[at + 3]!,
          sharedBytes: a >>> 0,
          softLimitBytes: b,
          nonMovingBytes: c,
        });
        break;
      case TRACE_ATTACHED:
        into.push({ type: 'attached', ...timed, durationUs: 0 });
        break;
      case TRACE_DETACHED:
        into.push({ type: 'detached', ...timed });
        break;
    }
  }

  #spaceOf(page: number): TracedSpace {
    return page < this.#nonMovingPage ? 'heap' : 'non-moving';
  }
}

function sumOfSteps(steps: readonly number[]): Partial<Record<PauseStep, number>> {
  const stepsUs: Partial<Record<PauseStep, number>> = {};
  for (let i = 0; i < steps.length; i += 2) {
    const name = STEPS[steps[i]!]!;
    stepsUs[name] = (stepsUs[name] ?? 0) + steps[i + 1]!;
  }
  return stepsUs;
}
