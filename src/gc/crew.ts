// The crew: the worker threads of one heap, the collector and the fault servers. The only file that knows piscina.
//
// Each worker runs one task that lasts as long as the heap. They talk through the control block and never through the creator's event
// loop, which may stand still in a page fault.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { decodeError, TospaceError } from '../errors.ts';
import { COLLECTOR, W_STATE, WORKER_ARMED } from '../heap/layout.ts';
import type { Tables } from '../heap/tables.ts';
import type { WorkerSetup } from './context.ts';

/** Milliseconds that a worker may take to start: generous, because a loaded machine loads modules slowly. */
const START_TIMEOUT_MS = 60_000;

export class Crew {
  readonly #pool: Piscina;
  readonly #tasks: readonly Promise<unknown>[];
  readonly #events: MessageChannel;
  readonly #onEvent: (event: unknown) => void;

  private constructor(
    pool: Piscina,
    tasks: readonly Promise<unknown>[],
    events: MessageChannel,
    onEvent: (event: unknown) => void,
  ) {
    this.#pool = pool;
    this.#tasks = tasks;
    this.#events = events;
    this.#onEvent = onEvent;
  }

  /**
   * Starts the workers and waits until all are armed.
   * @param onEvent called on this thread's event loop with what the collector reports.
   * @param stop tells all workers to return; called when one of them could not start.
   * @throws TospaceError ERR_WORKER, with the worker's own error as its cause.
   */
  static async start(
    setup: Omit<WorkerSetup, 'worker' | 'events'>,
    tables: Tables,
    onEvent: (event: unknown) => void,
    stop: () => void,
  ): Promise<Crew> {
    const pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: setup.workers,
      maxThreads: setup.workers,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      // A task never returns while the heap lives: a close that waits for one has no use for a time limit of the pool's own.
      closeTimeout: START_TIMEOUT_MS,
    });
    const events = new MessageChannel();
    events.port1.on('message', onEvent);
    events.port1.unref();
    const tasks: Promise<unknown>[] = [];
    for (let worker = 0; worker < setup.workers; worker++) {
      const task: WorkerSetup = {
        ...setup,
        worker,
        ...(worker === COLLECTOR ? { events: events.port2 } : {}),
      };
      tasks.push(pool.run(task, worker === COLLECTOR ? { transferList: [events.port2] } : {}));
    }
    const crew = new Crew(pool, tasks, events, onEvent);
    try {
      await crew.#armed(tables, setup.workers);
    } catch (error) {
      // The others may still be loading, and a thread that is terminated while it loads a native module takes the process with it.
      stop();
      await crew.#settled();
      await crew.#dispose();
      throw error;
    }
    // From here on a worker reports its own end (fail stop); the promise alone must not become an unhandled rejection.
    for (const task of tasks) task.catch(() => {});
    return crew;
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

  async #armed(tables: Tables, workers: number): Promise<void> {
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
      for (let i = 0; i < workers; i++) {
        const record = tables.workers[i]!;
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
    // Reports that this thread's event loop has not come round to: closing the port would lose them.
    for (
      let event = receiveMessageOnPort(this.#events.port1);
      event;
      event = receiveMessageOnPort(this.#events.port1)
    ) {
      this.#onEvent(event.message);
    }
    await this.#dispose();
  }

  async #dispose(): Promise<void> {
    this.#events.port1.close();
    await this.#pool.destroy();
  }
}
