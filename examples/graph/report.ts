// What the rounds have shown: one table, a column for each side, and the checks.
import { type LatencyCounts, Latencies } from '../support/latencies.ts';
import { writeMachine } from '../support/machine.ts';
import { spreadOf, writeTable, writeUs } from '../support/samples.ts';
import { writeSize } from '../support/sizes.ts';
import { addPauses, type GcPauses } from './gc-pauses.ts';
import type { Check, PhaseResult, SideResult } from './measure-side.ts';
import { burstOf, floodMs, type GraphOptions, TICK_MS } from './options.ts';
import type { GraphReport } from './run.ts';
import { SIDE_NAMES, SIDE_TITLES, type SideName } from './sides.ts';

/** The phases that are timed, and what the table calls them. */
const PHASES = ['paced', 'flood'] as const;

/** Whether a side arrived at what the model says. */
function isExpected({ state, answers, expectedState, expectedAnswers, wrong }: Check): boolean {
  return state === expectedState && answers === expectedAnswers && wrong === 0;
}

/** Whether every checksum is right, and the sides agree after the requests that all of them made. */
export function isRight({ results }: GraphReport): boolean {
  const first = results[0]?.warmUp;
  return (
    first !== undefined &&
    results.every(
      ({ warmUp, end }) =>
        isExpected(warmUp) &&
        isExpected(end) &&
        warmUp.state === first.state &&
        warmUp.answers === first.answers,
    )
  );
}

export interface Row {
  readonly name: string;
  /** A cell for each side, in the order of SIDE_NAMES. */
  readonly cells: readonly string[];
}

const none = '–';

/** The rows of the table; percentiles are over all rounds, worst values are the worst of all rounds, others are medians. */
export function tableRows({ results, options }: GraphReport): Row[] {
  const of = (side: SideName): SideResult[] => results.filter((result) => result.side === side);
  const row = (name: string, cell: (rounds: readonly SideResult[]) => string): Row => ({
    name,
    cells: SIDE_NAMES.map((side) => cell(of(side))),
  });
  const median = (rounds: readonly SideResult[], value: (result: SideResult) => number): number =>
    spreadOf(rounds.map(value)).median;
  const heapRow = (name: string, cell: (heaps: readonly NonNullable<SideResult['heap']>[]) => string): Row =>
    row(name, (rounds) => {
      const heaps = rounds.map(({ heap }) => heap).filter((heap) => heap !== undefined);
      return heaps.length === 0 ? none : cell(heaps);
    });

  const rows: Row[] = [];
  for (const phase of PHASES) {
    const latency = (name: string, figure: 'p50Us' | 'p99Us' | 'p999Us' | 'maxUs'): Row =>
      row(name, (rounds) => writeUs(latencyOf(rounds, phase)[figure]));
    rows.push(
      row(
        phaseTitle(phase, options),
        (rounds) => `${writeCount(median(rounds, (result) => result[phase].requestsPerSecond))}/s`,
      ),
      latency('  latency p50', 'p50Us'),
      latency('  latency p99', 'p99Us'),
      latency('  latency p99.9', 'p999Us'),
      latency('  latency max', 'maxUs'),
      row('  worst pause by V8', (rounds) => writePause(addPauses(rounds.map((one) => one[phase].v8Pauses)))),
      row('  all pauses by V8', (rounds) => writePauses(addPauses(rounds.map((one) => one[phase].v8Pauses)))),
      // Cycles of tospace, or mark-compacts of V8.
      row('  collections of the whole graph', (rounds) =>
        String(
          rounds.reduce(
            (sum, one) => sum + (one.heap === undefined ? one[phase].v8Pauses.majors : one[phase].cycles),
            0,
          ),
        ),
      ),
      row('  hiccups of the machine, max', (rounds) =>
        writeUs(Latencies.summarise(rounds.map((one) => one[phase].hiccups)).maxUs),
      ),
    );
  }
  rows.push(
    row('whole run', (rounds) => writeUs(median(rounds, ({ wallMs }) => wallMs) * 1000)),
    row('  building the graph', (rounds) => writeUs(median(rounds, ({ buildMs }) => buildMs) * 1000)),
    heapRow('  remark pauses of tospace, p99 / max', (heaps) =>
      writeWorst(heaps.map((h) => h.pausesUs.remark)),
    ),
    heapRow('  flip pauses of tospace, p99 / max', (heaps) => writeWorst(heaps.map((h) => h.pausesUs.flip))),
    heapRow('  stalls of allocation, p99 / max', (heaps) => writeWorst(heaps.map((h) => h.stallsUs))),
    row('  exchanges that began again', (rounds) =>
      rounds[0]?.heap === undefined ? none : String(rounds.reduce((sum, { retries }) => sum + retries, 0)),
    ),
    row('memory of the process (Pss)', (rounds) =>
      writeSize(median(rounds, ({ memory }) => memory.pssBytes)),
    ),
    row('  its RSS', (rounds) => writeSize(median(rounds, ({ memory }) => memory.rssBytes))),
    row('  V8 heaps, used', (rounds) => writeSize(median(rounds, ({ memory }) => memory.v8UsedBytes))),
    heapRow('  managed heap, sharedBytes', (heaps) =>
      writeSize(spreadOf(heaps.map(({ sharedBytes }) => sharedBytes)).median),
    ),
    row('checksum after the same requests', (rounds) => checksumCell(rounds.map(({ warmUp }) => warmUp))),
    row('checks after all requests', (rounds) =>
      rounds.every(({ end }) => isExpected(end)) ? 'right' : 'WRONG',
    ),
  );
  return rows;
}

export function describe(report: GraphReport): string {
  const { machine, options, wallMs } = report;
  const { entries, threads, seconds, rounds, batch, rate } = options;
  const rows = tableRows(report);
  const wrong = report.results.flatMap(({ side, warmUp, end }) =>
    [warmUp, end]
      .filter((check) => !isExpected(check))
      .map((check) => `${SIDE_TITLES[side]}: ${JSON.stringify(check)}`),
  );
  return [
    writeMachine(machine),
    `${entries} entries, ${threads} threads, ${rounds} × (${seconds} s at ${rate} requests/s, ${Number((floodMs(options) / 1000).toFixed(2))} s without a rate); all in ${writeUs(wallMs * 1000)}.`,
    '',
    writeTable(
      ['', ...SIDE_NAMES.map((side) => SIDE_TITLES[side])],
      rows.map(({ name, cells }) => [name, ...cells]),
    ),
    '',
    `At a fixed rate ${burstOf(options)} requests become due in every thread every ${TICK_MS} ms, and latencies count from then. Without a rate, messages`,
    `carry ${batch} requests. Pauses and stalls of tospace are of the whole run. V8's and the machine's are in the two phases.`,
    ...wrong,
    isRight(report) ? 'All checksums are equal to the model of the requests.' : 'CHECKSUMS DIFFER.',
    '',
  ].join('\n');
}

function phaseTitle(phase: (typeof PHASES)[number], { rate }: GraphOptions): string {
  return phase === 'paced' ? `at ${writeCount(rate)} requests/s` : 'as fast as it goes';
}

function latencyOf(rounds: readonly SideResult[], phase: (typeof PHASES)[number]) {
  return Latencies.summarise(
    rounds.flatMap((one): readonly LatencyCounts[] => (one[phase] as PhaseResult).latencies),
  );
}

function writeCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ' ');
}

function writePause({ worstMs, worstKind }: GcPauses): string {
  return worstKind === '' ? 'none' : `${writeUs(worstMs * 1000)} (${worstKind})`;
}

function writePauses({ count, totalMs }: GcPauses): string {
  return `${count}, together ${writeUs(totalMs * 1000)}`;
}

function writeWorst(summaries: readonly { readonly p99: number; readonly max: number }[]): string {
  const worst = (figure: 'p99' | 'max'): string => writeUs(Math.max(...summaries.map((one) => one[figure])));
  return `${worst('p99')} / ${worst('max')}`;
}

function checksumCell(checks: readonly Check[]): string {
  return [...new Set(checks.map(({ state }) => state))].join(' ≠ ');
}
