// npm run example mirror: a ring whose end is its beginning again, made of a second mapping of the same pages, and what such a mapping
// does not share: page tables. README.md says what that proves.
import { createLibcKernel, TospaceError } from 'tospace/uffd';
import { main, readArguments, readRounds, runReport } from '../support/command.ts';
import { type Machine, thisMachine, writeMachine } from '../support/machine.ts';
import { type Cut, fitSizes } from '../support/memory.ts';
import { type Spread, writeTable, writeUs } from '../support/samples.ts';
import { readSize, writeSize } from '../support/sizes.ts';
import { type Continued, showContinue } from './continue.ts';
import { type Creation, measureCreation } from './creation.ts';
import { inspectPageTables, type PageTables } from './page-tables.ts';
import { WAYS, type Way } from './places.ts';
import { type Straddle, showStraddle } from './straddle.ts';
import { measureThroughput, RINGS, type Ring, type Throughput } from './throughput.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

const CREATION_BYTES = [64 * KIB, MIB, 16 * MIB, 256 * MIB, GIB];
const CREATION_ROUNDS = 101;
const MEMORY_FACTOR = 1.25;
const RING_BYTES = 256 * KIB;
/** Few records go past the end of the ring; nearly every third does. */
const MEAN_BYTES = [KIB, 80 * KIB];
const PASS_BYTES = 256 * MIB;
const ROUNDS = 5;
const PAGE_TABLES_BYTES = 16 * MIB;
const CONTINUE_PAGES = 64;

const USAGE = `npm run example mirror [-- OPTIONS]

Maps memory twice, by mremap with an old size of 0 and by a second mmap, and uses it as a ring.

  --max SIZE    the largest memory to mirror, from 64KiB to 1GiB (default 1GiB)
  --pass SIZE   bytes of records through each ring in each round, up to 1GiB (default 256MiB)
  --rounds N    rounds of the throughput, from 1 to 100 (default ${ROUNDS})
  --json        one JSON document on standard output
  --help        this text
`;

interface Arguments {
  readonly maxBytes: number;
  readonly passBytes: number;
  readonly rounds: number;
  readonly json: boolean;
  readonly help: boolean;
}

export interface MirrorReport {
  readonly example: 'mirror';
  readonly machine: Machine;
  readonly options: Pick<Arguments, 'maxBytes' | 'passBytes' | 'rounds'>;
  readonly creation: readonly Creation[];
  /** Sizes that this machine has no memory for. */
  readonly cut: readonly Cut[];
  readonly ringBytes: number;
  readonly throughput: readonly Throughput[];
  readonly byWay: Readonly<
    Record<
      Way,
      { readonly straddle: Straddle; readonly pageTables: PageTables; readonly continued: Continued }
    >
  >;
  /** The claims, each read off the figures above. */
  readonly facts: Facts;
}

interface Facts {
  /** A record that goes past the end is one piece of memory. */
  readonly straddlingRecordIsOneView: boolean;
  /** A new mirror of memory that is wholly in use maps nothing; the touch of every page maps all of it. */
  readonly mirrorStartsWithoutPageTables: boolean;
  /** A store to each page through the mirror takes at least as many minor faults as there are pages. */
  readonly firstTouchFaults: boolean;
  /** A touch of a watched mirror raises a MINOR event, and CONTINUE ends it with what the server wrote meanwhile. */
  readonly continueResolvesMinor: boolean;
}

async function measure({ maxBytes, passBytes, rounds }: Arguments): Promise<MirrorReport> {
  const kernel = createLibcKernel();
  const { fit, cut } = fitSizes(
    CREATION_BYTES.filter((size) => size <= maxBytes),
    MEMORY_FACTOR,
  );
  const creation = fit.map((bytes) => measureCreation(kernel, bytes, CREATION_ROUNDS));
  const throughput: Throughput[] = [];
  for (const meanBytes of MEAN_BYTES)
    throughput.push(await measureThroughput(kernel, RING_BYTES, meanBytes, passBytes, rounds));
  const look = async (way: Way): Promise<MirrorReport['byWay'][Way]> => ({
    straddle: showStraddle(kernel, way),
    pageTables: inspectPageTables(kernel, way, PAGE_TABLES_BYTES),
    continued: await showContinue(kernel, way, CONTINUE_PAGES),
  });
  const byWay = { mremap: await look('mremap'), mmap: await look('mmap') };
  return {
    example: 'mirror',
    machine: thisMachine(),
    options: { maxBytes, passBytes, rounds },
    creation,
    cut,
    ringBytes: RING_BYTES,
    throughput,
    byWay,
    facts: judge(byWay),
  };
}

function judge(byWay: MirrorReport['byWay']): Facts {
  const everyWay = (is: (of: MirrorReport['byWay'][Way]) => boolean): boolean =>
    WAYS.every((way) => is(byWay[way]));
  return {
    straddlingRecordIsOneView: everyWay(
      ({ straddle }) =>
        straddle.readAsOneView === straddle.written &&
        straddle.atTheEnd + straddle.atTheBeginning === straddle.written,
    ),
    mirrorStartsWithoutPageTables: everyWay(
      ({ pageTables: { bytes, residentBytes, mirrorResidentBytes, sameBytes } }) =>
        residentBytes === bytes &&
        mirrorResidentBytes.before === 0 &&
        mirrorResidentBytes.after === bytes &&
        sameBytes,
    ),
    firstTouchFaults: everyWay(
      ({ pageTables: { pages, minorFaults } }) =>
        minorFaults.mirrorWriting >= pages && minorFaults.first < pages / 100,
    ),
    continueResolvesMinor: everyWay(
      ({ continued }) =>
        continued.sawServersBytes &&
        continued.events === continued.touched &&
        continued.minorEvents === continued.touched &&
        continued.continued === continued.touched,
    ),
  };
}

const WAY_LABELS: Readonly<Record<Way, string>> = { mremap: 'mremap, old size 0', mmap: 'mmap again' };
const RING_LABELS: Readonly<Record<Ring, string>> = {
  mremap: 'mirrored by mremap',
  mmap: 'mirrored by mmap',
  twoParts: 'plain, in two parts',
};

function describe(report: MirrorReport): string {
  const { machine, creation, cut, ringBytes, throughput, byWay, facts, options } = report;
  const us = ({ median, min, max }: Spread): string => `${writeUs(median)} (${writeUs(min)}–${writeUs(max)})`;
  const speed = ({ median, min, max }: Spread): string =>
    [median, min, max].map((x) => x.toFixed(0)).join(' ');
  const { straddle } = byWay.mremap;
  return [
    writeMachine(machine),
    '',
    `What a mirror of populated memory costs to make: median (min–max) of ${CREATION_ROUNDS} rounds, in turns.`,
    ...cut.map(({ bytes, reason }) => `Left out: ${writeSize(bytes)} ${reason}.`),
    writeTable(
      ['memory', ...WAYS.map((way) => WAY_LABELS[way])],
      creation.map((one) => [writeSize(one.bytes), ...WAYS.map((way) => us(one.us[way]))]),
    ),
    '',
    `Records from one thread to another through a ring of ${writeSize(ringBytes)}, ${writeSize(options.passBytes)} a pass, every byte`,
    `compared: MiB/s, median min max of ${options.rounds} rounds, in turns.`,
    writeTable(
      ['records of about', 'past the end', ...RINGS.map((ring) => RING_LABELS[ring])],
      throughput.map((one) => [
        writeSize(one.meanBytes),
        `${(one.straddling * 100).toPrecision(2)} %`,
        ...RINGS.map((ring) => speed(one.mibPerSecond[ring])),
      ]),
    ),
    '',
    'A record that goes past the end of the ring:',
    `  the ring's last bytes   …${straddle.atTheEnd}`,
    `  and its first           ${straddle.atTheBeginning}…`,
    `  as one view             ${straddle.readAsOneView}`,
    '',
    `Pages are shared, page tables are not: ${writeSize(PAGE_TABLES_BYTES)}, all pages touched through the first mapping.`,
    writeTable(
      [
        'mirrored by',
        'Rss of the first',
        'of the mirror',
        'after touching it',
        'faults: first',
        'mirror, reading',
        'mirror, writing',
      ],
      WAYS.map((way) => {
        const { residentBytes, mirrorResidentBytes, minorFaults } = byWay[way].pageTables;
        return [
          WAY_LABELS[way],
          writeSize(residentBytes),
          writeSize(mirrorResidentBytes.before),
          writeSize(mirrorResidentBytes.after),
          ...[minorFaults.first, minorFaults.mirrorReading, minorFaults.mirrorWriting].map(String),
        ];
      }),
    ),
    '',
    'The mirror watched by a userfaultfd, a server in a worker:',
    ...WAYS.map((way) => {
      const { touched, events, minorEvents, continued } = byWay[way].continued;
      return `  ${WAY_LABELS[way]}: ${touched} pages touched, ${events} events, ${minorEvents} of them MINOR, ${continued} pages continued`;
    }),
    '',
    `a record past the end is one view: ${yes(facts.straddlingRecordIsOneView)}`,
    `a new mirror has no page tables: ${yes(facts.mirrorStartsWithoutPageTables)}`,
    `the first touch of each page through it faults: ${yes(facts.firstTouchFaults)}`,
    `a watched touch is a MINOR event, and CONTINUE resolves it: ${yes(facts.continueResolvesMinor)}`,
    '',
  ].join('\n');
}

function yes(is: boolean): string {
  return is ? 'yes' : 'NO';
}

function parse(): Arguments {
  const values = readArguments(
    {
      max: { type: 'string', default: '1GiB' },
      pass: { type: 'string', default: writeSize(PASS_BYTES) },
      rounds: { type: 'string', default: String(ROUNDS) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  const maxBytes = readSize('--max', values.max);
  if (maxBytes < CREATION_BYTES[0]! || maxBytes > GIB)
    throw new TospaceError('ERR_OPTION', `--max: from 64KiB to 1GiB, not ${values.max}`);
  const passBytes = readSize('--pass', values.pass);
  if (passBytes === 0 || passBytes > GIB)
    throw new TospaceError('ERR_OPTION', `--pass: up to 1GiB, not ${values.pass}`);
  return {
    maxBytes,
    passBytes,
    rounds: readRounds(values.rounds),
    json: values.json,
    help: values.help,
  };
}

await main('mirror', () =>
  runReport({
    usage: USAGE,
    readArguments: parse,
    measure,
    describe,
    isRight: ({ facts }) => Object.values(facts).every(Boolean),
  }),
);
