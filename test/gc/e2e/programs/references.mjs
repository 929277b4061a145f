// Weak records, ephemerons and guards, one rule at a time. Every scenario runs under the options it is given.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  control,
  createHeap,
  layout,
  main,
  NULL,
  startCycle,
  thrownBy,
} from './support.mjs';

/** A heap with the types that the scenarios use, and one mutator that runs `body` in a scope. */
async function withHeap(options, body) {
  const heap = await createHeap({ heap: 4 * 2 ** 20, ...options });
  const reports = [];
  heap.on('cycle', (report) => reports.push(report));
  heap.on('abandoned', (error) => {
    throw error;
  });
  const types = defineTypes(heap);
  const m = heap.attach();
  const result = m.run(() => m.scope(() => body({ heap, m, types, ...kit(m, types) })));
  m.detach();
  await heap.close();
  await new Promise((resolve) => setImmediate(resolve));
  const sum = (key) => reports.reduce((total, { references }) => total + references[key], 0);
  return {
    ...result,
    cycles: reports.length,
    weakCleared: sum('weakCleared'),
    ephemeronsCleared: sum('ephemeronsCleared'),
    finalizable: sum('finalizable'),
  };
}

function defineTypes(heap) {
  return {
    node: heap.defineRecord('Node', { id: 'i32', next: 'ref', other: 'ref' }),
    weak: heap.defineWeakRecord('Weak', { strong: 'ref', id: 'i32' }),
    ephemeron: heap.defineEphemeron('Ephemeron', { strong: 'ref', id: 'i32' }),
    refs: heap.defineRefArray('Refs'),
  };
}

/** Short names for what the scenarios do all the time. Everything that allocates returns a handle. */
function kit(m, types) {
  const { node } = types;
  return {
    newNode(id, next) {
      const local = m.local(m.allocate(node));
      m.setI32(m.get(local), node.offset.id, id);
      if (next !== undefined) m.setRef(m.get(local), node.offset.next, m.get(next));
      return local;
    },
    newWeak(to) {
      const local = m.local(m.allocate(types.weak));
      m.setWeak(m.get(local), m.get(to));
      return local;
    },
    newEphemeron(key, value) {
      const local = m.local(m.allocate(types.ephemeron));
      m.setEphemeron(m.get(local), m.get(key), m.get(value));
      return local;
    },
    idOf: (ref) => (ref === NULL ? null : m.getI32(ref, node.offset.id)),
    put: (array, i, local) => m.setElement(m.get(array), i, m.get(local)),
    drop: (...locals) => {
      for (const local of locals) m.set(local, NULL);
    },
  };
}

const weakRecords = (options) =>
  withHeap(options, ({ m, types, newNode, newWeak, idOf, drop }) => {
    const [kept, lost, alsoLost] = [newNode(1), newNode(2), newNode(3)];
    const [a, b, c] = [newWeak(kept), newWeak(lost), newWeak(lost)];
    // A weak record's other fields are strong: this one alone holds the node 4.
    const held = newNode(4);
    m.setRef(m.get(a), types.weak.offset.strong, m.get(held));
    const toHeld = newWeak(held);
    // One that dies together with what it refers to, and one that nobody reaches.
    newWeak(alsoLost);
    m.collect();
    assert(
      [a, b, c, toHeld].map((weak) => idOf(m.getWeak(m.get(weak)))).join() === '1,2,2,4',
      'nothing died yet',
    );
    drop(lost, alsoLost, held);
    m.collect();
    assert(idOf(m.getWeak(m.get(a))) === 1, 'a strong handle keeps it');
    assert(m.getWeak(m.get(a)) === m.get(kept), 'the weak field moved with its object');
    assert(m.getWeak(m.get(b)) === NULL && m.getWeak(m.get(c)) === NULL, 'both references died');
    assert(idOf(m.getWeak(m.get(toHeld))) === 4, 'a strong field of a weak record holds');
    m.setWeak(m.get(b), m.get(kept));
    m.setRef(m.get(a), types.weak.offset.strong, NULL);
    m.collect();
    assert(idOf(m.getWeak(m.get(b))) === 1, 'a cleared record may be set again');
    assert(m.getWeak(m.get(toHeld)) === NULL, 'node 4 has lost its last reference');
    m.setWeak(m.get(b), NULL);
    m.collect();
    assert(m.getWeak(m.get(b)) === NULL, 'set to null it stays null');
  });

const ephemerons = (options) =>
  withHeap(options, ({ m, types, newNode, newWeak, newEphemeron, idOf, put, drop }) => {
    const [k1, v1, k2, v2, k3] = [newNode(1), newNode(11), newNode(2), newNode(12), newNode(3)];
    const [e1, e2, e3] = [newEphemeron(k1, v1), newEphemeron(k2, v2), newEphemeron(k3, k3)];
    // The value of e2 refers to its own key: in a table of strong values it would never die.
    m.setRef(m.get(v2), types.node.offset.next, m.get(k2));
    const [w1, w2, w3] = [newWeak(v1), newWeak(v2), newWeak(k3)];
    drop(v1, v2, k2, k3);
    m.collect();
    assert(
      idOf(m.getKey(m.get(e1))) === 1 && idOf(m.getValue(m.get(e1))) === 11,
      'a live key keeps the value',
    );
    assert(m.getWeak(m.get(w1)) === m.getValue(m.get(e1)), 'they are one object');
    for (const [e, w] of [
      [e2, w2],
      [e3, w3],
    ]) {
      assert(m.getKey(m.get(e)) === NULL && m.getValue(m.get(e)) === NULL, 'key and value are null');
      assert(m.getWeak(m.get(w)) === NULL, 'and the value died');
    }
    // A chain: the value of each is the key of the next, in an order that has nothing to do with their addresses.
    const n = 500;
    const keys = m.local(m.allocateArray(types.refs, n));
    const table = m.local(m.allocateArray(types.refs, n));
    for (let i = 0; i < n; i++) m.scope(() => put(keys, i, newNode(1000 + i)));
    for (let step = 0; step < n; step++) {
      const i = (step * 211) % n;
      m.scope(() => {
        const [key, value] = [i, (i + 1) % n].map((at) => m.local(m.getElement(m.get(keys), at)));
        put(table, i, newEphemeron(key, i === n - 1 ? m.local(NULL) : value));
      });
    }
    const first = m.local(m.getElement(m.get(keys), 0));
    drop(keys);
    m.collect();
    const entry = (i) => m.getElement(m.get(table), i);
    for (let i = 0; i < n; i++) assert(idOf(m.getKey(entry(i))) === 1000 + i, () => `link ${i} of the chain`);
    m.set(first, m.getKey(entry(250)));
    m.collect();
    for (let i = 0; i < n; i++)
      assert(idOf(m.getKey(entry(i))) === (i < 250 ? null : 1000 + i), () => `link ${i} of half a chain`);
    // Without a key there is no value, whatever was given.
    m.setEphemeron(entry(3), NULL, m.get(k1));
    assert(m.getValue(entry(3)) === NULL, 'no key, no value');
    // Another key while the ephemeron waits for the first one.
    m.setEphemeron(entry(300), m.get(k1), m.getKey(entry(301)));
    m.collect();
    assert(idOf(m.getKey(entry(300))) === 1 && idOf(m.getValue(entry(300))) === 1301, 'set again');
  });

const guards = (options) =>
  withHeap(options, ({ m, types, newNode, newWeak, newEphemeron, idOf, drop }) => {
    const take = (queue) => {
      const ids = [];
      for (let ref = m.nextFinalizable(queue); ref !== NULL; ref = m.nextFinalizable(queue))
        ids.push(idOf(ref));
      return ids.join();
    };
    const inner = newNode(1);
    const outer = newNode(2, inner);
    const [alive, other] = [newNode(3), newNode(4)];
    for (const [object, queue] of [
      [outer, 0],
      [alive, 0],
      [inner, 0],
      [other, 7],
      [outer, 0],
    ])
      m.guard(m.get(object), queue);
    const [toOuter, toInner] = [newWeak(outer), newWeak(inner)];
    const keyed = newEphemeron(outer, inner);
    m.collect();
    assert(take() === '' && take(7) === '', 'nobody has died');
    drop(inner, outer, other);
    m.collect();
    assert(
      m.getWeak(m.get(toOuter)) === NULL && m.getWeak(m.get(toInner)) === NULL,
      'weak references are cleared first',
    );
    assert(m.getKey(m.get(keyed)) === NULL, 'so are ephemerons');
    const kept = m.local(m.nextFinalizable());
    assert(
      idOf(m.get(kept)) === 2 && idOf(m.getRef(m.get(kept), types.node.offset.next)) === 1,
      'with what it reaches',
    );
    m.collect();
    assert(take() === '1,2', 'ready objects wait through a collection, in the order of their registration');
    assert(take(7) === '4' && take() === '' && take(7) === '', 'each queue has its own, once');
    m.collect();
    assert(take() === '', 'delivered once');
    m.guard(m.get(kept));
    drop(kept, alive);
    m.collect();
    assert(take() === '3,2', 'guarded again, it comes again; the older registration first');
    for (const queue of [-1, 16, 1.5])
      assert(thrownBy(() => m.nextFinalizable(queue)).code === 'ERR_OPTION', 'a bad queue');

    // Weak fields inside of what comes back: judged by the marks after the revival.
    const [shared, gone] = [newNode(5), newNode(6)];
    const [w1, w2] = [newWeak(shared), newWeak(gone)];
    const key = newNode(7);
    const e1 = newEphemeron(key, newNode(8));
    const e2 = newEphemeron(gone, gone);
    const owner = m.local(m.allocateArray(types.refs, 6));
    for (const [i, local] of [w1, w2, shared, e1, e2, key].entries())
      m.setElement(m.get(owner), i, m.get(local));
    m.guard(m.get(owner));
    m.shadowStack.truncate(0);
    m.collect();
    const back = m.local(m.nextFinalizable());
    const at = (i) => m.getElement(m.get(back), i);
    assert(m.getWeak(at(0)) === at(2) && idOf(at(2)) === 5, 'a weak field keeps what came back');
    assert(m.getWeak(at(1)) === NULL, 'and loses what did not');
    assert(m.getKey(at(3)) === at(5) && idOf(m.getValue(at(3))) === 8, 'an ephemeron whose key came back');
    assert(m.getKey(at(4)) === NULL && m.getValue(at(4)) === NULL, 'and one whose key did not');
    m.collect();
    assert(idOf(m.getWeak(at(0))) === 5, 'and they are ordinary objects from then on');
  });

/**
 * The best that `round` comes to in a few cycles. A cycle that is held up waits for nobody: a thread that gets no CPU for so long comes
 * too late for it, and tries the next one. One that is not held up need not be met at all.
 */
function best({ heap, m }, enough, round) {
  const rounds = heap.options.stress.delayMs?.plan === undefined ? 1 : 20;
  let most = 0;
  for (let i = 0; i < rounds && most < enough; i++) most = Math.max(most, m.scope(round));
  return most;
}

/** What is allocated and stored between remark and flip. */
const black = (options) => withHeap(options, (kit) => ({ inWindow: best(kit, 1, () => blackOnce(kit)) }));

function blackOnce({ heap, m, types, newNode, newWeak, newEphemeron, idOf, drop }) {
  const [old, dead] = [newNode(1), newNode(2)];
  const [marked, toDead] = [newWeak(dead), newWeak(dead)];
  const kept = m.local(m.allocate(types.ephemeron));
  const [k, v] = [newNode(3), newNode(4)];
  m.setEphemeron(m.get(kept), m.get(dead), m.get(dead));
  drop(dead);
  const words = control(heap);
  const cycle = words[layout.CTL_CYCLE];
  startCycle(heap, m, layout.PHASE_PLAN);
  const inWindow = words[layout.CTL_REFERENCES];
  const nulls = [m.getWeak(m.get(toDead)), m.getKey(m.get(kept)), m.getValue(m.get(kept))];
  assert(
    nulls.every((ref) => ref === NULL),
    'dead ones are null whether they are cleared or not',
  );
  const young = newNode(5);
  m.setWeak(m.get(marked), m.get(young));
  const blackToOld = newWeak(old);
  const blackToYoung = newWeak(young);
  const blackEphemeron = newEphemeron(young, old);
  m.setEphemeron(m.get(kept), m.get(k), m.get(v));
  m.guard(m.get(young));
  drop(young, v);
  while (Atomics.load(words, layout.CTL_CYCLE) === cycle) m.safepoint();
  assert(idOf(m.getWeak(m.get(marked))) === 5 && idOf(m.getWeak(m.get(blackToOld))) === 1, 'black lives');
  assert(m.getWeak(m.get(toDead)) === NULL, 'cleared');
  assert(
    idOf(m.getKey(m.get(blackEphemeron))) === 5 && idOf(m.getValue(m.get(blackEphemeron))) === 1,
    'black ephemeron',
  );
  assert(idOf(m.getKey(m.get(kept))) === 3 && idOf(m.getValue(m.get(kept))) === 4, 'set meanwhile');
  m.collect();
  assert(
    m.getWeak(m.get(marked)) === NULL && m.getWeak(m.get(blackToYoung)) === NULL,
    'and dies in the next cycle',
  );
  assert(m.getKey(m.get(blackEphemeron)) === NULL, 'as a key too');
  assert(idOf(m.nextFinalizable()) === 5, 'guarded while black');
  return inWindow;
}

/** The reader loses no time: while the collector is held up with dead weak fields, it is answered as often as it asks. */
const readers = (options) => withHeap(options, (kit) => ({ reads: best(kit, 1001, () => readOnce(kit)) }));

function readOnce({ heap, m, newNode, newWeak, idOf, drop }) {
  const [kept, lost] = [newNode(1), newNode(2)];
  const [a, b] = [newWeak(kept), newWeak(lost)];
  drop(lost);
  startCycle(heap, m, layout.PHASE_PLAN);
  const words = control(heap);
  let reads = 0;
  while (words[layout.CTL_REFERENCES] === 1) {
    for (let i = 0; i < 100; i++) {
      assert(idOf(m.getWeak(m.get(a))) === 1, 'a live referent');
      assert(m.getWeak(m.get(b)) === NULL, 'a dead referent');
      reads += 2;
    }
    m.safepoint();
  }
  m.collect();
  return reads;
}

/** A key changes while its ephemeron waits, and back, while marking goes on: the buckets must follow. */
const strays = (options) =>
  withHeap(options, ({ heap, m, types, newNode, idOf }) => {
    const n = 64;
    const table = m.local(m.allocateArray(types.refs, n));
    const keys = m.local(m.allocateArray(types.refs, n));
    for (let i = 0; i < n; i++) {
      m.scope(() => {
        const key = newNode(i);
        const e = m.allocate(types.ephemeron);
        m.setElement(m.get(keys), i, m.get(key));
        m.setElement(m.get(table), i, e);
        const value = newNode(1000 + i);
        m.setEphemeron(m.getElement(m.get(table), i), m.get(key), m.get(value));
        // Far from each other: another key means another bucket.
        m.allocateArray(types.refs, 300);
      });
    }
    // The only reference to the keys lies in a place that the marker has seen: it moves there and back.
    let rounds = 0;
    for (let cycle = 0; cycle < 6; cycle++) {
      const words = control(heap);
      const now = Atomics.load(words, layout.CTL_CYCLE);
      Atomics.add(words, layout.CTL_CYCLES_ASKED, 1);
      Atomics.notify(words, layout.CTL_CYCLES_ASKED);
      while (Atomics.load(words, layout.CTL_CYCLE) === now) {
        const shift = rounds++ % n;
        const held = m.get(keys);
        for (let i = 0; i < n; i++) {
          const e = m.getElement(m.get(table), i);
          const key = m.getElement(held, (i + shift) % n);
          m.setEphemeron(e, key, m.getValue(e));
        }
        m.safepoint();
      }
    }
    for (let i = 0; i < n; i++) {
      const e = m.getElement(m.get(table), i);
      assert(idOf(m.getKey(e)) !== null && idOf(m.getValue(e)) === 1000 + i, () => `entry ${i} was lost`);
    }
    return { rounds };
  });

/** Identity hashes: stable through moves, never 0, spread. Threads agree on them. */
async function identity({ objects: n = 1000, ...options }) {
  return withHeap(options, ({ m, types, newNode, put }) => {
    const all = m.local(m.allocateArray(types.refs, n));
    const seen = [];
    for (let i = 0; i < n; i++) {
      m.scope(() => put(all, i, newNode(i)));
      assert(m.peekIdentityHash(m.getElement(m.get(all), i)) === 0, 'nobody has asked for one yet');
      seen.push(m.identityHash(m.getElement(m.get(all), i)));
    }
    seen.push(m.identityHash(m.get(all)));
    assert(new Set(seen).size > n - 5 && seen.every((hash) => hash > 0 && hash < 65536), 'hashes differ');
    m.collect();
    for (let i = 0; i < n; i++) {
      const ref = m.getElement(m.get(all), i);
      assert(m.peekIdentityHash(ref) === seen[i], 'a hash that was asked for is seen');
      assert(m.identityHash(ref) === seen[i] && m.typeId(ref) === types.node.id, 'a hash is for life');
    }
    assert(m.identityHash(m.get(all)) === seen[n] && m.length(m.get(all)) === n, 'arrays have one');
  });
}

/** Guards are registered and asked for by several threads at once; each object comes back exactly once. */
async function manyThreads({ threads = 3, objects = 3000, ...options }) {
  const heap = await createHeap({ heap: 16 * 2 ** 20, trigger: 0.1, ...options });
  const types = defineTypes(heap);
  const workers = Array.from({ length: threads }, (_, index) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { shared: heap.share(), types, index, objects },
    });
    return new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  });
  const counts = new Map();
  const count = (ids) => {
    for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  };
  for (const ids of await Promise.all(workers)) count(ids);
  const m = heap.attach();
  m.run(() => {
    for (let round = 0; round < 2; round++) {
      m.collect();
      for (let ref = m.nextFinalizable(); ref !== NULL; ref = m.nextFinalizable())
        count([m.getI32(ref, types.node.offset.id)]);
    }
  });
  m.detach();
  await heap.close();
  assert(counts.size === threads * objects, `${counts.size} of ${threads * objects} objects came back`);
  assert(
    [...counts.values()].every((times) => times === 1),
    'each comes back once',
  );
  return { objects: counts.size };
}

function guardingThread({ shared, types, index, objects }) {
  const m = attachHeap(shared).attach();
  const mine = [];
  m.run(() => {
    for (let i = 0; i < objects; i++) {
      const ref = m.allocate(types.node);
      m.setI32(ref, types.node.offset.id, index * objects + i);
      m.guard(ref);
      m.allocateArray(types.refs, 200);
      const back = m.nextFinalizable();
      if (back !== NULL) mine.push(m.getI32(back, types.node.offset.id));
      if (i % 200 === 0) m.collect();
    }
  });
  m.detach();
  parentPort.postMessage(mine);
}

/** Weak fields have operations of their own, because a plain load could give a dead object. */
const refused = (options) =>
  withHeap(options, ({ heap, m, types, newNode, newWeak, newEphemeron }) => {
    const node = newNode(1);
    const [weak, ephemeron] = [newWeak(node), newEphemeron(node, node)];
    const refusal = (body, pattern) => {
      const error = thrownBy(body);
      assert(
        error.code === 'ERR_TYPE' && pattern.test(error.message),
        () => `${error.code}: ${error.message}`,
      );
    };
    for (const [local, offset] of [
      [weak, types.weak.offset.referent],
      [ephemeron, types.ephemeron.offset.key],
      [ephemeron, types.ephemeron.offset.value],
    ]) {
      refusal(() => m.getRef(m.get(local), offset), /is weak/);
      refusal(() => m.setRef(m.get(local), offset, NULL), /is weak/);
      refusal(() => m.getI32(m.get(local), offset), /is a reference/);
    }
    for (const body of [
      () => m.getWeak(m.get(node)),
      () => m.setWeak(m.get(ephemeron), NULL),
      () => m.getKey(m.get(weak)),
      () => m.getValue(m.get(weak)),
      () => m.setEphemeron(m.get(weak), NULL, NULL),
    ])
      refusal(body, /not of that kind/);
    refusal(() => m.guard(NULL), /null/);
    refusal(() => m.identityHash(NULL), /null/);
    refusal(() => m.peekIdentityHash(NULL), /null/);
    refusal(() => heap.defineWeakRecord('W', { referent: 'i32' }), /has a field referent/);
    refusal(() => heap.defineEphemeron('E', { value: 'ref' }), /has a field value/);
    refusal(() => heap.defineEphemeron('E', { 7: 'ref' }), /named by a number/);
  });

if (isMainThread)
  await main({ refused, weakRecords, ephemerons, guards, black, readers, strays, identity, manyThreads });
else guardingThread(workerData);
