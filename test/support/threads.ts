// Threads of a test: each runs one task of heap-thread.mjs, can be terminated, and is, when it does not end in time.
import { Worker } from 'node:worker_threads';
import type { Tables } from '#src/heap/tables.js';

const THREAD_TIMEOUT_MS = 20_000;

export interface TestThread {
  /** Resolves when the thread has said that it is ready. */
  readonly ready: Promise<void>;
  /** What the task returned. */
  readonly result: Promise<unknown>;
  terminate(): Promise<number>;
}

const running = new Set<Worker>();

/**
 * Starts a task; `shared` is what it and the test talk through.
 * @param timeoutMs how long it may take in all: against hangs only. A test that gives another one needs a limit of its own above it.
 */
export function startThread(
  task: string,
  tables: Tables | undefined,
  data: Record<string, unknown> = {},
  timeoutMs: number = THREAD_TIMEOUT_MS,
): TestThread {
  const worker = new Worker(new URL('./heap-thread.mjs', import.meta.url), {
    workerData: { task, memory: tables?.memory, geometry: tables?.geometry, ...data },
    execArgv: [],
  });
  running.add(worker);
  let ready!: () => void;
  const readiness = new Promise<void>((resolve, reject) => {
    ready = resolve;
    worker.once('error', reject);
  });
  const result = new Promise<unknown>((resolve, reject) => {
    const timer = setTimeout(() => {
      void worker.terminate();
      reject(new Error(`thread ${task} did not end in time`));
    }, timeoutMs);
    worker.on('message', (message: { ready?: true; result?: unknown }) => {
      if (message.ready) ready();
      else resolve(message.result);
    });
    worker.once('error', reject);
    worker.once('exit', (status) => {
      clearTimeout(timer);
      running.delete(worker);
      reject(new Error(`thread ${task} exited with ${status}`));
    });
  });
  // A test that fails early looks at neither.
  readiness.catch(() => {});
  result.catch(() => {});
  return { ready: readiness, result, terminate: () => worker.terminate() };
}

/** Ends what is still running; call it after each test. */
export async function endThreads(): Promise<void> {
  await Promise.all([...running].map((worker) => worker.terminate()));
}
