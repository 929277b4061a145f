// The command line of `tospace bench SUITE`.

import { parseArgs } from 'node:util';
import type { StressOptions } from 'tospace';
import { readStress } from '../cli/stress-option.ts';
import { number } from '../cli/number.ts';
import { UsageError } from '../cli/usage.ts';
import type { Suite } from './plan.ts';
import { SUITES } from './suites.ts';
import { OUTPUTS, type OutputKind } from './outputs.ts';

const RUNS_MAX = 1000;
const DEFAULT_SUITE = 'quick';

export interface BenchArguments {
  readonly suite: Suite;
  readonly runs: number;
  readonly seed: number;
  /** Names of peers; `all` of them, or none. */
  readonly peers: 'all' | readonly string[];
  /** Only configurations whose id contains one of these. */
  readonly only: readonly string[];
  readonly scale: number;
  readonly stress: StressOptions | undefined;
  /** Files to write, by kind. `-` is standard output, of one of them. */
  readonly outputs: Readonly<Partial<Record<OutputKind, string>>>;
  readonly pretouch: boolean;
}

export const BENCH_USAGE: string = `Usage: tospace bench [SUITE] [OPTIONS]

Measures workloads on every collector, one process per measurement, interleaved, and says what it found.

Suites:
${SUITES.map(({ name, summary, runs }) => `  ${name.padEnd(17)}${summary} (${runs} runs)`).join('\n')}

Options:
  --runs n         processes of each configuration, 1 to ${RUNS_MAX}; below 3 there is no confidence, below 4 no verdict
  --peers LIST     peers besides V8: names with commas, all, or none
  --only LIST      only configurations whose name contains one of these words
  --scale X        multiplies the amount of work (default 1)
  --seed n         of the order, the workloads and the statistics (default 1)
  --stress LIST    members of the option stress of the heaps, such as delayMs.flip=2: to see that a fault is found
  --no-pretouch    do not touch the machine's memory before
  --json FILE      write the document; - is standard output, and then nothing else is on it
  --html FILE      write the report
  --trace FILE     write one cycle of each representative as Chrome trace events
                   without any of the three: tospace-bench-SUITE.json and .html, here
  --help           this text

Ctrl-C keeps what was measured. Exit status 1: a wrong result, or a process failed. 130: interrupted.
`;

/** Reads the arguments behind `bench`. @throws UsageError */
export function parseBenchArguments(args: readonly string[]): BenchArguments | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const [name = DEFAULT_SUITE, ...more] = positionals;
  const suite = SUITES.find((one) => one.name === name);
  const names = [...SUITES.map((one) => one.name), 'floor', 'flip', 'pauses'].join(', ');
  if (suite === undefined)
    throw new UsageError(`bench: there is no benchmark "${name}"; there are: ${names}`);
  if (more.length > 0)
    throw new UsageError(`bench: "${more[0]}" is one argument too many; one suite runs at a time`);
  const outputs: Partial<Record<OutputKind, string>> = {};
  for (const kind of Object.keys(OUTPUTS) as OutputKind[]) {
    const file = values[kind];
    if (file === undefined) continue;
    if (file === '') throw new UsageError(`--${kind}: name a file`);
    if (OUTPUTS[kind] === undefined) throw new UsageError(`--${kind}: this build cannot write it`);
    outputs[kind] = file as string;
  }
  // Nobody should measure for an hour and have nothing of it.
  if (Object.keys(outputs).length === 0)
    for (const kind of ['json', 'html'] as const) outputs[kind] = `tospace-bench-${suite.name}.${kind}`;
  const targets = Object.values(outputs);
  const twice = targets.find((file, i) => targets.indexOf(file) !== i);
  if (twice !== undefined) throw new UsageError(`two outputs go to "${twice}"`);
  return {
    suite,
    runs: number('--runs', values.runs, 1, RUNS_MAX, true) ?? suite.runs,
    seed: number('--seed', values.seed, 0, 2 ** 32 - 1, true) ?? 1,
    peers: peers(values.peers, suite),
    only: list(values.only),
    scale: number('--scale', values.scale, 0.001, 1000, false) ?? 1,
    stress: readStress(values.stress),
    outputs,
    pretouch: values['no-pretouch'] !== true,
  };
}

type Values = Partial<
  Record<'runs' | 'peers' | 'only' | 'scale' | 'seed' | 'stress' | OutputKind, string> &
    Record<'help' | 'no-pretouch', boolean>
>;

function parse(args: readonly string[]): { values: Values; positionals: string[] } {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        runs: text,
        peers: text,
        only: text,
        scale: text,
        seed: text,
        stress: text,
        json: text,
        html: text,
        trace: text,
        'no-pretouch': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function list(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((word) => word !== '');
}

function peers(text: string | undefined, suite: Suite): BenchArguments['peers'] {
  const given = text ?? suite.peers;
  return given === 'all' ? 'all' : given === 'none' ? [] : list(given);
}
