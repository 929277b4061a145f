// The command line of `tospace run`. What the options mean to a heap, and their ranges, are the library's business: here they are
// only read.

import { parseArgs } from 'node:util';
import { HEAP_OPTIONS, type HeapOptions } from 'tospace';
import { findWorkload, WORKLOADS } from '../workloads/index.ts';
import { DEFAULT_LOAD, type Load, type Workload } from '../workloads/workload.ts';
import { parseBytes, parseRate } from './bytes.ts';
import { readStress } from './stress-option.ts';
import { number } from './number.ts';
import { UsageError } from './usage.ts';

/** A scale beyond this is a typing error, not a plan. */
const SCALE_MAX = 10_000;
/** Of gcbench-mt. A heap has 64 thread records. */
const THREADS_MAX = 32;
const THREADS_DEFAULT = 2;

/** The options of the command line, in the order of the help. */
interface OptionSpec {
  readonly name: string;
  /** How a value is written; an option without is a switch. */
  readonly notation?: string;
  readonly help: string;
}

/** Where a line of the help is broken. */
const HELP_COLUMNS = 110;
const HELP_INDENT = 28;

/** `minHeap` is `--min-heap`. */
const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const inPlainText = (markdown: string): string => markdown.replaceAll('`', '');

/** Options of the heap: all of the library's table, those of stress in one. */
const HEAP_FLAGS = HEAP_OPTIONS.filter(({ key }) => !key.startsWith('stress.')).map((option) => ({
  option,
  name: flagOf(option.key),
}));

const OPTIONS: readonly OptionSpec[] = [
  ...HEAP_FLAGS.map(({ name, option: { notation, doc, byDefault } }) => ({
    name,
    notation,
    help: `${inPlainText(doc)} Default ${inPlainText(byDefault)}.`,
  })),
  {
    name: 'stress',
    notation: 'KEY=VALUE,...',
    help: 'Stress options of the heap, such as collectEveryAllocation=1000,delayMs.flip=2.',
  },
  { name: 'seed', notation: 'N', help: 'Seed of the random workloads. Default 1.' },
  { name: 'scale', notation: 'X', help: 'Amount of work. Default 1.' },
  { name: 'threads', notation: 'N', help: 'gcbench-mt: threads on the one heap, 1 to 32. Default 2.' },
  {
    name: 'ops-rate',
    notation: 'R',
    help: 'Open load: an operation is due every 1/R seconds, in each thread. Default: one after the other.',
  },
  {
    name: 'ops',
    notation: 'FILE',
    help: 'Write start and end of every operation, as pairs of doubles, in ms.',
  },
  { name: 'trace', notation: 'FILE', help: 'Write what every thread did as Chrome trace events.' },
  { name: 'seconds', notation: 'N', help: `steady: how long it runs. Default ${DEFAULT_LOAD.seconds}.` },
  { name: 'rate', notation: 'RATE', help: 'steady: allocation. Default 200MB/s.' },
  { name: 'live', notation: 'SIZE', help: 'steady: size of the live set. Default 256MiB.' },
  { name: 'json', help: 'Print one JSON document and nothing else on standard output.' },
  { name: 'help', help: 'Show this help.' },
];

const NAMES = OPTIONS.map(({ name }) => `--${name}`).join(', ');

export interface RunArguments {
  readonly workload: Workload;
  readonly heapOptions: HeapOptions;
  readonly seed: number;
  readonly scale: number;
  readonly threads: number;
  /** Operations per second and thread; undefined is a closed loop. */
  readonly rate: number | undefined;
  readonly operationsFile: string | undefined;
  /** Where a trace of the whole run goes. */
  readonly traceFile: string | undefined;
  readonly load: Load;
  readonly json: boolean;
}

/** Words in lines of at most `width` columns. */
function wrapped(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!;
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}

function helpText(): string {
  const lines = OPTIONS.flatMap(({ name, notation, help }) => {
    const start = `  --${name}${notation === undefined ? '' : ` ${notation}`}`;
    const [first, ...rest] = wrapped(help, HELP_COLUMNS - HELP_INDENT);
    const indented = (line: string | undefined): string => `${' '.repeat(HELP_INDENT)}${line}`;
    return start.length > HELP_INDENT - 2
      ? [start, indented(first), ...rest.map(indented)]
      : [`${start.padEnd(HELP_INDENT)}${first}`, ...rest.map(indented)];
  });
  const workloads = WORKLOADS.map(({ name, summary }) => `  ${name.padEnd(HELP_INDENT - 2)}${summary}`);
  return `Usage: tospace run WORKLOAD [OPTIONS]

Workloads:
${workloads.join('\n')}

Options:
${lines.join('\n')}

Options of the heap that are not given here come from the environment variable TOSPACE: heap=64MiB,verify=phase.
`;
}

export const RUN_USAGE: string = helpText();

/** Reads the arguments behind `run`; `help` when help was asked for. @throws UsageError */
export function parseRunArguments(args: readonly string[]): RunArguments | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const workload = chooseWorkload(positionals);
  const text = (name: string): string | undefined => values[name] as string | undefined;
  const stress = readStress(text('stress'));
  return {
    workload,
    heapOptions: { ...heapOptions(text), ...(stress === undefined ? {} : { stress }) },
    seed: number('--seed', text('seed'), 0, 2 ** 32 - 1, true) ?? 1,
    scale: number('--scale', text('scale'), 0.0001, SCALE_MAX, false) ?? 1,
    threads: readThreads(workload, text('threads')),
    rate: readOperationsRate(workload, text('ops-rate')),
    operationsFile: text('ops'),
    traceFile: text('trace'),
    load: readLoad(workload, text),
    json: values.json === true,
  };
}

function parse(args: readonly string[]): ReturnType<typeof parseArgs> {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      strict: true,
      options: Object.fromEntries(
        OPTIONS.map(({ name, notation }) => [
          name,
          { type: notation === undefined ? 'boolean' : 'string' } as const,
        ]),
      ),
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || !code.startsWith('ERR_PARSE_ARGS')) throw error;
    const hint = code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? `; options are ${NAMES}` : '';
    throw new UsageError(`${message.split('. ')[0]}${hint}`);
  }
}

function readThreads(workload: Workload, given: string | undefined): number {
  const threads = number('--threads', given, 1, THREADS_MAX, true);
  if (workload.threaded === true) return threads ?? THREADS_DEFAULT;
  if (threads !== undefined && threads > 1)
    throw new UsageError(`--threads: ${workload.name} runs in one thread`);
  return 1;
}

function readOperationsRate(workload: Workload, given: string | undefined): number | undefined {
  if (given !== undefined && workload.hiccups === true)
    throw new UsageError(`--ops-rate: ${workload.name} has a schedule of its own; use --rate`);
  return number('--ops-rate', given, 0.001, 1e6, false);
}

function heapOptions(text: (name: string) => string | undefined): HeapOptions {
  const given: Record<string, unknown> = {};
  for (const { name, option } of HEAP_FLAGS) {
    const value = text(name);
    if (value === undefined) continue;
    const parsed = option.parse(value);
    if (parsed === undefined) throw new UsageError(`--${name}: "${value}" is not ${option.rule}`);
    given[option.key] = parsed;
  }
  return given as HeapOptions;
}

function readLoad(workload: Workload, text: (name: string) => string | undefined): Load {
  const [seconds, rate, live] = ['seconds', 'rate', 'live'].map(text);
  const given = [seconds, rate, live].findIndex((value) => value !== undefined);
  if (given !== -1 && workload.hiccups !== true) {
    const name = ['seconds', 'rate', 'live'][given];
    throw new UsageError(`--${name}: ${workload.name} does not run by the clock; use --scale`);
  }
  return {
    seconds: number('--seconds', seconds, 0.1, 86_400, false) ?? DEFAULT_LOAD.seconds,
    rate: rate === undefined ? DEFAULT_LOAD.rate : parseRate('--rate', rate),
    liveBytes: live === undefined ? DEFAULT_LOAD.liveBytes : parseBytes('--live', live),
  };
}

function chooseWorkload(positionals: readonly string[]): Workload {
  const names = WORKLOADS.map(({ name }) => name).join(', ');
  const [name, ...more] = positionals;
  if (name === undefined) throw new UsageError(`run: name a workload, one of ${names}`);
  const workload = findWorkload(name);
  if (workload === undefined)
    throw new UsageError(`run: there is no workload "${name}"; workloads are ${names}`);
  if (more.length > 0)
    throw new UsageError(`run: "${more[0]}" is one argument too many; one workload runs at a time`);
  return workload;
}
