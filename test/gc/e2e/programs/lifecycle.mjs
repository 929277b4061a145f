// Beginnings and ends: of heaps, mutators, threads and the process, in the wrong moments.

import { existsSync, writeSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import workerThreads, { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
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
  NULL,
  openDescriptors,
  sleep,
  startCycle,
  threadCount,
  thrownBy,
} from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };
const MIB = 1024 * 1024;
const COUNT = 20_000;

function spawnMutator(heap, node, job, more = {}) {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { shared: heap.share(), node, job, ...more },
  });
  const message = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const exit = new Promise((resolve) => worker.once('exit', resolve));
  return { worker, message, exit };
}

async function closeInPhase({ options, phase }) {
  const heap = await createHeap({
    heap: 8 * MIB,
    ...options,
    stress: { delayMs: { mark: 20, remark: 20, plan: 20, flip: 20, compact: 20, batch: 5, close: 20 } },
  });
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  m.run(() => {
    buildList(m, node, COUNT);
    startCycle(heap, m, phase);
  });
  const [first, second] = [heap.close(), heap.close()];
  assert(first === second, 'closing twice is one close');
  await first;
  await heap.close();
  for (const body of [() => m.run(() => {}), () => heap.attach(), () => heap.defineRecord('More', NODE)]) {
    assert(isTospaceError(thrownBy(body), 'ERR_STATE'), 'a closed heap is used');
  }
  m.detach();
  m.detach();
}

/** A thread that waits for a collection, or for memory, is told when the heap is closed under it. */
async function closeUnderWaiting() {
  const heap = await createHeap({ heap: MIB, stress: { delayMs: { mark: 300 } } });
  const node = heap.defineRecord('Node', NODE);
  const { message, exit } = spawnMutator(heap, node, 'wait');
  // Until it has asked for a collection.
  const words = control(heap);
  while (Atomics.load(words, layout.CTL_CYCLES_ASKED) === 0)
    await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (let i = 0; ; i++) {
    try {
      await heap.close();
      break;
    } catch (error) {
      // Between two collections it runs.
      assert(isTospaceError(error, 'ERR_STATE') && i < 1000, `close() threw ${error}`);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  }
  assert((await message) === 'ERR_STATE', 'the waiting thread was told something else');
  await exit;
}

async function states() {
  const heap = await createHeap({ heap: MIB });
  const node = heap.defineRecord('Node', NODE);
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach();
  let refused;
  m.run(() => {
    refused = heap.close();
  });
  await refused.then(
    () => assert(false, 'a heap with a running mutator was closed'),
    (error) => assert(isTospaceError(error, 'ERR_STATE'), `close() threw ${error}`),
  );
  // Still open and usable.
  m.run(() => m.scope(() => checkList(m, node, buildList(m, node, 100), 100)));
  for (const [name, body] of Object.entries({
    allocate: () => m.allocate(node),
    collect: () => m.collect(),
    blocking: () => m.blocking(() => {}),
    persist: () => m.persist(NULL),
    array: () => m.allocateArray(bytes, 100_000),
  })) {
    const error = thrownBy(body);
    assert(isTospaceError(error, 'ERR_STATE'), `${name} outside run() threw ${error}`);
  }
  // A safe region inside run, and running again inside of that.
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, node, 1000);
      m.blocking(() => {
        sleep(5);
        assert(
          isTospaceError(
            thrownBy(() => m.collect()),
            'ERR_STATE',
          ),
          'a safe region may not collect',
        );
        m.run(() => {
          m.scope(() => {
            m.collect();
            checkList(m, node, buildList(m, node, 500), 500);
          });
        });
        assert(
          isTospaceError(
            thrownBy(() => m.collect()),
            'ERR_STATE',
          ),
          'the safe region is one again',
        );
      });
      m.collect();
      checkList(m, node, head, 1000);
    });
  });
  m.detach();
  for (const body of [() => m.run(() => {}), () => m.allocate(node), () => m.collect()]) {
    assert(isTospaceError(thrownBy(body), 'ERR_STATE'), 'a detached mutator is used');
  }
  await heap.close();
}

async function stale() {
  const heap = await createHeap({ heap: MIB, verify: 'full' });
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  let kept = NULL;
  let local;
  m.run(() => {
    m.scope(() => {
      for (let i = 0; i < 1000; i++) m.allocate(node);
      kept = m.allocate(node);
      local = m.local(kept);
      // Kept in a variable across a safepoint that moved it: what it names now is not in use.
      m.collect();
      const error = thrownBy(() => m.getRef(kept, node.offset.next));
      assert(isTospaceError(error, 'ERR_TYPE'), `a stale reference gave ${error}`);
      assert(
        isTospaceError(
          thrownBy(() => m.local(kept)),
          'ERR_TYPE',
        ),
        'a stale reference became a handle',
      );
      assert(
        isTospaceError(
          thrownBy(() => m.setRef(m.get(local), node.offset.next, kept)),
          'ERR_TYPE',
        ),
        'a stale reference was stored',
      );
      assert(
        isTospaceError(
          thrownBy(() => m.getRef(NULL, node.offset.next)),
          'ERR_TYPE',
        ),
        'null was read',
      );
      assert(
        isTospaceError(
          thrownBy(() => m.setRef(m.get(local), node.offset.value, NULL)),
          'ERR_TYPE',
        ),
        'a number was used as a reference',
      );
    });
    assert(
      isTospaceError(
        thrownBy(() => m.get(local)),
        'ERR_HANDLE',
      ),
      'a handle outlived its scope',
    );
    m.scope(() => {
      m.local(m.allocate(node));
      assert(
        isTospaceError(
          thrownBy(() => m.get(local)),
          'ERR_HANDLE',
        ),
        'a handle outlived its scope, and its slot is in use again',
      );
    });
    const persistent = m.persist(m.allocate(node));
    persistent.close();
    persistent.close();
    assert(
      isTospaceError(
        thrownBy(() => persistent.get()),
        'ERR_HANDLE',
      ),
      'a closed persistent handle was read',
    );
  });
  m.detach();
  await heap.close();
}

/** The main thread leaves in the middle of things. */
async function exitMain({ options, at, code }) {
  const heap = await createHeap({
    heap: 8 * MIB,
    ...options,
    stress: { delayMs: { mark: 5, plan: 5, compact: 5, batch: 3 } },
  });
  const node = heap.defineRecord('Node', NODE);
  const { message } = spawnMutator(heap, node, 'churn');
  await message;
  const m = heap.attach();
  m.run(() => {
    const head = buildList(m, node, COUNT);
    if (at === 'run') process.exit(code);
    if (at === 'throw') throw new Error('on purpose');
    startCycle(heap, m, layout[at]);
    if (at === 'PHASE_COMPACT')
      for (let i = 0, ref = m.get(head); i < 500; i++) ref = m.getRef(ref, node.offset.next);
    process.exit(code);
  });
}

/** A mutator thread leaves in the middle of things: the heap goes on. */
/** Exits while a heap's workers start, `afterMs` after they began to. */
function exitBeforeCreated({ afterMs, code, options }) {
  createHeap({ heap: 8 * MIB, ...options });
  setTimeout(() => process.exit(code), afterMs);
}

async function exitThread({ options, phase, rounds }) {
  const heap = await createHeap({ heap: 8 * MIB, ...options, stress: { delayMs: { batch: 2 } } });
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  for (let i = 0; i < rounds; i++) {
    const { message, exit } = spawnMutator(heap, node, 'exit', { phase });
    await message;
    const code = await exit;
    assert(code === 9, `the thread ended with ${code}`);
    m.run(() => {
      m.scope(() => {
        const head = buildList(m, node, COUNT);
        m.collect();
        checkList(m, node, head, COUNT);
      });
    });
  }
  m.detach();
  await heap.close();
}

/** Node says that a worker has exited a moment before its thread has: waits until all threads but this one that have records are gone. */
async function threadsGone(heap) {
  const { geometry } = heap.share().arena;
  const records = Array.from(
    { length: layout.MAX_THREADS },
    (_, i) =>
      new Int32Array(heap.memory.buffer, geometry.threads + i * layout.THREAD_BYTES, layout.T_TID + 1),
  );
  const exists = (record) =>
    record[layout.T_STATE] !== layout.THREAD_FREE &&
    record[layout.T_TID] !== process.pid &&
    existsSync(`/proc/self/task/${record[layout.T_TID]}`);
  const until = performance.now() + 20_000;
  while (records.some(exists)) {
    assert(performance.now() < until, 'terminated threads do not end');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Threads are terminated while they run or rest; later cycles, new threads and close() do not wait for them. */
async function terminate({ options, job, rounds, mutators = 1 }) {
  const heap = await createHeap({ heap: 16 * MIB, trigger: 0.3, ...options });
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  for (let i = 0; i < rounds; i++) {
    const { worker, message } = spawnMutator(heap, node, job, { mutators });
    await message;
    await new Promise((resolve) => setTimeout(resolve, i % 5));
    await worker.terminate();
    if (i % 4 === 0) {
      m.run(() => {
        m.scope(() => {
          const head = buildList(m, node, 1000);
          m.collect();
          checkList(m, node, head, 1000);
        });
      });
    }
  }
  await threadsGone(heap);
  m.run(() => m.collect());
  m.run(() => m.collect());
  const { usedBytes } = heap.stats();
  m.detach();
  // The last one ends while it runs, and no cycle comes between that and close().
  const last = spawnMutator(heap, node, job);
  await last.message;
  await last.worker.terminate();
  await heap.close();
  return { usedBytes };
}

async function threads({ options, count }) {
  const heap = await createHeap({ heap: 2 * MIB, trigger: 0.1, verify: 'full', ...options });
  const node = heap.defineRecord('Node', NODE);
  const all = Array.from({ length: count }, (_, i) => spawnMutator(heap, node, 'lists', { seed: i }));
  const results = await Promise.all(all.map(({ message }) => message));
  assert(
    results.every((result) => result === 'done'),
    `${results}`,
  );
  await Promise.all(all.map(({ exit }) => exit));
  const { cycles } = heap.stats();
  await heap.close();
  return { cycles };
}

/** Four threads make garbage as fast as they can in a heap that is mostly empty: nobody may be told that memory ran out. */
async function thrash({ options }) {
  const heap = await createHeap({ heap: 2 * MIB, ...options });
  const node = heap.defineRecord('Node', NODE);
  const all = Array.from({ length: 4 }, (_, i) => spawnMutator(heap, node, 'garbage', { seed: i }));
  const results = await Promise.all(all.map(({ message }) => message));
  await Promise.all(all.map(({ exit }) => exit));
  const { cycles } = heap.stats();
  await heap.close();
  assert(
    results.every((result) => result === 'done'),
    `${results}`,
  );
  return { cycles };
}

/** Main ends and nobody closed the heap. */
async function neverClosed() {
  const heap = await createHeap({ heap: MIB });
  heap.attach();
  process.on('exit', () => writeSync(1, 'exit\n'));
}

/** A heap that a worker thread made, and that thread ends. */
async function creatorThread({ how }) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { job: 'create', how } });
  const message = await new Promise((resolve, reject) =>
    worker.once('message', resolve).once('error', reject),
  );
  assert(message === 'created', message);
  if (how === 'terminate') await worker.terminate();
  else await new Promise((resolve) => worker.once('exit', resolve));
}

/** Worker threads that make a heap and end without closing it, one after the other: nothing of it stays in the process. */
async function creatorsLeave({ options, how, rounds }) {
  let before;
  for (let i = 0; i <= rounds; i++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { job: 'leave', how, options } });
    const error = new Promise((resolve) => worker.once('error', resolve));
    const code = await new Promise((resolve) => worker.once('exit', resolve));
    assert(code === (how === 'throw' ? 1 : 4), `the thread ended with ${code}`);
    if (how === 'throw') assert((await error).message === 'on purpose', 'what it threw');
    // The first round opens what all threads share.
    const now = openDescriptors();
    before ??= now;
    assert(now === before, () => `${now} descriptors after ${i + 1} heaps, ${before} after the first`);
  }
}

function spawnCreator(job, more = {}) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { job, ...more } });
  const message = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return { worker, message };
}

/** A heap that a worker thread made; that thread is terminated while this one has pages to touch that nobody has built. */
async function creatorLost({ asleep }) {
  const { worker, message } = spawnCreator('createForOthers', { batchMs: 60_000 });
  const { shared, node } = await message;
  const heap = attachHeap(shared);
  const m = heap.attach();
  const read = m.run(() => {
    const head = buildList(m, node, COUNT);
    startCycle(heap, m, layout.PHASE_COMPACT);
    return () => checkList(m, node, head, COUNT);
  });
  const gone = worker.terminate();
  if (asleep) {
    const { memory, geometry } = shared.arena;
    for (let i = 0; i < shared.workers; i++) {
      const [tid] = new Int32Array(
        memory.buffer,
        geometry.workers + i * layout.WORKER_BYTES + 4 * layout.W_TID,
        1,
      );
      while (existsSync(`/proc/self/task/${tid}`)) sleep(10);
    }
    m.run(read);
  } else await gone;
  await new Promise((resolve) => setTimeout(resolve, 30_000));
}

/** The heap's end comes first: nothing is wrong with the end of the thread that made it. */
async function creatorClosed() {
  const { worker, message } = spawnCreator('createForOthers');
  const { shared, node } = await message;
  const heap = attachHeap(shared);
  const threads = threadCount();
  attachHeap(shared);
  assert(threadCount() === threads, 'one watch is enough');
  const m = heap.attach();
  m.run(() => m.scope(() => checkList(m, node, buildList(m, node, COUNT), COUNT)));
  const closed = new Promise((resolve) => worker.once('message', resolve));
  worker.postMessage('close');
  await closed;
  await worker.terminate();
  // As long as a watch would take to see a death and to believe it.
  await sleep(2500);
  m.detach();
}

/** The watch over another thread's heap cannot start, at once or a moment later: this thread is told, lives, and may try again. */
async function watchFails() {
  const { worker, message } = spawnCreator('createForOthers');
  const { shared } = await message;
  const replaceWorker = (replacement) => {
    workerThreads.Worker = replacement;
    syncBuiltinESMExports();
  };
  const RealWorker = Worker;
  const warnings = [];
  process.on('warning', (warning) => warnings.push(warning));
  // As where threads run out.
  replaceWorker(
    class {
      constructor() {
        throw new Error('no thread');
      }
    },
  );
  const error = thrownBy(() => attachHeap(shared));
  assert(isTospaceError(error, 'ERR_WORKER') && error.cause.message === 'no thread', `${error}`);
  // As where descriptors do.
  let failing;
  replaceWorker(
    class extends RealWorker {
      constructor(_, options) {
        super("throw new Error('no descriptor')", { ...options, eval: true });
        failing = this;
      }
    },
  );
  const heap = attachHeap(shared);
  await new Promise((resolve) => failing.once('exit', resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert(
    warnings.length === 1 &&
      isTospaceError(warnings[0], 'ERR_WORKER') &&
      warnings[0].cause.message === 'no descriptor',
    () => `${warnings.length} warnings: ${warnings}`,
  );
  heap.attach().detach();
  replaceWorker(RealWorker);
  const threads = threadCount();
  attachHeap(shared);
  assert(threadCount() > threads, 'the next one is watched');
  const closed = new Promise((resolve) => worker.once('message', resolve));
  worker.postMessage('close');
  await closed;
  await worker.terminate();
}

/** @param delayMs from attaching to the exit; by default there is time for the watch to look, and another thread at work. */
async function exitBesideCreator({ delayMs }) {
  const { message } = spawnCreator('createForOthers');
  const { shared, node } = await message;
  if (delayMs !== undefined) {
    attachHeap(shared);
    sleep(delayMs);
    process.exit(6);
  }
  const heap = attachHeap(shared);
  const m = heap.attach();
  const { message: ready } = spawnMutator(heap, node, 'churn');
  await ready;
  m.run(() => m.scope(() => checkList(m, node, buildList(m, node, COUNT), COUNT)));
  await sleep(400);
  process.exit(6);
}

if (isMainThread) {
  await main({
    closeInPhase,
    closeUnderWaiting,
    states,
    stale,
    exitMain,
    exitBeforeCreated,
    exitThread,
    terminate,
    threads,
    thrash,
    neverClosed,
    creatorThread,
    creatorsLeave,
    creatorLost,
    creatorClosed,
    watchFails,
    exitBesideCreator,
  });
} else if (workerData.job === 'create') {
  const heap = await createHeap({ heap: 8 * MIB, stress: { delayMs: { batch: 2 } } });
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, node, COUNT);
      startCycle(heap, m, layout.PHASE_COMPACT);
      checkList(m, node, head, COUNT);
    });
  });
  parentPort.postMessage('created');
  if (workerData.how === 'exit') process.exit(4);
  setInterval(() => {}, 1000);
} else if (workerData.job === 'leave') {
  const heap = await createHeap({ heap: 8 * MIB, ...workerData.options });
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  m.run(() => {
    buildList(m, node, COUNT);
    if (workerData.how === 'throw') throw new Error('on purpose');
    process.exit(4);
  });
} else if (workerData.job === 'createForOthers') {
  // The collector builds nothing by itself for long: pages are built where somebody touches them.
  const heap = await createHeap({ heap: 8 * MIB, stress: { delayMs: { batch: workerData.batchMs } } });
  parentPort.on('message', async () => {
    await heap.close();
    parentPort.postMessage('closed');
  });
  parentPort.postMessage({ shared: heap.share(), node: heap.defineRecord('Node', NODE) });
} else {
  const { shared, node, job } = workerData;
  const heap = attachHeap(shared);
  const m = heap.attach();
  const jobs = {
    wait() {
      const error = thrownBy(() => {
        for (;;) m.run(() => m.collect());
      });
      m.detach();
      parentPort.postMessage(error.code);
    },
    churn() {
      let told = false;
      m.run(() => {
        for (;;) {
          m.scope(() => {
            const head = buildList(m, node, 2000);
            if (!told) parentPort.postMessage('ready');
            told = true;
            checkList(m, node, head, 2000);
          });
        }
      });
    },
    safepoints() {
      m.run(() => {
        buildList(m, node, 100);
        parentPort.postMessage('ready');
        for (;;) m.safepoint();
      });
    },
    rest() {
      // Each has a record of its own in the table.
      for (let i = 1; i < workerData.mutators; i++) heap.attach();
      m.run(() => {
        buildList(m, node, 100);
        m.blocking(() => {
          parentPort.postMessage('ready');
          sleep(1e9);
        });
      });
    },
    exit() {
      m.run(() => {
        const head = buildList(m, node, COUNT);
        startCycle(heap, m, workerData.phase);
        for (let i = 0, ref = m.get(head); i < 200; i++) ref = m.getRef(ref, node.offset.next);
        parentPort.postMessage('leaving');
        process.exit(9);
      });
    },
    lists() {
      m.run(() => {
        m.scope(() => {
          const head = buildList(m, node, 3000 + workerData.seed);
          const end = heap.stats().cycles + 3;
          while (heap.stats().cycles < end) {
            m.scope(() => checkList(m, node, buildList(m, node, 1000), 1000));
            checkList(m, node, head, 3000 + workerData.seed);
            m.blocking(() => {});
          }
        });
      });
      m.detach();
      parentPort.postMessage('done');
    },
    garbage() {
      let result = 'done';
      try {
        m.run(() => {
          for (let i = 0; i < 400_000; i++) m.allocate(node);
        });
      } catch (error) {
        result = `${error.code}: ${error.message}`;
      }
      m.detach();
      parentPort.postMessage(result);
    },
  };
  jobs[job]();
}
