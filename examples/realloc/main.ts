// npm run example realloc: growing a block by moving its pages, against copying it. README.md says what that proves.
import { createLibcKernel, TospaceError } from 'tospace/uffd';
import { main, readArguments, readRounds, runReport } from '../support/command.ts';
import { type Machine, thisMachine, writeMachine } from '../support/machine.ts';
import { type Cut, fitSizes } from '../support/memory.ts';
import { type Spread, spreadOf, writeTable, writeUs } from '../support/samples.ts';
import { readSize, writeSize } from '../support/sizes.ts';
import { GROWTH, growOnce, METHODS, type Method } from './grow.ts';
import { Pattern } from './pattern.ts';

const MIB = 1024 * 1024;
const SIZES_BYTES = [1, 4, 16, 64, 256, 1024].map((mib) => mib * MIB);
const ROUNDS = 5;
/** The whole stays below a minute: on a slow machine the largest blocks have fewer rounds. */
const SECONDS = 40;
const SECONDS_MAX = 3600;
/** Copying holds the block twice. */
const MEMORY_FACTOR = 2.25;

const USAGE = `npm run example realloc [-- OPTIONS]

Doubles blocks of memory: by moving their pages, by copying into fresh memory, by copying into memory that is there already.

  --max SIZE   the largest block, from 1MiB to 1GiB (default 1GiB)
  --rounds N   growths of each kind and size, from 1 to 100 (default ${ROUNDS})
  --seconds S  after that many only one round each is left (default ${SECONDS})
  --json       one JSON document on standard output
  --help       this text
`;

interface Arguments {
  readonly maxBytes: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly json: boolean;
  readonly help: boolean;
}

interface SizeReport {
  readonly bytes: number;
  /** How many were measured. */
  readonly rounds: number;
  /** Microseconds. */
  readonly us: Readonly<Record<Method, Spread>>;
  /** Medians: how many times as long as moving. */
  readonly ratios: { readonly copy: number; readonly copyWarm: number };
  /** All rounds of all methods: every byte arrived, the tail is usable, the source reads as zero. */
  readonly verified: { readonly arrived: boolean; readonly grown: boolean; readonly sourceZero: boolean };
}

export interface ReallocReport {
  readonly example: 'realloc';
  readonly machine: Machine;
  readonly rounds: number;
  readonly sizes: readonly SizeReport[];
  /** Sizes that this machine has no memory for. */
  readonly cut: readonly Cut[];
}

function measure({ maxBytes, rounds, seconds }: Arguments): ReallocReport {
  const kernel = createLibcKernel();
  const pattern = new Pattern();
  const sizes: SizeReport[] = [];
  const { fit, cut } = fitSizes(
    SIZES_BYTES.filter((size) => size <= maxBytes),
    MEMORY_FACTOR,
  );
  const end = performance.now() + seconds * 1000;
  for (const bytes of fit) {
    const start = performance.now();
    // Whether one more round like those before would still end in time.
    const hasTime = (): boolean => performance.now() + (performance.now() - start) / round < end;
    const us: Record<Method, number[]> = { move: [], copy: [], copyWarm: [] };
    const verified = { arrived: true, grown: true, sourceZero: true };
    // One round more than counts: the first finds memory that the machine has not touched yet.
    let round = 0;
    for (; round <= rounds && (round <= 1 || hasTime()); round++) {
      for (let i = 0; i < METHODS.length; i++) {
        const method = METHODS[(i + round) % METHODS.length]!;
        const growth = growOnce(kernel, pattern, method, bytes);
        if (round > 0) us[method].push(growth.us);
        verified.arrived &&= growth.arrived;
        verified.grown &&= growth.grown;
        verified.sourceZero &&= growth.sourceZero;
      }
    }
    const spreads = { move: spreadOf(us.move), copy: spreadOf(us.copy), copyWarm: spreadOf(us.copyWarm) };
    const ratio = (method: Method): number =>
      Number((spreads[method].median / spreads.move.median).toPrecision(3));
    sizes.push({
      bytes,
      rounds: round - 1,
      us: spreads,
      ratios: { copy: ratio('copy'), copyWarm: ratio('copyWarm') },
      verified,
    });
  }
  return { example: 'realloc', machine: thisMachine(), rounds, sizes, cut };
}

const LABELS: Readonly<Record<Method, string>> = {
  move: 'move the pages',
  copy: 'copy',
  copyWarm: 'copy, target warm',
};
/** Characters for a factor of ten. */
const DECADE = 9;

function describe({ machine, sizes, cut }: ReallocReport): string {
  const cell = ({ median, min, max }: Spread): string =>
    `${writeUs(median)} (${writeUs(min)}–${writeUs(max)})`;
  const rows = sizes.map(({ bytes, rounds, us, ratios }) => [
    writeSize(bytes),
    `${rounds}`,
    ...METHODS.map((method) => cell(us[method])),
    `${ratios.copy}`,
    `${ratios.copyWarm}`,
  ]);
  const bars = sizes.flatMap(({ bytes, us }) =>
    METHODS.map((method, i) => {
      const length = Math.max(1, Math.round((Math.log10(us[method].median) + 1) * DECADE));
      const label = `${(i === 0 ? writeSize(bytes) : '').padEnd(9)}${LABELS[method].padEnd(18)}`;
      return `${label}${'▇'.repeat(length)} ${writeUs(us[method].median)}`;
    }),
  );
  const all = (key: 'arrived' | 'grown' | 'sourceZero'): string =>
    sizes.length > 0 && sizes.every(({ verified }) => verified[key]) ? 'yes' : 'NO';
  return [
    writeMachine(machine),
    `A block of anonymous memory is given a place ${GROWTH} times as large: median (min–max), rounds taken in turns.`,
    ...cut.map(({ bytes, reason }) => `Left out: ${writeSize(bytes)} ${reason}.`),
    '',
    writeTable(
      ['block', 'rounds', ...METHODS.map((method) => LABELS[method]), 'copy/move', 'warm/move'],
      rows,
    ),
    '',
    `Logarithmic: ${DECADE} characters are a factor of ten.`,
    ...bars,
    '',
    `every byte arrived: ${all('arrived')}`,
    `the rest of the new place is usable: ${all('grown')}`,
    `the old place is still mapped and reads as zero: ${all('sourceZero')}`,
    '',
  ].join('\n');
}

function parse(): Arguments {
  const values = readArguments(
    {
      max: { type: 'string', default: '1GiB' },
      rounds: { type: 'string', default: String(ROUNDS) },
      seconds: { type: 'string', default: String(SECONDS) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  const maxBytes = readSize('--max', values.max);
  if (maxBytes < SIZES_BYTES[0]! || maxBytes > SIZES_BYTES.at(-1)!)
    throw new TospaceError('ERR_OPTION', `--max: from 1MiB to 1GiB, not ${values.max}`);
  const seconds = Number(values.seconds);
  if (!(seconds >= 0 && seconds <= SECONDS_MAX))
    throw new TospaceError('ERR_OPTION', `--seconds: from 0 to ${SECONDS_MAX}, not ${values.seconds}`);
  const { json, help } = values;
  return { maxBytes, rounds: readRounds(values.rounds), seconds, json, help };
}

await main('realloc', () =>
  runReport({
    usage: USAGE,
    readArguments: parse,
    measure,
    describe,
    // Nothing measured is nothing shown.
    isRight: ({ sizes }) =>
      sizes.length > 0 && sizes.every(({ verified }) => Object.values(verified).every(Boolean)),
  }),
);
