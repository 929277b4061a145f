// The report of `bench pauses` as a table, axis by axis.

import type { PausesReport } from './report.ts';
import { AXES, along, SIZES, sameConfiguration } from './configurations.ts';
import type { ConfigurationResult, Distribution, LongPause } from './result.ts';

const HEAD = [
  'live MiB',
  'pinned MiB',
  'roots',
  'cycles',
  'remark p50/p99/max µs',
  'flip p50/p99/max µs',
  'hiccups p99/max µs',
  '> 1 ms (with hiccup)',
  'faults/cycle',
];

export function describePauses(report: PausesReport): string {
  const { machine, options, configurations, skipped, growth } = report;
  const sizes = options.quick ? SIZES.quick : SIZES.full;
  const rows: string[][] = [HEAD];
  const ends: { at: number; text: string }[] = [];
  for (const axis of AXES) {
    for (const wanted of along(axis, sizes)) {
      const result = configurations.find((one) => sameConfiguration(one, wanted));
      if (result !== undefined) rows.push(cells(result));
    }
    const { remarkP50, flipP50 } = growth[axis];
    ends.push({
      at: rows.length,
      text: `${axis}, last over first: remark p50 ${times(remarkP50)}, flip p50 ${times(flipP50)}`,
    });
  }
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  for (const { at, text } of ends.reverse()) lines.splice(at, 0, `  ${text}`, '');
  lines.splice(1, 0, widths.map((width) => '─'.repeat(width)).join('  '));
  return [
    `${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.linux}, Node ${machine.node}`,
    `${options.cycles} cycles of each configuration in ${options.rounds} processes; pauses as the mutator saw them`,
    '',
    ...lines,
    'the longest pauses, what the collector did meanwhile, and by how much a sleeping thread was late:',
    ...configurations.flatMap((result) => result.longest.map((pause) => `  ${longPause(result, pause)}`)),
    '',
    ...skipped.map(
      ({ liveMib, pinnedMib, roots, reason }) =>
        `skipped: ${liveMib} MiB live, ${pinnedMib} MiB pinned, ${roots} roots: ${reason}\n`,
    ),
  ].join('\n');
}

function cells(result: ConfigurationResult): string[] {
  return [
    String(result.liveMib),
    String(result.pinnedMib),
    String(result.roots),
    String(result.cycles),
    three(result.remarkUs),
    three(result.flipUs),
    `${whole(result.hiccupsUs.p99)} / ${whole(result.hiccupsUs.max)}`,
    `${result.long.count} (${result.long.withHiccup})`,
    String(result.faultsPerCycle),
  ];
}

function longPause(
  { liveMib, pinnedMib, roots }: ConfigurationResult,
  { kind, us, stepsUs, hiccupUs }: LongPause,
): string {
  const steps =
    stepsUs === null
      ? 'not found in the reports'
      : Object.entries(stepsUs)
          .map(([step, stepUs]) => `${step} ${whole(stepUs)}`)
          .join(' + ');
  return `${liveMib}/${pinnedMib}/${roots}: ${kind} ${whole(us)} µs: ${steps}; late ${whole(hiccupUs)}`;
}

function three({ p50, p99, max }: Distribution): string {
  return `${whole(p50)} / ${whole(p99)} / ${whole(max)}`;
}

function whole(us: number): string {
  return us.toFixed(0);
}

function times(ratio: number | null): string {
  return ratio === null ? '–' : `× ${ratio.toFixed(2)}`;
}
