// tospace bench pauses: do pauses grow with the live heap, with the non-moving space, with the number of handles?
//
// Every configuration is measured in processes of its own, which alternate with those of the others. A thread works on the heap while
// cycles run back to back; it times its safepoints, and a thread beside it measures what the machine takes from everybody.

import { execFile } from 'node:child_process';
import { cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { allowedCpus, createLibcKernel } from 'tospace/uffd';
import { availableMemory } from './cli/available-memory.ts';
import { UsageError } from './cli/usage.ts';
import {
  AXES,
  allConfigurations,
  along,
  type Axis,
  type Configuration,
  memoryMib,
  SIZES,
  type Sizes,
  sameConfiguration,
} from './pauses/configurations.ts';
import { describePauses } from './pauses/text.ts';
import type { Growth, PausesReport } from './pauses/report.ts';
import { type ConfigurationResult, summarise } from './pauses/result.ts';
import type { PauseSamples } from './pauses/samples.ts';

const ROUNDS = 2;
const CYCLES = 100;
const CYCLES_QUICK = 20;
const CYCLES_MAX = 100_000;
/** For all cycles together. On a busy machine some processes end before they have done theirs. */
const BUDGET_MINUTES = { full: 3, quick: 0.4 };
const BUDGET_MINUTES_MAX = 600;
/** Of one process' time, what no amount of data saves, as if it were MiB. */
const OVERHEAD_MIB = 20;
/** A process that has not ended so long after its cycles hangs: it also builds its data, and warms up. */
const KILL_MS = 120_000;
const OUTPUT_BYTES_MAX = 64 * 2 ** 20;

const USAGE = `Usage: tospace bench pauses [options]

Measures whether pauses grow with the live heap, the non-moving space or the number of persistent handles.

  --cycles n   cycles of each configuration, from 1 to ${CYCLES_MAX} (default: ${CYCLES}, or ${CYCLES_QUICK} with --quick)
  --minutes n  for all cycles together, at most ${BUDGET_MINUTES_MAX} (default: ${BUDGET_MINUTES.full}); some configurations then do fewer
  --quick      small sizes and few cycles: shows that it works, measures little of worth
  --json       one JSON document on standard output
  --help       this text
`;

interface PausesArguments {
  readonly cycles: number;
  readonly minutes: number;
  readonly quick: boolean;
  readonly json: boolean;
}

/** Runs the command with the arguments behind `bench pauses`; returns the exit status. @throws UsageError */
export async function pauses(args: string[]): Promise<number> {
  const parsed = parse(args);
  if (parsed === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const report = await measure(parsed);
  process.stdout.write(parsed.json ? `${JSON.stringify(report, null, 2)}\n` : describePauses(report));
  return 0;
}

function parse(args: string[]): PausesArguments | 'help' {
  let values: { cycles?: string; minutes?: string; quick?: boolean; json?: boolean; help?: boolean };
  try {
    ({ values } = parseArgs({
      args,
      options: {
        cycles: { type: 'string' },
        minutes: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help === true) return 'help';
  const quick = values.quick === true;
  const cycles = Number(values.cycles ?? (quick ? CYCLES_QUICK : CYCLES));
  if (!Number.isInteger(cycles) || cycles < 1 || cycles > CYCLES_MAX)
    throw new UsageError(`--cycles must be an integer from 1 to ${CYCLES_MAX}, not ${values.cycles}`);
  const minutes = Number(values.minutes ?? BUDGET_MINUTES[quick ? 'quick' : 'full']);
  if (!(minutes > 0 && minutes <= BUDGET_MINUTES_MAX))
    throw new UsageError(
      `--minutes must be a number above 0, up to ${BUDGET_MINUTES_MAX}, not ${values.minutes}`,
    );
  return { cycles, minutes, quick, json: values.json === true };
}

async function measure({ cycles, minutes, quick }: PausesArguments): Promise<PausesReport> {
  const sizes = quick ? SIZES.quick : SIZES.full;
  const rounds = quick ? 1 : Math.min(ROUNDS, cycles);
  const availableMib = availableMemory() / 2 ** 20;
  const skipped: (Configuration & { reason: string })[] = [];
  const wanted = allConfigurations(sizes).filter((configuration) => {
    const needMib = memoryMib(configuration);
    if (needMib <= availableMib) return true;
    skipped.push({ ...configuration, reason: `${needMib} MiB of memory are not available` });
    return false;
  });
  // Progress goes to a terminal only: whoever redirects standard error wants errors there.
  const progress = (what: string): void =>
    void (process.stderr.isTTY && process.stderr.write(`\r\x1b[K${what}`));
  const samples = wanted.map((): PauseSamples[] => []);
  // A share for each process by its data; what one does not need is left to the others.
  const weight = ({ liveMib, pinnedMib }: Configuration): number => liveMib + pinnedMib + OVERHEAD_MIB;
  let weights = rounds * wanted.reduce((sum, configuration) => sum + weight(configuration), 0);
  const end = performance.now() + minutes * 60_000;
  for (let round = 0; round < rounds; round++) {
    // The rest of the division falls to the first rounds.
    const part = Math.floor(cycles / rounds) + (round < cycles % rounds ? 1 : 0);
    for (const [i, configuration] of wanted.entries()) {
      const { liveMib, pinnedMib, roots } = configuration;
      progress(
        `round ${round + 1} of ${rounds}: ${liveMib} MiB live, ${pinnedMib} MiB pinned, ${roots} roots`,
      );
      const limitMs = (Math.max(0, end - performance.now()) * weight(configuration)) / weights;
      weights -= weight(configuration);
      samples[i]!.push(await child(configuration, part, limitMs));
    }
  }
  progress('');
  const configurations = wanted.map((configuration, i) => summarise(configuration, samples[i]!));
  return {
    benchmark: 'pauses',
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cpus: allowedCpus(createLibcKernel()).length,
      linux: release(),
      node: process.version,
    },
    options: { cycles, minutes, rounds, quick },
    configurations,
    skipped,
    growth: Object.fromEntries(
      AXES.map((axis) => [axis, growth(axis, sizes, configurations)]),
    ) as unknown as Record<Axis, Growth>,
  };
}

async function child(
  { liveMib, pinnedMib, roots }: Configuration,
  cycles: number,
  limitMs: number,
): Promise<PauseSamples> {
  const script = fileURLToPath(new URL('./pauses/pauses-child.js', import.meta.url));
  const args = [liveMib, pinnedMib, roots, cycles, Math.ceil(limitMs)].map(String);
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], {
    // A thread that sits in a page fault answers to no other signal.
    killSignal: 'SIGKILL',
    timeout: Math.ceil(limitMs) + KILL_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  return JSON.parse(stdout) as PauseSamples;
}

function growth(axis: Axis, sizes: Sizes, results: readonly ConfigurationResult[]): Growth {
  const line = along(axis, sizes);
  const find = (wanted: Configuration): ConfigurationResult | undefined =>
    results.find((result) => sameConfiguration(result, wanted));
  const first = find(line[0]!);
  const last = find(line.at(-1)!);
  const ratio = (kind: 'remarkUs' | 'flipUs'): number | null => {
    if (first === undefined || last === undefined) return null;
    const of = last[kind].p50 / first[kind].p50;
    return Number.isFinite(of) ? Number(of.toPrecision(3)) : null;
  };
  return { remarkP50: ratio('remarkUs'), flipP50: ratio('flipUs') };
}
