// A thread that does nothing but sleep for a millisecond and look at the clock: what it misses is what the machine, and not the heap, did
// to everybody. It touches no heap.

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Latencies, type LatencySummary } from '../workloads/latencies.ts';

const SLEEP_MS = 1;

export class HiccupMeter {
  readonly #worker: Worker;
  readonly #stop: Int32Array;

  private constructor(worker: Worker, stop: Int32Array) {
    this.#worker = worker;
    this.#stop = stop;
  }

  static async start(): Promise<HiccupMeter> {
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL(import.meta.url), { workerData: { hiccupStop: stop } });
    await once(worker, 'message');
    return new HiccupMeter(worker, stop);
  }

  /** Ends the thread; returns how much longer than asked its sleeps were. */
  async finish(): Promise<LatencySummary> {
    const result = once(this.#worker, 'message');
    Atomics.store(this.#stop, 0, 1);
    const [summary] = (await result) as [LatencySummary];
    await this.#worker.terminate();
    return summary;
  }
}

function meter(stop: Int32Array): LatencySummary {
  const hiccups = new Latencies();
  parentPort!.postMessage('ready');
  for (let last = performance.now(); Atomics.load(stop, 0) === 0; ) {
    Atomics.wait(stop, 0, 0, SLEEP_MS);
    const now = performance.now();
    hiccups.record(Math.max(0, now - last - SLEEP_MS));
    last = now;
  }
  return hiccups.summary();
}

if (!isMainThread && (workerData as { hiccupStop?: Int32Array } | null)?.hiccupStop !== undefined) {
  parentPort!.postMessage(meter((workerData as { hiccupStop: Int32Array }).hiccupStop));
}
