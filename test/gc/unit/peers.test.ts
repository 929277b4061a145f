import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { Peers } from '#src/gc/peers.js';
import {
  W_STATE,
  W_TID,
  WORKER_ARMED,
  WORKER_FAILED,
  WORKER_NONE,
  WORKER_STOPPED,
} from '#src/heap/layout.js';
import { ArenaHarness } from '../../support/arena-harness.ts';

const h = new ArenaHarness();
const [collector, server] = h.tables.workers as [Int32Array, Int32Array];
let thread: Worker | undefined;

beforeEach(() => {
  h.reset();
  for (const record of [collector, server]) {
    record[W_TID] = h.kernel.gettid();
    record[W_STATE] = WORKER_ARMED;
  }
});
afterEach(() => thread?.terminate());
afterAll(() => h.close());

const peers = (): Peers => new Peers(h.context());

async function startThread(): Promise<{ worker: Worker; tid: number }> {
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { createLibcKernel } from '${new URL('../../../dist/src/uffd/index.js', import.meta.url).href}';
    parentPort.on('message', () => {});
    parentPort.postMessage(createLibcKernel().gettid());`;
  thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { execArgv: [] });
  const [tid] = (await once(thread, 'message')) as [number];
  return { worker: thread, tid };
}

test('threads that exist are alive', () => {
  expect(peers().threadExists(h.kernel.gettid())).toBe(true);
  expect(() => peers().assertAlive()).not.toThrow();
});

test('a thread that ended is found, by name', async () => {
  const { worker, tid } = await startThread();
  server[W_TID] = tid;
  expect(() => peers().assertAlive()).not.toThrow();
  await worker.terminate();
  // At once, although the kernel's thread may outlive the event for a moment.
  expect(peers().threadExists(tid)).toBe(false);
  expect(() => peers().assertAlive()).toThrow(
    expect.objectContaining({
      code: 'ERR_WORKER',
      message: expect.stringMatching(`fault server 1 .*${tid}`),
      hint: expect.stringMatching(/./),
    }),
  );
  // One that was never armed, or has stopped, is not missed.
  for (const state of [WORKER_NONE, WORKER_STOPPED]) {
    server[W_STATE] = state;
    expect(() => peers().assertAlive()).not.toThrow();
  }
  collector[W_TID] = tid;
  expect(() => peers().assertAlive()).toThrow(/the collector/);
});

test('a worker that has failed is dead although its thread lives', () => {
  collector[W_STATE] = WORKER_FAILED;
  expect(() => peers().assertAlive()).toThrow(expect.objectContaining({ code: 'ERR_WORKER' }));
});

test('workers beyond those of this heap are nobody', () => {
  const other = h.tables.workers[2]!;
  other[W_STATE] = WORKER_FAILED;
  expect(() => peers().assertAlive()).not.toThrow();
});
