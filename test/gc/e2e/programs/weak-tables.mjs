// Weak maps and intern tables against plain ones. The model knows what is reachable, so that it can say what must still be there and,
// after a whole collection, what must not.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  assert,
  attachHeap,
  createHeap,
  hash,
  HeapWeakMap,
  InternTable,
  main,
  NULL,
  Random,
  thrownBy,
} from './support.mjs';

function defineTypes(heap) {
  return {
    node: heap.defineRecord('Node', { id: 'i32', next: 'ref' }),
    refs: heap.defineRefArray('Refs'),
    bytes: heap.defineArray('Bytes', 'u8'),
    map: heap.defineWeakMap(),
    intern: heap.defineInternTable(),
  };
}

async function withHeap(options, body) {
  const heap = await createHeap({ heap: 16 * 2 ** 20, ...options });
  heap.on('abandoned', (error) => {
    throw error;
  });
  const types = defineTypes(heap);
  const m = heap.attach();
  const result = m.run(() => m.scope(() => body({ heap, m, types })));
  const { cycles } = heap.stats();
  m.detach();
  await heap.close();
  return { cycles, ...result };
}

/** Keys are held, or not, by the slots of an array; values refer to their keys, and to nothing else. */
const weakMap = ({ seed, steps, keys = 2000, ...options }) =>
  withHeap(options, ({ m, types }) => {
    process.stderr.write(`seed ${seed}\n`);
    const random = new Random(seed);
    const { node } = types;
    const slots = m.local(m.allocateArray(types.refs, keys));
    const map = HeapWeakMap.create(m, types.map);
    /** By slot: what the map holds for the key there; undefined where there is no key, null where it is not in the map. */
    const model = new Array(keys).fill(undefined);
    let id = 0;
    let sets = 0;
    const key = (slot) => m.getElement(m.get(slots), slot);
    const allocate = () => {
      const ref = m.allocate(node);
      m.setI32(ref, node.offset.id, ++id);
      return ref;
    };
    const checkSlot = (slot) => {
      if (model[slot] === undefined) return;
      const value = map.get(key(slot));
      const seen = value === NULL ? null : m.getI32(value, node.offset.id);
      assert(seen === model[slot], () => `slot ${slot} has the value ${seen} instead of ${model[slot]}`);
      assert(map.has(key(slot)) === (model[slot] !== null), 'has() agrees with get()');
      if (value !== NULL) assert(m.getRef(value, node.offset.next) === key(slot), 'a value names its key');
    };
    assert(thrownBy(() => map.set(NULL, NULL)).code === 'ERR_TYPE', 'null is no key');
    for (let step = 0; step < steps; step++) {
      const slot = random.int(keys);
      const r = random.int(100);
      if (r < 30) {
        const ref = allocate();
        m.setElement(m.get(slots), slot, ref);
        model[slot] = null;
      } else if (r < 40) {
        m.setElement(m.get(slots), slot, NULL);
        model[slot] = undefined;
      } else if (r < 70) {
        if (model[slot] === undefined) continue;
        const value = allocate();
        m.setRef(value, node.offset.next, key(slot));
        const mine = id;
        map.set(key(slot), value);
        model[slot] = mine;
        sets++;
      } else if (r < 76) {
        if (model[slot] === undefined) continue;
        assert(map.delete(key(slot)) === (model[slot] !== null), 'delete() tells whether it was there');
        model[slot] = null;
      } else if (r < 99) {
        checkSlot(slot);
      } else if (random.int(20) === 0) {
        m.collect();
      }
    }
    for (let slot = 0; slot < keys; slot++) checkSlot(slot);
    const live = () => model.filter((value) => value !== undefined && value !== null).length;
    assert(map.size >= live(), 'nothing is missing');
    const before = map.size;
    // Insertions look through all of the buckets in turn, and so remove what has died.
    m.collect();
    for (let i = 0; i < 2 * before + 256; i++) {
      const slot = i % 10;
      const ref = allocate();
      m.setElement(m.get(slots), slot, ref);
      const value = allocate();
      map.set(key(slot), value);
      model[slot] = undefined;
      if (i % 500 === 0) m.collect();
    }
    m.collect();
    for (let slot = 10; slot < keys; slot++) checkSlot(slot);
    const after = map.size;
    assert(after < live() + 1200, () => `${after} entries are left for ${live()} keys`);
    map.close();
    return { sets, before, after };
  });

/** Contents are numbers: an object of content n is an array of bytes with the digits of n. */
function contentOf(m, ref) {
  let digits = '';
  for (let i = 0; i < m.length(ref); i++) digits += String.fromCharCode(m.getU8(ref, 8 + i));
  return Number(digits);
}

function interner(m, types, table) {
  return (n, weakHash = false) =>
    table.intern(
      weakHash ? n % 3 : hash(n, 1),
      (candidate) => contentOf(m, candidate) === n,
      () => {
        const digits = String(n);
        const ref = m.allocateArray(types.bytes, digits.length);
        for (let i = 0; i < digits.length; i++) m.setU8(ref, 8 + i, digits.charCodeAt(i));
        return ref;
      },
    );
}

const internTable = ({ seed, steps, contents = 3000, weakHash = false, ...options }) =>
  withHeap(options, ({ m, types }) => {
    process.stderr.write(`seed ${seed}\n`);
    const random = new Random(seed);
    const table = InternTable.create(m, types.intern);
    const intern = interner(m, types, table);
    const slots = m.local(m.allocateArray(types.refs, contents));
    const find = (n) =>
      table.find(weakHash ? n % 3 : hash(n, 1), (candidate) => contentOf(m, candidate) === n);
    let interned = 0;
    for (let step = 0; step < steps; step++) {
      const n = random.int(contents);
      const r = random.int(100);
      if (r < 55) {
        const ref = intern(n, weakHash);
        const held = m.getElement(m.get(slots), n);
        assert(contentOf(m, ref) === n, 'the content asked for');
        assert(held === NULL || held === ref, 'one object for one content');
        m.setElement(m.get(slots), n, ref);
        interned++;
      } else if (r < 85) {
        m.setElement(m.get(slots), n, NULL);
      } else if (r < 99) {
        const held = m.getElement(m.get(slots), n);
        if (held !== NULL) assert(find(n) === held, 'what is held is found');
      } else if (random.int(20) === 0) {
        m.collect();
        // Nothing else runs: what nobody holds is gone.
        for (let i = 0; i < 20; i++) {
          const other = random.int(contents);
          assert(
            (find(other) === NULL) === (m.getElement(m.get(slots), other) === NULL),
            'exactly what is held is there',
          );
        }
      }
    }
    const size = table.size;
    table.close();
    return { interned, size };
  });

/** An entry is used again: interning one content after another, each dead by then, adds no entries. */
const entryReuse = (options) =>
  withHeap(options, ({ m, types }) => {
    const table = InternTable.create(m, types.intern);
    const intern = interner(m, types, table);
    const sizes = [];
    for (let round = 0; round < 6; round++) {
      for (let n = 0; n < 30; n++) intern(round * 30 + n, true);
      m.collect();
      sizes.push(table.size);
    }
    assert(table.find(1, () => true) === NULL, 'all are dead');
    table.close();
    return { sizes };
  });

/** Threads share a map and a table: one canonical object for each content, one value for each key. */
async function shared({ threads = 3, rounds = 400, seed, ...options }) {
  const heap = await createHeap({ heap: 32 * 2 ** 20, trigger: 0.1, ...options });
  const types = defineTypes(heap);
  const m = heap.attach();
  const contents = 300;
  // What all threads see: an array that holds the map, the table, and the canonical objects.
  const root = m.run(() => m.persist(m.allocateArray(types.refs, 2 + contents)));
  m.run(() => {
    const map = HeapWeakMap.create(m, types.map);
    const table = InternTable.create(m, types.intern);
    m.setElement(root.get(), 0, map.ref);
    m.setElement(root.get(), 1, table.ref);
    map.close();
    table.close();
  });
  const workers = Array.from({ length: threads }, (_, index) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: {
        shared: heap.share(),
        types,
        contents,
        rounds,
        seed: seed + index,
        root: root.share(),
      },
    });
    return new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  });
  const results = await Promise.all(workers);
  const checked = m.run(() =>
    m.scope(() => {
      const map = HeapWeakMap.open(m, types.map, m.getElement(root.get(), 0));
      const table = InternTable.open(m, types.intern, m.getElement(root.get(), 1));
      const intern = interner(m, types, table);
      let found = 0;
      for (let n = 0; n < contents; n++) {
        const held = m.getElement(root.get(), 2 + n);
        if (held === NULL) continue;
        assert(intern(n) === m.getElement(root.get(), 2 + n), 'one canonical object for all threads');
        const value = map.get(m.getElement(root.get(), 2 + n));
        assert(value !== NULL && m.getI32(value, types.node.offset.id) === n, 'one value for all threads');
        found++;
      }
      map.close();
      table.close();
      return found;
    }),
  );
  root.close();
  m.detach();
  await heap.close();
  return { checked, interned: results.reduce((a, b) => a + b) };
}

function sharing({ shared: access, types, contents, rounds, seed, root }) {
  const heap = attachHeap(access);
  const m = heap.attach();
  const held = m.run(() => m.borrow(root));
  const random = new Random(seed);
  let interned = 0;
  m.run(() =>
    m.scope(() => {
      const map = HeapWeakMap.open(m, types.map, m.getElement(held.get(), 0));
      const table = InternTable.open(m, types.intern, m.getElement(held.get(), 1));
      const intern = interner(m, types, table);
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < 20; i++) {
          const n = random.int(contents);
          m.scope(() => {
            const object = m.local(intern(n));
            interned++;
            const value = m.allocate(types.node);
            m.setI32(value, types.node.offset.id, n);
            if (!map.has(m.get(object)) || random.int(4) === 0) map.set(m.get(object), value);
            // Nobody ever deletes, so it is there: its value is one of this content whoever set it.
            assert(m.getI32(map.get(m.get(object)), types.node.offset.id) === n, 'a value of this content');
            // Another thread may hold it, or let it go. While this one does, it stays canonical.
            m.setElement(held.get(), 2 + n, random.int(3) === 0 ? NULL : m.get(object));
            m.safepoint();
            assert(intern(n) === m.get(object), 'canonical while it is held');
          });
        }
        m.allocateArray(types.refs, 500);
        if (round % 20 === 0) m.collect();
      }
      map.close();
      table.close();
    }),
  );
  m.detach();
  parentPort.postMessage(interned);
}

if (isMainThread) await main({ weakMap, internTable, entryReuse, shared });
else sharing(workerData);
