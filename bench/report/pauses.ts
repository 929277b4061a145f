// Pauses: how long mutators stood still, by kind; and what pauses are made of.

import type { BenchDocument, PauseFacts } from '../harness/schema.ts';
import { type Child, el, type Markup } from './markup.ts';
import { figure } from './plot.ts';
import { ridges } from './ridges.ts';
import { cells, table } from './tables.ts';
import { byWorkload, label } from './text.ts';

const CLOCKS: Readonly<Record<PauseFacts['from'], string>> = {
  mutators: 'timed by the threads that stood',
  collector: 'by the collector’s clock',
  trace: 'from the trace',
  runtime: 'from the runtime’s own log',
};

export function pauses(document: BenchDocument): Markup {
  return el(
    'section',
    { id: 'pauses' },
    el('h2', {}, 'Pauses'),
    el(
      'p',
      {},
      'All processes of a configuration together. Bars: how many, each row to its own height; long lines: p50 and p99, cross: the longest. ' +
        'A pause is not all that a program feels: see faults, stalls and latency.',
    ),
    [...byWorkload(document)].map(([workload, configurations]) => {
      const all = configurations.map((configuration, style) => ({
        configuration,
        style,
        pauses: document.analysis.configurations.find((one) => one.configuration === configuration.id)!
          .pauses,
      }));
      const rows = all.flatMap(({ configuration, style, pauses: some }) =>
        some
          .filter(({ phase }) => phase === 'total')
          // Processes without any are told of by another clock: no row of its own for them.
          .filter(
            ({ kind, us }, _, totals) =>
              us.count > 0 || !totals.some((one) => one.kind === kind && one.us.count > 0),
          )
          .map(({ kind, us }) => ({
            name: `${label(configuration)}: ${kind}`,
            style,
            us,
            data: { 'data-configuration': configuration.id, 'data-kind': kind },
          })),
      );
      const none = all.filter(({ pauses: some }) => some.every(({ phase }) => phase !== 'total'));
      return [
        el('h3', {}, workload),
        rows.length === 0
          ? null
          : figure(`${workload}: pauses by kind`, ridges('pauses', 'length of pause (logarithmic)', rows)),
        none.map(({ configuration }) =>
          el(
            'p',
            { class: 'missing' },
            `${label(configuration)}: ${configuration.collector === 'none' ? 'never pauses: it never collects' : 'no pauses are known'}.`,
          ),
        ),
        steps(all),
      ];
    }),
  );
}

function steps(all: readonly { configuration: { id: string }; pauses: readonly PauseFacts[] }[]): Child {
  const rows = all.flatMap(({ configuration: { id }, pauses: some }) =>
    some
      .filter(({ phase }) => phase !== 'total')
      .map(({ kind, phase, from, us }) =>
        el(
          'tr',
          { 'data-configuration': id, 'data-kind': kind, 'data-phase': phase },
          el('th', { scope: 'row' }, id),
          el('td', {}, kind),
          el('td', {}, phase),
          el('td', { 'data-n': us.count }, us.count.toLocaleString('en')),
          cells.us(us.p50),
          cells.us(us.p99),
          cells.us(us.max),
          el('td', {}, CLOCKS[from]),
        ),
      ),
  );
  if (rows.length === 0) return null;
  return el(
    'details',
    {},
    el('summary', {}, 'What the pauses are made of, step by step'),
    table(['configuration', 'pause', 'step', 'count', 'p50', 'p99', 'longest', 'clock'], rows),
  );
}
