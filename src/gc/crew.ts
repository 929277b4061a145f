// The crew: the worker threads of one heap, the collector and the fault servers. The only file that knows piscina.
//
// Each worker runs one task that lasts as long as the heap, in a pool of its own: a pool of several cannot be had, and its threads cannot be
// ended, where the system refuses one of them. They talk through the control block and never through the creator's event loop, which may
// stand still in a page fault.

import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { ArrayTaskQueue, Piscina } from 'piscina';
import { decodeError, TospaceError } from '../errors.ts';
import { COLLECTOR, W_STATE, WORKER_ARMED, WORKER_NONE } from '../heap/layout.ts';
import type { Tables } from '../heap/tables.ts';
import { sleep, type WorkerSetup } from './context.ts';

/** What the pool gives its threads, beside tasks. */
export interface CrewData {
  /** A word for each worker: 1 when its task has ended, or will never begin. */
  readonly ended: Int32Array<SharedArrayBuffer>;
}

/** Milliseconds between two looks at workers that start while the process exits. */
const SETTLE_LOOK_MS = 1;

/** Milliseconds that a worker may take to start: generous, because a loaded machine loads modules slowly. */
const START_TIMEOUT_MS = 60_000;

export class Crew {
  /** One for each worker that could be started. */
  readonly #pools: Piscina[] = [];
  readonly #tasks: readonly Promise<unknown>[];
  readonly #tables: Tables;
  readonly #ended: Int32Array<SharedArrayBuffer>;
  readonly #events: MessageChannel = new MessageChannel();
  readonly #onEvent: (event: unknown) => void;

  /**
   * Starts the workers.
   * @param onEvent called on this thread's event loop with what the collector reports.
   */
  constructor(
    setup: Omit<WorkerSetup, 'worker' | 'events'>,
    tables: Tables,
    onEvent: (event: unknown) => void,
  ) {
    this.#tables = tables;
    this.#onEvent = onEvent;
    this.#ended = new Int32Array(new SharedArrayBuffer(4 * setup.workers));
    const { port1, port2 } = this.#events;
    port1.on('message', onEvent);
    port1.unref();
    this.#tasks = Array.from({ length: setup.workers }, (_, worker) =>
      worker === COLLECTOR
        ? this.#start({ ...setup, worker, events: port2 }, [port2])
        : this.#start({ ...setup, worker }, []),
    );
  }

  /** Starts a worker with its task, which needs nothing of this thread's event loop to begin. Rejects where there is no thread for it. */
  async #start(task: WorkerSetup, transferList: MessagePort[]): Promise<unknown> {
    try {
      const pool = new Piscina({
        filename: new URL('./worker.js', import.meta.url).href,
        minThreads: 1,
        maxThreads: 1,
        idleTimeout: Number.POSITIVE_INFINITY,
        recordTiming: false,
        // The default one is shared by all pools of the process.
        taskQueue: new ArrayTaskQueue(),
        workerData: { ended: this.#ended } satisfies CrewData,
      });
      this.#pools.push(pool);
      // Why a worker failed is told by its task; without a listener it would be an uncaught error besides.
      pool.on('error', () => {});
      // Nobody takes the place of a thread that has failed: its task is lost, and the new one would be ended while it loads.
      pool.options.minThreads = 0;
      return await pool.run(task, { transferList });
    } finally {
      Atomics.store(this.#ended, task.worker, 1);
    }
  }

  /**
   * Waits until all workers are armed.
   * @param stop tells all workers to return; called when one of them could not start.
   * @throws TospaceError ERR_WORKER, with the worker's own error as its cause; the crew is disposed of then.
   */
  async armed(stop: () => void): Promise<void> {
    try {
      await this.#allArmed();
    } catch (error) {
      // The others may still be loading, and a thread that is terminated while it loads a native module takes the process with it.
      try {
        stop();
      } catch {
        // Servers see by themselves that there will be no heap. What is told is why.
      }
      await this.#settled();
      await this.#dispose();
      throw error;
    }
    // From here on a worker reports its own end (fail stop); the promise alone must not become an unhandled rejection.
    for (const task of this.#tasks) task.catch(() => {});
  }

  /**
   * At exit, where nothing asynchronous happens any more: blocks until all workers have been armed or have ended, or the time is over. Node.js
   * terminates them next, and one that still loads a native module takes the process with it.
   */
  settle(timeoutMs: number): void {
    const end = performance.now() + timeoutMs;
    const starting = (record: Int32Array<SharedArrayBuffer>, worker: number): boolean =>
      Atomics.load(record, W_STATE) === WORKER_NONE && Atomics.load(this.#ended, worker) === 0;
    while (this.#tables.workers.slice(0, this.#tasks.length).some(starting)) {
      if (performance.now() > end) return;
      sleep(SETTLE_LOOK_MS);
    }
  }

  /** Waits for all tasks to end, but not for ever. */
  async #settled(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, START_TIMEOUT_MS);
    });
    await Promise.race([Promise.allSettled(this.#tasks), late]);
    clearTimeout(timer);
  }

  async #allArmed(): Promise<void> {
    const failed = Promise.all(this.#tasks).then(
      () => {
        throw new TospaceError('ERR_WORKER', 'a worker of the heap ended before it was armed');
      },
      (cause: unknown) => {
        throw new TospaceError('ERR_WORKER', 'a worker of the heap could not start', {
          cause: decodeError(cause),
        });
      },
    );
    let late = false;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        late = true;
        resolve();
      }, START_TIMEOUT_MS);
    });
    try {
      for (let i = 0; i < this.#tasks.length; i++) {
        const record = this.#tables.workers[i]!;
        while (Atomics.load(record, W_STATE) !== WORKER_ARMED) {
          // Behind the look: it may be this thread that had no time, and not the workers.
          if (late)
            throw new TospaceError(
              'ERR_WORKER',
              `the workers of the heap did not start within ${START_TIMEOUT_MS} ms`,
            );
          const wait = Atomics.waitAsync(record, W_STATE, WORKER_NONE, 50);
          await Promise.race([failed, timeout, wait.async ? wait.value : undefined]);
        }
      }
    } finally {
      clearTimeout(timer);
      failed.catch(() => {});
    }
  }

  /** Waits for all tasks to return, hands over what they reported, and ends the threads. The workers must have been told to stop. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#tasks);
    // Closing the port would lose them.
    while (this.tellNext());
    await this.#dispose();
  }

  /** Hands over the next report that this thread's event loop has not come round to; false when there is none. */
  tellNext(): boolean {
    const event = receiveMessageOnPort(this.#events.port1);
    if (event === undefined) return false;
    this.#onEvent(event.message);
    return true;
  }

  async #dispose(): Promise<void> {
    this.#events.port1.close();
    await Promise.all(this.#pools.map((pool) => pool.destroy()));
  }
}
