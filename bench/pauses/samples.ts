// What the processes of `bench pauses` print, and the clock that their threads share.

import type { PauseReport } from 'tospace';
import type { LatencySummary } from '../workloads/latencies.ts';
import type { Interval } from '../cli/hiccups.ts';

/** One pause, as the mutator saw it. */
export interface Pause extends Interval {
  readonly kind: 'remark' | 'flip';
}

export interface PauseSamples {
  readonly pauses: readonly Pause[];
  /** Pauses that did not begin in a timed safepoint, but inside an allocation: counted, not timed. */
  readonly untimed: number;
  /** Faults that servers were told of while the cycles ran. */
  readonly faults: number;
  /** Bytes per second that the mutator allocated. */
  readonly allocationRate: number;
  /** Per cycle, by the collector's clock: microseconds of the two phases, of the steps of the flip, and the remark's dirty cards. */
  readonly collector: readonly CollectorSample[];
  /** The same pauses as the collector saw them. */
  readonly collectorPauses: readonly CollectorPause[];
  readonly hiccups: LatencySummary;
  /** The longer hiccups, with their times. */
  readonly hiccupLog: readonly Interval[];
}

export interface CollectorPause extends Pause {
  readonly stepsUs: PauseReport['stepsUs'];
}

export interface CollectorSample {
  readonly remarkUs: number;
  readonly flipUs: number;
  readonly moveUs: number;
  readonly mapUs: number;
  readonly registerUs: number;
  readonly nonMovingUs: number;
  readonly remarkCards: number;
}
