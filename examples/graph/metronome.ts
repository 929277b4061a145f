// The thread that says when requests become due in the phase at a fixed rate: to all threads at once, whether they have answered the last
// ones or not. A thread that was stopped finds its requests waiting, and their latencies count from when they were due.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { monotonicMs } from '../support/monotonic.ts';

export interface MetronomeInput {
  readonly ports: readonly MessagePort[];
}

/** What it is asked for; answered by a message when all ticks are over. */
export interface Ticks {
  readonly count: number;
  readonly everyMs: number;
}

function tick(ports: readonly MessagePort[], { count, everyMs }: Ticks): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const start = monotonicMs() + everyMs;
  for (let i = 0; i < count; i++) {
    const dueMs = start + i * everyMs;
    const leftMs = dueMs - monotonicMs();
    if (leftMs > 0) Atomics.wait(clock, 0, 0, leftMs);
    for (const port of ports) port.postMessage(dueMs);
  }
}

const { ports } = workerData as MetronomeInput;
parentPort!.on('message', (ticks: Ticks) => {
  tick(ports, ticks);
  parentPort!.postMessage('over');
});
