// A workload on V8's own objects as a program of its own, with the command line that all peers have:
//
//   node main.js WORKLOAD --scale S --seed N --threads T [--rate R] --ops FILE
//
// Prints one line of JSON, and writes start and end of every operation to FILE. docs/benchmarking.md says what the figures are. A limit
// of the heap is node's own, --max-old-space-size; with several threads each has an isolate, and none of them shares an object.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { meetAtStart, START_LINE_BYTES } from '../cli/start-line.ts';
import { monotonicMs, Operations, writeOperations } from '../workloads/operations.ts';
import { combine } from '../workloads/workload.ts';
import { V8_WORKLOADS } from './index.ts';
import type { V8Workload } from './workload.ts';

interface ThreadInput {
  readonly name: string;
  readonly scale: number;
  readonly seed: number;
  readonly threads: number;
  readonly thread: number;
  readonly rate: number | undefined;
  readonly startLine: SharedArrayBuffer;
}

interface ThreadResult {
  readonly checksum: number;
  /** On the clock of `monotonicMs`. */
  readonly startMs: number;
  readonly endMs: number;
  /** CPU time of the whole process, at these two moments. */
  readonly startCpuUs: number;
  readonly endCpuUs: number;
  readonly operations: Float64Array;
}

/** A mistake on the command line. */
class UsageError extends Error {}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function work({ startLine, ...input }: ThreadInput): Promise<ThreadResult> {
  const line = meetAtStart(startLine, input.threads);
  try {
    const operations = new Operations({ rate: input.rate });
    const workload = V8_WORKLOADS.find(({ name }) => name === input.name)!;
    const startMs = line.wait();
    const startCpuUs = cpuUs();
    operations.start(startMs);
    const checksum = await workload.run({ ...input, operations, progress: () => {} });
    const endMs = monotonicMs();
    return { checksum, startMs, endMs, startCpuUs, endCpuUs: cpuUs(), operations: operations.times() };
  } catch (error) {
    line.fail();
    throw error;
  }
}

function readArguments(args: readonly string[]): {
  workload: V8Workload;
  input: Omit<ThreadInput, 'thread' | 'startLine'>;
  file: string;
} {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      threads: { type: 'string', default: '1' },
      rate: { type: 'string' },
      ops: { type: 'string' },
    },
  });
  const [name, ...more] = positionals;
  const workload = V8_WORKLOADS.find((one) => one.name === name);
  if (workload === undefined || more.length > 0)
    throw new UsageError(`name one workload, of ${V8_WORKLOADS.map((one) => one.name).join(', ')}`);
  const number = (
    option: 'scale' | 'seed' | 'threads' | 'rate',
    isValid: (value: number) => boolean,
  ): number => {
    const value = Number(values[option]);
    if (values[option]!.trim() === '' || !isValid(value))
      throw new UsageError(`--${option}: "${values[option]}" is out of range`);
    return value;
  };
  const threads = number('threads', (value) => Number.isInteger(value) && value >= 1);
  if (threads > 1 && workload.threaded !== true)
    throw new UsageError(`--threads: ${workload.name} runs in one thread`);
  if (values.ops === undefined) throw new UsageError('--ops: name the file for the log of operations');
  return {
    workload,
    file: values.ops,
    input: {
      name: workload.name,
      scale: number('scale', (value) => value > 0 && value <= 10_000),
      seed: number('seed', (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32),
      threads,
      rate:
        values.rate === undefined
          ? undefined
          : number('rate', (value) => value > 0 && value < Number.POSITIVE_INFINITY),
    },
  };
}

function inWorker(input: ThreadInput): Promise<ThreadResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: input });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (status) => reject(new Error(`a thread ended with status ${status} and no result`)));
  });
}

/** VmHWM. */
function peakRssBytes(): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  return Number(line[1]) * 1024;
}

async function main(args: readonly string[]): Promise<void> {
  const { workload, input, file } = readArguments(args);
  const startLine = new SharedArrayBuffer(START_LINE_BYTES);
  const inputs = Array.from({ length: input.threads }, (_, thread) => ({ ...input, thread, startLine }));
  const results =
    workload.threaded === true ? await Promise.all(inputs.map(inWorker)) : [await work(inputs[0])];
  writeOperations(
    file,
    results.map(({ operations }) => operations),
  );
  const result = {
    checksum: combine(
      workload,
      results.map(({ checksum }) => checksum),
    ),
    wallMs: Math.max(...results.map(({ endMs }) => endMs)) - results[0].startMs,
    cpuMs:
      (Math.max(...results.map(({ endCpuUs }) => endCpuUs)) -
        Math.min(...results.map(({ startCpuUs }) => startCpuUs))) /
      1000,
    peakRssBytes: peakRssBytes(),
    operations: results.reduce((sum, { operations }) => sum + operations.length / 2, 0),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

if (!isMainThread) parentPort!.postMessage(await work(workerData as ThreadInput));
else {
  main(process.argv.slice(2)).catch((error: unknown) => {
    // A mistake of the caller's needs no stack.
    const text = error instanceof UsageError ? error.message : error instanceof Error ? error.stack : error;
    process.stderr.write(`${text}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  });
}
