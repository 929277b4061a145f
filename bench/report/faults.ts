// Faults: how many, who served them, how long the program waited; and allocations that waited.

import type { BenchDocument } from '../harness/schema.ts';
import { type Child, el, type Markup } from './markup.ts';
import { figure } from './plot.ts';
import { representatives } from './representative.ts';
import { ridges } from './ridges.ts';
import { cells, table } from './tables.ts';
import { duration, label, NOT_MEASURED } from './text.ts';

export function faults(document: BenchDocument): Markup {
  const all = representatives(document);
  const shown = all.flatMap(({ configuration, facts }) =>
    facts.faults === null ? [] : [{ configuration, facts, faults: facts.faults }],
  );
  const without = all
    .filter(({ facts }) => facts.faults === null)
    .map(({ configuration }) => configuration.id);
  const ridge = (
    pick: (one: (typeof shown)[number]) => {
      us: (typeof shown)[number]['faults']['latencyUs'] | null;
      what: string;
    },
  ) =>
    shown.flatMap((one, style) => {
      const { us, what } = pick(one);
      return us === null
        ? []
        : [
            {
              name: `${one.configuration.workload}, ${label(one.configuration)}`,
              style,
              us,
              data: { 'data-configuration': one.configuration.id, 'data-what': what },
            },
          ];
    });
  return el(
    'section',
    { id: 'faults' },
    el('h2', {}, 'Faults and stalls'),
    el(
      'p',
      {},
      'Of one process of each configuration, the one with the median wall time. A program that touches a page between the flip and the end of the sweep waits until it is built. Latency is the service of each fault where it is from the trace, else what the program timed of a sample.',
    ),
    shown.length === 0
      ? el('p', { class: 'missing' }, 'No configuration that was measured has faults.')
      : [
          table(
            [
              'configuration',
              'faults',
              'pages by collector',
              'pages by servers',
              'shared',
              'late',
              'errnos',
              'latency p50',
              'p99',
              'longest',
              'from',
              'total stall',
              'service p50',
              'window p50',
              'window longest',
            ],
            shown.map(({ configuration, facts, faults: one }) =>
              el(
                'tr',
                { 'data-configuration': configuration.id },
                el('th', { scope: 'row' }, configuration.id),
                cells.number(one.count),
                cells.number(one.servedBy.collector),
                el(
                  'td',
                  { 'data-servers': one.servedBy.servers.join(' ') },
                  one.servedBy.servers.map((n) => n.toLocaleString('en')).join(' + ') || '0',
                ),
                cells.number(one.shared),
                cells.number(one.late),
                el(
                  'td',
                  {},
                  Object.entries(one.errnos)
                    .map(([name, n]) => `${name} ${n}`)
                    .join(', '),
                ),
                cells.us(one.latencyUs.p50),
                cells.us(one.latencyUs.p99),
                cells.us(one.latencyUs.max),
                el('td', {}, one.latencyFrom === 'trace' ? 'trace of all' : 'a sample'),
                one.stallMs === null
                  ? cells.number(null)
                  : el('td', { 'data-ms': one.stallMs }, duration(one.stallMs * 1000)),
                cells.us(one.serviceUs.p50),
                cells.us(facts.windowsUs?.p50 ?? null),
                cells.us(facts.windowsUs?.max ?? null),
              ),
            ),
          ),
          figure(
            'Faults by length',
            ridges(
              'faults',
              'length of fault (logarithmic)',
              ridge(({ faults: { latencyUs } }) => ({ us: latencyUs, what: 'latencyUs' })),
            ),
          ),
        ],
    stalls(document),
    without.length === 0
      ? null
      : el(
          'p',
          { class: 'missing' },
          `No faults by their making, or ${NOT_MEASURED}: ${without.join(', ')}.`,
        ),
  );
}

function stalls(document: BenchDocument): Child {
  const rows = representatives(document).flatMap(({ configuration, facts }, style) =>
    facts.stallsUs === null
      ? []
      : [
          {
            name: `${configuration.workload}, ${label(configuration)}`,
            style,
            us: facts.stallsUs,
            data: { 'data-configuration': configuration.id, 'data-what': 'stallsUs' },
          },
        ],
  );
  if (rows.length === 0) return null;
  return figure(
    'Allocations that waited, by length',
    ridges('stalls', 'length of stall (logarithmic)', rows),
  );
}
