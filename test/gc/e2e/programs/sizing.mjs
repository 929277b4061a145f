// A heap's own management: how it grows and shrinks, begins cycles, paces allocation, and what happens at its limit.

import { once } from 'node:events';
import { setTimeout as later } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  buildList,
  checkList,
  control,
  isTospaceError,
  layout,
  main,
  NULL,
  reported,
  thrownBy,
  withHeap,
} from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };
const MIB = 1024 * 1024;

/** Allocates `mib` MiB of arrays that die at once. */
function churn(m, bytes, mib) {
  for (let i = 0; i < mib * 16; i++) m.allocateArray(bytes, 65536 - 8);
}

/** Builds and drops `mib` MiB of live arrays, all of whose pages are written. */
function peak(m, bytes, refs, mib) {
  m.scope(() => {
    const table = m.local(m.allocateArray(refs, mib));
    for (let i = 0; i < mib; i++) {
      const ref = m.allocateArray(bytes, MIB - 8);
      m.u8.fill(i, ref + 8, ref + MIB);
      m.setElement(m.get(table), i, ref);
    }
  });
}

/** The memory of a peak goes back to the system while the program goes on with little. */
async function afterPeak({ options }) {
  return withHeap({ heap: 128 * MIB, minHeap: 4 * MIB, ...options }, async (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const refs = heap.defineRefArray('Refs');
    const node = heap.defineRecord('Node', NODE);
    const head = m.run(() => {
      const list = buildList(m, node, 1000);
      peak(m, bytes, refs, 60);
      return list;
    });
    const before = heap.stats();
    // A slow program: a fast one is given room in proportion to its speed.
    const large = ({ sharedBytes, sizing }) => sharedBytes > 30 * MIB || sizing.softLimitBytes > 50 * MIB;
    // The very reading that is small enough counts: the next one may be larger again.
    let after = before;
    for (let i = 0; i < 3000 && large(after); i++) {
      m.run(() => churn(m, bytes, 0.25));
      await later(10);
      after = heap.stats();
    }
    m.run(() => checkList(m, node, head, 1000));
    return {
      peak: before.sharedBytes,
      after: after.sharedBytes,
      softLimit: after.sizing.softLimitBytes,
      released: after.releasedBytes,
    };
  });
}

/** The same for a program that stops using the heap altogether. */
async function idle({ options, peakMib = 120 }) {
  return withHeap({ heap: 256 * MIB, minHeap: 8 * MIB, idleCollectMs: 200, ...options }, async (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const refs = heap.defineRefArray('Refs');
    const node = heap.defineRecord('Node', NODE);
    const head = m.run(() => {
      const list = buildList(m, node, 1000);
      peak(m, bytes, refs, peakMib);
      return list;
    });
    const before = heap.stats();
    const expected = heap.options.collector === 'concurrent' ? 1 : 2;
    for (let i = 0; i < 1000 && heap.stats().sizing.idleCycles < expected; i++) await later(20);
    while (control(heap)[layout.CTL_CYCLES_ASKED] !== control(heap)[layout.CTL_CYCLES_DONE]) await later(10);
    const after = heap.stats();
    await later(1200);
    const still = heap.stats();
    m.run(() => checkList(m, node, head, 1000));
    return {
      peak: before.sharedBytes,
      after: after.sharedBytes,
      idleCycles: after.sizing.idleCycles,
      idleCyclesLater: still.sizing.idleCycles,
    };
  });
}

/** A thread that computes inside run() is not stopped for an idle collection. */
async function busyIsNotIdle() {
  return withHeap({ heap: 64 * MIB, idleCollectMs: 50 }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    return m.run(() => {
      churn(m, bytes, 2);
      const until = performance.now() + 700;
      while (performance.now() < until);
      // Behind run() an idle collection may begin at once.
      return heap.stats().sizing.idleCycles;
    });
  });
}

/** A program whose needs do not change gives nothing back that it takes again. */
async function steady() {
  return withHeap({ heap: 64 * MIB, minHeap: 4 * MIB }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const node = heap.defineRecord('Node', NODE);
    return m.run(() => {
      const head = buildList(m, node, 100_000);
      const until = (cycles) => {
        while (heap.stats().cycles < cycles) churn(m, bytes, 1);
      };
      until(10);
      const warm = heap.stats().releasedBytes;
      until(30);
      checkList(m, node, head, 100_000);
      return { warm, later: heap.stats().releasedBytes };
    });
  });
}

/** The soft limit refuses nothing: all of the capacity can be filled with live data. */
async function fillAll({ options }) {
  return withHeap({ heap: 32 * MIB, minHeap: MIB, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const refs = heap.defineRefArray('Refs');
    return m.run(() => {
      const count = 31 * 16;
      const table = m.local(m.allocateArray(refs, count));
      for (let i = 0; i < count; i++) {
        const ref = m.allocateArray(bytes, 65536 - 8);
        m.u8[ref + 8] = i;
        m.setElement(m.get(table), i, ref);
      }
      m.collect();
      for (let i = 0; i < count; i++)
        assert(m.u8[m.getElement(m.get(table), i) + 8] === (i & 255), `${i} is damaged`);
      return heap.stats().sizing.softLimitBytes;
    });
  });
}

/** Cycles begin by themselves, and are predicted. */
async function predicts() {
  return withHeap({ heap: 32 * MIB, minHeap: 8 * MIB }, async (heap, m, reports) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const node = heap.defineRecord('Node', NODE);
    m.run(() => {
      buildList(m, node, 50_000);
      while (heap.stats().cycles < 8) churn(m, bytes, 1);
    });
    const { sizing } = heap.stats();
    await reported(heap, reports);
    return { sizing, reports: reports.map((report) => report.sizing) };
  });
}

/** The cycle takes longer than the room lasts: allocation is slowed down, and afterwards it is not. */
async function paced({ options }) {
  // A slow machine does not fill a large heap during a cycle, and a fast one leaves a small heap no time to be paced in.
  let seen;
  for (const heap of [32, 16, 8, 4]) {
    seen = await pacedIn(heap * MIB, options);
    if (seen.highest > 0) break;
  }
  return seen;
}

function pacedIn(capacity, options) {
  return withHeap(
    { heap: capacity, ...options, stress: { delayMs: { plan: 60 } } },
    async (heap, m, reports) => {
      const bytes = heap.defineArray('Bytes', 'u8');
      const words = control(heap);
      let highest = 0;
      m.run(() => {
        // A thread that goes straight from a free heap to a full one sleeps all the while that there is a pace to see.
        for (let cycles = 0; cycles < (highest === 0 ? 40 : 4); cycles = heap.stats().cycles) {
          for (let i = 0; i < 64; i++) {
            m.allocateArray(bytes, 4088);
            highest = Math.max(highest, words[layout.CTL_PACE_US]);
          }
        }
        // Large objects pay too, and not all of it at once.
        for (const end = heap.stats().cycles + 2; heap.stats().cycles < end; )
          m.allocateArray(bytes, capacity / 16);
        m.collect();
      });
      await later(50);
      await reported(heap, reports);
      const { sizing, stallsUs } = heap.stats();
      return {
        ...sizing,
        stalls: stallsUs.count,
        highest,
        last: words[layout.CTL_PACE_US],
        reported: Math.max(...reports.map((report) => report.sizing.paceMaxUs)),
      };
    },
  );
}

/** Out of memory as a value and as an exception; the heap stays usable. */
async function atTheLimit({ options }) {
  return withHeap({ heap: 8 * MIB, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const node = heap.defineRecord('Node', NODE);
    const big = heap.defineRecordLayout('Big', 4096, [8]);
    assert(big > 0, 'a type');
    return m.run(() => {
      // What cannot fit in any heap of this size is refused without a collection.
      const cycles = heap.stats().cycles;
      assert(
        m.tryAllocateArray(bytes, heap.options.heap) === NULL,
        'an array as large as the heap was allocated',
      );
      assert(heap.stats().cycles === cycles, 'a collection was tried in vain');
      let made = 0;
      m.scope(() => {
        const head = m.local(NULL);
        for (;;) {
          const ref = m.tryAllocate(node);
          if (ref === NULL) break;
          m.setI32(ref, node.offset.value, made++);
          m.setRef(ref, node.offset.next, m.get(head));
          m.set(head, ref);
        }
        for (const body of [() => m.allocate(node), () => m.allocateArray(bytes, 100)])
          assert(isTospaceError(thrownBy(body), 'ERR_OUT_OF_MEMORY'), 'no exception');
        assert(m.tryAllocateArray(bytes, 100) === NULL, 'no value');
        checkList(m, node, head, made);
      });
      assert(m.tryAllocateArray(bytes, heap.options.heap / 2) !== NULL, 'the garbage was not collected');
      assert(m.tryAllocate(node) !== NULL && m.allocate(node) !== NULL, 'the heap is not usable');
      assert(
        isTospaceError(
          thrownBy(() => m.tryAllocateArray(bytes, -1)),
          'ERR_TYPE',
        ),
        'a wrong length',
      );
      return made;
    });
  });
}

/** Sixteen threads fill the heap to the last object, drop it all, and do it again. */
async function threads({ count, options }) {
  return withHeap(options, async (heap, m) => {
    const node = heap.defineRecord('Node', NODE);
    const rounds = 2;
    const full = new Int32Array(new SharedArrayBuffer(4 * rounds));
    const workers = Array.from({ length: count }, () => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { shared: heap.share(), node, full, count, rounds },
      });
      return once(worker, 'message');
    });
    const made = (await Promise.all(workers)).map(([nodes]) => nodes);
    const usable = m.run(() => {
      m.collect();
      return m.tryAllocate(node) !== NULL;
    });
    const { usedBytes } = heap.stats();
    return { made, usable, usedBytes };
  });
}

function fillInTurns({ shared, node, full, count, rounds }) {
  const m = attachHeap(shared).attach();
  const made = [];
  m.run(() => {
    for (let round = 0; round < rounds; round++) {
      m.scope(() => {
        const head = m.local(NULL);
        let nodes = 0;
        for (;;) {
          const ref = m.tryAllocate(node);
          if (ref === NULL) break;
          m.setI32(ref, node.offset.value, nodes++);
          m.setRef(ref, node.offset.next, m.get(head));
          m.set(head, ref);
        }
        // Nobody drops anything before all have met the limit.
        Atomics.add(full, round, 1);
        Atomics.notify(full, round);
        m.blocking(() => {
          for (let seen = Atomics.load(full, round); seen < count; seen = Atomics.load(full, round))
            Atomics.wait(full, round, seen);
        });
        checkList(m, node, head, nodes);
        made.push(nodes);
      });
    }
  });
  m.detach();
  return made;
}

/** Memory outside the heap makes cycles come, whatever little is allocated in it. */
async function external({ options }) {
  return withHeap({ heap: 64 * MIB, ...options }, async (heap, m) => {
    const node = heap.defineRecord('Node', NODE);
    const other = new Worker(new URL(import.meta.url), {
      workerData: { shared: heap.share(), takes: 40 * MIB },
    });
    for (let i = 0; i < 500; i++) {
      m.run(() => m.allocate(node));
      m.adjustExternalBytes(MIB);
      // As a finalizer would, later.
      if (i >= 20) m.adjustExternalBytes(-MIB);
      if (i % 50 === 0) await later(20);
    }
    for (let i = 0; i < 200 && heap.stats().cycles < 1; i++) {
      m.adjustExternalBytes(MIB);
      await later(10);
    }
    const before = heap.stats();
    other.postMessage('go');
    await once(other, 'exit');
    const after = heap.stats();
    m.adjustExternalBytes(-(2 ** 40));
    const least = heap.stats().sizing.externalBytes;
    for (const wrong of [1.5, Number.NaN, '1', 10n, 2 ** 53])
      assert(
        isTospaceError(
          thrownBy(() => m.adjustExternalBytes(wrong)),
          'ERR_OPTION',
        ),
        `${wrong} was taken`,
      );
    return {
      cycles: before.cycles,
      taken: before.sizing.externalBytes - after.sizing.externalBytes,
      least,
    };
  });
}

if (isMainThread) {
  await main({
    afterPeak,
    idle,
    busyIsNotIdle,
    steady,
    fillAll,
    predicts,
    paced,
    atTheLimit,
    threads,
    external,
  });
} else if (workerData.takes !== undefined) {
  const m = attachHeap(workerData.shared).attach();
  await once(parentPort, 'message');
  m.adjustExternalBytes(-workerData.takes);
  m.detach();
  parentPort.close();
} else {
  parentPort.postMessage(fillInTurns(workerData));
}
