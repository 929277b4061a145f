// On what, with what, and when: without it a figure means nothing.

import type { BenchDocument, SpeedProbe } from '../harness/schema.ts';
import { type Child, el, type Markup } from './markup.ts';
import { table } from './tables.ts';
import { bytes, count, duration, NOT_MEASURED } from './text.ts';

export function machine(document: BenchDocument): Markup {
  const { machine: m, suite, command, startedAt, endedAt } = document;
  const known = (value: string | null): string => value ?? 'not known';
  const load = (values: readonly number[] | null): string =>
    values?.map((one) => one.toFixed(2)).join(', ') ?? NOT_MEASURED;
  const rows: [string, Child][] = [
    ['Command', el('code', {}, ['tospace bench', ...command].join(' '))],
    [
      'Suite',
      `${suite.name}: ${suite.summary}; ${suite.runs} processes of each configuration asked for, seed ${suite.seed}, took ${duration(suite.tookMs * 1000)}`,
    ],
    ['When', `${startedAt} to ${endedAt}`],
    ['CPU', `${m.cpu}, ${count(m.cpus, 'CPU')}; governor ${known(m.governor)}`],
    [
      'Memory',
      `${bytes(m.memoryBytes)}, ${bytes(m.availableMemoryBytes)} available; swap ${m.swapBytes === null ? 'not known' : bytes(m.swapBytes)}`,
    ],
    ['Huge pages', `anonymous ${known(m.hugePages.anonymous)}, shared ${known(m.hugePages.shmem)}`],
    [
      'Touched before',
      m.pretouchedBytes === 0 ? 'nothing: first touches of memory may be slow' : bytes(m.pretouchedBytes),
    ],
    ['Versions', `Linux ${m.kernel}, Node.js ${m.node}, V8 ${m.v8}, tospace ${m.tospace}`],
    [
      'Peers',
      Object.entries(m.peers)
        .map(([name, version]) => `${name} ${version}`)
        .join('; ') || 'none',
    ],
    ['Load (1, 5, 15 min)', `${load(m.loadBefore)} before; ${load(m.loadAfter)} after`],
    [
      'Fixed arithmetic',
      `${speed(m.speedBefore)} before; ${m.speedAfter === null ? NOT_MEASURED : speed(m.speedAfter)} after`,
    ],
  ];
  return el(
    'section',
    { id: 'machine' },
    el('h2', {}, 'Machine'),
    table(
      ['', ''],
      rows.map(([name, value]) => el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, value))),
    ),
    hiccups(document),
  );
}

function speed({ medianMs, minMs, maxMs, noise }: SpeedProbe): string {
  return `${duration(medianMs * 1000)} (${duration(minMs * 1000)} to ${duration(maxMs * 1000)}, noise ${(noise * 100).toFixed(0)} %)`;
}

function hiccups({ analysis }: BenchDocument): Child {
  const rows = analysis.configurations.flatMap(({ configuration, hiccupsUs }) =>
    hiccupsUs === null
      ? []
      : [
          el(
            'tr',
            { 'data-hiccups': configuration },
            el('th', { scope: 'row' }, configuration),
            [hiccupsUs.p50, hiccupsUs.p99, hiccupsUs.max].map((us) =>
              us === null
                ? el('td', { class: 'missing' }, NOT_MEASURED)
                : el('td', { 'data-us': us }, duration(us)),
            ),
          ),
        ],
  );
  if (rows.length === 0) return el('p', { class: 'missing' }, 'No hiccup meter ran beside the processes.');
  return el(
    'details',
    {},
    el('summary', {}, 'Hiccups: what a sleeping thread beside each configuration overslept'),
    table(['configuration', 'p50', 'p99', 'longest'], rows),
  );
}
