// What `bench flip` found: as a document, as one table and as one plot.
import { formatBytes } from '../cli/bytes.ts';
import { drawPlot } from '../cli/plot.ts';
import { quantile } from '../floor/spread.ts';
import {
  CONGRUENCES,
  type Congruence,
  type Group,
  type Memory,
  REGIME_BYTES,
  VARIANTS,
  type Variant,
} from './configurations.ts';

/** How far apart neighbouring regimes have to be. */
export const REGIME_RATIO_MIN = 10;

/** Microseconds over the rounds. */
export interface Distribution {
  readonly medianUs: number;
  readonly p10Us: number;
  readonly p90Us: number;
}

export interface FlipPoint extends Group, Variant, Distribution {
  /** Timed moves. Fewer than asked for when the time ran out. */
  readonly rounds: number;
}

/** Full, unregistered shmem of the largest size, by congruence. */
export interface Regimes {
  readonly memory: Memory;
  readonly sizeBytes: number;
  /** Medians in microseconds. */
  readonly gib: number;
  readonly mib2: number;
  readonly kib4: number;
  readonly ratios: {
    /** mib2 / gib. */
    readonly mib2ToGib: number;
    /** kib4 / mib2. */
    readonly kib4ToMib2: number;
  };
  /** Whether both ratios are at least 10; null below 1 GiB, where the first two regimes are one. */
  readonly apart: boolean | null;
}

export interface FlipReport {
  readonly benchmark: 'flip';
  readonly machine: {
    readonly cpu: string;
    readonly cpus: number;
    readonly linux: string;
    readonly node: string;
  };
  readonly options: { readonly sizesBytes: readonly number[]; readonly rounds: number };
  /** How a round gets its fresh state: the pages are moved back home after every timed move. */
  readonly state: 'moved back after every move, rehearsed once';
  /** What every time below contains besides the move: a refused call, clock included. */
  readonly callUs: Distribution;
  /** Sizes that this machine has no memory for. */
  readonly cut: readonly { readonly sizeBytes: number; readonly reason: string }[];
  readonly points: readonly FlipPoint[];
  readonly regimes: Regimes;
}

export function distribution(us: readonly number[]): Distribution {
  const of = (part: number): number => Number(quantile(us, part).toPrecision(4));
  return { medianUs: of(0.5), p10Us: of(0.1), p90Us: of(0.9) };
}

function find(points: readonly FlipPoint[], group: Group, variant: Variant): FlipPoint | undefined {
  return points.find(
    (point) =>
      point.memory === group.memory &&
      point.sizeBytes === group.sizeBytes &&
      point.populated === group.populated &&
      point.congruence === variant.congruence &&
      point.registered === variant.registered,
  );
}

/** Reads the regimes off the largest of `sizesBytes`. Its three points must exist. */
export function findRegimes(points: readonly FlipPoint[], sizesBytes: readonly number[]): Regimes {
  const group: Group = { memory: 'shmem', sizeBytes: Math.max(...sizesBytes), populated: 1 };
  const us = (congruence: Congruence): number =>
    find(points, group, { congruence, registered: false })!.medianUs;
  const [gib, mib2, kib4] = [us('gib'), us('mib2'), us('kib4')];
  const ratio = (a: number, b: number): number => Number((a / b).toPrecision(4));
  const ratios = { mib2ToGib: ratio(mib2, gib), kib4ToMib2: ratio(kib4, mib2) };
  return {
    memory: group.memory,
    sizeBytes: group.sizeBytes,
    gib,
    mib2,
    kib4,
    ratios,
    apart:
      group.sizeBytes < REGIME_BYTES
        ? null
        : Object.values(ratios).every((value) => value >= REGIME_RATIO_MIN),
  };
}

/** Everything for people: table, plot, check. */
export function describeFlip(report: FlipReport): string {
  const { machine, options, callUs, cut } = report;
  return [
    `${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.linux}, Node ${machine.node}`,
    `Time of mremap(DONTUNMAP|FIXED|MAYMOVE) in µs: median (p10–p90) of up to ${options.rounds} rounds.`,
    'The variants of a line take turns on the same pages: touched before, moved back after every move, each move rehearsed.',
    `A refused call with the clock around it takes ${cell(callUs)} µs of each.`,
    ...cut.map(({ sizeBytes, reason }) => `Left out: ${formatBytes(sizeBytes)} ${reason}.`),
    '',
    ...table(report),
    '',
    drawPlot({
      title: 'µs against size, shmem, fully populated (both axes logarithmic)',
      places: options.sizesBytes.map(formatBytes),
      series: SERIES.map(({ mark, label, variant }) => ({
        mark,
        label,
        values: options.sizesBytes.map(
          (sizeBytes) =>
            find(report.points, { memory: 'shmem', sizeBytes, populated: 1 }, variant)?.medianUs ?? null,
        ),
      })),
    }),
    ...describeRegimes(report.regimes),
    '',
  ].join('\n');
}

const SERIES: readonly { readonly mark: string; readonly label: string; readonly variant: Variant }[] = [
  { mark: 'G', label: 'congruent modulo 1 GiB', variant: { congruence: 'gib', registered: false } },
  { mark: 'M', label: 'congruent modulo 2 MiB', variant: { congruence: 'mib2', registered: false } },
  { mark: 'K', label: 'shifted by 4 KiB', variant: { congruence: 'kib4', registered: false } },
  {
    mark: 'R',
    label: 'congruent modulo 1 GiB, registered with a userfaultfd',
    variant: { congruence: 'gib', registered: true },
  },
];

function describeRegimes({ sizeBytes, gib, mib2, kib4, ratios, apart }: Regimes): string[] {
  const times = (value: number): string => `${short(value)} times`;
  const verdict =
    apart === null
      ? `not checked: that needs ${formatBytes(REGIME_BYTES)}, below which no whole entry of 1 GiB can move`
      : apart
        ? `yes, each at least ${REGIME_RATIO_MIN} times the one before`
        : `NO: each should be at least ${REGIME_RATIO_MIN} times the one before`;
  return [
    `Regimes at ${formatBytes(sizeBytes)} of populated shmem:`,
    `  congruent modulo 1 GiB  ${short(gib)} µs`,
    `  congruent modulo 2 MiB  ${short(mib2)} µs, ${times(ratios.mib2ToGib)} that`,
    `  shifted by 4 KiB        ${short(kib4)} µs, ${times(ratios.kib4ToMib2)} that`,
    `  apart: ${verdict}`,
  ];
}

function table({ points, options }: FlipReport): string[] {
  const heads = VARIANTS.map(
    ({ congruence, registered }) => `${CONGRUENCES[congruence].label}${registered ? ', registered' : ''}`,
  );
  const rows: string[][] = [['memory', 'populated', 'size', ...heads]];
  const groups = new Map<string, Group>();
  for (const point of points) groups.set(`${point.memory} ${point.populated} ${point.sizeBytes}`, point);
  for (const group of groups.values()) {
    rows.push([
      group.memory,
      part(group.populated),
      formatBytes(group.sizeBytes),
      ...VARIANTS.map((variant) => {
        const point = find(points, group, variant);
        return point === undefined ? '–' : cell(point);
      }),
    ]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const lines = rows.map((cells) =>
    cells
      .map((text, i) => text.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return lines.flatMap((line, i) => ((i - 1) % options.sizesBytes.length === 0 ? [rule, line] : [line]));
}

function part(populated: number): string {
  return populated > 0 && populated < 1 ? `1/${1 / populated}` : String(populated);
}

function cell({ medianUs, p10Us, p90Us }: Distribution): string {
  return `${short(medianUs)} (${short(p10Us)}–${short(p90Us)})`;
}

/** Two or more significant digits. */
function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
