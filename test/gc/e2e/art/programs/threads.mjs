// What the ART scenarios with several threads share: a heap, threads that run one job each on it, and their results.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { attachHeap, createHeap, main } from '../../programs/support.mjs';

export * from '../../programs/support.mjs';

/**
 * The word that the threads of a scenario run by: it is set when the scenario has run for `seconds` and `enough()` is true, which is
 * looked at from time to time, or when it has been waited for long enough for anything.
 */
export function stopWord(seconds, enough) {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const begin = Date.now();
  const timer = setInterval(() => {
    const after = Date.now() - begin;
    if (after < seconds * 1000 || (after < 60_000 && !enough())) return;
    Atomics.store(word, 0, 1);
    clearInterval(timer);
  }, 20);
  return word;
}

/** Starts a thread of this program that runs the job `data.job`; resolves to what that returns. */
export function spawn(url, heap, data) {
  const worker = new Worker(new URL(url), { workerData: { ...data, shared: heap.share() } });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`a thread exited with ${code}`)));
  });
}

/**
 * Runs `scenarios` on the main thread and `jobs` on others. A scenario gets a heap and returns what it reports, a job gets a heap, a
 * mutator within `run`, and its data.
 */
export async function program(scenarios, jobs) {
  if (isMainThread) {
    const wrapped = Object.entries(scenarios).map(([name, body]) => [
      name,
      async ({ options, ...config }) => {
        const heap = await createHeap(options);
        const abandoned = [];
        heap.on('abandoned', (error) => abandoned.push(String(error)));
        const result = await body(heap, config);
        const { cycles, faults, allocatedBytes } = heap.stats();
        await heap.close();
        if (abandoned.length > 0) throw new Error(`cycles were abandoned: ${abandoned}`);
        return { cycles, faults: faults.count, allocatedBytes, ...result };
      },
    ]);
    await main(Object.fromEntries(wrapped));
    return;
  }
  const heap = attachHeap(workerData.shared);
  const m = heap.attach({ name: workerData.job });
  const result = m.run(() => m.scope(() => jobs[workerData.job](heap, m, workerData)));
  m.detach();
  parentPort.postMessage(result ?? 'done');
}
