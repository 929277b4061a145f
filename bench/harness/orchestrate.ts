// Runs a plan: every configuration once per round, in a random order that the seed gives again, until all are done or somebody says stop.
// Whatever happens, what was measured until then is there.

import { describeDifference, groupChecksums, workKey } from './checksums.ts';
import { interleave } from './order.ts';
import type { ChecksumGroup, Configuration, Measurement } from './schema.ts';

/** A configuration that failed so often is not run again: it would only take everybody's time. */
const FAILURES_MAX = 2;

export interface Orchestra {
  /** Measures one; undefined when it was interrupted. */
  readonly measure: (configuration: Configuration, run: number) => Promise<Measurement | undefined>;
  readonly signal: AbortSignal;
  readonly listener: Listener;
}

export interface Listener {
  begins(configuration: Configuration, run: number, index: number, total: number): void;
  ended(measurement: Measurement, index: number, total: number): void;
  /** Something that the reader of the result has to know. */
  problem(text: string): void;
}

export interface Performance {
  readonly measurements: readonly Measurement[];
  readonly checksums: readonly ChecksumGroup[];
  readonly problems: readonly string[];
  readonly interrupted: boolean;
  /** A result is wrong. */
  readonly wrong: boolean;
}

export async function orchestrate(
  configurations: readonly Configuration[],
  { runs, seed }: { readonly runs: number; readonly seed: number },
  { measure, signal, listener }: Orchestra,
): Promise<Performance> {
  const order = interleave(configurations, runs, seed);
  const measurements: Measurement[] = [];
  const problems: string[] = [];
  const failures = new Map<string, number>();
  const differing = new Set<string>();
  const tell = (text: string): void => {
    problems.push(text);
    listener.problem(text);
  };
  let done = 0;
  for (const { item: configuration, round } of order) {
    if (signal.aborted) break;
    done++;
    if ((failures.get(configuration.id) ?? 0) >= FAILURES_MAX) continue;
    listener.begins(configuration, round, done, order.length);
    const measurement = await measure(configuration, round);
    if (measurement === undefined) break;
    measurements.push(measurement);
    listener.ended(measurement, done, order.length);
    if (measurement.outcome.type === 'failed') {
      const count = (failures.get(configuration.id) ?? 0) + 1;
      failures.set(configuration.id, count);
      tell(`${measurement.id} ${measurement.outcome.reason}`);
      if (count === FAILURES_MAX) tell(`${configuration.id} failed ${count} times and is not run again`);
    }
    for (const group of groupChecksums(configurations, measurements)) {
      const name = workKey(group);
      if (group.equal || differing.has(name)) continue;
      differing.add(name);
      // At once: nobody should wait an hour for a result that is worth nothing.
      listener.problem(describeDifference(group));
    }
  }
  const checksums = groupChecksums(configurations, measurements);
  problems.push(...checksums.filter(({ equal }) => !equal).map(describeDifference));
  return {
    measurements,
    checksums,
    problems,
    interrupted: signal.aborted,
    wrong: checksums.some(({ equal }) => !equal),
  };
}
