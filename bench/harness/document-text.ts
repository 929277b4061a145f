// A document in a table, for a terminal. The report in HTML shows everything; this shows what one looks at first.

import { formatDuration } from './progress.ts';
import type { BenchDocument, ConfigurationAnalysis, Estimate } from './schema.ts';
import { short, table } from './table.ts';

const HEAD = [
  'configuration',
  'runs',
  'wall ms',
  '95 %',
  'CPU ms',
  'LBO wall',
  'LBO CPU',
  'latency p50/p99.9/max µs',
  'metered p99.9 µs',
  'longest pause µs',
  'peak MiB',
];

const NONE = '–';

export function documentText(document: BenchDocument): string {
  const { analysis, suite, machine } = document;
  const rows = [...analysis.configurations]
    .filter(({ runs, failed }) => runs + failed > 0)
    .sort((a, b) => (a.configuration < b.configuration ? -1 : 1))
    .map((one) => row(document, one));
  return [
    `${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.kernel}, Node.js ${machine.node}, tospace ${machine.tospace}`,
    `suite ${suite.name}, seed ${suite.seed}, ${document.measurements.length} processes in ${formatDuration(suite.tookMs)}; ` +
      `load ${machine.loadBefore[0]!.toFixed(2)} before, ${machine.loadAfter?.[0]?.toFixed(2) ?? NONE} after; ` +
      `speed noise ${(machine.speedBefore.noise * 100).toFixed(0)} %`,
    '',
    table(HEAD, rows),
    '',
    ...analysis.minimumHeaps.map(
      ({ workload, collector, heapBytes }) =>
        `minimum heap of ${workload} on ${collector}: ${heapBytes === null ? 'none works' : `${short(heapBytes / 2 ** 20)} MiB`}`,
    ),
    ...document.skipped.map(({ what, reason }) => `skipped ${what}: ${reason}`),
    `checksums: ${checksums(document)}`,
    ...document.problems.map((problem) => `problem: ${problem}`),
    ...(document.status === 'complete' ? [] : [`this run is ${document.status}`]),
    '',
  ].join('\n');
}

function checksums({ checksums: groups }: BenchDocument): string {
  if (groups.length === 0) return 'nothing was measured';
  const wrong = groups.filter(({ equal }) => !equal).map(({ workload }) => workload);
  return wrong.length === 0 ? 'equal' : `WRONG RESULTS in ${wrong.join(', ')}`;
}

function row({ analysis }: BenchDocument, one: ConfigurationAnalysis): string[] {
  const { configuration, runs, failed, metrics, latency } = one;
  const of = (name: string): string => median(metrics[name]);
  const lbo = analysis.lbo.flatMap(({ rows }) => rows).find((found) => found.configuration === configuration);
  const at = (kind: 'simple' | 'metered', name: string): string =>
    median(latency[kind]?.percentiles.find((percentile) => percentile.name === name)?.us);
  const longest = one.pauses.flatMap(({ phase, us }) =>
    phase === 'total' && us.max !== null ? [us.max] : [],
  );
  const wall = metrics.wallMs;
  const peak = metrics.peakRssBytes;
  return [
    configuration,
    failed === 0 ? String(runs) : `${runs} (${failed} failed)`,
    of('wallMs'),
    wall?.low == null ? NONE : `${short(wall.low)}–${short(wall.high!)}`,
    of('cpuMs'),
    lbo?.wall ? lbo.wall.median.toFixed(2) : NONE,
    lbo?.cpu ? lbo.cpu.median.toFixed(2) : NONE,
    latency.simple === null ? NONE : ['p50', 'p999', 'max'].map((name) => at('simple', name)).join(' / '),
    at('metered', 'p999'),
    longest.length === 0 ? NONE : short(Math.max(...longest)),
    peak ? short(peak.median / 2 ** 20) : NONE,
  ];
}

function median(estimate: Estimate | null | undefined): string {
  return estimate === null || estimate === undefined ? NONE : short(estimate.median);
}
