// Threads that are terminated at random points, many of them: nobody waits for them, what they held is given back, and nothing that
// others use is damaged.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  buildList,
  checkList,
  createHeap,
  control,
  isTospaceError,
  layout,
  main,
  NULL,
  Random,
  sleep,
  startCycle,
} from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };
const MIB = 1024 * 1024;
const JOBS = [
  'allocate',
  'arrays',
  'safepoints',
  'handles',
  'types',
  'attach',
  'rest',
  'store',
  'collect',
  'copy',
];

function spawn(data) {
  const worker = new Worker(new URL(import.meta.url), { workerData: data });
  const ready = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return { worker, ready };
}

async function terminations({ options, rounds, seed }) {
  process.stderr.write(`seed ${seed}\n`);
  const random = new Random(seed);
  const heap = await createHeap({ heap: 8 * MIB, trigger: 0.3, typeMaps: MIB, ...options });
  const abandoned = [];
  heap.on('abandoned', (error) => abandoned.push(String(error)));
  const types = { node: heap.defineRecord('Node', NODE), refs: heap.defineRefArray('Refs') };
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach({ name: 'main' });
  const head = m.run(() => m.scope(() => m.persist(m.get(buildList(m, types.node, 3000)))));
  const table = m.run(() => m.persist(m.allocateArray(types.refs, 2000)));
  const check = () =>
    m.run(() => {
      m.scope(() => {
        m.allocateArray(bytes, random.int(100_000));
        checkList(m, types.node, m.local(head.get()), 3000);
        // What the threads left in the table is whole: null, or a list.
        for (let i = 0; i < 2000; i++) {
          let ref = m.getElement(table.get(), i);
          for (let hops = 0; ref !== NULL && hops < 20; hops++) {
            assert(m.typeId(ref) === types.node.id, `the table holds a type ${m.typeId(ref)}`);
            assert(m.getI32(ref, types.node.offset.value) >>> 16 === 0xabc, 'a node of the table is damaged');
            ref = m.getRef(ref, types.node.offset.next);
          }
        }
      });
    });
  const data = { shared: heap.share(), types, bytes, table: table.share() };
  const lane = async () => {
    for (let round = 0; round < rounds; round++) {
      const job = random.pick(JOBS);
      const { worker, ready } = spawn({ ...data, job, seed: random.next() });
      await ready;
      await new Promise((resolve) => setTimeout(resolve, random.int(12)));
      await worker.terminate();
      check();
      // Threads of the other lanes are in the middle of things.
      if (round % 2 === 1) m.run(() => m.collect());
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  const { cycles } = heap.stats();
  m.run(() => m.collect());
  check();
  m.run(() => {
    m.collect();
    m.fillElements(table.get(), 0, 2000, NULL);
    m.collect();
  });
  // Nobody but this thread is left, and nothing of theirs.
  const { arena } = heap.share();
  const word = (at, i) => Atomics.load(new Int32Array(heap.memory.buffer, at), i);
  const states = () =>
    Array.from({ length: layout.MAX_THREADS }, (_, i) =>
      word(arena.geometry.threads + i * layout.THREAD_BYTES, layout.T_STATE),
    );
  const left = () => states().filter((state) => state !== layout.THREAD_FREE).length;
  // Node says that a worker has exited a moment before its thread has: until then it looks alive.
  for (let i = 0; left() > 1 && i < 100; i++) {
    sleep(20);
    m.run(() => m.collect());
  }
  assert(left() === 1, `thread records are left in the states ${states()}`);
  const words = control(heap);
  const top = words[layout.CTL_PERSISTENT_TOP];
  let owned = 0;
  for (let i = 0; i < top; i++) owned += Number((word(arena.geometry.persistentOwners, i) & 0xff) !== 0);
  assert(owned === 2, `${owned} persistent slots are somebody's`);
  // The free list has every other slot, or lost one now and then to a thread that died while it took it.
  const seen = new Set();
  for (let next = words[layout.CTL_PERSISTENT_FREE]; next !== 0; ) {
    assert(next <= top && !seen.has(next), 'the free list of persistent slots is damaged');
    seen.add(next);
    next = ~word(words[layout.CTL_PERSISTENT] + 8, next - 1);
  }
  assert(top - 2 - seen.size <= rounds, `${top - 2 - seen.size} slots are lost`);
  const { usedBytes } = heap.stats();
  m.detach();
  await heap.close();
  assert(abandoned.length === 0, `cycles were abandoned: ${abandoned}`);
  return { usedBytes, cycles };
}

/** A thread that is terminated while it is blocked in a fault: it ends when the page is there, and nobody else waits for that. */
async function inFault({ options }) {
  const heap = await createHeap({
    heap: 8 * MIB,
    ...options,
    // The walk takes one installation after the other: it is in a fault at any moment for seconds.
    stress: { delayMs: { compact: 600, install: 300 } },
  });
  const types = { node: heap.defineRecord('Node', NODE) };
  const flags = new Int32Array(new SharedArrayBuffer(16));
  const { worker, ready } = spawn({ shared: heap.share(), types, job: 'fault', flags });
  await ready;
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert(Atomics.load(flags, 0) === 1, 'the thread is still walking the list');
  await worker.terminate();
  const m = heap.attach();
  m.run(() => {
    m.scope(() => {
      const head = buildList(m, types.node, 2000);
      m.collect();
      checkList(m, types.node, head, 2000);
    });
  });
  m.detach();
  await heap.close();
}

/** More threads than there are records die without any cycle in between: attaching makes room for itself. */
async function fullTable() {
  const heap = await createHeap({ heap: MIB });
  const types = { node: heap.defineRecord('Node', NODE) };
  const { worker, ready } = spawn({ shared: heap.share(), types, job: 'many' });
  await ready;
  await worker.terminate();
  const m = heap.attach();
  m.run(() => m.scope(() => checkList(m, types.node, buildList(m, types.node, 100), 100)));
  m.detach();
  await heap.close();
}

/** A borrowed handle: both threads use one slot; it ends with its owner's, also by the owner's death. */
async function borrowed() {
  const heap = await createHeap({ heap: MIB, verify: 'full' });
  const types = { node: heap.defineRecord('Node', NODE) };
  const m = heap.attach();
  const { worker, ready } = spawn({ shared: heap.share(), types, job: 'lend' });
  const token = await ready;
  const handle = m.run(() => m.borrow(token));
  m.run(() => {
    m.collect();
    assert(m.getI32(handle.get(), types.node.offset.value) === 77, 'the other thread sees the object');
    const mine = m.allocate(types.node);
    m.setI32(mine, types.node.offset.value, 78);
    handle.set(mine);
    m.collect();
    assert(m.getI32(m.borrow(handle.share()).get(), types.node.offset.value) === 78, 'the slot was written');
  });
  await worker.terminate();
  // The kernel's thread may outlive the event for a moment.
  const refused = () => {
    try {
      m.run(() => handle.get());
    } catch (error) {
      return isTospaceError(error, 'ERR_HANDLE');
    }
    return false;
  };
  for (let i = 0; i < 100 && !refused(); i++) {
    m.run(() => m.collect());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert(refused(), 'the handle ended with its owner');
  m.run(() => {
    // The slot is used again, and the old handle does not name the new object.
    const again = m.persist(m.allocate(types.node));
    assert(again.share().slot === token.slot, 'the slot was given back');
    assert(refused(), 'a borrowed handle took another use of the slot for its own');
    let error;
    try {
      handle.set(NULL);
    } catch (e) {
      error = e;
    }
    assert(isTospaceError(error, 'ERR_HANDLE') && again.get() !== NULL, 'a stale handle was written');
    handle.close();
    assert(again.get() !== NULL, 'closing a borrowed handle gives nothing back');
    m.collect();
  });
  assert(heap.stats().usedBytes > 0, 'the object lives');
  m.detach();
  await heap.close();
}

if (isMainThread) {
  await main({ terminations, inFault, fullTable, borrowed });
} else {
  const { shared, types, bytes, table, job, seed, flags } = workerData;
  const heap = attachHeap(shared);
  const { node } = types;
  const ready = () => parentPort.postMessage('ready');
  const random = new Random(seed ?? 1);
  const make = (m) => {
    const ref = m.allocate(node);
    m.setI32(ref, node.offset.value, (0xabc << 16) | random.int(65536));
    return ref;
  };
  const loop = (body) => {
    const m = heap.attach();
    m.run(() => {
      m.scope(() => {
        m.persist(m.allocate(node));
        ready();
        for (;;) {
          try {
            m.scope(() => body(m));
          } catch (error) {
            if (error.code !== 'ERR_OUT_OF_MEMORY' && error.code !== 'ERR_HANDLE') throw error;
            m.blocking(() => sleep(1));
          }
        }
      });
    });
  };
  const jobs = {
    allocate: () => loop((m) => make(m)),
    arrays: () => loop((m) => m.allocateArray(bytes, random.int(60_000))),
    safepoints: () => loop((m) => m.safepoint()),
    handles() {
      const handles = [];
      loop((m) => {
        if (handles.length < 200) handles.push(m.persist(make(m)));
        if (random.int(2) === 0) handles.splice(random.int(handles.length), 1)[0].close();
      });
    },
    types() {
      loop((m) => {
        try {
          heap.defineRecord('T', { a: 'ref', b: 'i32' });
        } catch (error) {
          if (error.code !== 'ERR_TYPE') throw error;
        }
        m.safepoint();
      });
    },
    attach() {
      ready();
      for (;;) {
        const m = heap.attach({ name: 'shortly here' });
        m.run(() => {
          m.persist(make(m));
          m.local(make(m));
        });
        m.detach();
      }
    },
    rest: () => loop((m) => m.blocking(() => sleep(random.int(5)))),
    store() {
      let borrowed;
      loop((m) => {
        borrowed ??= m.borrow(table);
        const ref = make(m);
        const array = borrowed.get();
        const i = random.int(2000);
        const old = m.exchangeElement(array, i, NULL);
        // Depth stays bounded: the old one's list is cut.
        if (old !== NULL) m.setRef(old, node.offset.next, NULL);
        m.setRef(ref, node.offset.next, old);
        m.compareExchangeElement(array, i, NULL, ref);
      });
    },
    collect: () => loop((m) => m.collect({ release: random.int(4) === 0 })),
    copy() {
      let borrowed;
      loop((m) => {
        borrowed ??= m.borrow(table);
        const array = borrowed.get();
        const count = random.int(900);
        m.copyElements(array, random.int(1000), array, random.int(1000), count);
        m.atomicStoreElement(array, random.int(2000), NULL);
        m.safepoint();
      });
    },
    many() {
      for (let i = 0; i < layout.MAX_THREADS; i++) heap.attach();
      ready();
    },
    lend() {
      const m = heap.attach();
      m.run(() => {
        const ref = m.allocate(node);
        m.setI32(ref, node.offset.value, 77);
        parentPort.postMessage(m.persist(ref).share());
      });
      setInterval(() => {}, 1000);
    },
    fault() {
      const m = heap.attach();
      m.run(() => {
        m.scope(() => {
          const head = buildList(m, node, 2000);
          startCycle(heap, m, layout.PHASE_COMPACT);
          Atomics.store(flags, 0, 1);
          ready();
          for (let ref = m.get(head); ref !== NULL; ) ref = m.getRef(ref, node.offset.next);
          Atomics.store(flags, 0, 2);
          for (;;) m.safepoint();
        });
      });
    },
  };
  jobs[job]();
}
