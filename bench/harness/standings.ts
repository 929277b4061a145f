// Who needed least: configurations that did the same work with the same memory, put in order, with what can be said about the differences.

import { findMetric } from './metrics.ts';
import type { Configuration, ConfigurationAnalysis, Standing } from './schema.ts';
import { bootstrapRatio } from './statistics/bootstrap.ts';
import { round } from './statistics/distribution.ts';

/** Figures that a reader asks for first; of all, less is better. */
const METRICS = ['wallMs', 'cpuMs', 'simpleP999Us', 'meteredP999Us', 'peakRssBytes'] as const;
/** Of fewer processes on either side nothing can be told. */
const VALUES_MIN = 3;

export function standings(
  configurations: readonly Configuration[],
  analysed: readonly ConfigurationAnalysis[],
): Standing[] {
  const groups = new Map<string, { configuration: Configuration; analysis: ConfigurationAnalysis }[]>();
  for (const [i, configuration] of configurations.entries()) {
    const { workload, scale, liveRatio, liveBytes, threads, rate, heapBytes, timesMinimum } = configuration;
    const memory = timesMinimum === null ? heapBytes : `${timesMinimum} times`;
    const key = JSON.stringify([workload, scale, liveRatio, liveBytes, threads, rate, memory]);
    groups.set(key, [...(groups.get(key) ?? []), { configuration, analysis: analysed[i]! }]);
  }
  return [...groups.values()].flatMap((group) => METRICS.flatMap((metric) => standing(group, metric)));
}

function standing(
  group: readonly { configuration: Configuration; analysis: ConfigurationAnalysis }[],
  metric: (typeof METRICS)[number],
): Standing[] {
  const known = group
    .flatMap(({ configuration: { id }, analysis }) => {
      const value = analysis.metrics[metric];
      return value == null ? [] : [{ configuration: id, value }];
    })
    .sort((a, b) => a.value.median - b.value.median);
  const [best] = known;
  if (best === undefined || known.length < 2 || best.value.median <= 0) return [];
  const { workload, scale, threads, rate, heapBytes, timesMinimum, liveRatio } = group[0]!.configuration;
  const { title, unit } = findMetric(metric)!;
  return [
    {
      ...{ workload, scale, threads, rate, timesMinimum, liveRatio },
      heapBytes: timesMinimum === null ? heapBytes : null,
      ...{ metric, title, unit },
      rows: known.map(({ configuration, value }) => {
        const enough = Math.min(value.values.length, best.value.values.length) >= VALUES_MIN;
        const interval =
          configuration === best.configuration || !enough
            ? null
            : bootstrapRatio(value.values, best.value.values);
        return {
          configuration,
          value,
          ratio: round(value.median / best.value.median),
          ratioLow: interval === null ? null : round(interval.low),
          ratioHigh: interval === null ? null : round(interval.high),
          behind: configuration === best.configuration ? false : interval === null ? null : interval.low > 1,
        };
      }),
    },
  ];
}
