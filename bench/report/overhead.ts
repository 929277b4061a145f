// What collecting costs at least, and minimum heaps, in tables; every metric of every configuration.

import type { BenchDocument } from '../harness/schema.ts';
import { METRICS } from '../harness/metrics.ts';
import { el, type Markup } from './markup.ts';
import { cells, table } from './tables.ts';
import { byWorkload, bytes, duration, label, NOT_MEASURED } from './text.ts';

export function overheads(document: BenchDocument): Markup {
  const { lbo } = document.analysis;
  return el(
    'section',
    { id: 'lbo' },
    el('h2', {}, 'Lower-bound overhead'),
    el(
      'p',
      {},
      'How many times the cost of a program without a collector each collector needs, at least (Cai, Blackburn, Bond and Maas, ISPASS 2022). The bound is the least total without what is ' +
        'measurably the collector’s; barriers, allocation and caches are in it, so the real overhead is larger. 1 is none. Compare within one program: its mutator code is the same.',
    ),
    lbo.length === 0
      ? el('p', { class: 'missing' }, 'There is no bound: nothing tells what the collectors cost.')
      : null,
    lbo.map(({ workload, program, liveBytes, threads, wall, cpu, rows }) => [
      el(
        'h3',
        {},
        `${workload}, program “${program}”${liveBytes === null ? '' : `, ${bytes(liveBytes)} live`}${threads === 1 ? '' : `, ${threads} threads`}`,
      ),
      table(
        ['collector', 'heap', 'wall', 'CPU'],
        rows.map(({ configuration, collector, heapBytes, wall: w, cpu: c }) =>
          el(
            'tr',
            { 'data-configuration': configuration },
            el('th', { scope: 'row' }, collector),
            cells.bytes(heapBytes),
            cells.estimate(w, '×', 'lbo-wall'),
            cells.estimate(c, '×', 'lbo-cpu'),
          ),
        ),
      ),
      el(
        'p',
        { class: 'note' },
        `Bounds: wall ${wall === null ? NOT_MEASURED : `${duration(wall.baselineMs * 1000)} from ${wall.configuration}`}; CPU ${cpu === null ? NOT_MEASURED : `${duration(cpu.baselineMs * 1000)} from ${cpu.configuration}`}.`,
      ),
    ]),
  );
}

export function minimumHeaps(document: BenchDocument): Markup {
  const { minimumHeaps: all } = document.analysis;
  return el(
    'section',
    { id: 'minimum' },
    el('h2', {}, 'Minimum heaps'),
    all.length === 0
      ? el('p', { class: 'missing' }, 'This suite looks for no minimum heap.')
      : table(
          ['workload', 'collector', 'minimum', 'failed with', 'probes'],
          all.map(({ workload, collector, heapBytes, failedBytes, probes }) =>
            el(
              'tr',
              { 'data-minimum': `${workload}/${collector}` },
              el('th', { scope: 'row' }, workload),
              el('td', {}, collector),
              heapBytes === null ? el('td', { class: 'missing' }, 'none works') : cells.bytes(heapBytes),
              failedBytes === null ? el('td', { class: 'missing' }, 'none failed') : cells.bytes(failedBytes),
              el(
                'td',
                {},
                probes.map(({ heapBytes: tried, ok }) => `${bytes(tried)} ${ok ? '✓' : '✗'}`).join(', '),
              ),
            ),
          ),
        ),
  );
}

export function metrics(document: BenchDocument): Markup {
  return el(
    'section',
    { id: 'metrics' },
    el('h2', {}, 'All figures'),
    [...byWorkload(document)].map(([workload, configurations]) => {
      const analysed = configurations.map(
        ({ id }) => document.analysis.configurations.find(({ configuration }) => configuration === id)!,
      );
      const known = METRICS.filter(({ name }) => analysed.some(({ metrics: all }) => all[name] != null));
      return el(
        'details',
        {},
        el('summary', {}, `${workload}: ${known.length} figures of ${configurations.length} configurations`),
        table(
          ['', ...configurations.map(label)],
          known.map(({ name, title, unit }) =>
            el(
              'tr',
              { 'data-metric-row': name },
              el('th', { scope: 'row' }, title),
              analysed.map(({ metrics: all }) => cells.estimate(all[name], unit, name)),
            ),
          ),
        ),
      );
    }),
  );
}
