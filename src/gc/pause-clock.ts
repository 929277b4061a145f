// The clock of the pauses as the collector sees them: from asking the mutators to stop until they run again, step by step. Inside a pause a
// step costs a look at the clock; what is reported and traced of it is put together when the mutators run again.

import { CTL_CYCLE } from '../heap/layout.ts';
import {
  type PauseKind,
  PAUSES,
  type PauseStep,
  STEP_HIDE,
  STEP_MOVE,
  STEPS,
  TRACE_PAUSE,
  TRACE_STEP,
  type TraceRing,
} from '../heap/trace-ring.ts';
import type { FlipTimes } from './flip.ts';

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
  /** Until they ran again: the sum of the steps. */
  readonly durationUs: number;
  readonly stepsUs: Readonly<Partial<Record<PauseStep, number>>>;
}

const MAX_STEPS = 16;

export class PauseClock {
  readonly #trace: TraceRing;
  readonly #control: Int32Array;
  readonly #stepOf = new Uint8Array(MAX_STEPS);
  readonly #endsMs = new Float64Array(MAX_STEPS);
  #flip: FlipTimes | undefined;
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
    this.#flip = undefined;
    this.#startMs = performance.now();
  }

  /** Ends a step (STEP_…). */
  step(step: number): void {
    this.#stepOf[this.#steps] = step;
    this.#endsMs[this.#steps++] = performance.now();
  }

  /** Ends the flip of the mappings: four steps, which are told apart when the pause is over. */
  flipped(times: FlipTimes): void {
    this.#flip = times;
    this.step(STEP_HIDE);
  }

  /** Ends the last step, and with it the pause. */
  end(step: number): void {
    this.step(step);
    this.#splitFlip();
    this.#writeTrace();
    const stepsUs: Partial<Record<PauseStep, number>> = {};
    let beganMs = this.#startMs;
    for (let i = 0; i < this.#steps; i++) {
      const step = STEPS[this.#stepOf[i]!]!;
      stepsUs[step] = (stepsUs[step] ?? 0) + (this.#endsMs[i]! - beganMs) * 1000;
      beganMs = this.#endsMs[i]!;
    }
    const pause = PAUSES[this.#kind]!;
    this.#reports.push({
      pause,
      startMs: this.#startMs,
      durationUs: (beganMs - this.#startMs) * 1000,
      stepsUs,
    });
  }

  /** Puts the first three steps of the flip before its last one. */
  #splitFlip(): void {
    const times = this.#flip;
    if (times === undefined) return;
    this.#flip = undefined;
    const at = this.#stepOf.indexOf(STEP_HIDE);
    this.#stepOf.copyWithin(at + 3, at, this.#steps);
    this.#endsMs.copyWithin(at + 3, at, this.#steps);
    this.#steps += 3;
    let endMs = this.#endsMs[at - 1]!;
    for (const [i, us] of [times.moveUs, times.mapUs, times.registerUs].entries()) {
      endMs += us / 1000;
      this.#stepOf[at + i] = STEP_MOVE + i;
      this.#endsMs[at + i] = endMs;
    }
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
