// A report in plain words.

import { formatOptions, type Summary } from 'tospace';
import { formatBytes } from './bytes.ts';
import type { LatencySummary } from '../workloads/latencies.ts';
import type { RunReport } from './report.ts';

const us = (value: number): string =>
  value < 10_000 ? `${value.toFixed(value < 100 ? 1 : 0)} µs` : `${(value / 1000).toFixed(1)} ms`;

function spread({ count, p50, p99, max }: Summary): string {
  return count === 0
    ? 'none'
    : `${count}, half within ${us(p50)}, 99 % within ${us(p99)}, longest ${us(max)}`;
}

function ranWith({ options, mode, seed, scale }: RunReport): string {
  const { collector, fill, servers, userfaultfd } = mode;
  const parts = [`collector ${collector}`, `heap ${formatBytes(options.heap)}`];
  if (collector === 'concurrent')
    parts.push(`fill ${fill}`, `servers ${servers}`, `userfaultfd ${userfaultfd}`);
  parts.push(`seed ${seed}`, `scale ${scale}`);
  return parts.join(', ');
}

function pauseLines({ options, pausesUs, stallsUs }: RunReport): [string, string][] {
  if (options.collector === 'none') return [['pauses', 'none: nothing is collected']];
  const pauses: [string, string][] =
    options.collector === 'concurrent'
      ? [
          ['remark pauses', spread(pausesUs.remark)],
          ['flip pauses', spread(pausesUs.flip)],
        ]
      : [['full pauses', spread(pausesUs.full)]];
  return [...pauses, ['allocation stalls', spread(stallsUs)]];
}

function faultLines({ options, faults }: RunReport): [string, string][] {
  if (options.collector !== 'concurrent') return [];
  const { collector, servers } = faults.servedBy;
  const served = servers.map((pages, i) => `server ${i + 1} ${pages}`).join(', ');
  return [
    ['faults', `${faults.count}`],
    [
      '  as the program saw',
      faults.latencyUs.count === 0 ? 'no samples' : `samples: ${spread(faults.latencyUs)}`,
    ],
    ['  service', spread(faults.serviceUs)],
    ['pages built', `collector ${collector}, ${served}`],
  ];
}

function detailLines({ details }: RunReport): [string, string][] {
  return Object.entries(details).map(([name, value]) => {
    if (typeof value !== 'object' || value === null) return [name, String(value)];
    const { count, p50, p99, p999, max } = value as LatencySummary;
    return [
      name.replace(/Us$/, ''),
      `${count}, half within ${us(p50)}, 99 % within ${us(p99)}, 99.9 % within ${us(p999)}, longest ${us(max)}`,
    ];
  });
}

/** The summary that ends a run, lines with a label each. */
export function summarise(report: RunReport): string {
  const seconds = report.wallMs / 1000;
  const abandoned = report.abandonedCycles === 0 ? '' : `, and ${report.abandonedCycles} abandoned`;
  const lines: [string, string][] = [
    [report.workload, ranWith(report)],
    ['options', formatOptions(report.options)],
    ...report.mode.reasons.map((reason): [string, string] => ['note', reason]),
    ['time', `${seconds.toFixed(2)} s, ${report.cycles} cycles${abandoned}`],
    ...pauseLines(report),
    ...faultLines(report),
    ...detailLines(report),
    [
      'allocated',
      `${formatBytes(report.bytesAllocated)}, ${(report.bytesAllocated / 1e6 / seconds).toFixed(0)} MB/s`,
    ],
    ['moved', `${formatBytes(report.bytesMoved)} of compacted pages`],
    [
      'memory',
      report.sharedMemoryPeakBytes === 0
        ? `peak RSS ${formatBytes(report.peakRssBytes)}`
        : `peak RSS ${formatBytes(report.peakRssBytes)}, shared memory at most ${formatBytes(report.sharedMemoryPeakBytes)}`,
    ],
    [
      'machine',
      `tospace ${report.tospace}, Node.js ${report.node}, Linux ${report.kernel}, ${report.cpus} CPUs`,
    ],
    ['checksum', `0x${report.checksum.toString(16).padStart(8, '0')}`],
  ];
  const width = Math.max(...lines.map(([label]) => label.length)) + 2;
  return `${lines.map(([label, text]) => `${label.padEnd(width)}${text}`).join('\n')}\n`;
}
