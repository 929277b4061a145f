// tospace bench flip: what the move of page tables costs, against everything that it depends on: the size, how congruent source and
// destination are, how much is populated, whether a userfaultfd watches the source, and the kind of memory. docs/kernel.md explains
// the curves.
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { TospaceError } from 'tospace';
import { allowedCpus, createLibcKernel } from 'tospace/uffd';
import { availableMemory } from './cli/available-memory.ts';
import { formatBytes, parseBytes } from './cli/bytes.ts';
import { UsageError } from './cli/usage.ts';
import { fitSizes, groups, SIZES_BYTES } from './flip/configurations.ts';
import { callUs, measureGroup } from './flip/moves.ts';
import { describeFlip, distribution, type FlipPoint, type FlipReport, findRegimes } from './flip/report.ts';

const ROUNDS = 41;
const ROUNDS_MAX = 1000;
/** The whole run stays below a minute: on a slow machine the largest groups have fewer rounds. */
const BUDGET_MS = 40_000;
/** What a group costs besides what grows with its size, in terms of its size. */
const GROUP_OVERHEAD_BYTES = 16 * 1024 * 1024;
const PAGE_BYTES = 4096;

const USAGE = `Usage: tospace bench flip [options]

Measures mremap(MREMAP_DONTUNMAP) against size, congruence, populated part, registration and kind of memory.

  --sizes 1MiB,…,1GiB  sizes of the range, up to 1 GiB (default: ${SIZES_BYTES.map((bytes) => formatBytes(bytes).replace(' ', '')).join(',')})
  --rounds n           timed moves of each configuration, from 1 to ${ROUNDS_MAX} (default: ${ROUNDS})
  --json               one JSON document on standard output
  --help               this text

Exit status 1: at 1 GiB the regimes are not ten times apart.
`;

interface FlipArguments {
  readonly sizesBytes: readonly number[];
  readonly rounds: number;
  readonly json: boolean;
}

/** Runs the command with the arguments behind `bench flip`; returns the exit status. @throws UsageError, TospaceError */
export async function flip(args: string[]): Promise<number> {
  const parsed = parse(args);
  if (parsed === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const report = measure(parsed);
  process.stdout.write(parsed.json ? `${JSON.stringify(report, null, 2)}\n` : describeFlip(report));
  return report.regimes.apart === false ? 1 : 0;
}

function parse(args: string[]): FlipArguments | 'help' {
  let values: { sizes?: string; rounds?: string; json?: boolean; help?: boolean };
  try {
    ({ values } = parseArgs({
      args,
      options: {
        sizes: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help === true) return 'help';
  const rounds = Number(values.rounds ?? ROUNDS);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX)
    throw new UsageError(`--rounds must be an integer from 1 to ${ROUNDS_MAX}, not ${values.rounds}`);
  const sizes =
    values.sizes === undefined
      ? SIZES_BYTES
      : values.sizes.split(',').map((text) => parseBytes('--sizes', text));
  for (const bytes of sizes) {
    // A sixteenth of it is populated, in whole pages.
    if (bytes % (16 * PAGE_BYTES) !== 0 || bytes > SIZES_BYTES.at(-1)!)
      throw new UsageError(`--sizes: multiples of 64 KiB up to 1 GiB, not ${bytes} bytes`);
  }
  return { sizesBytes: [...new Set(sizes)].sort((a, b) => a - b), rounds, json: values.json === true };
}

function measure({ sizesBytes: wanted, rounds }: FlipArguments): FlipReport {
  const { sizesBytes, cut } = fitSizes(wanted, availableMemory());
  if (sizesBytes.length === 0) {
    throw new TospaceError('ERR_OUT_OF_MEMORY', `no size can be measured: ${cut[0]!.reason}`, {
      hint: 'Name smaller --sizes, or give the process more memory.',
    });
  }
  // Progress goes to a terminal only: whoever redirects standard error wants errors there.
  const progress = (what: string): void =>
    void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${what}`));
  const points: FlipPoint[] = [];
  const all = groups(sizesBytes);
  const weight = (group: (typeof all)[number]): number =>
    group.sizeBytes * group.populated + GROUP_OVERHEAD_BYTES;
  let remaining = all.reduce((sum, group) => sum + weight(group), 0);
  const end = performance.now() + BUDGET_MS;
  for (const group of all) {
    progress(`${group.memory}, ${formatBytes(group.sizeBytes)}, ${group.populated} populated`);
    const now = performance.now();
    const deadlineMs = now + (Math.max(0, end - now) * weight(group)) / remaining;
    remaining -= weight(group);
    for (const { variant, us } of measureGroup(group, rounds, deadlineMs))
      points.push({ ...group, ...variant, rounds: us.length, ...distribution(us) });
  }
  progress('');
  return {
    benchmark: 'flip',
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cpus: allowedCpus(createLibcKernel()).length,
      linux: release(),
      node: process.version,
    },
    options: { sizesBytes, rounds },
    state: 'moved back after every move, rehearsed once',
    callUs: distribution(callUs(1000)),
    cut,
    points,
    regimes: findRegimes(points, sizesBytes),
  };
}
