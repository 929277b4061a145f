// A thread that does nothing but sleep for a millisecond and look at the clock: what it misses is what the machine, and not the heap, did
// to everybody. It touches no heap.

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { monotonicMs } from '../workloads/clock.ts';
import { Latencies, type LatencySummary } from '../workloads/latencies.ts';

const SLEEP_MS = 1;
/** Hiccups from here on are also logged with their times, up to a number. */
const LOGGED_MS = 0.25;
const LOGGED_MAX = 100_000;

/** A stretch of time on the clock that all threads share, see `monotonicMs`. */
export interface Interval {
  readonly startMs: number;
  readonly us: number;
}

export interface HiccupLog {
  readonly summary: LatencySummary;
  /** The longer ones: each from when the thread should have run to when it did. */
  readonly log: readonly Interval[];
}

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
    return (await this.finishLogged()).summary;
  }

  /** As {@link finish}, with the times of the longer hiccups. */
  async finishLogged(): Promise<HiccupLog> {
    const result = once(this.#worker, 'message');
    Atomics.store(this.#stop, 0, 1);
    const [log] = (await result) as [HiccupLog];
    await this.#worker.terminate();
    return log;
  }
}

function meter(stop: Int32Array): HiccupLog {
  const hiccups = new Latencies();
  const log: Interval[] = [];
  const origin = monotonicMs() - performance.now();
  parentPort!.postMessage('ready');
  for (let last = performance.now(); Atomics.load(stop, 0) === 0; ) {
    Atomics.wait(stop, 0, 0, SLEEP_MS);
    const now = performance.now();
    const over = Math.max(0, now - last - SLEEP_MS);
    hiccups.record(over);
    if (over >= LOGGED_MS && log.length < LOGGED_MAX)
      log.push({ startMs: origin + last + SLEEP_MS, us: over * 1000 });
    last = now;
  }
  return { summary: hiccups.summary(), log };
}

if (!isMainThread && (workerData as { hiccupStop?: Int32Array } | null)?.hiccupStop !== undefined) {
  parentPort!.postMessage(meter((workerData as { hiccupStop: Int32Array }).hiccupStop));
}
