// The clock of the pauses as the collector sees them: from asking the mutators to stop until they run again, step by step. Inside a pause a
// step costs a look at the clock; what is reported and traced of it is put together when the mutators run again.

import { CTL_CYCLE } from '../heap/layout.ts';
import {
  type PauseKind,
  PAUSES,
  type PauseStep,
  STEPS,
  TRACE_PAUSE,
  TRACE_STEP,
  type TraceRing,
} from '../heap/trace-ring.ts';

/**
 * A pause as the collector sees it. Its steps, in their order, add up to it:
 *
 * | step       | kinds       |                                                                                               |
 * | ---------- | ----------- | --------------------------------------------------------------------------------------------- |
 * | `stop`     | all         | from the request until the last mutator has stopped: the time to safepoint                      |
 * | `retire`   | remark      | allocation buffers are given up                                                                |
 * | `trace`    | remark      | roots and dirty cards, and what they lead to                                                   |
 * | `plan`     | flip        | buffers are given up, and the black pages planned                                               |
 * | `move`     | flip        | page tables move away (`mremap`)                                                                |
 * | `map`      | flip        | the other memory file comes under the heap (`mmap`)                                             |
 * | `register` | flip        | the heap window is armed (`UFFDIO_REGISTER`)                                                    |
 * | `hide`     | flip        | the same for the non-moving space; next to nothing where that is empty                         |
 * | `roots`    | flip        | shadow stacks are rewritten, and what waited for room is told                                  |
 * | `work`     | full        | everything: the phases of the cycle from `mark` to `compact`                                    |
 * | `verify`   | any         | checks of a heap that verifies                                                                 |
 * | `resume`   | all         | until the mutators that were stopped run again: it is waited for them a millisecond each at most |
 *
 * A pause that was given up because a thread did not stop has the step `stop` only.
 */
export interface PauseReport {
  readonly pause: PauseKind;
  /** When the mutators were asked to stop: milliseconds, on performance.now() of the thread that created the heap. */
  readonly startMs: number;
  readonly totalUs: number;
  /** Microseconds. */
  readonly stepsUs: Readonly<Partial<Record<PauseStep, number>>>;
}

const MAX_STEPS = 16;

export class PauseClock {
  readonly #trace: TraceRing;
  readonly #control: Int32Array;
  readonly #stepOf = new Uint8Array(MAX_STEPS);
  readonly #endsMs = new Float64Array(MAX_STEPS);
  #kind = 0;
  #steps = 0;
  #startMs = 0;
  #reports: PauseReport[] = [];

  constructor(trace: TraceRing, control: Int32Array) {
    this.#trace = trace;
    this.#control = control;
  }

  /** Mutators are about to be asked to stop for a pause of the kind PAUSE_…. */
  begin(kind: number): void {
    this.#kind = kind;
    this.#steps = 0;
    this.#startMs = performance.now();
  }

  /** Ends a step. */
  step(name: PauseStep, nowMs: number = performance.now()): void {
    this.#stepOf[this.#steps] = STEPS.indexOf(name);
    this.#endsMs[this.#steps++] = nowMs;
  }

  /** Ends a step that took `us` microseconds from the end of the one before. */
  stepAfter(name: PauseStep, us: number): void {
    this.step(name, this.lastMs + us / 1000);
  }

  /** Ends the last step, and with it the pause. */
  end(name: PauseStep): void {
    this.step(name);
    this.#writeTrace();
    const stepsUs: Partial<Record<PauseStep, number>> = {};
    let beganMs = this.#startMs;
    for (let i = 0; i < this.#steps; i++) {
      const step = STEPS[this.#stepOf[i]!]!;
      stepsUs[step] = (stepsUs[step] ?? 0) + (this.#endsMs[i]! - beganMs) * 1000;
      beganMs = this.#endsMs[i]!;
    }
    const pause = PAUSES[this.#kind]!;
    this.#reports.push({ pause, startMs: this.#startMs, totalUs: (beganMs - this.#startMs) * 1000, stepsUs });
  }

  /** When the last pause, or the one that is on, was asked for. */
  get startMs(): number {
    return this.#startMs;
  }

  /** When its last step so far ended. */
  get lastMs(): number {
    return this.#endsMs[this.#steps - 1]!;
  }

  /** The pauses since the last call. */
  take(): readonly PauseReport[] {
    const reports = this.#reports;
    this.#reports = [];
    return reports;
  }

  #writeTrace(): void {
    const cycle = this.#control[CTL_CYCLE]!;
    let beganMs = this.#startMs;
    for (let i = 0; i < this.#steps; i++) {
      this.#trace.span(TRACE_STEP, this.#stepOf[i]!, beganMs, this.#endsMs[i]!);
      beganMs = this.#endsMs[i]!;
    }
    this.#trace.span(TRACE_PAUSE, this.#kind, this.#startMs, beganMs, cycle, this.#steps);
  }
}
