// tospace bench floor: each piece of the collector beside the same work in C, on the same machine in the same run.
//
// The C side is what remains when JavaScript, WebAssembly and koffi are taken away: the kernel's and the memory's own cost. Processes
// of the two sides alternate; each warms its memory up before it measures; a ratio is the median of the ratios of the rounds.
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { allowedCpus, createLibcKernel } from 'tospace/uffd';
import { CPrograms, FLAGS, findCompiler } from './floor/compiler.ts';
import { type FaultFill, type FaultPlace, type FaultResult, measureFault } from './floor/fault.ts';
import { type FlipResult, measureFlip } from './floor/flip.ts';
import { GRAPHS, type KernelsResult, measureKernels } from './floor/kernels.ts';
import { Sides } from './floor/sides.ts';
import type { Spread } from './floor/spread.ts';

const PIECES = ['flip', 'fault', 'kernels'] as const;
type Piece = (typeof PIECES)[number];

const USAGE = `Usage: tospace bench floor [options]

Measures each piece of the collector beside the same work in C.

  --only flip,fault,kernels  only these pieces (default: all)
  --rounds n                 processes of each side, from 1 to 100 (default: 5)
  --quick                    tiny sizes: shows that it works, measures nothing of worth
  --json                     one JSON document on standard output
  --help                     this text
`;

/** What is measured, in full and by --quick. */
const SIZES = {
  full: {
    // The largest leaves room in the window for the collector to work in.
    flip: { usedMib: [64, 256, 960], cycles: 9 },
    fault: { pages: 4096, passes: 2 },
    kernels: { objects: 4_000_000, cycles: 7, heapMib: 256 },
  },
  quick: {
    flip: { usedMib: [2], cycles: 3 },
    fault: { pages: 64, passes: 1 },
    kernels: { objects: 20_000, cycles: 3, heapMib: 4 },
  },
} as const;

export interface FloorReport {
  readonly benchmark: 'floor';
  readonly machine: {
    readonly cpu: string;
    readonly cpus: number;
    readonly linux: string;
    readonly node: string;
  };
  readonly options: { readonly rounds: number; readonly only: readonly Piece[]; readonly quick: boolean };
  /** Null when there is none: the C side and all ratios are null then. */
  readonly compiler: {
    readonly path: string;
    readonly version: string;
    readonly flags: readonly string[];
  } | null;
  readonly flip?: FlipResult;
  readonly fault?: FaultResult;
  readonly kernels?: KernelsResult;
}

/** Runs the command with the arguments behind `bench floor`; returns the exit status. */
export async function floor(args: string[]): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const report = await measure(options);
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else process.stdout.write(table(report));
  return 0;
}

interface FloorOptions {
  readonly json: boolean;
  readonly quick: boolean;
  readonly help: boolean;
  readonly rounds: number;
  readonly only: readonly Piece[];
}

function parse(args: string[]): FloorOptions {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string', default: PIECES.join(',') },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) {
    throw new Error(`--rounds must be an integer from 1 to 100, not ${values.rounds}`);
  }
  const only = values.only.split(',');
  for (const piece of only) {
    if (!PIECES.includes(piece as Piece))
      throw new Error(`--only must name some of ${PIECES.join(', ')}, not ${piece}`);
  }
  return {
    json: values.json,
    quick: values.quick,
    help: values.help,
    rounds,
    only: PIECES.filter((piece) => only.includes(piece)),
  };
}

async function measure(options: FloorOptions): Promise<FloorReport> {
  const { rounds, only, quick } = options;
  const sizes = quick ? SIZES.quick : SIZES.full;
  const allowed = allowedCpus(createLibcKernel());
  const compiler = findCompiler();
  // Progress goes to a terminal only: whoever redirects standard error wants errors there.
  const progress = (what: string): void =>
    void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${what}`));
  if (compiler === undefined) {
    process.stderr.write(
      'No C compiler (gcc or cc) is on the PATH: only the TypeScript side is measured, and there are no ratios.\n',
    );
  }
  using programs = compiler === undefined ? undefined : new CPrograms(compiler);
  const sides = new Sides(programs, rounds, progress);
  const report: FloorReport = {
    benchmark: 'floor',
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cpus: allowed.length,
      linux: release(),
      node: process.version,
    },
    options: { rounds, only, quick },
    compiler: compiler === undefined ? null : { ...compiler, flags: FLAGS },
    ...(only.includes('flip')
      ? { flip: await measureFlip(sides, sizes.flip.usedMib, sizes.flip.cycles, allowed.length) }
      : {}),
    ...(only.includes('fault')
      ? { fault: await measureFault(sides, sizes.fault.pages, sizes.fault.passes, allowed) }
      : {}),
    ...(only.includes('kernels')
      ? {
          kernels: await measureKernels(
            sides,
            sizes.kernels.objects,
            sizes.kernels.cycles,
            sizes.kernels.heapMib,
          ),
        }
      : {}),
  };
  progress('');
  return report;
}

type Row = readonly [what: string, tospace: string, c: string, ratio: string];

function table(report: FloorReport): string {
  const rows: Row[] = [['what', 'tospace', 'C', 'ratio']];
  const row = (
    what: string,
    unit: string,
    ours: Spread,
    theirs: Spread | null,
    ratio: Spread | null,
  ): void => {
    rows.push([
      what,
      cell(ours, unit),
      theirs === null ? '–' : cell(theirs, unit),
      ratio === null ? '–' : cell(ratio, ''),
    ]);
  };
  const { flip, fault, kernels } = report;
  for (const size of flip?.sizes ?? []) {
    row(`flip, ${size.usedMib} MiB in use`, 'µs', size.tospace.totalUs, size.c?.totalUs ?? null, size.ratio);
    for (const [name, step] of [
      ['mremap', 'moveUs'],
      ['mmap', 'mapUs'],
      ['register', 'registerUs'],
    ] as const) {
      row(`  ${name}`, 'µs', size.tospace[step], size.c?.[step] ?? null, null);
    }
  }
  for (const { usedMib, reason } of flip?.skipped ?? [])
    rows.push([`flip, ${usedMib} MiB in use`, reason, '–', '–']);
  const place = (what: string, at: FaultPlace): void =>
    row(what, 'µs', at.tospace.p50Us, at.c?.p50Us ?? null, at.ratioSpread);
  const fill = (name: string, of: FaultFill): void => {
    place(`fault, ${name}`, of);
    if ('skipped' in of.elsewhere)
      rows.push([`fault, ${name}, server on another CPU`, of.elsewhere.skipped, '–', '–']);
    else place(`fault, ${name}, server on another CPU`, of.elsewhere);
  };
  if (fault !== undefined) {
    fill('COPY', fault.copy);
    fill('CONTINUE', fault.continue);
  }
  if (kernels !== undefined) {
    for (const name of ['mark', 'plan', 'compact'] as const) {
      for (const graph of GRAPHS) {
        const pair = kernels[name][graph];
        row(`${name}, ${graph}`, 'ms', pair.tospaceMs, pair.cMs, pair.ratio);
      }
    }
  }
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  const lines = rows.map((cells) =>
    cells
      .map((text, i) => text.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => '─'.repeat(width)).join('  '));
  const { machine, compiler, options } = report;
  return [
    `${machine.cpu}, ${machine.cpus} CPUs, Linux ${machine.linux}, Node ${machine.node}`,
    compiler === null ? 'no C compiler' : `${compiler.version}, ${compiler.flags.join(' ')}`,
    `median (min–max) of ${options.rounds} processes of each side; memory is touched before it is measured`,
    '',
    ...lines,
    '',
  ].join('\n');
}

function cell(value: Spread, unit: string): string {
  return `${short(value.median)}${unit && ` ${unit}`} (${short(value.min)}–${short(value.max)})`;
}

/** Three significant digits. */
function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
