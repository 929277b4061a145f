// The figures of a measurement by name: how each is read, and what a change of it is worth.

import type { Distribution, Facts, MetricName } from './schema.ts';

export interface Metric {
  readonly name: MetricName;
  readonly title: string;
  readonly unit: 'ms' | 'µs' | 'ns/B' | 'bytes' | '1/s' | 'part' | '';
  readonly better: 'lower' | 'higher';
  /** Null: not known of this measurement. */
  read(facts: Facts): number | null;
  /** Undefined: shown, not judged. Tails and counts differ between any two runs. */
  readonly judged?: {
    /** Least change that matters, as a part. */
    readonly effect: number;
    /** In the unit: of smaller differences nothing can be said. */
    readonly resolution: number;
    /**
     * How a busier machine shows: a `wall` figure grows with the CPUs that others take, one of `scheduling` by a multiple of that,
     * `cpu` time hardly, `memory` not at all.
     */
    readonly nature: 'wall' | 'cpu' | 'scheduling' | 'memory';
  };
}

const MIB = 2 ** 20;

function pause(kind: string, figure: 'p50' | 'p99' | 'max'): Metric['read'] {
  return ({ pauses }) => pauses.find((one) => one.kind === kind && one.phase === 'total')?.us[figure] ?? null;
}

function pauseMetrics(kind: string): Metric[] {
  const lower = { unit: 'µs', better: 'lower' } as const;
  return [
    {
      name: `${kind}P50Us`,
      title: `${kind} pause, p50`,
      ...lower,
      read: pause(kind, 'p50'),
      judged: { effect: 0.2, resolution: 50, nature: 'scheduling' },
    },
    { name: `${kind}P99Us`, title: `${kind} pause, p99`, ...lower, read: pause(kind, 'p99') },
    { name: `${kind}MaxUs`, title: `${kind} pause, longest`, ...lower, read: pause(kind, 'max') },
  ];
}

function latencyMetrics(kind: 'simple' | 'metered'): Metric[] {
  const read =
    (figure: 'p50' | 'p90' | 'p99' | 'p999' | 'p9999' | 'max'): Metric['read'] =>
    ({ operations }) =>
      operations?.[kind === 'simple' ? 'simpleUs' : 'meteredUs'][figure] ?? null;
  const shown = (figure: Parameters<typeof read>[0], text: string): Metric => ({
    name: `${kind}${figure[0]!.toUpperCase()}${figure.slice(1)}Us`,
    title: `${kind} latency, ${text}`,
    unit: 'µs',
    better: 'lower',
    read: read(figure),
  });
  const judged = (metric: Metric, effect: number): Metric =>
    kind === 'metered' ? metric : { ...metric, judged: { effect, resolution: 20, nature: 'scheduling' } };
  return [
    judged(shown('p50', 'p50'), 0.1),
    shown('p90', 'p90'),
    judged(shown('p99', 'p99'), 0.25),
    shown('p999', 'p99.9'),
    shown('p9999', 'p99.99'),
    shown('max', 'longest'),
  ];
}

const phase =
  (name: string): Metric['read'] =>
  ({ heap }) =>
    (heap?.phasesUs[name] as Distribution | undefined)?.p50 ?? null;

export const METRICS: readonly Metric[] = [
  {
    name: 'wallMs',
    title: 'wall time',
    unit: 'ms',
    better: 'lower',
    read: ({ wallMs }) => wallMs,
    judged: { effect: 0.05, resolution: 1, nature: 'wall' },
  },
  {
    name: 'cpuMs',
    title: 'CPU time',
    unit: 'ms',
    better: 'lower',
    read: ({ cpuMs }) => cpuMs,
    judged: { effect: 0.05, resolution: 5, nature: 'cpu' },
  },
  {
    name: 'gcCpuMs',
    title: "collector's CPU time",
    unit: 'ms',
    better: 'lower',
    read: ({ gcCpuMs, gcCpuFrom }) => (gcCpuFrom === 'threads' ? gcCpuMs : null),
    judged: { effect: 0.1, resolution: 20, nature: 'cpu' },
  },
  {
    // What makes a whole process slower (a neighbour on the host, a lower frequency) divides out.
    name: 'gcCpuShare',
    title: "collector's CPU time over the rest's",
    unit: 'part',
    better: 'lower',
    read: ({ gcCpuMs, gcCpuFrom, cpuMs }) =>
      gcCpuFrom === 'threads' && gcCpuMs !== null && cpuMs > gcCpuMs ? gcCpuMs / (cpuMs - gcCpuMs) : null,
    judged: { effect: 0.08, resolution: 0.005, nature: 'cpu' },
  },
  {
    name: 'gcWallMs',
    title: 'time stopped or stalled',
    unit: 'ms',
    better: 'lower',
    read: ({ gcWallMs }) => gcWallMs,
  },
  {
    name: 'markCpuNsPerByte',
    title: 'marking, CPU time per live byte',
    unit: 'ns/B',
    better: 'lower',
    read: ({ heap }) => heap?.markCpuNsPerByte ?? null,
    judged: { effect: 0.05, resolution: 0.01, nature: 'cpu' },
  },
  {
    name: 'compactUs',
    title: 'compaction of a cycle, p50',
    unit: 'µs',
    better: 'lower',
    read: phase('compact'),
  },
  ...(['remark', 'flip'] as const).map(
    (name): Metric => ({
      name: `${name}PhaseUs`,
      title: `${name} phase of the collector, p50`,
      unit: 'µs',
      better: 'lower',
      read: phase(name),
      judged: { effect: 0.2, resolution: 100, nature: 'scheduling' },
    }),
  ),
  ...pauseMetrics('remark'),
  ...pauseMetrics('flip'),
  ...pauseMetrics('full'),
  ...pauseMetrics('minor'),
  ...pauseMetrics('major'),
  ...latencyMetrics('simple'),
  ...latencyMetrics('metered'),
  {
    name: 'operationsPerSecond',
    title: 'operations per second',
    unit: '1/s',
    better: 'higher',
    read: ({ operations }) => operations?.perSecond ?? null,
  },
  {
    name: 'faults',
    title: 'faults',
    unit: '',
    better: 'lower',
    read: ({ faults }) => faults?.count ?? null,
  },
  {
    name: 'faultP50Us',
    title: 'fault, p50',
    unit: 'µs',
    better: 'lower',
    read: ({ faults }) => faults?.latencyUs.p50 ?? null,
    judged: { effect: 0.2, resolution: 2, nature: 'scheduling' },
  },
  {
    name: 'faultStallMs',
    title: 'time in faults',
    unit: 'ms',
    better: 'lower',
    read: ({ faults }) => faults?.stallMs ?? null,
  },
  {
    name: 'stallMs',
    title: 'allocation stalls, all together',
    unit: 'ms',
    better: 'lower',
    read: ({ stallsUs }) =>
      stallsUs === null
        ? null
        : stallsUs.count === 0
          ? 0
          : stallsUs.total === null
            ? null
            : stallsUs.total / 1000,
  },
  {
    name: 'stallMaxUs',
    title: 'allocation stall, longest',
    unit: 'µs',
    better: 'lower',
    read: ({ stallsUs }) => stallsUs?.max ?? null,
  },
  {
    name: 'mmu10ms',
    title: 'minimum mutator utilisation, 10 ms',
    unit: 'part',
    better: 'higher',
    read: ({ mmu }) => mmu?.windows.find(({ windowMs }) => windowMs === 10)?.utilisation ?? null,
  },
  {
    name: 'cycles',
    title: 'cycles',
    unit: '',
    better: 'lower',
    read: ({ heap }) => heap?.statistics.cycles ?? null,
  },
  {
    name: 'peakRssBytes',
    title: 'peak of resident memory',
    unit: 'bytes',
    better: 'lower',
    read: ({ memory }) => memory.peakRssBytes,
    judged: { effect: 0.1, resolution: 8 * MIB, nature: 'memory' },
  },
  {
    name: 'pssBytes',
    title: 'proportional set size at the end',
    unit: 'bytes',
    better: 'lower',
    read: ({ memory }) => memory.pssBytes,
  },
  {
    name: 'memfdPeakBytes',
    title: "peak of the heap's memory",
    unit: 'bytes',
    better: 'lower',
    read: ({ memory }) => memory.memfdPeakBytes,
    judged: { effect: 0.1, resolution: 8 * MIB, nature: 'memory' },
  },
];

export function findMetric(name: MetricName): Metric | undefined {
  return METRICS.find((metric) => metric.name === name);
}
