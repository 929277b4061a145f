// From measurements to everything that a report shows.

import { METRICS } from './metrics.ts';
import type {
  Analysis,
  Configuration,
  ConfigurationAnalysis,
  Distribution,
  Estimate,
  Facts,
  LatencyAnalysis,
  LboGroup,
  Measurement,
  MinimumHeap,
  MmuAnalysis,
  PauseFacts,
  ScalingSeries,
} from './schema.ts';
import { standings } from './standings.ts';
import { estimate, estimateKnown } from './statistics/bootstrap.ts';
import { mergeDistributions, PERCENTILES } from './statistics/distribution.ts';
import { lboBaseline } from './statistics/lbo.ts';
import { median } from './statistics/quantile.ts';

type Measured = Measurement & { facts: Facts };

export function analyse(
  configurations: readonly Configuration[],
  measurements: readonly Measurement[],
  minimumHeaps: readonly MinimumHeap[],
): Analysis {
  const analysed = configurations.map((configuration) =>
    analyseConfiguration(
      configuration,
      measurements.filter((one) => one.configuration === configuration.id),
    ),
  );
  return {
    configurations: analysed,
    lbo: lowerBounds(configurations, measurements),
    scaling: scalingSeries(configurations, analysed),
    minimumHeaps,
    standings: standings(configurations, analysed),
  };
}

function isMeasured(measurement: Measurement): measurement is Measured {
  return measurement.facts !== null;
}

function analyseConfiguration({ id }: Configuration, all: readonly Measurement[]): ConfigurationAnalysis {
  const measured = all.filter(isMeasured).sort((a, b) => a.run - b.run);
  const facts = measured.map((one) => one.facts);
  return {
    configuration: id,
    runs: measured.length,
    failed: all.length - measured.length,
    representative: representative(measured)?.id ?? null,
    metrics: Object.fromEntries(
      METRICS.map((metric) => [metric.name, estimateKnown(facts.map((one) => metric.read(one)))]).filter(
        ([, value]) => value !== null,
      ),
    ) as Record<string, Estimate>,
    latency: {
      simple: latency(facts.map(({ operations }) => operations?.simpleUs ?? null)),
      metered: latency(facts.map(({ operations }) => operations?.meteredUs ?? null)),
    },
    pauses: pauses(facts),
    mmu: utilisation(facts),
    hiccupsUs: hiccups(all),
  };
}

/** The measurement whose wall time is the median, the lower one of two. */
export function representative(measured: readonly Measured[]): Measured | undefined {
  return [...measured].sort((a, b) => a.facts.wallMs - b.facts.wallMs)[(measured.length - 1) >> 1];
}

function latency(distributions: readonly (Distribution | null)[]): LatencyAnalysis | null {
  const known = distributions.filter((one) => one !== null);
  if (known.length === 0) return null;
  return {
    percentiles: [...PERCENTILES, { name: 'max', part: 1 } as const].map(({ name, part }) => ({
      name,
      part,
      us: estimateKnown(known.map((one) => one[name])),
    })),
    distribution: mergeDistributions(known),
  };
}

function pauses(facts: readonly Facts[]): PauseFacts[] {
  const groups = new Map<string, PauseFacts[]>();
  for (const pause of facts.flatMap((one) => one.pauses)) {
    const key = `${pause.kind}:${pause.phase}:${pause.from}`;
    groups.set(key, [...(groups.get(key) ?? []), pause]);
  }
  return [...groups.values()].map((group) => ({
    ...group[0]!,
    us: mergeDistributions(group.map(({ us }) => us)),
  }));
}

function utilisation(facts: readonly Facts[]): MmuAnalysis | null {
  const known = facts.flatMap(({ mmu }) => (mmu === null ? [] : [mmu]));
  const first = known[0];
  if (first === undefined) return null;
  // Curves of different makings are not put together.
  const alike = known.filter(
    ({ from, includes }) => from === first.from && includes.join() === first.includes.join(),
  );
  return {
    includes: first.includes,
    from: first.from,
    windows: first.windows.map(({ windowMs }, i) => ({
      windowMs,
      utilisation: estimate(alike.map(({ windows }) => windows[i]!.utilisation))!,
    })),
  };
}

/** The meters of all processes: the median of each percentile, and the longest of all. */
function hiccups(all: readonly Measurement[]): Distribution | null {
  const known = all.flatMap(({ environment: { hiccupsUs } }) => (hiccupsUs === null ? [] : [hiccupsUs]));
  if (known.length === 0) return null;
  const of = (figure: 'p50' | 'p99' | 'p999'): number | null =>
    estimateKnown(known.map((one) => one[figure]))?.median ?? null;
  return {
    ...mergeDistributions(known.map((one) => ({ ...one, buckets: null }))),
    p50: of('p50'),
    p99: of('p99'),
    p999: of('p999'),
    buckets: null,
  };
}

function lowerBounds(
  configurations: readonly Configuration[],
  measurements: readonly Measurement[],
): LboGroup[] {
  const groups = new Map<string, Configuration[]>();
  for (const configuration of configurations) {
    // Under an open load everybody takes as long as the schedule.
    if (configuration.rate !== null) continue;
    const { workload, program, scale, liveBytes, threads } = configuration;
    const key = JSON.stringify([workload, program, scale, liveBytes, threads]);
    groups.set(key, [...(groups.get(key) ?? []), configuration]);
  }
  return [...groups.values()].flatMap((group) => {
    const inputs = (total: 'wallMs' | 'cpuMs', cost: 'gcWallMs' | 'gcCpuMs') =>
      group.map(({ id }) => {
        const facts = measurements
          .filter((one) => one.configuration === id)
          .filter(isMeasured)
          .map((one) => one.facts);
        return {
          configuration: id,
          totals: facts.map((one) => one[total]),
          costs: facts.map((one) => one[cost]),
        };
      });
    const walls = inputs('wallMs', 'gcWallMs');
    const cpus = inputs('cpuMs', 'gcCpuMs');
    const wall = lboBaseline(walls, median);
    const cpu = lboBaseline(cpus, median);
    if (wall === null && cpu === null) return [];
    const over = (totals: readonly number[], bound: LboGroup['wall']): Estimate | null =>
      bound === null ? null : estimate(totals.map((total) => total / bound.baselineMs));
    const { workload, program, scale, liveBytes, threads } = group[0]!;
    return [
      {
        workload,
        program,
        scale,
        liveBytes,
        threads,
        wall,
        cpu,
        rows: group.map(({ id, collector, heapBytes }, i) => ({
          configuration: id,
          collector,
          heapBytes,
          wall: over(walls[i]!.totals, wall),
          cpu: over(cpus[i]!.totals, cpu),
        })),
      },
    ];
  });
}

function scalingSeries(
  configurations: readonly Configuration[],
  analysed: readonly ConfigurationAnalysis[],
): ScalingSeries[] {
  const series = new Map<string, ScalingSeries & { points: ScalingSeries['points'][number][] }>();
  for (const [i, { id, workload, collector, series: member }] of configurations.entries()) {
    for (const { name, axis, x } of member) {
      const key = `${axis}:${name}`;
      const line = series.get(key) ?? { name, axis, workload, collector, points: [] };
      series.set(key, line);
      line.points.push({ x, configuration: id, metrics: analysed[i]!.metrics });
    }
  }
  return [...series.values()].map((line) => ({
    ...line,
    points: [...line.points].sort((a, b) => a.x - b.x),
  }));
}

/** Only representatives keep their timelines: the rest would be most of the document. */
export function withoutOtherTimelines(
  measurements: readonly Measurement[],
  analysis: Analysis,
): Measurement[] {
  const kept = new Set(analysis.configurations.map(({ representative: id }) => id));
  return measurements.map((one) =>
    one.facts === null || kept.has(one.id) ? one : { ...one, facts: { ...one.facts, timeline: null } },
  );
}
