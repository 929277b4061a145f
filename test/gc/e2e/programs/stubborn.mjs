// A thread that reaches no safepoint: the collection is given up after a while, everybody is told who it was, and the heap goes on.

import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  buildList,
  checkList,
  control,
  createHeap,
  isTospaceError,
  layout,
  main,
  sleep,
  thrownBy,
} from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };
const MIB = 1024 * 1024;
const COUNT = 5000;

// Words of `flags`.
const STUCK = 0;
const RELEASE = 1;
const QUIT = 2;
const BEATS = 3;

function spawn(shared, node, flags, job, phase) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared, node, flags, job, phase } });
  const ready = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const exit = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  return { ready, exit };
}

/** A collection that nobody is in the way of on purpose: a thread that gets no CPU for as long as the limit is, is one too, now and then. */
function collect(m) {
  for (let tries = 1; ; tries++) {
    try {
      return m.collect();
    } catch (error) {
      if (tries === 10 || !isTospaceError(error, 'ERR_TIMEOUT')) throw error;
    }
  }
}

/** @param during what the message about the thread has to say. */
async function timeout({ options, phase, named = true, during = [] }) {
  const heap = await createHeap({
    heap: 4 * MIB,
    trigger: 0.95,
    safepointWarnMs: 60,
    safepointTimeoutMs: 400,
    ...options,
    // Before the pauses: the thread has time to see the phase and to get stuck in it.
    stress: { delayMs: { remark: 120, flip: 120 } },
  });
  const abandoned = [];
  heap.on('abandoned', (error) => abandoned.push(error));
  const node = heap.defineRecord('Node', NODE);
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const words = control(heap);
  const beating = spawn(heap.share(), node, flags, 'beat');
  await beating.ready;
  const m = heap.attach({ name: 'main' });
  let thrown;
  let earlier;
  let outOfMemory;
  const isWanted = ({ message }) =>
    message.startsWith(named ? '"stubborn"' : '"thread ') && during.every((words) => message.includes(words));
  const attempt = (last) =>
    m.scope(() => {
      const head = buildList(m, node, COUNT);
      earlier = heap.stats().abandonedCycles;
      thrown = undefined;
      try {
        m.collect();
      } catch (error) {
        thrown = error;
      }
      if (!last && (thrown === undefined || !isWanted(thrown))) {
        Atomics.store(flags, RELEASE, 1);
        return;
      }
      assert(thrown !== undefined, 'the collection was given up');
      assert(Atomics.load(flags, STUCK) === 1, 'the thread is stuck');
      assert(words[layout.CTL_POLL] === 0 && words[layout.CTL_STOP] === 0, 'nothing is asked of anybody');
      checkList(m, node, head, COUNT);
      // The others run on, with allocation and all.
      const before = Atomics.load(flags, BEATS);
      const until = performance.now() + 20_000;
      m.blocking(() => {
        while (Atomics.load(flags, BEATS) < before + 1000 && performance.now() < until) sleep(1);
      });
      assert(Atomics.load(flags, BEATS) >= before + 1000, 'a thread that was stopped runs on');
      // An allocation that needs the collection says why there is none.
      outOfMemory = thrownBy(() => {
        for (;;) m.allocate(node);
      });
      assert(isTospaceError(outOfMemory, 'ERR_OUT_OF_MEMORY'), `${outOfMemory}`);
      assert(isTospaceError(outOfMemory.cause, 'ERR_TIMEOUT'), `the cause is ${outOfMemory.cause}`);
      Atomics.store(flags, RELEASE, 1);
      collect(m);
      collect(m);
      checkList(m, node, head, COUNT);
    });
  // A thread that gets no CPU misses the phase that it is to be stuck in, and who is waited for may be another: once more, then.
  for (let tries = 1; outOfMemory === undefined; tries++) {
    Atomics.store(flags, STUCK, 0);
    Atomics.store(flags, RELEASE, 0);
    const stubborn = spawn(heap.share(), node, flags, named ? 'stubborn' : 'nameless', phase);
    await stubborn.ready;
    m.run(() => attempt(tries === 10));
    await stubborn.exit;
  }
  Atomics.store(flags, QUIT, 1);
  m.detach();
  await beating.exit;
  await heap.close();
  const event = abandoned[earlier];
  assert(isTospaceError(event, 'ERR_TIMEOUT'), `abandoned: ${abandoned}`);
  return { thrown: { code: thrown.code, message: thrown.message }, event: event.message };
}

/** Without a limit a collection waits as long as it takes. */
async function never() {
  const heap = await createHeap({ heap: 4 * MIB, safepointWarnMs: 20, safepointTimeoutMs: 0 });
  const node = heap.defineRecord('Node', NODE);
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const stubborn = spawn(heap.share(), node, flags, 'stubborn', 0);
  await stubborn.ready;
  const release = spawn(heap.share(), node, flags, 'release');
  const m = heap.attach();
  m.run(() => m.collect());
  assert(Atomics.load(flags, RELEASE) === 1, 'the collection waited');
  m.detach();
  await Promise.all([stubborn.exit, release.exit]);
  await heap.close();
}

/**
 * The thread that created the heap is the stubborn one, and its event loop, which prints what other threads write to process.stderr, does
 * not turn: it is named all the same. Standard error must be a file.
 */
async function blockedMain() {
  const heap = await createHeap({ heap: 4 * MIB, safepointWarnMs: 50 });
  const node = heap.defineRecord('Node', NODE);
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const collecting = spawn(heap.share(), node, flags, 'collect');
  await collecting.ready;
  const m = heap.attach({ name: 'main' });
  const printed = m.run(() => {
    Atomics.store(flags, STUCK, 1);
    Atomics.notify(flags, STUCK);
    const until = performance.now() + 20_000;
    for (let text = ''; performance.now() < until; sleep(5)) {
      text = readFileSync('/proc/self/fd/2', 'utf8');
      if (text.includes('has not reached')) return text;
    }
    return '';
  });
  m.detach();
  await collecting.exit;
  await heap.close();
  return printed;
}

if (isMainThread) {
  await main({ timeout, never, blockedMain });
} else {
  const { shared, node, flags, job, phase } = workerData;
  const heap = attachHeap(shared);
  const m = heap.attach(job === 'stubborn' ? { name: 'stubborn' } : {});
  const jobs = {
    beat() {
      m.run(() => {
        const head = buildList(m, node, 100);
        parentPort.postMessage('ready');
        while (Atomics.load(flags, QUIT) === 0) {
          Atomics.add(flags, BEATS, 1);
          checkList(m, node, head, 100);
          m.safepoint();
        }
      });
    },
    stubborn() {
      const words = control(heap);
      m.run(() => {
        parentPort.postMessage('ready');
        // Polls until the collector is in the phase that it is to be stuck in.
        while (words[layout.CTL_PHASE] < phase && Atomics.load(flags, RELEASE) === 0) m.safepoint();
        Atomics.store(flags, STUCK, 1);
        while (Atomics.load(flags, RELEASE) === 0);
        m.safepoint();
      });
    },
    collect() {
      parentPort.postMessage('ready');
      Atomics.wait(flags, STUCK, 0);
      m.run(() => m.collect());
    },
    release() {
      sleep(700);
      Atomics.store(flags, RELEASE, 1);
    },
  };
  jobs.nameless = jobs.stubborn;
  jobs[job]();
  m.detach();
}
