// Several fault servers: a fault whose page takes long does not hold up another.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  buildList,
  control,
  createHeap,
  layout,
  main,
  sleep,
  startCycle,
} from './support.mjs';

const PAGE = 4096;

/** A server that has read a fault of one window and is kept from its CPU finds no other window open when it goes on. */
async function busyServer() {
  const heap = await createHeap({ heap: 4 * 1024 * 1024 });
  const node = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
  const m = heap.attach();
  m.run(() => m.scope(() => buildList(m, node, 1000)));
  const words = control(heap);
  const at = heap.share().arena.geometry.workers + layout.WORKER_BYTES;
  const server = new Int32Array(heap.memory.buffer, at, layout.WORKER_WORDS);
  Atomics.store(server, layout.W_BUSY, 1);
  const asked = Atomics.add(words, layout.CTL_CYCLES_ASKED, 1) + 1;
  Atomics.notify(words, layout.CTL_CYCLES_ASKED);
  while (Atomics.load(words, layout.CTL_PHASE) < layout.PHASE_FLIP) sleep(1);
  const until = performance.now() + 300;
  while (performance.now() < until) {
    assert(Atomics.load(words, layout.CTL_WINDOW) === 0, 'no window is open');
    assert(Atomics.load(words, layout.CTL_PHASE) === layout.PHASE_FLIP, 'the flip waits');
    assert(Atomics.load(words, layout.CTL_STOP) === 0, 'nobody is stopped meanwhile');
    sleep(1);
  }
  Atomics.store(server, layout.W_BUSY, 0);
  while (Atomics.load(words, layout.CTL_CYCLES_DONE) - asked < 0) sleep(1);
  m.detach();
  await heap.close();
}

/** One thread faults on page 0, whose installation is held up; then another on a page far away. Who is served first? */
async function slowPage({ options }) {
  const heap = await createHeap({
    heap: 4 * 1024 * 1024,
    ...options,
    // The sweep comes after both: only servers serve.
    stress: { delayedPage: 0, delayMs: { install: 900, compact: 2500 } },
  });
  const bytes = heap.defineArray('Bytes', 'u8');
  const flags = new Int32Array(new SharedArrayBuffer(16));
  const { arena } = heap.share();
  const pageWords = new Int32Array(heap.memory.buffer, arena.geometry.pageWords, 64);
  const m = heap.attach();
  const [slow, fast] = m.run(() => {
    const make = (value) => {
      const ref = m.allocateArray(bytes, 8 * PAGE);
      m.fillBytes(ref, 0, 8 * PAGE, value);
      return m.persist(ref);
    };
    return [make(7), make(9)];
  });
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { shared: heap.share(), slow: slow.share(), flags },
  });
  const exit = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  let first;
  m.run(() => {
    startCycle(heap, m, layout.PHASE_COMPACT);
    Atomics.store(flags, 0, 1);
    Atomics.notify(flags, 0);
    // The first fault is with a server.
    m.blocking(() => {
      for (let i = 0; i < 5000 && Atomics.load(pageWords, 0) === 0; i++) sleep(0.2);
    });
    assert(Atomics.load(pageWords, 0) !== 0, 'nobody was told of the first fault');
    assert(m.u8[fast.get() + 8 + 4 * PAGE] === 9, 'a wrong byte');
    // The page, not the thread that waits for it: that one may not have run yet since it was woken.
    const state = Atomics.load(pageWords, 0) & layout.PAGE_STATE_MASK;
    first = state === layout.PAGE_MAPPED ? 'slow' : 'fast';
  });
  await exit;
  m.detach();
  await heap.close();
  assert(Atomics.load(flags, 1) === 7, 'the slow fault was served, too');
  return { first };
}

if (isMainThread) {
  await main({ busyServer, slowPage });
} else {
  const { shared, slow, flags } = workerData;
  const heap = attachHeap(shared);
  const m = heap.attach();
  m.run(() => {
    const handle = m.borrow(slow);
    m.blocking(() => {
      parentPort.postMessage('ready');
      Atomics.wait(flags, 0, 0);
    });
    Atomics.store(flags, 1, m.u8[handle.get() + 8]);
  });
  m.detach();
}
