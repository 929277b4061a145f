// One measurement of a form of our own, in a process of its own: a heap (or none), threads that run the workload on it, and this thread,
// which stays out of it, samples the memory, and writes down the facts.
//
// child <input file>; writes the files that the input names. The exit status is 0 when the workload ended well.

import { readFileSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { createHeap, type CycleReport, type Heap } from 'tospace';
import { decodeError } from 'tospace/uffd';
import { CycleCaller } from '../cli/cycle-caller.ts';
import { describeError } from '../cli/expected-error.ts';
import { START_LINE_BYTES } from '../cli/start-line.ts';
import { findWorkload } from '../workloads/index.ts';
import { writeOperations } from '../workloads/operations.ts';
import { heapFacts, v8Facts } from './child-facts.ts';
import type { ChildFacts, ChildInput } from './child-input.ts';
import type { ChildThreadInput, ChildThreadResult, FinishedThread } from './child-thread.ts';
import { combineChecksums } from './forms.ts';
import { peakRssBytes, pssBytes, rssBytes, threadIds } from './proc.ts';
import { startRecorder } from './recording.ts';
import type { Configuration, MemoryFacts } from './schema.ts';
import { MemorySampler } from './sampler.ts';

/** How long the reports of cycles that have been counted may take to arrive. */
const EVENTS_TIMEOUT_MS = 500;
const MIB = 2 ** 20;

async function main(file: string): Promise<void> {
  // The harness holds the other end: without it nobody would end this process.
  process.stdin.on('end', () => process.exit(1)).resume();
  const input = JSON.parse(readFileSync(file, 'utf8')) as ChildInput;
  const run = input.configuration.form === 'v8' ? measureV8 : measureHeap;
  const facts = await run(input);
  writeFileSync(input.factsFile, JSON.stringify(facts));
  process.stdin.unref();
}

async function measureHeap(input: ChildInput): Promise<ChildFacts> {
  const { configuration } = input;
  const before = new Set(threadIds());
  const heap = await createHeap({
    ...configuration.options,
    ...(configuration.heapBytes === null ? {} : { heap: configuration.heapBytes }),
  });
  try {
    const tids = collectorThreads(heap, before);
    const cycles: CycleReport[] = [];
    heap.on('cycle', (report) => cycles.push(report));
    const recorder = startRecorder(heap);
    const caller =
      findWorkload(configuration.workload)!.asksForCycles === true && heap.options.collector !== 'none'
        ? await CycleCaller.start(heap.share())
        : undefined;
    const sampler = new MemorySampler(input.sampleMs, heap, () => recorder?.drain());
    let threads: FinishedThread[];
    try {
      threads = await runThreads(input, {
        configuration,
        shared: heap.share(),
        cycleCalls: caller?.calls,
        collectorTids: tids,
      });
    } finally {
      sampler.stop();
      await caller?.stop();
    }
    const statistics = heap.stats();
    const memory = memoryNow(statistics.sharedBytes, statistics.sharedBytesPeak);
    const recording = recorder?.finish() ?? null;
    await reported(statistics.cycles, cycles);
    return heapFacts({
      configuration,
      checksum: combineChecksums(configuration, threads),
      threads,
      options: heap.options,
      userfaultfd: heap.mode.userfaultfd === 'none' ? null : heap.mode.userfaultfd,
      statistics,
      // One that was under way when the statistics were taken may have ended since.
      cycles: cycles.slice(0, statistics.cycles),
      recording,
      memory,
      samples: sampler.samples,
    });
  } finally {
    await heap.close();
  }
}

async function measureV8(input: ChildInput): Promise<ChildFacts> {
  const { configuration } = input;
  const sampler = new MemorySampler(input.sampleMs);
  const threads = await runThreads(input, {
    configuration,
    shared: undefined,
    cycleCalls: undefined,
    collectorTids: null,
  });
  sampler.stop();
  return v8Facts({
    configuration,
    checksum: combineChecksums(configuration, threads),
    threads,
    memory: memoryNow(null, null),
    samples: sampler.samples,
  });
}

/** The threads that came with the heap; null when they cannot be told apart. */
function collectorThreads(heap: Heap, before: ReadonlySet<number>): number[] | null {
  const { collector, servers } = heap.options;
  const workers = collector === 'none' ? 0 : collector === 'concurrent' ? 1 + servers : 1;
  const fresh = threadIds().filter((tid) => !before.has(tid));
  return fresh.length === workers ? fresh : null;
}

/** Runs all threads to their ends. @throws what the first of them failed of */
async function runThreads(
  { configuration, operationsFile }: ChildInput,
  input: Omit<ChildThreadInput, 'thread' | 'startLine'>,
): Promise<FinishedThread[]> {
  const startLine = new SharedArrayBuffer(START_LINE_BYTES);
  const results = await Promise.all(
    Array.from({ length: configuration.threads }, (_, thread) =>
      runThread({ ...input, thread, startLine }, configuration),
    ),
  );
  const finished = results.map((result) => {
    if (result.type === 'failed') throw decodeError(result.error);
    return result;
  });
  writeOperations(
    operationsFile,
    finished.map(({ operations }) => operations),
  );
  return finished;
}

function runThread(input: ChildThreadInput, { form, heapBytes }: Configuration): Promise<ChildThreadResult> {
  return new Promise((resolve, reject) => {
    let result: ChildThreadResult | undefined;
    const worker = new Worker(new URL('./child-thread.js', import.meta.url), {
      workerData: input,
      // The old generation is what a heap limit means to V8.
      ...(form === 'v8' && heapBytes !== null
        ? { resourceLimits: { maxOldGenerationSizeMb: Math.ceil(heapBytes / MIB) } }
        : {}),
    });
    worker.on('message', (message: ChildThreadResult) => {
      result = message;
    });
    worker.on('error', reject);
    worker.on('exit', (status) => {
      if (result !== undefined) resolve(result);
      else reject(new Error(`a thread of the workload ended with status ${status} and no result`));
    });
  });
}

function memoryNow(memfdBytes: number | null, memfdPeakBytes: number | null): MemoryFacts {
  return {
    rssBytes: rssBytes('self'),
    pssBytes: pssBytes(),
    peakRssBytes: peakRssBytes('self'),
    memfdBytes,
    memfdPeakBytes,
  };
}

/** Waits for the reports of the cycles that are counted as complete: they come as messages, behind the counter. */
async function reported(count: number, cycles: readonly CycleReport[]): Promise<void> {
  const end = performance.now() + EVENTS_TIMEOUT_MS;
  while (cycles.length < count && performance.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 1));
}

try {
  await main(process.argv[2]!);
} catch (error) {
  const { text, status } = describeError(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = status === 0 ? 1 : status;
  process.stdin.unref();
}
