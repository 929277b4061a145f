// Two documents, figure by figure: what changed, what did not, and what cannot be said.

import { type Metric, METRICS } from './metrics.ts';
import type { BenchDocument, Configuration, ConfigurationAnalysis, Estimate } from './schema.ts';
import { bootstrapRatio } from './statistics/bootstrap.ts';
import { round } from './statistics/distribution.ts';
import { median } from './statistics/quantile.ts';
import { judge, type Verdict } from './statistics/verdict.ts';

export interface Comparison {
  readonly verdict: 'regression' | 'no regression';
  /** What makes the two harder to compare, in words. */
  readonly warnings: readonly string[];
  readonly rows: readonly ComparisonRow[];
  /** Configurations that only one of them measured. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
}

export interface ComparisonRow {
  readonly configuration: string;
  readonly metric: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  readonly verdict: Verdict;
  readonly before: Estimate;
  readonly after: Estimate;
  /** Median after over median before; null when the latter is 0. */
  readonly ratio: number | null;
  /** Bootstrap interval of it, 95 %; null when there is no ratio or there are too few values. */
  readonly ratioLow: number | null;
  readonly ratioHigh: number | null;
  /** The change, up or down, that would have been called one; null with too few values to call any. */
  readonly threshold: number | null;
  /** Mann–Whitney, two-sided. */
  readonly p: number;
}

/** Differences of what others took of the CPUs, in CPUs, and of the speed probe, in parts, from which on a reader is told. */
const LOAD_WARNING = 0.25;
const SPEED_WARNING = 0.05;
/** A hand-off between threads that waits for a busy CPU waits for a time slice, not for a part of its own length. */
const SCHEDULING = 4;
const RATIO_VALUES_MIN = 3;

export function compare(before: BenchDocument, after: BenchDocument): Comparison {
  const warnings: string[] = differences(before, after);
  const rows: ComparisonRow[] = [];
  const shared: string[] = [];
  for (const analysed of before.analysis.configurations) {
    const id = analysed.configuration;
    const other = after.analysis.configurations.find(({ configuration }) => configuration === id);
    const [mine, theirs] = [find(before, id), find(after, id)];
    if (other === undefined || mine === undefined || theirs === undefined) continue;
    shared.push(id);
    const [conditionsBefore, conditionsAfter] = [conditions(before, id), conditions(after, id)];
    if (Math.abs(conditionsAfter.othersCpus - conditionsBefore.othersCpus) > LOAD_WARNING) {
      warnings.push(
        `${id}: others kept ${conditionsBefore.othersCpus.toFixed(2)} CPUs busy before and ` +
          `${conditionsAfter.othersCpus.toFixed(2)} after; only changes beyond that count`,
      );
    }
    if (other.failed > analysed.failed)
      warnings.push(`${id}: ${other.failed} processes failed, before ${analysed.failed}`);
    rows.push(...compareConfiguration(analysed, other, conditionsBefore, conditionsAfter));
  }
  const newlyFailed = before.analysis.configurations.some(
    ({ configuration, runs }) =>
      runs > 0 &&
      after.analysis.configurations.some(
        (other) => other.configuration === configuration && other.runs === 0 && other.failed > 0,
      ),
  );
  const wrong = after.checksums.some(({ equal }) => !equal);
  if (wrong) warnings.push('the later run has wrong results');
  const names = ({ analysis }: BenchDocument): string[] =>
    analysis.configurations.map(({ configuration }) => configuration).filter((id) => !shared.includes(id));
  const worse = wrong || newlyFailed || rows.some(({ verdict }) => verdict === 'regression');
  return {
    verdict: worse ? 'regression' : 'no regression',
    warnings,
    rows,
    onlyBefore: names(before),
    onlyAfter: names(after),
  };
}

function find({ configurations }: BenchDocument, id: string): Configuration | undefined {
  return configurations.find((one) => one.id === id);
}

/** What is different about the two besides what they measured. */
function differences(before: BenchDocument, after: BenchDocument): string[] {
  const parts: [string, string | number, string | number][] = [
    ['machine', before.machine.cpu, after.machine.cpu],
    ['number of CPUs', before.machine.cpus, after.machine.cpus],
    ['kernel', before.machine.kernel, after.machine.kernel],
    ['Node.js', before.machine.node, after.machine.node],
  ];
  const warnings = parts
    .filter(([, a, b]) => a !== b)
    .map(([what, a, b]) => `another ${what}: ${a} before, ${b} after`);
  for (const [name, { status }] of [
    ['earlier', before],
    ['later', after],
  ] as const)
    if (status !== 'complete') warnings.push(`the ${name} run is ${status}`);
  const speed = after.machine.speedBefore.medianMs / before.machine.speedBefore.medianMs;
  if (Math.abs(speed - 1) > SPEED_WARNING)
    warnings.push(
      `the CPU was ${speed > 1 ? 'slower' : 'faster'}: arithmetic took ${speed.toFixed(2)} times as long`,
    );
  return warnings;
}

interface Conditions {
  readonly othersCpus: number;
  readonly speedMs: number | null;
  readonly cpus: number;
}

function conditions({ measurements, machine }: BenchDocument, id: string): Conditions {
  const of = measurements.filter(({ configuration, facts }) => configuration === id && facts !== null);
  const others = of.flatMap(({ environment: { othersCpus } }) => (othersCpus === null ? [] : [othersCpus]));
  return {
    othersCpus: others.length === 0 ? 0 : median(others),
    speedMs: of.length === 0 ? null : median(of.map(({ environment }) => environment.speedMs)),
    cpus: machine.cpus,
  };
}

/** By how much a figure may differ because the machine did, as a part. */
function allowance(
  nature: NonNullable<Metric['judged']>['nature'],
  before: Conditions,
  after: Conditions,
): number {
  if (nature === 'memory') return 0;
  const speed =
    before.speedMs === null || after.speedMs === null
      ? 0
      : Math.abs(Math.log(after.speedMs / before.speedMs));
  // A thread that shares its CPU with another one takes twice as long; others spread over all CPUs.
  const load = Math.abs(after.othersCpus - before.othersCpus) / Math.min(before.cpus, after.cpus);
  const weight = nature === 'cpu' ? 0.25 : nature === 'wall' ? 1 : SCHEDULING;
  return speed + weight * load;
}

function compareConfiguration(
  before: ConfigurationAnalysis,
  after: ConfigurationAnalysis,
  conditionsBefore: Conditions,
  conditionsAfter: Conditions,
): ComparisonRow[] {
  return METRICS.flatMap((metric) => {
    const { judged } = metric;
    const [a, b] = [before.metrics[metric.name] ?? null, after.metrics[metric.name] ?? null];
    if (judged === undefined || a === null || b === null) return [];
    const { verdict, ratio, threshold, p } = judge(a.values, b.values, {
      better: metric.better,
      effect: judged.effect,
      resolution: judged.resolution,
      allowance: allowance(judged.nature, conditionsBefore, conditionsAfter),
    });
    const known = ratio !== null && Math.min(a.values.length, b.values.length) >= RATIO_VALUES_MIN;
    const interval = known ? bootstrapRatio(b.values, a.values) : null;
    const finite = (value: number | undefined): number | null =>
      value === undefined || !Number.isFinite(value) ? null : round(value);
    return [
      {
        configuration: before.configuration,
        metric: metric.name,
        title: metric.title,
        unit: metric.unit,
        better: metric.better,
        verdict,
        before: a,
        after: b,
        ratio: finite(ratio ?? undefined),
        ratioLow: finite(interval?.low),
        ratioHigh: finite(interval?.high),
        threshold: finite(threshold),
        p: round(p),
      },
    ];
  });
}
