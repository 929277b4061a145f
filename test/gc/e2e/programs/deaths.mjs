// Workers that die, and system calls that fail: the program keeps checking what it reads, and writes WRONG when it is not what it wrote.

import { writeSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  buildList,
  control,
  createHeap,
  isTospaceError,
  layout,
  main,
  Random,
  sleep,
} from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };
const COUNT = 20_000;

/** Checks the list with a safepoint and some garbage here and there; says WRONG, at once and for good, when a value is not its own. */
function watch(m, node, head) {
  let ref = m.get(head);
  const at = m.local(ref);
  for (let i = COUNT - 1; i >= 0; i--) {
    if (ref === 0 || m.i32[(ref + node.offset.value) >> 2] !== i) {
      writeSync(
        1,
        `WRONG ${ref} ${ref === 0 ? '' : m.i32[(ref + node.offset.value) >> 2]} instead of ${i}\n`,
      );
      process.exit(3);
    }
    ref = m.getRef(ref, node.offset.next);
    if (i % 500 === 0) {
      m.set(at, ref);
      for (let k = 0; k < 40; k++) m.allocate(node);
      m.safepoint();
      ref = m.get(at);
    }
  }
}

function mutate(heap, m, node, cycles, tolerated = () => false) {
  const errors = [];
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, node, COUNT);
      const random = new Random(1);
      const end = () => heap.stats().cycles + heap.stats().abandonedCycles >= cycles;
      while (!end()) {
        try {
          m.scope(() => watch(m, node, head));
          if (random.int(3) === 0) m.collect({ release: random.int(2) === 0 });
        } catch (error) {
          if (!tolerated(error)) throw error;
          errors.push(`${error.code} ${error.message}`);
        }
      }
      m.scope(() => watch(m, node, head));
    });
  });
  return errors;
}

/** Runs until the process is stopped: two threads that read, write, and wait for cycles. */
async function crash({ options }) {
  const heap = await createHeap({ heap: 4 * 1024 * 1024, trigger: 0.2, ...options });
  const node = heap.defineRecord('Node', NODE);
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), node } });
  worker.on('error', (error) => writeSync(2, `worker: ${error}\n`));
  await new Promise((resolve) => worker.once('message', resolve));
  const m = heap.attach();
  mutate(heap, m, node, Number.POSITIVE_INFINITY);
}

/** The collector dies in a cycle that nobody waits for; then the heap is closed. */
async function close({ options }) {
  const heap = await createHeap({ heap: 4 * 1024 * 1024, ...options });
  const words = control(heap);
  Atomics.add(words, layout.CTL_CYCLES_ASKED, 1);
  Atomics.notify(words, layout.CTL_CYCLES_ASKED);
  // Where it dies with all threads stopped, none of which exists.
  while (Atomics.load(words, layout.CTL_STOP) === 0) sleep(1);
  await heap.close();
}

/**
 * A whole life of a heap under a plan of failing calls.
 * @returns what happened: `create` failed with a typed error, or the cycles ran and so many were abandoned.
 */
async function life({ options, cycles = 8 }) {
  let heap;
  try {
    heap = await createHeap({ heap: 4 * 1024 * 1024, trigger: 0.3, ...options });
  } catch (error) {
    assert(
      isTospaceError(
        error,
        'ERR_SYSCALL',
        'ERR_OUT_OF_MEMORY',
        'ERR_PERMISSION',
        'ERR_UNSUPPORTED',
        'ERR_WORKER',
      ),
      `createHeap threw ${error} ${error.stack}`,
    );
    return { outcome: 'create', message: error.message };
  }
  const abandoned = [];
  heap.on('abandoned', (error) => abandoned.push(error));
  const node = heap.defineRecord('Node', NODE);
  const m = heap.attach();
  const errors = mutate(heap, m, node, cycles, (error) =>
    isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY'),
  );
  const { faults } = heap.stats();
  m.detach();
  // Events are delivered by the event loop, and a cycle that somebody suggested may still run.
  const until = performance.now() + 20_000;
  do await new Promise((resolve) => setTimeout(resolve, 1));
  while (abandoned.length !== heap.stats().abandonedCycles && performance.now() < until);
  const { abandonedCycles } = heap.stats();
  for (const error of abandoned)
    assert(
      isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY', 'ERR_PERMISSION', 'ERR_UNSUPPORTED') &&
        error.syscall.length > 0,
      `abandoned by ${error}`,
    );
  assert(
    abandoned.length === abandonedCycles,
    `${abandoned.length} events for ${abandonedCycles} abandoned cycles`,
  );
  await heap.close();
  return {
    outcome: abandonedCycles > 0 ? 'abandoned' : 'success',
    abandoned: abandoned.map((e) => e.message),
    errors,
    faults: faults.count,
  };
}

/** One life after the other, each with a line of its own, until one ends the process. */
async function lives(configs) {
  for (const config of configs) writeSync(1, `${JSON.stringify(await life(config))}\n`);
}

if (isMainThread) {
  await main({ close, crash, lives });
} else {
  const heap = attachHeap(workerData.shared);
  const m = heap.attach();
  parentPort.postMessage('ready');
  mutate(heap, m, workerData.node, Number.POSITIVE_INFINITY);
}
