// The command line of `tospace run`. What the options mean to a heap, and their ranges, are the library's business: here they are
// only read.

import { parseArgs } from 'node:util';
import { DEFAULT_OPTIONS, type HeapOptions } from 'tospace';
import { findWorkload, WORKLOADS } from '../workloads/index.ts';
import { DEFAULT_LOAD, type Load, type Workload } from '../workloads/workload.ts';
import { formatBytes, parseBytes, parseRate } from './bytes.ts';
import { UsageError } from './usage.ts';

/** A scale beyond this is a typing error, not a plan. */
const SCALE_MAX = 10_000;
/** Of gcbench-mt. A heap has 64 thread records. */
const THREADS_MAX = 32;
const THREADS_DEFAULT = 2;

/** The options of the command line, in the order of the help. A value is one of `values`, or whatever `read` makes of it. */
interface OptionSpec {
  readonly name: string;
  readonly value?: string;
  readonly values?: readonly string[];
  readonly help: string;
}

const OPTIONS: readonly OptionSpec[] = [
  {
    name: 'collector',
    values: ['concurrent', 'stop-the-world', 'none'],
    help: 'who collects (default concurrent)',
  },
  { name: 'fill', values: ['continue', 'copy'], help: 'how built pages are installed (default continue)' },
  {
    name: 'retention',
    values: ['recycle', 'release'],
    help: 'what becomes of from-space (default recycle; release with copy)',
  },
  {
    name: 'heap',
    value: 'SIZE',
    help: `capacity of the heap, such as 64MiB (default ${formatBytes(DEFAULT_OPTIONS.heapBytes).replace(' ', '')})`,
  },
  { name: 'min-heap', value: 'SIZE', help: 'what the heap keeps for itself without need (default 32MiB)' },
  {
    name: 'utilisation',
    value: 'X',
    help: `part of the heap that live data should fill at most (default ${DEFAULT_OPTIONS.targetUtilisation})`,
  },
  { name: 'servers', value: 'N', help: `fault servers, 1 to 15 (default ${DEFAULT_OPTIONS.servers})` },
  { name: 'placement', values: ['mutator', 'any'], help: 'CPU of a fault server (default mutator)' },
  {
    name: 'trigger',
    value: 'auto|X',
    help: `when a cycle begins: by itself, or at a part of the room (default ${DEFAULT_OPTIONS.trigger})`,
  },
  {
    name: 'userfaultfd',
    values: ['auto', 'full', 'user-mode-only'],
    help: 'kind of userfaultfd to open (default auto)',
  },
  { name: 'verify', help: 'check the heap in every phase and every operation: 10 to 100 times slower' },
  { name: 'seed', value: 'N', help: 'seed of the random workloads (default 1)' },
  { name: 'scale', value: 'X', help: 'amount of work, 1 is the default size' },
  { name: 'threads', value: 'N', help: 'gcbench-mt: threads on the one heap, 1 to 32 (default 2)' },
  {
    name: 'ops-rate',
    value: 'R',
    help: 'open load: an operation is due every 1/R seconds, in each thread (default: one after the other)',
  },
  { name: 'ops', value: 'FILE', help: 'write start and end of every operation, as pairs of doubles, in ms' },
  { name: 'trace', value: 'FILE', help: 'write what every thread did as Chrome trace events' },
  { name: 'seconds', value: 'N', help: `steady: how long it runs (default ${DEFAULT_LOAD.seconds})` },
  { name: 'rate', value: 'RATE', help: 'steady: allocation, such as 200MB/s (the default)' },
  { name: 'live', value: 'SIZE', help: 'steady: size of the live set (default 256MiB)' },
  {
    name: 'stress',
    value: 'JSON',
    help: 'the stress option of a heap, such as {"collectEveryAllocation":1000}',
  },
  { name: 'json', help: 'print one JSON document and nothing else on standard output' },
  { name: 'help', help: 'show this help' },
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

function helpText(): string {
  const left = ({ name, value, values }: OptionSpec): string =>
    [`  --${name}`, value ?? values?.join('|')].filter((part) => part !== undefined).join(' ');
  const lines = OPTIONS.map((option) => {
    const start = left(option);
    return start.length > 24
      ? `${start}\n${' '.repeat(28)}${option.help}`
      : `${start.padEnd(28)}${option.help}`;
  });
  const workloads = WORKLOADS.map(({ name, summary }) => `  ${name.padEnd(26)}${summary}`);
  return `Usage: tospace run WORKLOAD [OPTIONS]\n\nWorkloads:\n${workloads.join('\n')}\n\nOptions:\n${lines.join('\n')}\n`;
}

export const RUN_USAGE: string = helpText();

/** Reads the arguments behind `run`; `help` when help was asked for. @throws UsageError */
export function parseRunArguments(args: readonly string[]): RunArguments | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const workload = chooseWorkload(positionals);
  for (const { name, values: allowed } of OPTIONS) {
    const given = values[name];
    if (allowed !== undefined && typeof given === 'string' && !allowed.includes(given)) {
      throw new UsageError(`--${name}: "${given}" is not one of ${allowed.join(', ')}`);
    }
  }
  const text = (name: string): string | undefined => values[name] as string | undefined;
  const heap = text('heap');
  const stress = text('stress');
  const trigger = text('trigger');
  const minHeap = text('min-heap');
  return {
    workload,
    heapOptions: dropUndefined({
      heapBytes: heap === undefined ? undefined : parseBytes('--heap', heap),
      collector: text('collector'),
      fill: text('fill'),
      retention: text('retention'),
      servers: number('--servers', text('servers'), 1, 15, true),
      placement: text('placement'),
      minHeapBytes: minHeap === undefined ? undefined : parseBytes('--min-heap', minHeap),
      targetUtilisation: number('--utilisation', text('utilisation'), 0.1, 0.95, false),
      trigger: trigger === 'auto' ? trigger : number('--trigger', trigger, 0.05, 0.95, false),
      userfaultfd: text('userfaultfd'),
      verify: values.verify === true ? true : undefined,
      stress: stress === undefined ? undefined : json('--stress', stress),
    }) as HeapOptions,
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
        OPTIONS.map(({ name, value, values }) => [
          name,
          { type: value !== undefined || values !== undefined ? 'string' : 'boolean' } as const,
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

function number(
  option: string,
  text: string | undefined,
  low: number,
  high: number,
  whole: boolean,
): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new UsageError(
      `${option}: "${text}" is not ${whole ? 'an integer' : 'a number'} from ${low} to ${high}`,
    );
  }
  return value;
}

function json(option: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UsageError(
      `${option}: "${text}" is not JSON; write an object such as {"collectEverySafepoint":1000}`,
    );
  }
}

function dropUndefined(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
