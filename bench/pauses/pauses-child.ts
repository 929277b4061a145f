// One measurement of `bench pauses`: a heap of one configuration, a thread that works on it, and the main thread, which asks for one
// cycle after the other and waits for each in a safe region.
//
// pauses-child <live MiB> <pinned MiB> <roots> <cycles> <time limit in ms>; prints PauseSamples.
//
// The two first cycles run while the working thread is in a safe region: they touch all memory, and no pause of theirs is seen by anybody.

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { attachHeap, type CycleReport, createHeap, type Heap, type Mutator, type SharedHeap } from 'tospace';
import { HiccupMeter } from '../cli/hiccups.ts';
import { monotonicMs } from '../workloads/clock.ts';
import { type Configuration, capacities } from './configurations.ts';
import { Data } from './data.ts';
import type { CollectorPause, CollectorSample, Pause, PauseSamples } from './samples.ts';

const MIB = 2 ** 20;
const WARM_UP = 2;
/** What the thread allocates and stores, by the clock; between that it reads. */
const ALLOCATION_BYTES_PER_MS = 32_000;
const MUTATIONS_PER_MS = 30;
/** A safepoint that takes less was none of a pause: two threads cannot meet in that time. */
const NOTHING_MS = 0.002;
/** The thread works for so long before the first cycle: its code is compiled then. */
const SETTLE_MS = 300;

const BUILT = 1;
const GO = 2;
const STOP = 3;

interface ThreadData {
  readonly shared: SharedHeap;
  readonly configuration: Configuration;
  /** How far they are: BUILT, GO, STOP. */
  readonly state: Int32Array;
}

type ThreadResult = Pick<PauseSamples, 'pauses' | 'untimed' | 'allocationRate'>;

async function main(configuration: Configuration, cycles: number, limitMs: number): Promise<void> {
  const { heapMib, nonMovingMib } = capacities(configuration);
  const heap = await createHeap({
    heap: heapMib * MIB,
    nonMoving: nonMovingMib * MIB,
    persistentSlots: Math.max(configuration.roots, 1024),
    // No cycles but those that are asked for.
    trigger: 0.95,
  });
  try {
    process.stdout.write(`${JSON.stringify(await measure(heap, configuration, cycles, limitMs))}\n`);
  } finally {
    await heap.close();
  }
}

async function measure(
  heap: Heap,
  configuration: Configuration,
  cycles: number,
  limitMs: number,
): Promise<PauseSamples> {
  const reports: CycleReport[] = [];
  heap.on('cycle', (report) => reports.push(report));
  const state = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { shared: heap.share(), configuration, state } satisfies ThreadData,
  });
  // Rejects when the thread fails.
  await once(worker, 'message');
  const mutator = heap.attach({ name: 'requester' });
  mutator.run(() => {
    for (let i = 0; i < WARM_UP; i++) mutator.collect();
  });
  const meter = await HiccupMeter.start();
  const settled = once(worker, 'message');
  Atomics.store(state, 0, GO);
  Atomics.notify(state, 0);
  await settled;
  const before = heap.stats();
  const end = performance.now() + limitMs;
  mutator.run(() => {
    // At least one, however little time is left.
    for (let i = 0; i === 0 || (i < cycles && performance.now() < end); i++) mutator.collect();
  });
  const after = heap.stats();
  const result = once(worker, 'message');
  Atomics.store(state, 0, STOP);
  const [fromThread] = (await result) as [ThreadResult];
  const { summary, log } = await meter.finishLogged();
  await worker.terminate();
  mutator.detach();
  // The reports are events: they arrive when this thread's loop turns.
  while (reports.length < after.cycles) await new Promise((resolve) => setTimeout(resolve, 1));
  const measured = reports.slice(before.cycles, after.cycles);
  return {
    ...fromThread,
    faults: after.faults.count - before.faults.count,
    collector: measured.map(collectorSample),
    collectorPauses: measured.flatMap(collectorPauses),
    hiccups: summary,
    hiccupLog: log,
  };
}

function collectorSample({ phasesMs, flip, remarkCards }: CycleReport): CollectorSample {
  return {
    remarkUs: phasesMs.remark! * 1000,
    flipUs: phasesMs.flip! * 1000,
    moveUs: flip.moveUs,
    mapUs: flip.mapUs,
    registerUs: flip.registerUs,
    nonMovingUs: flip.nonMovingUs,
    remarkCards,
  };
}

/** On the clock that all threads share. */
function collectorPauses({ pauses }: CycleReport): CollectorPause[] {
  const origin = monotonicMs() - performance.now();
  return pauses.map(({ pause, startMs, durationUs, stepsUs }) => ({
    kind: pause as Pause['kind'],
    startMs: origin + startMs,
    us: durationUs,
    stepsUs,
  }));
}

async function work({ shared, configuration, state }: ThreadData): Promise<void> {
  const heap = attachHeap(shared);
  const mutator = heap.attach({ name: 'worker' });
  const result = mutator.run(() => {
    const data = new Data(heap, mutator, configuration);
    Atomics.store(state, 0, BUILT);
    parentPort!.postMessage('built');
    mutator.blocking(() => Atomics.wait(state, 0, BUILT));
    return new Work(heap, mutator, data, state).run();
  });
  mutator.shadowStack.truncate(0);
  parentPort!.postMessage(result);
  // Handles close with the thread: a million of them one by one are not worth the wait. The main thread terminates this one.
}

/** Reads at full speed, stores and allocates by the clock, and times every safepoint. */
class Work {
  readonly #heap: ReturnType<typeof attachHeap>;
  readonly #m: Mutator;
  readonly #data: Data;
  readonly #state: Int32Array;
  readonly #origin = monotonicMs() - performance.now();
  readonly #pauses: Pause[] = [];
  #remarks = 0;
  #flips = 0;
  #untimed = 0;

  constructor(heap: ReturnType<typeof attachHeap>, mutator: Mutator, data: Data, state: Int32Array) {
    this.#heap = heap;
    this.#m = mutator;
    this.#data = data;
    this.#state = state;
  }

  run(): ThreadResult {
    const m = this.#m;
    const data = this.#data;
    const { remark, flip } = this.#heap.stats().pausesUs;
    this.#remarks = remark.count;
    this.#flips = flip.count;
    const start = performance.now();
    let mutations = 0;
    let settled = false;
    let now = start;
    while (Atomics.load(this.#state, 0) !== STOP) {
      const before = performance.now();
      m.safepoint();
      now = performance.now();
      if (now - before > NOTHING_MS) this.#classify(before, now);
      const elapsed = now - start;
      data.read();
      if (mutations < elapsed * MUTATIONS_PER_MS) {
        data.mutate();
        mutations++;
      }
      if (data.bytes < elapsed * ALLOCATION_BYTES_PER_MS) data.replace();
      if (!settled && elapsed > SETTLE_MS) {
        settled = true;
        parentPort!.postMessage('settled');
      }
    }
    return {
      pauses: this.#pauses,
      untimed: this.#untimed,
      allocationRate: data.bytes / ((now - start) / 1000),
    };
  }

  /** Finds out which pause a safepoint was, if any: the heap counts those that this thread saw. */
  #classify(before: number, now: number): void {
    const { remark, flip } = this.#heap.stats().pausesUs;
    const remarks = remark.count - this.#remarks;
    const flips = flip.count - this.#flips;
    this.#remarks += remarks;
    this.#flips += flips;
    if (remarks + flips === 1) {
      this.#pauses.push({
        kind: remarks === 1 ? 'remark' : 'flip',
        startMs: this.#origin + before,
        us: (now - before) * 1000,
      });
    } else {
      this.#untimed += remarks + flips;
    }
  }
}

if (isMainThread) {
  const [liveMib, pinnedMib, roots, cycles, limitMs] = process.argv.slice(2).map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  await main({ liveMib, pinnedMib, roots }, cycles, limitMs);
} else if ((workerData as { configuration?: Configuration } | null)?.configuration !== undefined) {
  await work(workerData as ThreadData);
}
