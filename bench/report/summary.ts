// What was found, in words. Every figure is one of the document's; what cannot be told is said to be so.

import type { BenchDocument, Standing } from '../harness/schema.ts';
import { type Child, el, type Markup } from './markup.ts';
import {
  bytes,
  collectorName,
  configurationOf,
  count,
  duration,
  interval,
  label,
  quantity,
  short,
} from './text.ts';

export function summary(document: BenchDocument): Markup {
  const { analysis, status, problems } = document;
  const failed = document.measurements.filter(({ outcome }) => outcome.type === 'failed').length;
  const groups = new Map<string, Standing[]>();
  for (const standing of analysis.standings) {
    const title = groupTitle(standing);
    groups.set(title, [...(groups.get(title) ?? []), standing]);
  }
  return el(
    'section',
    { id: 'summary' },
    el('h2', {}, 'Summary'),
    status === 'complete' && problems.length === 0
      ? null
      : el(
          'div',
          { class: 'problems', 'data-status': status },
          el('p', {}, el('strong', {}, `This run is ${status}.`)),
          el(
            'ul',
            {},
            problems.map((problem) => el('li', {}, problem)),
          ),
        ),
    el(
      'p',
      {},
      `${count(document.measurements.length, 'process', 'processes')} of ${count(analysis.configurations.length, 'configuration')} ran, `,
      failed === 0 ? 'and none failed' : `${failed} of them failed`,
      `. ${checksums(document)} ${conditions(document)}`,
    ),
    el(
      'p',
      { class: 'note' },
      'Figures are medians over processes with bootstrap intervals of 95 %. “Is behind” is only said where the interval of the ratio to the ' +
        'first lies above 1; where it does not, or where there are fewer than three processes, the order may be chance.',
    ),
    [...groups].map(([title, standings]) => [
      el('h3', {}, title),
      el(
        'ul',
        { class: 'standings' },
        standings.map((standing) => sentence(document, standing)),
      ),
    ]),
    longestPauses(document),
    skipped(document),
  );
}

function groupTitle({ workload, heapBytes, timesMinimum, liveRatio, threads, rate }: Standing): string {
  return [
    workload,
    timesMinimum !== null
      ? `${timesMinimum} × the minimum heap of each`
      : heapBytes === null
        ? null
        : `heap ${bytes(heapBytes)}`,
    liveRatio === null ? null : `${short(liveRatio * 100)} % of it live`,
    threads === 1 ? null : `${threads} threads`,
    rate === null ? null : `${short(rate)} operations per second due`,
  ]
    .filter((part) => part !== null)
    .join(', ');
}

function sentence(document: BenchDocument, { metric, title, unit, rows }: Standing): Markup {
  const name = (id: string): string => collectorName(configurationOf(document, id));
  const [first, ...others] = rows;
  const rest = others.map(({ configuration, ratio, ratioLow, ratioHigh, behind }): Child[] => {
    const factor = `× ${ratio.toFixed(2)}${ratioLow === null || ratioHigh === null ? '' : ` [${ratioLow.toFixed(2)} – ${ratioHigh.toFixed(2)}]`}`;
    const told =
      behind === true ? ' is behind' : behind === false ? ' (may be chance)' : ' (too few processes to tell)';
    return [
      el(
        'span',
        {
          'data-standing': metric,
          'data-configuration': configuration,
          'data-ratio': ratio,
          'data-behind': String(behind),
        },
        el('b', {}, name(configuration)),
        behind === true ? `${told} by ${factor}` : ` ${factor}${told}`,
      ),
    ];
  });
  return el(
    'li',
    {},
    `Least ${title}: `,
    el(
      'span',
      {
        'data-standing': metric,
        'data-configuration': first!.configuration,
        'data-median': first!.value.median,
      },
      el('b', {}, name(first!.configuration)),
      ` ${quantity(first!.value.median, unit)} ${interval(first!.value, unit)}`,
    ),
    rest.map((one) => ['; ', one]),
    '.',
  );
}

function checksums({ checksums: groups }: BenchDocument): string {
  const wrong = groups.filter(({ equal }) => !equal);
  if (wrong.length > 0)
    return `WRONG RESULTS: the checksums of ${wrong.map(({ workload }) => workload).join(', ')} differ; no figure of these means anything.`;
  const known = groups.filter(({ checksum }) => checksum !== null).length;
  if (known === 0) return 'No result was compared: nothing was measured.';
  return `All results are equal: ${count(known, 'checksum')}, the same in every collector, form and language that ran.`;
}

function conditions({ machine }: BenchDocument): string {
  const { speedBefore, loadBefore, loadAfter, cpus } = machine;
  const after = loadAfter === null ? '' : ` and ${loadAfter[0]!.toFixed(2)} after`;
  const busy = loadBefore[0]! > cpus * 0.5;
  return (
    `The machine has ${count(cpus, 'CPU')}; its load was ${loadBefore[0]!.toFixed(2)} before${after}, and the time of a fixed piece of arithmetic varied by ` +
    `${(speedBefore.noise * 100).toFixed(0)} %${busy ? ': it was not idle, so long times are partly the scheduler’s.' : '.'}`
  );
}

function longestPauses(document: BenchDocument): Child {
  const lines = document.analysis.configurations.flatMap(({ configuration: id, pauses }) => {
    const totals = pauses.filter(({ phase, us }) => phase === 'total' && us.count > 0 && us.max !== null);
    if (totals.length === 0) return [];
    const configuration = configurationOf(document, id);
    return [
      el(
        'li',
        {},
        el('b', {}, `${configuration.workload}, ${label(configuration)}`),
        ': ',
        totals.map(({ kind, us }, i) => [
          i === 0 ? '' : '; ',
          el(
            'span',
            { 'data-longest': kind, 'data-configuration': id, 'data-us': us.max },
            `${kind} ${duration(us.max!)} (of ${us.count.toLocaleString('en')})`,
          ),
        ]),
      ),
    ];
  });
  if (lines.length === 0) return null;
  return el('details', {}, el('summary', {}, 'Longest pauses of each kind'), el('ul', {}, lines));
}

function skipped({ skipped: all }: BenchDocument): Child {
  if (all.length === 0) return el('p', {}, 'Nothing of the suite was skipped.');
  return [
    el('h3', {}, 'Not measured'),
    el(
      'ul',
      {},
      all.map(({ what, reason }) => el('li', { 'data-skipped': what }, el('b', {}, what), `: ${reason}`)),
    ),
  ];
}
