// Heaps that cannot be made: no descriptors or threads are left, or a worker fails while it starts.

import { closeSync, openSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import worker_threads from 'node:worker_threads';
import { assert, createHeap, isTospaceError, layout, main, sleep, threadCount } from './support.mjs';

const MIB = 2 ** 20;
const ENOMEM = 12;
const EIO = 5;

/** The collector's first cycle fails: it is never armed. */
const FAILING_COLLECTOR = { call: 'mremap', nth: 1, errno: ENOMEM, thread: 'collector' };

/** What the creation was refused with; undefined where there is a heap, which works and is closed. */
async function creation(options) {
  let heap;
  try {
    heap = await createHeap({ heap: MIB, ...options });
  } catch (error) {
    return error;
  }
  const m = heap.attach();
  m.run(() => m.collect());
  m.detach();
  await heap.close();
}

/** Descriptors, but for those of event loops: libuv leaves that of a worker behind whose loop could not be made, with or without heaps. */
function openDescriptors() {
  const isLoop = (fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventpoll]';
    } catch {
      // The one that the folder was read through.
      return true;
    }
  };
  return readdirSync('/proc/self/fd').filter((fd) => !isLoop(fd)).length;
}

const held = () => ({ descriptors: openDescriptors(), threads: threadCount() });

/** Threads and what they hold end a moment after they were told to. */
async function assertHeld(expected) {
  const until = performance.now() + 10_000;
  let now = held();
  while (now.descriptors > expected.descriptors || now.threads > expected.threads) {
    assert(performance.now() < until, () => JSON.stringify({ expected, now }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    now = held();
  }
}

/** Runs `body` where the n-th worker thread is started with what `replace(n)` returns, or else as usual; returns how many were. */
async function withWorkers(replace, body) {
  const { Worker } = worker_threads;
  let started = 0;
  worker_threads.Worker = class extends Worker {
    constructor(...usual) {
      super(...(replace(++started) ?? usual));
    }
  };
  try {
    await body();
  } finally {
    worker_threads.Worker = Worker;
  }
  return started;
}

/** No more than `left` descriptors are left, for each of `lefts`. To be run under a small limit. */
async function descriptors({ lefts }) {
  assert((await creation()) === undefined, 'without limits there is a heap');
  const before = held();
  const outcomes = {};
  for (const left of lefts) {
    const files = [];
    try {
      for (;;) files.push(openSync('/dev/null'));
    } catch {}
    for (let i = 0; i < left; i++) closeSync(files.pop());
    const error = await creation();
    for (const file of files) closeSync(file);
    assert(error === undefined || error.name === 'TospaceError', () => `${left} left: ${error.stack}`);
    outcomes[left] = error?.code ?? 'works';
    await assertHeld(before);
  }
  assert((await creation()) === undefined, 'afterwards there is a heap');
  return outcomes;
}

/** There is no second thread. */
async function threads() {
  assert((await creation()) === undefined, 'without limits there is a heap');
  const before = held();
  for (let attempt = 0; attempt < 3; attempt++) {
    await withWorkers(
      (n) => {
        if (n > 1) throw Object.assign(new Error('EAGAIN'), { code: 'ERR_WORKER_INIT_FAILED' });
      },
      async () => {
        const error = await creation();
        assert(isTospaceError(error, 'ERR_WORKER') && error.cause.message === 'EAGAIN', () => error.stack);
      },
    );
    await assertHeld(before);
  }
}

/** Every worker but the first throws while it starts. Nobody takes its place: it would not do better, and would be ended while it loads. */
async function failingStart() {
  assert((await creation()) === undefined, 'without failures there is a heap');
  const before = held();
  const started = await withWorkers(
    (n) => (n === 1 ? undefined : ['throw new Error("on purpose")', { eval: true }]),
    async () => {
      const error = await creation();
      assert(isTospaceError(error, 'ERR_WORKER') && error.cause.message === 'on purpose', () => error.stack);
      await assertHeld(before);
    },
  );
  assert(started === 2, `${started} workers were started`);
}

/** Exits at once, although the collector fails before it is armed: its state says nothing. */
function exitBesideFailure({ code }) {
  const options = { heap: MIB, servers: 8, stress: { injection: [FAILING_COLLECTOR] } };
  createHeap(options).catch(() => {});
  process.exit(code);
}

/** The creator is held up for longer than workers may take, and they have been armed in time. */
async function busyCreator() {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (callback, ms, ...args) => setTimeout(callback, ms > 10_000 ? 0 : ms, ...args);
  const { waitAsync } = Atomics;
  Atomics.waitAsync = (record, word, value) => {
    while (Atomics.load(record, word) === value) sleep(1);
    Atomics.waitAsync = waitAsync;
    // The news of it have not come when the time is over.
    return { async: true, value: new Promise(() => {}) };
  };
  const error = await creation({ collector: 'stop-the-world' });
  globalThis.setTimeout = setTimeout;
  assert(error === undefined, () => error.stack);
}

/** The collector cannot start, and the servers cannot be told to stop. */
async function unstoppable() {
  assert((await creation()) === undefined, 'without failures there is a heap');
  const before = held();
  const untold = { call: 'write', nth: 1, every: true, errno: EIO, thread: 'creator' };
  const error = await creation({ stress: { injection: [FAILING_COLLECTOR, untold] } });
  assert(isTospaceError(error, 'ERR_WORKER') && /mremap/.test(error.cause.message), () => error.stack);
  await assertHeld(before);
}

/** The thread exits with two heaps, and the servers of the first cannot be told to stop. */
async function exitOfTwo({ code }) {
  const untold = { call: 'write', nth: 1, every: true, errno: EIO, thread: 'creator' };
  await createHeap({ heap: MIB, stress: { injection: [untold] } });
  const second = await createHeap({ heap: MIB });
  const { arena } = second.share();
  const words = new Int32Array(second.memory.buffer, arena.geometry.control, layout.CTL_WORDS);
  const { emit } = process;
  process.emit = (...event) => {
    try {
      return emit.apply(process, event);
    } finally {
      if (event[0] === 'exit')
        writeSync(1, Atomics.load(words, layout.CTL_HEAP_STATE) === layout.HEAP_CLOSED ? 'closed' : 'open');
    }
  };
  process.exit(code);
}

await main({
  descriptors,
  threads,
  failingStart,
  exitBesideFailure,
  busyCreator,
  unstoppable,
  exitOfTwo,
});
