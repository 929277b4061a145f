// A WebAssembly guest on a managed heap: it runs through hundreds of collections and computes what it computes without a collector, at
// the same speed. See README.md.
import { thisMachine, writeMachine, type Machine } from '../support/machine.ts';
import { main, readArguments, readRounds, runReport } from '../support/command.ts';
import { type Spread, spreadOf, writeTable, writeUs } from '../support/samples.ts';
import { type HeapStatistics, TospaceError } from 'tospace';
import { loadGuest, type Program, type ProgramName, programs } from './guest.ts';
import { ManagedHost } from './managed.ts';
import { PlainHost } from './plain.ts';

const MIB = 2 ** 20;
/** Room for what one call allocates, whole pages. */
const areaBytes = (scale: number): number => Math.ceil(Math.max(4, 64 * scale)) * MIB;
/** Part of a call's work that is timed at a time: short calls, and many, on a machine that does other things as well. */
const TIMED_PART = 0.25;
/** Small enough that the guest's objects move often, large enough for what lives. */
const BUSY_HEAP_BYTES = 16 * MIB;
/** Large enough that no collection begins while the guest is timed. */
const QUIET_HEAP_BYTES = 128 * MIB;

const USAGE = `npm run example wasm-guest [-- OPTIONS]

  --cycles N    collections to run through at least, 1 to 100000 (default 300)
  --rounds N    rounds of the measurement, 1 to 100 (default 41)
  --scale X     part of the full work in each call, 0.01 to 1 (default 1)
  --verify      check every access of the guest and every phase of the collector; measures nothing
  --json        print the figures as JSON
  --help        print this
`;

interface Arguments {
  readonly cycles: number;
  readonly rounds: number;
  readonly scale: number;
  readonly verify: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

export interface Busy {
  readonly verify: boolean;
  readonly cycles: number;
  readonly faults: number;
  readonly calls: number;
  readonly flipUs: { readonly median: number; readonly max: number };
  readonly checksums: Readonly<
    Record<string, { readonly plain: number; readonly managed: readonly number[] }>
  >;
  readonly equal: boolean;
}

export interface Speed {
  readonly program: ProgramName;
  readonly what: string;
  readonly plainUs: Spread;
  readonly managedUs: Spread;
  /** Of the rounds: managed by plain. */
  readonly ratio: Spread;
}

export interface WasmGuestReport {
  readonly machine: Machine;
  readonly busy: Busy;
  /** Undefined with --verify. */
  readonly speed: readonly Speed[] | undefined;
  /** Collections that ran while the guest was timed: there must be none. */
  readonly cyclesWhileTimed: number;
}

function readNumber(option: string, text: string, low: number, high: number, integer: boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= low && value <= high) || (integer && !Number.isInteger(value)))
    throw new TospaceError('ERR_OPTION', `${option}: from ${low} to ${high}, not ${text}`, { hint: USAGE });
  return value;
}

function readAll(): Arguments {
  const values = readArguments(
    {
      cycles: { type: 'string', default: '300' },
      rounds: { type: 'string', default: '41' },
      scale: { type: 'string', default: '1' },
      verify: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  return {
    cycles: readNumber('--cycles', values.cycles, 1, 100_000, true),
    rounds: readRounds(values.rounds),
    scale: readNumber('--scale', values.scale, 0.01, 1, false),
    verify: values.verify,
    json: values.json,
    help: values.help,
  };
}

/** Calls after which a guest that is never between two flips is given up. */
const CALLS_MAX = 100_000;

/** Enough collections, and one of them met the guest at work: short calls may fall between collections. */
function seenEnough({ cycles, faults }: HeapStatistics, cyclesMin: number): boolean {
  return cycles >= cyclesMin && faults.count > 0;
}

/** Runs all programs again and again while another thread collects, until there were enough collections. */
async function runBusy(args: Arguments, all: readonly Program[], plain: PlainHost): Promise<Busy> {
  const { verify } = args;
  const host = await ManagedHost.create(loadGuest(verify), { heapBytes: BUSY_HEAP_BYTES, verify });
  try {
    const checksums: Record<string, { plain: number; managed: number[] }> = {};
    for (const program of all) {
      plain.reset();
      checksums[program.name] = { plain: program.run(plain.guest), managed: [] };
    }
    let calls = 0;
    await host.whileCollecting(() => {
      do {
        for (const program of all) {
          checksums[program.name]!.managed.push(host.run(program));
          calls++;
        }
      } while (!seenEnough(host.heap.stats(), args.cycles) && calls < CALLS_MAX);
    });
    const { cycles, faults, pausesUs } = host.heap.stats();
    return {
      verify,
      cycles,
      faults: faults.count,
      calls,
      flipUs: { median: pausesUs.flip.p50, max: pausesUs.flip.max },
      checksums,
      equal: Object.values(checksums).every((one) => one.managed.every((sum) => sum === one.plain)),
    };
  } finally {
    await host.close();
  }
}

const elapsedUs = (body: () => unknown): number => {
  const start = performance.now();
  body();
  return (performance.now() - start) * 1000;
};

/** Times each program on both hosts in turns. */
async function measure(
  args: Arguments,
  all: readonly Program[],
  plain: PlainHost,
): Promise<{ speed: Speed[]; cyclesWhileTimed: number }> {
  const host = await ManagedHost.create(loadGuest(false), { heapBytes: QUIET_HEAP_BYTES, verify: false });
  let cyclesWhileTimed = 0;
  try {
    const speed = all.map((program): Speed => {
      const plainUs: number[] = [];
      const managedUs: number[] = [];
      const managed = (): void => {
        host.prepare(areaBytes(args.scale * TIMED_PART));
        const before = host.heap.stats().cycles;
        managedUs.push(elapsedUs(() => host.run(program)));
        cyclesWhileTimed += host.heap.stats().cycles - before;
      };
      const bare = (): void => {
        plain.reset();
        plainUs.push(elapsedUs(() => program.run(plain.guest)));
      };
      // The first two rounds are for the compilers, and for the memory that the heap touches for the first time.
      for (let round = -2; round < args.rounds; round++) {
        if (round === 0) plainUs.length = managedUs.length = 0;
        for (const side of round % 2 === 0 ? [managed, bare] : [bare, managed]) side();
      }
      return {
        program: program.name,
        what: program.what,
        plainUs: spreadOf(plainUs),
        managedUs: spreadOf(managedUs),
        ratio: spreadOf(managedUs.map((us, i) => us / plainUs[i]!)),
      };
    });
    return { speed, cyclesWhileTimed };
  } finally {
    await host.close();
  }
}

async function run(args: Arguments): Promise<WasmGuestReport> {
  const all = programs(args.scale);
  // The same binary that runs on the heap; only the checking build, which asks its host, has no place here.
  const plain = new PlainHost(loadGuest(false), areaBytes(args.scale));
  const busy = await runBusy(args, all, plain);
  const timed = args.verify ? undefined : await measure(args, programs(args.scale * TIMED_PART), plain);
  return {
    machine: thisMachine(),
    busy,
    speed: timed?.speed,
    cyclesWhileTimed: timed?.cyclesWhileTimed ?? 0,
  };
}

const hex = (sum: number): string => sum.toString(16).padStart(8, '0');
const spread = ({ median, min, max }: Spread): string => `${median} (${min}–${max})`;

function describe({ machine, busy, speed, cyclesWhileTimed }: WasmGuestReport): string {
  const sums = Object.entries(busy.checksums).map(([name, { plain, managed }]) => [
    name,
    hex(plain),
    [...new Set(managed)].map(hex).join(', '),
    `${managed.length}`,
  ]);
  const lines = [
    writeMachine(machine),
    '',
    `${busy.calls} calls of the guest, ${busy.cycles} collections beside them, ${busy.faults} page faults served${busy.verify ? ', everything checked' : ''};`,
    `flips stopped the guest for ${writeUs(busy.flipUs.median)} (median), ${writeUs(busy.flipUs.max)} at most`,
    '',
    writeTable(['program', 'plain memory', 'managed heap', 'calls'], sums),
    '',
    busy.equal ? 'All checksums are equal.' : 'CHECKSUMS DIFFER.',
  ];
  if (speed !== undefined) {
    const rows = speed.map((one) => [
      one.program,
      one.what,
      writeUs(one.plainUs.median),
      writeUs(one.managedUs.median),
      spread(one.ratio),
    ]);
    const heads = ['program', 'work of a call', 'plain memory', 'managed heap', 'ratio'];
    lines.push('', 'The same module without a collection under way, medians of interleaved rounds:');
    lines.push('', writeTable(heads, rows));
    if (cyclesWhileTimed > 0)
      lines.push('', `${cyclesWhileTimed} collections ran all the same: the figures mean little.`);
  }
  return `${lines.join('\n')}\n`;
}

await main('wasm-guest', () =>
  runReport({
    usage: USAGE,
    readArguments: readAll,
    measure: run,
    describe,
    isRight: ({ busy }) => busy.equal && busy.faults > 0,
  }),
);
