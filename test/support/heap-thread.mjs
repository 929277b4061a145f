// The tasks that tests run on threads of their own: see threads.ts. Plain JavaScript, because Node runs it.
import { parentPort, workerData } from 'node:worker_threads';
import { instantiateKernels, kernelModule } from '#src/gc/kernels.js';
import { CTL_POLL, CTL_STOP, THREAD_RUNNING, T_STATE } from '#src/heap/layout.js';
import { bindLocks, withLock, withRepairableLock } from '#src/heap/lock.js';
import { Mutator } from '#src/heap/mutator.js';
import { waitWhile } from '#src/heap/spin.js';
import { Tables } from '#src/heap/tables.js';
import { TRACE_SAMPLED_FAULT, TraceRing } from '#src/heap/trace-ring.js';
import { TypeRegistry } from '#src/heap/types.js';
import { createLibcKernel } from '#src/uffd/index.js';

const { task, memory, geometry, shared, index = 0, count = 0, pages = 0 } = workerData;
const tables = memory === undefined ? undefined : new Tables(memory, geometry);
const ready = () => parentPort.postMessage({ ready: true });

// Words of `shared`: 0 tells all threads to begin, 1 to end; from 8 on each thread has a line of 16 words.
const GO = 0;
const QUIT = 1;
const LINE = 8 + index * 16;

function awaitGo() {
  ready();
  Atomics.wait(shared, GO, 0);
}
const quits = () => Atomics.load(shared, QUIT) !== 0;

function attach() {
  const host = { tid: index + 1, currentCpu: () => 0, assertCollectorAlive() {} };
  const options = {
    collectEveryAllocation: 0,
    collectEverySafepoint: 0,
    faultSamples: 0,
    checked: false,
    collects: true,
  };
  return new Mutator(tables, host, options);
}

const tasks = {
  /** In every round claims all the pages it can get; says which they were. Two threads meet again and again at the same page. */
  claim() {
    const kernels = instantiateKernels(kernelModule(), memory, geometry.control);
    const owner = index + 1;
    const claimed = [];
    let meetings = 0;
    ready();
    for (let round = 1; round <= count; round++) {
      const mine = [];
      while (Atomics.load(shared, GO) < round && !quits());
      for (let page = 0; page < pages; page++) {
        if (page % 5 === 0) {
          // Meet, for as long as the other one is there at all; then set out with a head start of another length each time.
          meetings += 2;
          Atomics.add(shared, 7, 1);
          for (let spin = 0; spin < 2000 && Atomics.load(shared, 7) < meetings; spin++);
          const headStart = (meetings * (index === 0 ? 1 : 7)) % 64;
          for (let spin = 0; spin < headStart; spin++) shared[LINE] = spin;
        }
        if (kernels.claimPages(page, page + 1, owner) === 1) mine.push(page);
      }
      claimed.push(mine);
      Atomics.add(shared, 5, 1);
    }
    return claimed;
  },

  /** Writes events whose duration and argument are their number. */
  trace() {
    const ring = new TraceRing(tables, index);
    awaitGo();
    for (let i = 0; i < count; i++) ring.span(TRACE_SAMPLED_FAULT, 0, 1000 * i, 1000 * i + i / 1000, i);
    Atomics.store(shared, QUIT, 1);
    return count;
  },

  register() {
    const types = new TypeRegistry(tables);
    awaitGo();
    const ids = [];
    for (let i = 0; i < count; i++) ids.push(types.record(`t${index}.${i}`, { a: 'ref', b: 'i32' }).id);
    return ids;
  },

  /** Adds to a word without atomics, under the lock in word 2. */
  lock() {
    awaitGo();
    for (let i = 0; i < count; i++) {
      withLock(shared, 2, () => {
        shared[3] = shared[3] + 1;
        shared[4] = shared[4] + (shared[3] - shared[4]);
      });
    }
    return count;
  },

  /** Takes the lock in word 2 and never gives it back. */
  lockForever() {
    bindLocks({ tid: createLibcKernel().gettid(), threadExists: () => true, holderDied() {} });
    (count === 1 ? withRepairableLock : withLock)(shared, 2, () => {
      shared[LINE] = 1;
      ready();
      for (;;) shared[LINE + 1]++;
    });
  },

  /** Runs as a mutator that polls: word 0 of its line counts, without atomics. */
  poller() {
    const mutator = attach();
    ready();
    mutator.run(() => {
      while (!quits()) {
        shared[LINE]++;
        mutator.safepoint();
      }
    });
    mutator.detach();
    return shared[LINE];
  },

  /** Enters and leaves: within, word 0 counts and word 1 is 1. */
  enterLeave() {
    const mutator = attach();
    awaitGo();
    let i = 0;
    for (; (i < count || !quits()) && shared[2] === 0; i++) {
      mutator.enter();
      shared[LINE + 1] = 1;
      shared[LINE]++;
      if ((i & 7) === 0) mutator.safepoint();
      shared[LINE]++;
      shared[LINE + 1] = 0;
      mutator.leave();
    }
    mutator.detach();
    return i;
  },

  /** Attached in a safe region; enters when told to, and says what pause was on by then. */
  safe() {
    const mutator = attach();
    awaitGo();
    Atomics.store(shared, LINE, 1);
    mutator.enter();
    const stop = Atomics.load(tables.control, CTL_STOP);
    Atomics.store(shared, LINE, 2);
    mutator.leave();
    mutator.detach();
    return stop;
  },

  /** Attaches when told to, and enters. */
  late() {
    awaitGo();
    const mutator = attach();
    Atomics.store(shared, LINE, 1);
    mutator.run(() => Atomics.store(shared, LINE, 2));
    mutator.detach();
    return mutator.index;
  },

  /** Runs and does not poll before word 0 of line 4 is set. */
  stubborn() {
    const mutator = attach();
    mutator.enter();
    ready();
    while (Atomics.load(shared, 8 + 4 * 16) === 0 && !quits()) shared[LINE]++;
    const polled = Atomics.load(tables.control, CTL_POLL);
    mutator.safepoint();
    const state = tables.threads[mutator.index][T_STATE];
    mutator.leave();
    mutator.detach();
    return { polled, running: state === THREAD_RUNNING };
  },

  /** Between two polls it stores the next number twice, without atomics, first to word 0 and at last to word 8. */
  stores() {
    const mutator = attach();
    ready();
    mutator.run(() => {
      for (let i = 1; !quits(); i++) {
        shared[LINE] = i;
        for (let spin = 0; spin < 50; spin++) shared[LINE + 1] = spin;
        shared[LINE + 8] = i;
        mutator.safepoint();
      }
    });
    mutator.detach();
    return true;
  },

  /** Stores 1 into word 0 of its line, a while after it is told to begin. */
  storeLater() {
    awaitGo();
    Atomics.wait(shared, QUIT, 0, count);
    Atomics.store(shared, LINE, 1);
    Atomics.notify(shared, LINE);
    return true;
  },

  waitWhile() {
    ready();
    return waitWhile(shared, LINE, 0, count);
  },
};

parentPort.postMessage({ result: tasks[task]() });
