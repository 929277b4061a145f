// ART 160-read-barrier-stress: objects of 5 000 reference fields and arrays of 5 000 elements, so that one object lies on many pages, are
// read, exchanged and compare-exchanged by several threads while at least 64 MiB go through a heap of 16 MiB.

import { assert, NULL, program, Random, spawn } from './threads.mjs';

const FIELDS = 5000;
const CHURN_BYTES = 64 * 1024 * 1024;

async function barriers(heap, { threads, churnBytes = CHURN_BYTES, seed }) {
  const offsets = Array.from({ length: FIELDS }, (_, i) => 8 + 4 * i);
  const bytes = 8 + 4 * FIELDS;
  const wide = { kind: 'record', id: heap.defineRecordLayout('Wide', bytes, offsets), name: 'Wide', bytes };
  const types = {
    wide,
    node: heap.defineRecord('Node', { value: 'i32' }),
    refs: heap.defineRefArray('Refs'),
    bytes: heap.defineArray('Bytes', 'u8'),
  };
  const m = heap.attach();
  const [record, array] = m.run(() => {
    const both = [m.persist(m.allocate(wide)), m.persist(m.allocateArray(types.refs, FIELDS))];
    for (let i = 0; i < FIELDS; i++) {
      const ref = m.allocate(types.node);
      m.setI32(ref, types.node.offset.value, i);
      m.setRef(both[0].get(), offsets[i], ref);
      m.setElement(both[1].get(), i, ref);
    }
    return both;
  });
  const objects = [record.share(), array.share()];
  const each = churnBytes / threads;
  const done = await Promise.all(
    Array.from({ length: threads }, (_, i) =>
      spawn(import.meta.url, heap, { job: 'stress', types, objects, churnBytes: each, seed: seed + i }),
    ),
  );
  m.run(() => {
    for (let i = 0; i < FIELDS; i++) checkField(m, types, i, m.getRef(record.get(), offsets[i]));
    for (let i = 0; i < FIELDS; i++) checkField(m, types, i, m.getElement(array.get(), i));
  });
  m.detach();
  return { stored: done.reduce((sum, n) => sum + n, 0) };
}

function checkField(m, types, i, ref) {
  assert(ref !== NULL, `field ${i} is null`);
  const value = m.getI32(ref, types.node.offset.value);
  assert(value === i, `field ${i} refers to ${value}`);
}

function stress(_heap, m, { types, objects, churnBytes, seed }) {
  const random = new Random(seed);
  const [record, array] = objects.map((handle) => m.borrow(handle));
  const { node } = types;
  let stored = 0;
  const fresh = (i) => {
    const ref = m.allocate(node);
    m.setI32(ref, node.offset.value, i);
    return ref;
  };
  const one = (i) => {
    const at = 8 + 4 * i;
    const which = random.int(2) === 0 ? record : array;
    switch (random.int(6)) {
      case 0: {
        // Get and set.
        const value = fresh(i);
        checkField(m, types, i, m.exchangeRef(which.get(), at, value));
        stored++;
        return;
      }
      case 1: {
        const value = fresh(i);
        const seen = m.atomicLoadRef(which.get(), at);
        checkField(m, types, i, seen);
        const old = m.compareExchangeRef(which.get(), at, seen, value);
        checkField(m, types, i, old);
        stored += Number(old === seen);
        return;
      }
      case 2: {
        // The same for the same changes nothing, and must find it.
        const seen = m.atomicLoadRef(which.get(), at);
        checkField(m, types, i, m.compareExchangeRef(which.get(), at, seen, seen));
        return;
      }
      case 3:
        // What was never there is never found.
        m.compareExchangeRef(which.get(), at, NULL, NULL);
        return;
      default:
        checkField(m, types, i, m.getRef(which.get(), at));
    }
  };
  for (let churned = 0; churned < churnBytes; ) {
    for (let k = 0; k < 400; k++) one(random.int(FIELDS));
    const length = random.int(60_000);
    m.allocateArray(types.bytes, length);
    churned += length;
  }
  return stored;
}

await program({ barriers }, { stress });
