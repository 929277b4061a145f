// ART's run-tests of references, rebuilt: 153-reference-stress, 2042-reference-processing, 2043-reference-pauses.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  control,
  createHeap,
  layout,
  main,
  NULL,
  Random,
  startCycle,
} from './support.mjs';

function defineTypes(heap) {
  return {
    node: heap.defineRecord('Node', { id: 'i32', next: 'ref' }),
    weak: heap.defineWeakRecord('Weak'),
    ephemeron: heap.defineEphemeron('Ephemeron'),
    refs: heap.defineRefArray('Refs'),
  };
}

/** A thread that does nothing but collect, until a word says stop. */
function startCollecting(heap) {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL(import.meta.url), { workerData: { shared: heap.share(), stop } });
  const ended = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return async () => {
    Atomics.store(stop, 0, 1);
    return await ended;
  };
}

/** 16 Ki weak records that are read, cleared and set again while another thread collects all the time. */
async function stress({ references = 16384, operations, cycles, seed, ...options }) {
  process.stderr.write(`seed ${seed}\n`);
  const heap = await createHeap({ heap: 16 * 2 ** 20, ...options });
  const { node, weak, refs } = defineTypes(heap);
  const stop = startCollecting(heap);
  const random = new Random(seed);
  const m = heap.attach();
  const counts = { got: 0, lost: 0, cleared: 0, set: 0 };
  m.run(() =>
    m.scope(() => {
      const records = m.local(m.allocateArray(refs, references));
      const holders = m.local(m.allocateArray(refs, references));
      /** What each record should name; -1 is null, because it was cleared or has been seen null. */
      const ids = new Int32Array(references).fill(-1);
      let id = 0;
      for (let i = 0; i < references; i++) {
        const record = m.allocate(weak);
        m.setElement(m.get(records), i, record);
      }
      const until = control(heap)[layout.CTL_CYCLE] + cycles;
      for (let k = 0; k < operations || control(heap)[layout.CTL_CYCLE] < until; k++) {
        const i = random.int(references);
        const r = random.int(10);
        if (r < 3) {
          const ref = m.allocate(node);
          m.setI32(ref, node.offset.id, ++id);
          ids[i] = id;
          m.setWeak(m.getElement(m.get(records), i), ref);
          m.setElement(m.get(holders), i, random.int(2) === 0 ? ref : NULL);
          counts.set++;
        } else if (r < 4) {
          m.setWeak(m.getElement(m.get(records), i), NULL);
          ids[i] = -1;
          counts.cleared++;
        } else if (r < 5) {
          m.setElement(m.get(holders), i, NULL);
        } else {
          const ref = m.getWeak(m.getElement(m.get(records), i));
          const held = m.getElement(m.get(holders), i);
          if (ref === NULL) {
            assert(ids[i] === -1 || held === NULL, () => `record ${i} lost an object that is held`);
            if (ids[i] !== -1) counts.lost++;
            ids[i] = -1;
          } else {
            assert(m.getI32(ref, node.offset.id) === ids[i], () => `record ${i} names another object`);
            counts.got++;
          }
        }
        if (k % 64 === 0) m.safepoint();
      }
    }),
  );
  const collections = await stop();
  m.detach();
  await heap.close();
  return { ...counts, collections };
}

/**
 * 200 000 guarded objects in groups. The objects of a group form a ring: while one of them is held, none is dead; when the handle goes, all
 * die in one instant, weak references to each of them are null together, and they are delivered in the order of their registration.
 */
async function processing({ groups = 2000, members = 100, ...options }) {
  const heap = await createHeap({ heap: 64 * 2 ** 20, ...options });
  const { node, weak, refs } = defineTypes(heap);
  const m = heap.attach();
  let delivered = 0;
  let batches = 0;
  m.run(() =>
    m.scope(() => {
      const held = m.local(m.allocateArray(refs, groups));
      const firsts = m.local(m.allocateArray(refs, groups));
      const lasts = m.local(m.allocateArray(refs, groups));
      for (let group = 0; group < groups; group++) {
        m.scope(() => {
          const first = m.local(NULL);
          const last = m.local(NULL);
          for (let i = 0; i < members; i++) {
            const ref = m.allocate(node);
            m.setI32(ref, node.offset.id, group * members + i);
            if (i === 0) m.set(first, ref);
            else m.setRef(m.get(last), node.offset.next, ref);
            m.set(last, ref);
            m.guard(ref);
          }
          m.setRef(m.get(last), node.offset.next, m.get(first));
          for (const [table, local] of [
            [firsts, first],
            [lasts, last],
          ]) {
            const record = m.allocate(weak);
            m.setWeak(record, m.get(local));
            m.setElement(m.get(table), group, record);
          }
          m.setElement(m.get(held), group, m.get(last));
        });
      }
      m.collect();
      assert(m.nextFinalizable() === NULL, 'nothing is delivered while it is reachable');
      // A different part of the groups dies in each batch; the rest must not be touched.
      for (const [step, keep] of [
        [2, 0],
        [3, 1],
        [1, 0],
      ]) {
        const dying = new Set();
        for (let group = keep; group < groups; group += step) {
          if (m.getElement(m.get(held), group) === NULL) continue;
          dying.add(group);
          m.setElement(m.get(held), group, NULL);
        }
        m.collect();
        batches++;
        for (let group = 0; group < groups; group++) {
          const isHeld = m.getElement(m.get(held), group) !== NULL;
          for (const table of [firsts, lasts]) {
            const isThere = m.getWeak(m.getElement(m.get(table), group)) !== NULL;
            assert(isThere === isHeld, () => `group ${group}: held ${isHeld}, there ${isThere}`);
          }
        }
        for (const group of [...dying].sort((a, b) => a - b)) {
          for (let i = 0; i < members; i++) {
            const ref = m.nextFinalizable();
            assert(ref !== NULL, () => `object ${i} of group ${group} is missing`);
            const id = m.getI32(ref, node.offset.id);
            assert(id === group * members + i, () => `${id} came instead of ${group * members + i}`);
            const next = m.getI32(m.getRef(ref, node.offset.next), node.offset.id);
            assert(next === group * members + ((i + 1) % members), 'the ring came back whole');
            delivered++;
          }
        }
        assert(m.nextFinalizable() === NULL, 'nothing else came');
      }
    }),
  );
  m.detach();
  await heap.close();
  return { delivered, batches };
}

/** Readers while references are being processed. They are answered at once: the collector sleeps, and they do not. */
async function pauses({ references = 1000, delayMs = 500, ...options }) {
  const heap = await createHeap({
    heap: 16 * 2 ** 20,
    stress: { delayMs: { plan: delayMs } },
    ...options,
  });
  const types = defineTypes(heap);
  const m = heap.attach();
  const words = control(heap);
  const result = m.run(() =>
    m.scope(() => {
      const held = m.local(m.allocateArray(types.refs, references));
      const weaks = m.local(m.allocateArray(types.refs, references));
      const ephemerons = m.local(m.allocateArray(types.refs, references));
      for (let i = 0; i < references; i++) {
        m.scope(() => {
          const object = m.local(m.allocate(types.node));
          m.setI32(m.get(object), types.node.offset.id, i);
          if (i % 2 === 0) m.setElement(m.get(held), i, m.get(object));
          const record = m.allocate(types.weak);
          m.setWeak(record, m.get(object));
          m.setElement(m.get(weaks), i, record);
          const ephemeron = m.allocate(types.ephemeron);
          m.setEphemeron(ephemeron, m.get(object), m.get(object));
          m.setElement(m.get(ephemerons), i, ephemeron);
        });
      }
      startCycle(heap, m, layout.PHASE_PLAN);
      const raised = words[layout.CTL_REFERENCES];
      let reads = 0;
      let rounds = 0;
      while (words[layout.CTL_REFERENCES] === 1) {
        for (let i = 0; i < references; i++) {
          const object = m.getElement(m.get(held), i);
          assert(m.getWeak(m.getElement(m.get(weaks), i)) === object, () => `weak record ${i}`);
          const ephemeron = m.getElement(m.get(ephemerons), i);
          assert(m.getKey(ephemeron) === object && m.getValue(ephemeron) === object, () => `ephemeron ${i}`);
          reads += 3;
        }
        rounds++;
        m.safepoint();
      }
      return { raised, reads, rounds };
    }),
  );
  const { stallsUs } = heap.stats();
  m.detach();
  await heap.close();
  return { ...result, stalls: stallsUs.count };
}

if (isMainThread) await main({ stress, processing, pauses });
else {
  const m = attachHeap(workerData.shared).attach();
  let cycles = 0;
  m.run(() => {
    while (Atomics.load(workerData.stop, 0) === 0) {
      m.collect();
      cycles++;
    }
  });
  m.detach();
  parentPort.postMessage(cycles);
}
