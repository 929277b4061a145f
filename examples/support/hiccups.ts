// A thread that does nothing but sleep for a millisecond and look at the clock: what it misses is what the machine did to everybody.
// It counts in phases, which the thread that started it names by numbers.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Latencies, type LatencyCounts } from './latencies.ts';

const SLEEP_MS = 1;
const STOP = 0;
const PHASE = 1;

interface Input {
  readonly hiccups: Int32Array;
  readonly phases: number;
}

export class HiccupMeter {
  readonly #worker: Worker;
  readonly #control: Int32Array;

  private constructor(worker: Worker, control: Int32Array) {
    this.#worker = worker;
    this.#control = control;
  }

  /** It counts for phase 0 first. */
  static async start(phases: number): Promise<HiccupMeter> {
    const control = new Int32Array(new SharedArrayBuffer(8));
    const input: Input = { hiccups: control, phases };
    const worker = new Worker(new URL(import.meta.url), { workerData: input });
    await once(worker, 'message');
    return new HiccupMeter(worker, control);
  }

  enter(phase: number): void {
    Atomics.store(this.#control, PHASE, phase);
  }

  /** Ends the thread; returns how much longer than asked its sleeps were, by phase. */
  async finish(): Promise<LatencyCounts[]> {
    const result = once(this.#worker, 'message');
    Atomics.store(this.#control, STOP, 1);
    const [counts] = (await result) as [LatencyCounts[]];
    await this.#worker.terminate();
    return counts;
  }
}

function meter({ hiccups: control, phases }: Input): LatencyCounts[] {
  const counts = Array.from({ length: phases }, () => new Latencies());
  parentPort!.postMessage('ready');
  for (let last = performance.now(); Atomics.load(control, STOP) === 0; ) {
    Atomics.wait(control, STOP, 0, SLEEP_MS);
    const now = performance.now();
    counts[Atomics.load(control, PHASE)]!.record(Math.max(0, now - last - SLEEP_MS));
    last = now;
  }
  return counts.map((one) => one.counts());
}

const input = workerData as Partial<Input> | null;
if (!isMainThread && input?.hiccups !== undefined) parentPort!.postMessage(meter(input as Input));
