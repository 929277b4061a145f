// Interleavings that are too rare to wait for, brought about by hand.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { attachHeap, createHeap } from 'tospace';
import * as L from '../../../../dist/src/heap/layout.js';
import { UFFDIO_REGISTER } from '../../../../dist/src/uffd/abi.js';
import { createLibcKernel, MADV_DONTNEED } from 'tospace/uffd';
import { assert, main } from './support.mjs';

/** The control block and records of a heap. */
function inside(heap) {
  const { geometry } = heap.share().arena;
  const words = (at) => new Int32Array(heap.memory.buffer, at, 64);
  return {
    geometry,
    control: new Int32Array(heap.memory.buffer, geometry.control, L.CTL_WORDS),
    thread: (i) => words(geometry.threads + i * L.THREAD_BYTES),
    worker: (i) => words(geometry.workers + i * L.WORKER_BYTES),
  };
}

function ask(control) {
  Atomics.add(control, L.CTL_CYCLES_ASKED, 1);
  Atomics.notify(control, L.CTL_CYCLES_ASKED);
}

/** The page-table entry of an installed page goes away while the window is open, as reclaim or a collapse may have it. */
async function retracted() {
  const heap = await createHeap({ heap: 64 * 2 ** 20, stress: { delayMs: { close: 1000 } } });
  const { geometry, control, worker } = inside(heap);
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach();
  const late = m.run(() => {
    const local = m.local(m.allocateArray(bytes, 4 * 2 ** 20));
    ask(control);
    while (control[L.CTL_PHASE] !== L.PHASE_CLOSE) m.safepoint();
    const ref = m.get(local);
    m.setU8(ref, 100_000, 7);
    const before = worker(1)[L.W_FAULTS_LATE];
    createLibcKernel().madvise(geometry.memoryAddress + ((ref + 100_000) & -4096), 4096, MADV_DONTNEED);
    assert(m.getU8(ref, 100_000) === 7, 'the page lost its contents');
    assert(control[L.CTL_WINDOW] === 1, 'the page came back only when the window closed');
    return worker(1)[L.W_FAULTS_LATE] - before;
  });
  m.detach();
  await heap.close();
  return late;
}

/** A cycle that emptied and warmed the idle memfd is abandoned; the verifier must not take its traces for damage. */
async function abandonedTrim() {
  const abandoned = [];
  // The first registrations are rehearsals and warm-up.
  for (let nth = 9; nth <= 18; nth++) {
    const heap = await createHeap({
      heap: 4 * 2 ** 20,
      verify: 'full',
      stress: {
        injection: [{ call: 'ioctl', request: UFFDIO_REGISTER, thread: 'collector', nth, errno: 12 }],
      },
    });
    heap.on('abandoned', () => abandoned.push(nth));
    const pair = heap.defineRecord('Pair', { a: 'ref', b: 'i32' });
    const m = heap.attach();
    m.run(() => m.local(m.allocate(pair)));
    let thrown = 0;
    for (const release of [true, false, true, false, false]) {
      try {
        m.run(() => m.collect({ release }));
      } catch (error) {
        assert(error.code === 'ERR_SYSCALL', error.message);
        thrown++;
      }
    }
    m.detach();
    await heap.close();
    assert(thrown <= 1, `${thrown} collections failed for one refused call`);
  }
  return abandoned.length;
}

/** A worker is terminated while it waits at a safepoint for a pause to end. */
async function terminatedAtSafepoint() {
  const heap = await createHeap({
    heap: 8 * 2 ** 20,
    stress: { injection: [{ call: 'mremap', thread: 'collector', nth: 1, every: true, delayMs: 100 }] },
  });
  const { control, thread } = inside(heap);
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach();
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), bytes } });
  await new Promise((resolve) => worker.once('message', resolve));
  const stopped = () => control[L.CTL_STOP] === L.PAUSE_FLIP && thread(1)[L.T_STATE] === L.THREAD_STOPPED;
  while (!stopped()) {
    // Whoever does not look for as long as the pause takes has missed it.
    if (control[L.CTL_CYCLES_ASKED] === control[L.CTL_CYCLES_DONE]) ask(control);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await worker.terminate();
  for (let i = 0; i < 2; i++) m.run(() => m.collect());
  const left = { state: thread(1)[L.T_STATE], usedBytes: heap.stats().usedBytes };
  m.detach();
  await heap.close();
  return left;
}

if (isMainThread) {
  await main({ retracted, abandonedTrim, terminatedAtSafepoint });
} else {
  const m = attachHeap(workerData.shared).attach();
  const { parentPort } = await import('node:worker_threads');
  m.run(() => {
    m.local(m.allocateArray(workerData.bytes, 2 ** 20));
    parentPort.postMessage('running');
    for (;;) m.safepoint();
  });
}
