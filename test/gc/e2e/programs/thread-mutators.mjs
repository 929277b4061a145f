// Several mutators of one thread, attached through one view of the heap and through another, one inside another's run(): whatever the thread
// waits for, it must not wait for itself. A thread that does ends with ERR_TIMEOUT here.

import { isMainThread, MessageChannel, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';
import { assert, attachHeap, createHeap, isTospaceError, layout, main, sleep, thrownBy } from './support.mjs';

const MIB = 1024 * 1024;
// Words of `flags`.
const QUIT = 0;
const READY = 1;

/** What arrives when `value` is posted: memory in objects of its own. */
function posted(value) {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(value);
  const { message } = receiveMessageOnPort(port2);
  port1.close();
  return message;
}

/** A heap with two mutators of this thread, the second through a view that came by post; `body` with both. */
async function withTwo(options, body) {
  const heap = await createHeap({ heap: 4 * MIB, safepointTimeoutMs: 10_000, ...options });
  const view = attachHeap(posted(heap.share()));
  const Node = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
  const outer = heap.attach({ name: 'outer' });
  const inner = view.attach({ name: 'inner' });
  const result = await body({ heap, view, outer, inner, Node });
  inner.detach();
  outer.detach();
  await heap.close();
  return result ?? null;
}

/** An object of `m` in a handle, and a check that it is still the same. */
function keep(m, Node, value) {
  const local = m.local(m.allocate(Node));
  m.setI32(m.get(local), Node.offset.value, value);
  return () => assert(m.getI32(m.get(local), Node.offset.value) === value, `object ${value} is kept`);
}

/** Runs `body(flags)` while another thread does `job` all the time. */
async function beside(heap, job, Node, body) {
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { shared: heap.share(), job, Node, flags },
  });
  const exit = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  while (Atomics.load(flags, READY) === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  try {
    return await body(flags, worker);
  } finally {
    Atomics.store(flags, QUIT, 1);
    await exit;
  }
}

/** The inner one collects, and allocates until cycles run, inside the outer one's run(): roots of both are kept and rewritten. */
function collects({ options }) {
  return withTwo(options, ({ heap, outer, inner, Node }) => {
    const cycles = () => heap.stats().cycles;
    outer.run(() =>
      outer.scope(() => {
        const first = keep(outer, Node, 1);
        const before = cycles();
        inner.run(() =>
          inner.scope(() => {
            const second = keep(inner, Node, 2);
            inner.collect();
            first();
            second();
            for (let i = 0; i < 600_000; i++) inner.allocate(Node);
            first();
            second();
            outer.collect();
            second();
          }),
        );
        assert(cycles() >= before + 3, `${cycles() - before} cycles`);
        // Its buffer is as good as before.
        for (let i = 0; i < 1000; i++) outer.allocate(Node);
        first();
      }),
    );
  });
}

/** A snapshot through either view, whichever of the two runs. */
function snapshots({ options }) {
  return withTwo(options, ({ heap, view, outer, inner, Node }) => {
    const look = () => {
      for (const access of [heap, view]) {
        const graph = access.snapshot({ whileStopped: () => {} });
        assert(
          graph.histogram().some(({ type, count }) => type === 'Node' && count >= 1),
          'an object is seen',
        );
      }
    };
    outer.run(() => {
      const first = keep(outer, Node, 1);
      look();
      inner.run(look);
      first();
    });
    inner.run(() => {
      const second = keep(inner, Node, 2);
      look();
      second();
      outer.run(look);
    });
    look();
    // Both run on: a safe region would refuse this.
    outer.run(() => inner.run(() => [outer.allocate(Node), inner.allocate(Node)]));
  });
}

/** Another thread collects all the time, and this one meets it in every place where a mutator may have to wait. */
function meets({ options }) {
  return withTwo(options, ({ heap, view, outer, inner, Node }) =>
    beside(heap, 'collect', Node, (flags) => {
      const cycle = () => heap.stats().cycles;
      const places = {
        enter: () => inner.run(() => {}),
        poll: () => inner.run(() => inner.safepoint()),
        blocking: () => inner.run(() => inner.blocking(() => {})),
        allocate: () => inner.run(() => inner.allocate(Node)),
        handle: () => inner.run(() => inner.persist(inner.allocate(Node))).close(),
        detach: () => view.attach().detach(),
        snapshot: () => view.snapshot(),
      };
      for (const [name, place] of Object.entries(places)) {
        outer.run(() =>
          outer.scope(() => {
            const first = keep(outer, Node, 1);
            const until = cycle() + 4;
            const end = performance.now() + 20_000;
            while (cycle() < until) {
              place();
              outer.safepoint();
              assert(performance.now() < end, () => `${name}: cycles go on`);
              assert(Atomics.load(flags, QUIT) === 0, () => `${name}: the other thread's collect() failed`);
            }
            first();
          }),
        );
      }
    }),
  );
}

/** All records are taken, one by a thread that ended: whoever attaches in run() waits for the cycle that releases it. */
async function room({ options }) {
  await withTwo(options, async ({ heap, outer, Node }) => {
    await beside(heap, 'idle', Node, async (_flags, worker) => {
      const others = Array.from({ length: layout.MAX_THREADS - 3 }, () => heap.attach());
      await worker.terminate();
      outer.run(() => {
        const first = keep(outer, Node, 1);
        const late = heap.attach();
        first();
        late.run(() => late.allocate(Node));
        late.detach();
      });
      for (const other of others) other.detach();
    });
  });
}

/** While one lets the thread block, the other is in a safe region, and is refused what it may not do there. */
function refused({ options }) {
  return withTwo(options, ({ outer, inner, Node }) => {
    outer.run(() => {
      outer.allocate(Node);
      inner.run(() => {
        inner.blocking(() => {
          for (const body of [() => outer.allocate(Node), () => outer.run(() => {}), () => outer.collect()])
            assert(isTospaceError(thrownBy(body), 'ERR_STATE'), `${body} in a safe region`);
        });
        outer.local(outer.allocate(Node));
        inner.local(inner.allocate(Node));
      });
      outer.allocate(Node);
    });
  });
}

/** In a verifying heap: what one has read is stale after a safepoint of the other, and fresh when that one has read it again. */
function stale() {
  return withTwo({ verify: 'full' }, ({ outer, inner, Node }) => {
    outer.run(() => {
      const local = outer.local(outer.allocate(Node));
      const ref = outer.get(local);
      outer.setI32(ref, Node.offset.value, 5);
      inner.run(() => {
        inner.safepoint();
        const error = thrownBy(() => outer.getI32(ref, Node.offset.value));
        assert(isTospaceError(error, 'ERR_TYPE') && error.message.includes('in safepoint'), `${error}`);
        const again = outer.get(local);
        assert(inner.getI32(again, Node.offset.value) === 5, 'read with the other one');
      });
      const handle = outer.persist(outer.get(local));
      const token = handle.share();
      inner.run(() => {
        inner.safepoint();
        assert(outer.getI32(inner.borrow(token).get(), Node.offset.value) === 5, 'read by the other one');
      });
    });
  });
}

const jobs = {
  collect(m, flags) {
    Atomics.store(flags, READY, 1);
    try {
      while (Atomics.load(flags, QUIT) === 0) m.run(() => m.collect());
    } finally {
      Atomics.store(flags, QUIT, 1);
    }
  },
  idle(_m, flags) {
    Atomics.store(flags, READY, 1);
    while (Atomics.load(flags, QUIT) === 0) sleep(10);
  },
};

if (isMainThread) {
  await main({ collects, snapshots, meets, room, refused, stale });
} else {
  const { shared, job, flags } = workerData;
  const m = attachHeap(shared).attach({ name: 'other' });
  jobs[job](m, flags);
  m.detach();
}
