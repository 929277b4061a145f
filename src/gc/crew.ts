// The crew: the worker threads of one heap, the collector and the fault servers. The only file that knows piscina.
//
// Each worker runs one task that lasts as long as the heap. They talk through the control block and never through the creator's event
// loop, which may stand still in a page fault.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { ArrayTaskQueue, Piscina } from 'piscina';
import { decodeError, TospaceError } from '../errors.ts';
import { COLLECTOR, W_STATE, WORKER_ARMED, WORKER_NONE } from '../heap/layout.ts';
import type { Tables } from '../heap/tables.ts';
import { sleep, type WorkerSetup } from './context.ts';

/** What the pool gives its threads, beside tasks. */
export interface CrewData {
  /** One word: threads that have loaded all they load. */
  readonly loaded: Int32Array<SharedArrayBuffer>;
}

/** Milliseconds between two looks at workers that start while the process exits. */
const SETTLE_LOOK_MS = 1;

/** Milliseconds that a worker may take to start: generous, because a loaded machine loads modules slowly. */
const START_TIMEOUT_MS = 60_000;

export class Crew {
  readonly #pool: Piscina;
  /** Tasks that no thread has been given yet. */
  readonly #queue = new ArrayTaskQueue();
  readonly #tasks: readonly Promise<unknown>[];
  readonly #tables: Tables;
  readonly #loaded: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(4));
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
    this.#pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: setup.workers,
      maxThreads: setup.workers,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      // A task never returns while the heap lives: a close that waits for one has no use for a time limit of the pool's own.
      closeTimeout: START_TIMEOUT_MS,
      taskQueue: this.#queue,
      workerData: { loaded: this.#loaded } satisfies CrewData,
    });
    const { port1, port2 } = this.#events;
    port1.on('message', onEvent);
    port1.unref();
    this.#tasks = Array.from({ length: setup.workers }, (_, worker) => {
      const task: WorkerSetup = { ...setup, worker, ...(worker === COLLECTOR ? { events: port2 } : {}) };
      return this.#pool.run(task, worker === COLLECTOR ? { transferList: [port2] } : {});
    });
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
      stop();
      await this.#settled();
      await this.#dispose();
      throw error;
    }
    // From here on a worker reports its own end (fail stop); the promise alone must not become an unhandled rejection.
    for (const task of this.#tasks) task.catch(() => {});
  }

  /**
   * At exit, where nothing asynchronous happens any more: blocks until no thread loads a native module, or the time is over, and until those that
   * have been given their task are armed or have stopped. Node.js terminates all of them next, and one that loads takes the process with it.
   */
  settle(timeoutMs: number): void {
    const end = performance.now() + timeoutMs;
    const { workers } = this.#tables;
    const given = this.#tasks.length - this.#queue.size;
    const begun = (): number =>
      workers.filter((record) => Atomics.load(record, W_STATE) !== WORKER_NONE).length;
    while (Atomics.load(this.#loaded, 0) < this.#tasks.length || begun() < given) {
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
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new TospaceError(
              'ERR_WORKER',
              `the workers of the heap did not start within ${START_TIMEOUT_MS} ms`,
            ),
          ),
        START_TIMEOUT_MS,
      );
    });
    try {
      for (let i = 0; i < this.#tasks.length; i++) {
        const record = this.#tables.workers[i]!;
        while (Atomics.load(record, W_STATE) !== WORKER_ARMED) {
          const wait = Atomics.waitAsync(record, W_STATE, 0, 50);
          await Promise.race([failed, late, wait.async ? wait.value : undefined]);
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
    await this.#pool.destroy();
  }
}
