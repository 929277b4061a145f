// Corners of the non-moving space, each brought about by hand.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  control,
  createHeap,
  isTospaceError,
  layout,
  main,
  NULL,
  thrownBy,
} from './support.mjs';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A table of persistent handles that is smaller than a page: pinned objects of its size are still found by a flip. */
async function smallHandleTable(options) {
  const heap = await createHeap({ heap: 4 * MIB, persistentSlots: 16, ...options });
  const node = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
  const pads = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`pad${i}`, 'i32']));
  const big = heap.defineRecord('Big', { next: 'ref', ...pads });
  const m = heap.attach();
  m.run(() =>
    m.scope(() => {
      const pinned = m.local(m.allocatePinned(big));
      for (let i = 0; i < 10_000; i++) m.allocate(node);
      const target = m.allocate(node);
      m.setI32(target, node.offset.value, 4711);
      m.setRef(m.get(pinned), big.offset.next, target);
      for (let i = 0; i < 5; i++) {
        for (let j = 0; j < 1000; j++) m.allocate(node);
        m.collect();
        assert(
          m.getI32(m.getRef(m.get(pinned), big.offset.next), node.offset.value) === 4711,
          'it moved along',
        );
      }
    }),
  );
  m.detach();
  await heap.close();
}

/** Large objects that only the non-moving space can hold, one garbage after the other. */
async function largerThanHeap(options) {
  const heap = await createHeap({ heap: MIB, nonMoving: 8 * MIB, ...options });
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach();
  m.run(() =>
    m.scope(() => {
      const kept = m.local(NULL);
      for (let i = 0; i < 50; i++) {
        m.set(kept, m.allocateArray(bytes, 3 * MIB));
        assert(m.isPinned(m.get(kept)), 'a large object');
        m.setU8(m.get(kept), 8 + i, i);
      }
      const second = m.local(m.allocateArray(bytes, 3 * MIB));
      // Both are alive: a third cannot be had, as a value or as an error.
      assert(m.tryAllocateArray(bytes, 3 * MIB) === NULL, 'there is no room');
      const error = thrownBy(() => m.allocateArray(bytes, 3 * MIB));
      assert(isTospaceError(error, 'ERR_OUT_OF_MEMORY'), `${error}`);
      assert(m.length(m.get(second)) === 3 * MIB, 'the heap goes on');
    }),
  );
  m.detach();
  await heap.close();
}

/** Room in the non-moving space serves large objects when the heap itself is full of live ones. */
async function heapFull(options) {
  const heap = await createHeap({
    heap: MIB,
    nonMoving: 2 * MIB,
    largeObject: 64 * KIB,
    ...options,
  });
  const bytes = heap.defineArray('Bytes', 'u8');
  const refs = heap.defineRefArray('Refs');
  const m = heap.attach();
  m.run(() =>
    m.scope(() => {
      const all = m.local(m.allocateArray(refs, 1000));
      // Nearly all of the heap, in pieces that are not large.
      for (let i = 0; i < 50; i++) {
        const array = m.allocateArray(bytes, 16 * KIB);
        m.setElement(m.get(all), i, array);
      }
      for (let i = 0; i < 100; i++) m.allocateArray(bytes, 512 * KIB);
    }),
  );
  m.detach();
  await heap.close();
}

/** What one kind of object has used can be used by the other once it is free. */
async function partsGiveWay(options) {
  const heap = await createHeap({
    heap: 4 * MIB,
    nonMoving: 2 * MIB,
    persistentSlots: 1000,
    ...options,
  });
  const bytes = heap.defineArray('Bytes', 'u8');
  const refs = heap.defineRefArray('Refs');
  const node = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
  const m = heap.attach();
  m.run(() =>
    m.scope(() => {
      const kept = m.local(NULL);
      for (let round = 0; round < 6; round++) {
        const raw = round % 2 === 0;
        m.set(kept, m.allocatePinnedArray(raw ? bytes : refs, (1.5 * MIB) / (raw ? 1 : 4)));
        if (raw) m.setU8(m.get(kept), 1 * MIB, 1);
        else {
          assert(m.getElement(m.get(kept), 200_000) === NULL, 'new objects are zero');
          for (let i = 0; i < 1000; i++) m.allocate(node);
          const target = m.allocate(node);
          m.setI32(target, node.offset.value, round);
          m.setElement(m.get(kept), 300_000, target);
          for (let i = 0; i < 3; i++) {
            m.collect();
            assert(
              m.getI32(m.getElement(m.get(kept), 300_000), node.offset.value) === round,
              'it moved along',
            );
          }
        }
        m.set(kept, NULL);
        m.collect();
      }
    }),
  );
  m.detach();
  await heap.close();
}

// Words of `flags`.
const STUCK = 0;
const RELEASE = 1;

/** A cycle that is given up while it clears weak references: until the next one is over, weak references to live objects give them. */
async function abandonedWhileClearing(options) {
  const heap = await createHeap({
    heap: 8 * MIB,
    safepointTimeoutMs: 250,
    ...options,
    stress: { delayMs: { plan: 60 } },
  });
  const node = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
  const weak = heap.defineWeakRecord('Weak');
  const words = control(heap);
  const flags = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), flags } });
  await new Promise((resolve) => worker.once('message', resolve));
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const m = heap.attach();
  m.run(() =>
    m.scope(() => {
      const head = m.local(NULL);
      for (let i = 0; i < 100_000; i++) {
        const cell = m.allocate(node);
        m.setRef(cell, node.offset.next, m.get(head));
        m.set(head, cell);
      }
      const dying = m.local(m.allocate(weak));
      const old = m.local(m.allocate(weak));
      m.setWeak(m.get(old), m.get(head));
      let error;
      // A thread that gets no CPU may miss the phase to be stuck in, or be waited for in vain before it.
      for (let i = 0; i < 20 && Atomics.load(flags, STUCK) === 0; i++) {
        const object = m.allocate(node);
        m.setWeak(m.get(dying), object);
        error = undefined;
        try {
          m.collect();
        } catch (thrown) {
          error = thrown;
        }
      }
      assert(Atomics.load(flags, STUCK) === 1, 'the thread is stuck');
      assert(isTospaceError(error, 'ERR_TIMEOUT'), `${error}`);
      assert(m.getWeak(m.get(dying)) === NULL, 'what died is gone');
      Atomics.store(flags, RELEASE, 1);
      const pinned = m.local(m.allocatePinned(node));
      const late = m.local(m.allocate(weak));
      m.setWeak(m.get(late), m.get(pinned));
      const check = () => {
        assert(m.getWeak(m.get(old)) === m.get(head), 'a weak reference to an old object');
        assert(m.getWeak(m.get(late)) === m.get(pinned), 'a weak reference to a new pinned object');
      };
      check();
      for (let cycle = 0; cycle < 3; cycle++) {
        const before = words[layout.CTL_CYCLE];
        while (Atomics.load(words, layout.CTL_CYCLE) === before) {
          // Again, when it was given up for a thread that got no CPU.
          if (Atomics.load(words, layout.CTL_CYCLES_ASKED) === Atomics.load(words, layout.CTL_CYCLES_DONE)) {
            Atomics.add(words, layout.CTL_CYCLES_ASKED, 1);
            Atomics.notify(words, layout.CTL_CYCLES_ASKED);
          }
          for (let i = 0; i < 100; i++) check();
          m.safepoint();
        }
      }
      assert(words[layout.CTL_REFERENCES] === 0, 'nothing is looked up any more');
    }),
  );
  m.detach();
  await ended;
  await heap.close();
}

/** Half a million small pinned objects, in thousands of pages of a kind: the search for a free cell is not one through all of them. */
async function manyPages(options) {
  const heap = await createHeap({
    heap: 8 * MIB,
    nonMoving: 64 * MIB,
    collector: 'none',
    ...options,
  });
  const raw = heap.defineRecord('Raw', { value: 'i32' });
  const m = heap.attach();
  m.run(() => {
    for (let i = 0; i < 500_000; i++) m.setI32(m.allocatePinned(raw), raw.offset.value, i);
  });
  const { nonMovingBytes } = heap.stats();
  m.detach();
  await heap.close();
  return nonMovingBytes;
}

if (isMainThread) {
  await main({ smallHandleTable, largerThanHeap, heapFull, partsGiveWay, abandonedWhileClearing, manyPages });
} else {
  const { shared, flags } = workerData;
  const heap = attachHeap(shared);
  const m = heap.attach({ name: 'stubborn' });
  const words = control(heap);
  m.run(() => {
    parentPort.postMessage('ready');
    while (words[layout.CTL_PHASE] !== layout.PHASE_PLAN) m.safepoint();
    Atomics.store(flags, STUCK, 1);
    while (Atomics.load(flags, RELEASE) === 0);
    m.safepoint();
  });
  m.detach();
}
