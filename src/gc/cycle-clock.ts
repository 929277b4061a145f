// The clock of one cycle: which phase took how long. Where somebody traces, every phase, the counters at its end, and the cycle are events.

import { type CycleCause, CAUSES } from '../heap/causes.ts';
import {
  CTL_COMPACTED_BYTES,
  CTL_CURSOR,
  CTL_CYCLE,
  CTL_NON_MOVING_LIVE,
  CTL_NON_MOVING_SINCE,
  CTL_SOFT_LIMIT,
} from '../heap/layout.ts';
import {
  type CycleOutcome,
  OUTCOMES,
  type PhaseName,
  PHASES,
  TRACE_CYCLE,
  TRACE_CYCLE_START,
  TRACE_PHASE,
} from '../heap/trace-ring.ts';
import type { WorkerContext } from './context.ts';

export class CycleClock {
  readonly cause: CycleCause;
  /** When the cycle began, on this thread's performance.now(). */
  readonly startMs: number = performance.now();
  readonly phasesMs: Record<string, number> = {};
  readonly phasesCpuMs: Record<string, number> = {};
  readonly #context: WorkerContext;
  readonly #cycle: number;
  #sinceMs = this.startMs;
  #sinceCpuNs: number;

  constructor(context: WorkerContext, cause: CycleCause) {
    this.#context = context;
    this.#cycle = context.control[CTL_CYCLE]!;
    this.cause = cause;
    this.#sinceCpuNs = context.kernel.threadCpuNs();
    const { trace } = context;
    trace.span(TRACE_CYCLE_START, CAUSES.indexOf(cause), this.startMs, this.startMs, this.#cycle);
    this.#traceCounters('prepare');
  }

  /** Ends the phase `name`: now, or when a pause's own clock says so; CPU time is always that until now. */
  lap(name: PhaseName, nowMs: number = performance.now()): void {
    const cpuNs = this.#context.kernel.threadCpuNs();
    this.phasesMs[name] = Math.round((nowMs - this.#sinceMs) * 1000) / 1000;
    this.phasesCpuMs[name] = Math.round((cpuNs - this.#sinceCpuNs) / 1000) / 1000;
    this.#sinceCpuNs = cpuNs;
    this.#context.trace.span(TRACE_PHASE, PHASES.indexOf(name), this.#sinceMs, nowMs, this.#cycle);
    this.#sinceMs = nowMs;
    this.#traceCounters(name);
  }

  /** Milliseconds from the beginning of the cycle to the end of its last phase. */
  get durationMs(): number {
    return this.#sinceMs - this.startMs;
  }

  /** The cycle is over. One that completed ends with its last phase; any other now, in the middle of one. */
  end(outcome: CycleOutcome): void {
    const endMs = outcome === 'completed' ? this.#sinceMs : performance.now();
    const cause = CAUSES.indexOf(this.cause);
    const code = OUTCOMES.indexOf(outcome);
    this.#context.trace.span(TRACE_CYCLE, code, this.startMs, endMs, this.#cycle, cause);
  }

  #traceCounters(phase: PhaseName): void {
    const { trace, control, arena } = this.#context;
    if (!trace.on) return;
    const { heap } = arena.geometry;
    trace.counters(PHASES.indexOf(phase), this.#sinceMs, {
      used: control[CTL_CURSOR]! - heap,
      live: control[CTL_COMPACTED_BYTES]!,
      shared: arena.sharedBytes(),
      softLimit: control[CTL_SOFT_LIMIT]! - heap,
      nonMoving: control[CTL_NON_MOVING_LIVE]! + control[CTL_NON_MOVING_SINCE]!,
    });
  }
}
