// A thread that asks for cycles on behalf of a workload that must not wait for them: the workload goes on, and meets the flip and the
// freshly flipped pages in the middle of its work. What is asked for while a cycle that was asked for runs is dropped.

import { once } from 'node:events';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { attachHeap, type SharedHeap } from 'tospace';

const IDLE = 0;
const ASKED = 1;
const STOP = 2;

/** A function that asks the caller behind `calls` for a cycle. */
export function askForCycle(calls: SharedArrayBuffer): () => void {
  const state = new Int32Array(calls);
  return () => {
    if (Atomics.compareExchange(state, 0, IDLE, ASKED) === IDLE) Atomics.notify(state, 0);
  };
}

export class CycleCaller {
  readonly calls: SharedArrayBuffer;
  readonly #worker: Worker;
  readonly #exit: Promise<unknown>;

  private constructor(worker: Worker, calls: SharedArrayBuffer) {
    this.#worker = worker;
    this.calls = calls;
    this.#exit = once(worker, 'exit');
    // What goes wrong there is told by stop().
    this.#exit.catch(() => {});
  }

  static async start(shared: SharedHeap): Promise<CycleCaller> {
    const calls = new SharedArrayBuffer(4);
    const worker = new Worker(new URL(import.meta.url), { workerData: { cycleCaller: { shared, calls } } });
    await once(worker, 'message');
    return new CycleCaller(worker, calls);
  }

  /** Ends the thread, after the cycle that it waits for. @throws TospaceError when a collection failed. */
  async stop(): Promise<void> {
    const state = new Int32Array(this.calls);
    Atomics.store(state, 0, STOP);
    Atomics.notify(state, 0);
    this.#worker.ref();
    await this.#exit;
  }
}

function answer({ shared, calls }: { shared: SharedHeap; calls: SharedArrayBuffer }): void {
  const state = new Int32Array(calls);
  const mutator = attachHeap(shared).attach({ name: 'cycle caller' });
  parentPort!.postMessage('ready');
  try {
    for (;;) {
      Atomics.wait(state, 0, IDLE);
      if (Atomics.load(state, 0) === STOP) return;
      mutator.run(() => mutator.collect());
      Atomics.compareExchange(state, 0, ASKED, IDLE);
    }
  } finally {
    mutator.detach();
  }
}

const own = (workerData as { cycleCaller?: Parameters<typeof answer>[0] } | null)?.cycleCaller;
if (parentPort !== null && own !== undefined) answer(own);
