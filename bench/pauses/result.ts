// What the processes of one configuration add up to.

import type { Interval } from '../cli/hiccups.ts';
import { median, quantile } from '../floor/spread.ts';
import type { Configuration } from './configurations.ts';
import type { CollectorPause, CollectorSample, Pause, PauseSamples } from './samples.ts';

/** A pause above this is long: none should be, but where the machine was elsewhere. */
export const LONG_US = 1000;

/** Microseconds. Zeroes of nothing. */
export interface Distribution {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ConfigurationResult extends Configuration {
  readonly cycles: number;
  /** As the working thread saw them: from the call of its safepoint to its return. */
  readonly remarkUs: Distribution;
  readonly flipUs: Distribution;
  /** Pauses that the thread did not see, because it was in a safe region (paced), and those inside an allocation, which are not timed. */
  readonly unseen: number;
  readonly untimed: number;
  readonly hiccupsUs: {
    /** Median over the processes. */
    readonly p99: number;
    readonly max: number;
  };
  readonly long: {
    /** Pauses above 1 ms. */
    readonly count: number;
    /** Those during which, or next to which, the hiccup meter was late by half the pause or more. */
    readonly withHiccup: number;
  };
  /** The three longest, the longest first, above 1 ms or not. */
  readonly longest: readonly LongPause[];
  /** Per cycle, in the mean. */
  readonly faultsPerCycle: number;
  readonly allocationBytesPerSecond: number;
  /** By the collector's clock, medians over the cycles. */
  readonly collector: CollectorSample;
}

/** A pause as the thread saw it, and what it was made of. */
export interface LongPause {
  readonly kind: Pause['kind'];
  readonly us: number;
  /** What the collector did meanwhile, in microseconds by step; null where no pause of its own is near. */
  readonly stepsUs: CollectorPause['stepsUs'] | null;
  /** By how much the sleeping thread was late then; 0: it was not. */
  readonly hiccupUs: number;
}

const LONGEST = 3;

export function distribution(us: readonly number[]): Distribution {
  if (us.length === 0) return { count: 0, p50: 0, p99: 0, max: 0 };
  return {
    count: us.length,
    p50: tenth(median(us)),
    p99: tenth(quantile(us, 0.99)),
    max: tenth(us.reduce((most, one) => Math.max(most, one), 0)),
  };
}

export function summarise(configuration: Configuration, runs: readonly PauseSamples[]): ConfigurationResult {
  const pauses = runs.flatMap((run) => run.pauses);
  const cycles = runs.flatMap((run) => run.collector);
  const untimed = runs.reduce((sum, run) => sum + run.untimed, 0);
  const of = (kind: Pause['kind']): Distribution =>
    distribution(pauses.filter((pause) => pause.kind === kind).map(({ us }) => us));
  const faults = runs.reduce((sum, run) => sum + run.faults, 0);
  const middle = (key: keyof CollectorSample): number => tenth(median(cycles.map((cycle) => cycle[key])));
  return {
    ...configuration,
    cycles: cycles.length,
    remarkUs: of('remark'),
    flipUs: of('flip'),
    unseen: 2 * cycles.length - pauses.length - untimed,
    untimed,
    hiccupsUs: {
      p99: tenth(median(runs.map((run) => run.hiccups.p99))),
      max: tenth(Math.max(...runs.map((run) => run.hiccups.max))),
    },
    long: countLong(runs),
    longest: longest(runs),
    faultsPerCycle: Math.round(faults / cycles.length),
    allocationBytesPerSecond: Math.round(median(runs.map((run) => run.allocationRate))),
    collector: {
      remarkUs: middle('remarkUs'),
      flipUs: middle('flipUs'),
      moveUs: middle('moveUs'),
      mapUs: middle('mapUs'),
      registerUs: middle('registerUs'),
      nonMovingUs: middle('nonMovingUs'),
      remarkCards: middle('remarkCards'),
    },
  };
}

function countLong(runs: readonly PauseSamples[]): ConfigurationResult['long'] {
  let count = 0;
  let withHiccup = 0;
  for (const { pauses, hiccupLog } of runs) {
    for (const pause of pauses) {
      if (pause.us <= LONG_US) continue;
      count++;
      if (hiccupLog.some((hiccup) => hiccup.us >= pause.us / 2 && near(hiccup, pause))) withHiccup++;
    }
  }
  return { count, withHiccup };
}

function longest(runs: readonly PauseSamples[]): LongPause[] {
  return runs
    .flatMap(({ pauses, collectorPauses, hiccupLog }) => {
      const worst = [...pauses].sort((a, b) => b.us - a.us).slice(0, LONGEST);
      return worst.map((pause): LongPause => {
        const own = collectorPauses.find((other) => other.kind === pause.kind && near(other, pause));
        const hiccups = hiccupLog.filter((hiccup) => near(hiccup, pause));
        return {
          kind: pause.kind,
          us: tenth(pause.us),
          stepsUs:
            own === undefined
              ? null
              : Object.fromEntries(Object.entries(own.stepsUs).map(([step, us]) => [step, tenth(us)])),
          hiccupUs: tenth(hiccups.reduce((most, { us }) => Math.max(most, us), 0)),
        };
      });
    })
    .sort((a, b) => b.us - a.us)
    .slice(0, LONGEST);
}

/** Whether two stretches of time overlap, or lie within the millisecond that the meter sleeps. */
export function near(a: Interval, b: Interval): boolean {
  const sleepMs = 1;
  return a.startMs <= b.startMs + b.us / 1000 + sleepMs && b.startMs <= a.startMs + a.us / 1000 + sleepMs;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}
