// Looking at the heap: graphs whose answers are known, random ones against a naive model, threads that go on, stop, or do not.

import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { parse } from 'heap-snapshot-toolkit';
import {
  assert,
  attachHeap,
  control,
  createHeap,
  HeapWeakMap,
  InternTable,
  isTospaceError,
  layout,
  main,
  NULL,
  Random,
  sleep,
  thrownBy,
  withHeap,
} from './support.mjs';

const MIB = 1024 * 1024;
const same = (a, b, what) =>
  assert(
    JSON.stringify(a) === JSON.stringify(b),
    () => `${what}: ${JSON.stringify(a)} instead of ${JSON.stringify(b)}`,
  );
const only = (graph, type) => {
  const found = [...graph.objects()].filter((o) => o.type === type);
  assert(found.length === 1, () => `${found.length} objects of type ${type}`);
  return found[0];
};
const names = (object) =>
  [...object.references()].map(({ name, kind, target }) => `${kind} ${name} ${target.type}`);

/** Writes the graph to a file and reads it with the code of Chrome DevTools. Compares every object. Returns what was read. */
async function throughFile(graph) {
  const folder = mkdtempSync(join(tmpdir(), 'tospace-'));
  try {
    const path = join(folder, 'x.heapsnapshot');
    await graph.writeHeapSnapshot(path);
    const parsed = await parse(createReadStream(path, 'utf-8'));
    const groups = [...graph.roots()];
    same(parsed.nodeCount, 2 + groups.length + graph.objectCount, 'nodes in the file');
    same(parsed.totalSize, graph.totalBytes, 'bytes in the file');
    const node = (i) => parsed.createNode(i * parsed.nodeFieldCount);
    const ids = new Set([node(0).id(), node(1).id()]);
    same([node(0).retainedSize(), node(1).name()], [graph.totalBytes, '(GC roots)'], 'the root');
    for (const [i, { name, retainedBytes }] of groups.entries()) {
      same([node(2 + i).name(), node(2 + i).retainedSize()], [name, retainedBytes], 'a group of roots');
      ids.add(node(2 + i).id());
    }
    let i = 2 + groups.length;
    for (const object of graph.objects()) {
      const read = node(i++);
      same(
        [read.name(), read.selfSize(), read.retainedSize(), read.edgesCount()],
        [object.type, object.bytes, object.retainedBytes, [...object.references()].length],
        `the object at ${object.address}`,
      );
      ids.add(read.id());
    }
    same(ids.size, parsed.nodeCount, 'different ids');
    return parsed;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Ids in the file by the object's address. */
async function fileIds(graph) {
  const parsed = await throughFile(graph);
  const first = parsed.nodeCount - graph.objectCount;
  return new Map(
    [...graph.objects()].map(({ address }, i) => [
      address,
      parsed.createNode((first + i) * parsed.nodeFieldCount).id(),
    ]),
  );
}

/** A graph made by hand, all of whose answers are written down here. */
async function known({ options }) {
  const heap = await createHeap({ heap: 4 * MIB, ...options });
  const Cache = heap.defineRecord('Cache', { table: 'ref', size: 'i32', spare: 'ref' });
  const Table = heap.defineRefArray('Table');
  const Entry = heap.defineRecord('Entry', { value: 'ref', next: 'ref' });
  const Leaf = heap.defineRecord('Leaf', { x: 'f64' });
  const Bytes = heap.defineArray('Bytes', 'u8');
  const Weak = heap.defineWeakRecord('Weak', { name: 'ref' });
  const Pair = heap.defineEphemeron('Pair');
  const own = { kind: 'record', id: heap.defineRecordLayout('Closure', 40, [8, 16]), bytes: 40 };
  const m = heap.attach({ name: 'main' });
  const setRef = (from, type, field, to) => m.setRef(from, type.offset[field], to);
  await m.run(() =>
    m.scope(() => {
      // Slot 0 → cache → table → 20 entries; entry 17 alone → leaf; entries 3 and 4 → closure, so that the table dominates it.
      const cache = m.local(m.allocate(Cache));
      const table = m.local(m.allocateArray(Table, 20));
      setRef(m.get(cache), Cache, 'table', m.get(table));
      for (let i = 0; i < 20; i++) {
        const entry = m.allocate(Entry);
        m.setElement(m.get(table), i, entry);
      }
      const leaf = m.local(m.allocate(Leaf));
      setRef(m.getElement(m.get(table), 17), Entry, 'value', m.get(leaf));
      const closure = m.local(m.allocate(own));
      for (const i of [3, 4]) setRef(m.getElement(m.get(table), i), Entry, 'value', m.get(closure));
      const bytes = m.local(m.allocateArray(Bytes, 13));
      m.setRef(m.get(closure), 16, m.get(bytes));
      // A pinned array below the spare field; a large one below it.
      const pinned = m.local(m.allocatePinnedArray(Table, 2));
      setRef(m.get(cache), Cache, 'spare', m.get(pinned));
      const large = m.allocateArray(Bytes, 200_000);
      m.setElement(m.get(pinned), 1, large);
      // Weak: to the leaf, and to what nothing else holds. An ephemeron with the leaf as its key, and one with a dead key.
      const weak = m.local(m.allocate(Weak));
      m.setWeak(m.get(weak), m.get(leaf));
      const lost = m.local(m.allocate(Weak));
      const nobodys = m.allocate(Entry);
      m.setWeak(m.get(lost), nobodys);
      const pair = m.local(m.allocate(Pair));
      const value = m.local(m.allocateArray(Bytes, 1));
      m.setEphemeron(m.get(pair), m.get(leaf), m.get(value));
      const idle = m.local(m.allocate(Pair));
      const dead = m.local(m.allocate(Entry));
      const useless = m.allocateArray(Bytes, 2);
      m.setEphemeron(m.get(idle), m.get(dead), useless);
      const kept = m.persist(m.get(cache));
      m.guard(m.get(dead));
      // What stays in the stack: cache, weak, lost, pair, idle.
      const refs = [cache, weak, lost, pair, idle].map((local) => m.get(local));
      const depth = m.shadowStack.depth;
      for (let i = 0; i < depth; i++) m.shadowStack.set(i, refs[i] ?? NULL);
      m.shadowStack.truncate(refs.length);

      const graph = heap.snapshot();
      same(names(only(graph, 'Cache')), ['strong table Table', 'strong spare Table'], 'fields by name');
      same(names(only(graph, 'Closure')), ['strong +16 Bytes'], 'a layout without names');
      same(
        names([...graph.objects()].find((o) => o.type === 'Weak' && [...o.references()].length > 0)),
        ['weak referent Leaf'],
        'weak',
      );
      const tables = [...graph.objects()].filter((o) => o.type === 'Table');
      same(
        tables.map((o) => [o.length, o.isPinned, o.kind]),
        [
          [20, false, 'array of references'],
          [2, true, 'array of references'],
        ],
        'tables',
      );
      same(names(tables[1]), ['strong [1] Bytes'], 'the pinned one');
      const [big, ...small] = [...graph.objects()]
        .filter((o) => o.type === 'Bytes')
        .sort((a, b) => b.bytes - a.bytes);
      same(
        [big.length, big.isPinned, big.bytes, big.kind],
        [200_000, true, 200_008, 'raw array'],
        'the large array',
      );
      same(
        small.map((o) => [o.length, o.bytes]),
        [
          [13, 24],
          [1, 16],
        ],
        'no value without its key',
      );
      const theLeaf = only(graph, 'Leaf');
      same(names(theLeaf), ['ephemeron value of Pair Bytes'], 'a key');
      const pairs = [...graph.objects()].filter((o) => o.type === 'Pair').map(names);
      same(pairs.flat(), ['weak key Leaf', 'weak value Bytes'], 'ephemerons');

      const cacheBytes = Cache.bytes + 88 + 20 * 16 + 16 + 40 + 24 + 16 + 200_008 + 16;
      same(only(graph, 'Cache').retainedBytes, cacheBytes, 'the cache retains');
      same(
        graph.largestRetainers(3).map((o) => o.type),
        ['Cache', 'Table', 'Bytes'],
        'largest retainers',
      );
      same(
        tables.map((o) => o.retainedBytes),
        [88 + 20 * 16 + 16 + 40 + 24 + 16, 16 + 200_008],
        'the tables retain',
      );
      const entries = [...graph.objects()].filter((o) => o.type === 'Entry');
      same(
        entries
          .map((o) => o.retainedBytes)
          .sort((a, b) => b - a)
          .slice(0, 2),
        [48, 16],
        'entries retain',
      );
      same(only(graph, 'Closure').retainedBytes, 64, 'the closure retains');
      same(
        [theLeaf.dominator.type, only(graph, 'Closure').dominator.address],
        ['Entry', tables[0].address],
        'dominators',
      );
      same(only(graph, 'Cache').dominator, undefined, 'two roots');
      same(
        graph.pathsToRoots(theLeaf).map(String),
        ['thread "main" shadow stack[0] → Cache.table → Table[17] → Entry.value → Leaf'],
        'the only path',
      );
      same(
        graph.pathsToRoots((o) => o.type === 'Closure').map(String),
        ['thread "main" shadow stack[0] → Cache.table → Table[3] → Entry.value → Closure'],
        'a path by function',
      );
      same(
        graph.pathsToRoots(only(graph, 'Closure').address).map(String),
        [3, 4].map(
          (i) => `thread "main" shadow stack[0] → Cache.table → Table[${i}] → Entry.value → Closure`,
        ),
        'paths by address',
      );
      same(graph.pathsToRoots(only(graph, 'Closure'), 1).length, 1, 'a limit');
      same(
        graph.pathsToRoots(small[1]).map(String),
        [
          'thread "main" shadow stack[0] → Cache.table → Table[17] → Entry.value → Leaf (key) → value of Pair → Bytes',
        ],
        'through an ephemeron',
      );
      same(
        graph.pathsToRoots(only(graph, 'Cache')).map(String),
        ['thread "main" shadow stack[0] → Cache', 'thread "main" persistent handle[0] → Cache'],
        'two roots',
      );
      same(graph.objectOf(kept).address, only(graph, 'Cache').address, 'by its handle');
      const usage = graph.histogram();
      same(usage[0], { type: 'Bytes', count: 3, bytes: 200_048 }, 'most bytes');
      same(
        usage.find(({ type }) => type === 'Entry'),
        { type: 'Entry', count: 20, bytes: 320 },
        'entries',
      );
      same(
        usage.reduce((sum, { bytes: b }) => sum + b, 0),
        graph.totalBytes,
        'all bytes',
      );
      same(
        [...graph.roots()].map(({ name }) => name),
        ['thread "main" shadow stack', 'thread "main" persistent handle', 'list of guards', 'tospace'],
        'groups of roots',
      );
      assert(
        isTospaceError(
          thrownBy(() => heap.snapshot().pathsToRoots(theLeaf)),
          'ERR_OPTION',
        ),
        'a stranger',
      );
      return throughFile(graph);
    }),
  );
  m.detach();
  await heap.close();
}

/** Objects found dead wait in queues, weak maps and intern tables are objects, a file may be a stream, and threads have a group each. */
async function tables({ options }) {
  await withHeap({ heap: 4 * MIB, ...options }, async (heap, m) => {
    const Node = heap.defineRecord('Node', { next: 'ref' });
    const graph = m.run(() => {
      const map = HeapWeakMap.create(m, heap.defineWeakMap());
      const intern = InternTable.create(m, heap.defineInternTable());
      m.scope(() => {
        const key = m.local(m.allocate(Node));
        const value = m.local(m.allocate(Node));
        map.set(m.get(key), m.get(value));
        intern.intern(
          7,
          () => false,
          () => m.allocate(Node),
        );
        m.persist(m.get(key));
        m.guard(m.allocate(Node), 5);
      });
      if (options.collector !== 'none') m.collect();
      return heap.snapshot();
    });
    const paths = graph.pathsToRoots((o) => o.type === 'Node').map(String);
    assert(
      paths.some((path) => path.endsWith('Node (key) → value of tospace.WeakMap.entry → Node')),
      paths.join('\n'),
    );
    if (options.collector !== 'none')
      assert(
        paths.includes('queue of finalizable objects[5] → tospace.ReadyGuard.referent → Node'),
        paths.join('\n'),
      );
    const usage = new Set(graph.histogram().map(({ type }) => type));
    for (const type of [
      'tospace.InternTable',
      'tospace.WeakMap',
      'tospace.InternTable.entry',
      'persistent handles',
    ])
      assert(usage.has(type), `${type} is among ${[...usage]}`);
    const stream = new PassThrough();
    const [parsed] = await Promise.all([parse(stream.setEncoding('utf-8')), graph.writeHeapSnapshot(stream)]);
    same(parsed.totalSize, graph.totalBytes, 'bytes through a stream');
  });
}

/** Random heaps against a model: what is reachable, retained sizes (what cannot be reached without an object), lengths of paths. */
async function random({ options, rounds, seed }) {
  process.stderr.write(`seed ${seed}\n`);
  const rnd = new Random(seed);
  let objects = 0;
  await withHeap({ heap: 4 * MIB, ...options }, async (heap, m) => {
    const Two = heap.defineRecord('Two', { number: 'i32', a: 'ref', b: 'ref' });
    const Weak = heap.defineWeakRecord('Weak', { strong: 'ref', number: 'i32' });
    const Pair = heap.defineEphemeron('Pair', { strong: 'ref', number: 'i32' });
    // The number of an array is the first of its elements, a record of its own.
    const Refs = heap.defineRefArray('Refs');
    for (let round = 0; round < rounds; round++) {
      const n = 2 + rnd.int(40);
      const model = [];
      const graph = m.run(() =>
        m.scope(() => {
          const made = [];
          for (let i = 0; i < n; i++) {
            const type = rnd.pick([Two, Two, Refs, Weak, Pair]);
            const pinned = rnd.int(4) === 0;
            const ref =
              type === Refs
                ? pinned
                  ? m.allocatePinnedArray(Refs, 1 + rnd.int(5))
                  : m.allocateArray(Refs, 1 + rnd.int(5))
                : pinned
                  ? m.allocatePinned(type)
                  : m.allocate(type);
            made.push(m.local(ref));
            model.push({
              type,
              bytes: type === Refs ? (8 + 4 * m.length(m.get(made[i])) + 7) & -8 : type.bytes,
            });
            if (type === Refs) {
              const tag = m.allocate(Two);
              m.setI32(tag, Two.offset.number, -1 - i);
              m.setElement(m.get(made[i]), 0, tag);
            } else m.setI32(ref, type.offset.number, i);
          }
          // Garbage in between, so that objects move.
          for (let i = 0; i < 50; i++) m.allocate(Two);
          const at = (i) => (i < 0 ? NULL : m.get(made[i]));
          const choose = () => (rnd.int(3) === 0 ? -1 : rnd.int(n));
          for (let i = 0; i < n; i++) {
            const { type } = model[i];
            const strong = [];
            const link = (field) => {
              const to = choose();
              if (to >= 0) strong.push(to);
              m.setRef(at(i), type.offset[field], at(to));
            };
            if (type === Two) for (const field of ['a', 'b']) link(field);
            else if (type === Refs) {
              for (let e = 1; e < m.length(at(i)); e++) {
                const to = choose();
                if (to >= 0) strong.push(to);
                m.setElement(at(i), e, at(to));
              }
            } else {
              link('strong');
              if (type === Weak) m.setWeak(at(i), at(choose()));
              else {
                const key = choose();
                const value = key < 0 ? -1 : choose();
                m.setEphemeron(at(i), at(key), at(value));
                if (key >= 0 && value >= 0) model[i].pair = { key, value };
              }
            }
            model[i].strong = strong;
          }
          const roots = [...Array(n).keys()].filter(() => rnd.int(6) === 0);
          const handles = roots.map((i) => (rnd.int(2) === 0 ? m.persist(at(i)) : undefined));
          const kept = roots.filter((_, i) => handles[i] === undefined).map((i) => m.get(made[i]));
          m.shadowStack.truncate(0);
          for (const ref of kept) m.shadowStack.push(ref);
          for (const root of roots) model[root].root = true;
          if (rnd.int(2) === 0 && options.collector !== 'none') m.collect();
          let numbers;
          const found = heap.snapshot({
            whileStopped(seen) {
              const words = new Int32Array(heap.memory.buffer);
              numbers = new Map();
              for (const o of seen.objects()) {
                const type = [Two, Weak, Pair].find(({ id }) => id === o.typeId);
                if (type !== undefined) numbers.set(o.address, words[(o.address + type.offset.number) >> 2]);
                else if (o.typeId === Refs.id)
                  numbers.set(o.address, -1 - words[(words[(o.address + 8) >> 2] + Two.offset.number) >> 2]);
              }
            },
          });
          for (const handle of handles) handle?.close();
          return { found, numbers };
        }),
      );
      check(graph, model);
      objects += graph.numbers.size;
      if (round % 10 === 0) await throughFile(graph.found);
    }
  });
  return { objects };
}

/** Bytes of an array's tag: a record of three words and a header. */
const TAG_BYTES = 24;

function check({ found, numbers }, model) {
  /** Reached objects and their distance, without the object `without`. The order in which ephemerons' keys are reached does not matter. */
  const alive = reach(model, edgesOf(model, undefined), -1);
  const edges = edgesOf(model, alive);
  const expected = [...alive.keys()].sort((a, b) => a - b);
  const objects = [...found.objects()].filter((o) => numbers.get(o.address) >= 0);
  const byNumber = new Map(objects.map((o) => [numbers.get(o.address), o]));
  same(
    [...byNumber.keys()].sort((a, b) => a - b),
    expected,
    'what is reachable',
  );
  const total = (set) => {
    let sum = 0;
    for (const i of set.keys()) sum += model[i].bytes + (isArray(model[i]) ? TAG_BYTES : 0);
    return sum;
  };
  const all = total(alive);
  for (const [number, object] of byNumber) {
    same(object.bytes, model[number].bytes, `bytes of ${number}`);
    same(object.retainedBytes, all - total(reach(model, edges, number)), `${number} retains`);
    const [path] = found.pathsToRoots(object, 1);
    same(path.objects.length, alive.get(number) + 1, `the path to ${path}`);
    same(path.objects.at(-1).address, object.address, 'the end of the path');
    const { dominator } = object;
    if (dominator !== undefined)
      assert(!reach(model, edges, numbers.get(dominator.address)).has(number), `a dominator of ${number}`);
  }
}

const isArray = ({ type }) => type.kind === 'ref-array';

/** Strong edges; those of keys to values when it is known what is alive. */
function edgesOf(model, alive) {
  const edges = model.map(({ strong }) => [...strong]);
  if (alive !== undefined)
    for (const [i, { pair }] of model.entries())
      if (pair !== undefined && alive.has(i) && alive.has(pair.key)) edges[pair.key].push(pair.value);
  return edges;
}

function reach(model, edges, without) {
  const distance = new Map();
  let now = [...model.keys()].filter((i) => model[i].root && i !== without);
  for (const i of now) distance.set(i, 0);
  // The naive fixpoint, breadth first where there are no ephemerons left to add.
  for (;;) {
    for (let steps = 1; now.length > 0; steps++) {
      const next = [];
      for (const i of now)
        for (const to of edges[i])
          if (to !== without && !distance.has(to)) {
            distance.set(to, steps);
            next.push(to);
          }
      now = next;
    }
    let grown = false;
    const pairs = model.flatMap(({ pair }, i) =>
      pair !== undefined && distance.has(i) && distance.has(pair.key) ? [pair] : [],
    );
    for (const { key, value } of pairs)
      if (without === -1 && !edges[key].includes(value)) {
        edges[key].push(value);
        grown = true;
      }
    if (!grown) return distance;
    distance.clear();
    now = [...model.keys()].filter((i) => model[i].root && i !== without);
    for (const i of now) distance.set(i, 0);
  }
}

// ---------------------------------------------------------------------------------------------------------------------------
// Threads. Words of `flags`: 0 says quit; 1 counts what the threads have done; 2 says that a thread is stuck.

const QUIT = 0;
const DONE = 1;
const STUCK = 2;
const LIST = 100;

function spawn(data) {
  const worker = new Worker(new URL(import.meta.url), { workerData: data });
  const ready = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const exit = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  return { worker, ready, exit };
}

/** Two threads build lists and replace whole ones by whole ones; a third collects. Every snapshot sees whole lists. */
async function mutators({ options, snapshots }) {
  const heap = await createHeap({ heap: 8 * MIB, trigger: 0.3, ...options });
  const node = heap.defineRecord('Node', { next: 'ref', number: 'i32' });
  const ring = heap.defineRefArray('Ring');
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const data = { shared: heap.share(), node, ring, flags };
  const workers = ['one', 'two'].map((name) => spawn({ ...data, job: 'lists', name }));
  await Promise.all(workers.map(({ ready }) => ready));
  const m = heap.attach({ name: 'main' });
  let cycles = 0;
  heap.on('cycle', () => cycles++);
  for (let i = 0; i < snapshots; i++) {
    // Now and then a cycle is under way, or about to be.
    const words = control(heap);
    if (i % 2 === 0 && options.collector !== 'none') {
      Atomics.add(words, layout.CTL_CYCLES_ASKED, 1);
      Atomics.notify(words, layout.CTL_CYCLES_ASKED);
    }
    const before = Atomics.load(flags, DONE);
    const graph = i % 3 === 0 ? m.run(() => heap.snapshot()) : heap.snapshot();
    const rings = [...graph.objects()].filter(({ type }) => type === 'Ring');
    same(rings.length, 2, 'rings');
    for (const object of rings) {
      for (const { target } of object.references()) {
        let count = 0;
        for (let at = target; at !== undefined; count++) at = [...at.references()][0]?.target;
        same(count, LIST, 'a whole list');
      }
      const [path] = graph.pathsToRoots(object, 1);
      assert(/^thread "(one|two)" shadow stack\[0\] → Ring$/.test(String(path)), String(path));
    }
    if (i % 5 === 0) await throughFile(graph);
    const until = performance.now() + 30_000;
    while (Atomics.load(flags, DONE) < before + 10 && performance.now() < until) sleep(1);
    assert(Atomics.load(flags, DONE) >= before + 10, 'the threads run on');
    await new Promise((resolve) => setImmediate(resolve));
  }
  Atomics.store(flags, QUIT, 1);
  await Promise.all(workers.map(({ exit }) => exit));
  m.detach();
  await heap.close();
  return { cycles };
}

/** A thread that does not stop. */
async function timeout({ options }) {
  const heap = await createHeap({
    heap: 4 * MIB,
    safepointWarnMs: 50,
    safepointTimeoutMs: 200,
    ...options,
  });
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const stubborn = spawn({ shared: heap.share(), flags, job: 'stubborn', name: 'stubborn' });
  await stubborn.ready;
  while (Atomics.load(flags, STUCK) === 0) sleep(1);
  const m = heap.attach({ name: 'main' });
  for (const take of [() => heap.snapshot(), () => m.run(() => heap.snapshot())]) {
    const error = thrownBy(take);
    assert(isTospaceError(error, 'ERR_TIMEOUT') && error.message.includes('"stubborn"'), `${error}`);
  }
  const words = control(heap);
  same(
    [words[layout.CTL_STOP], words[layout.CTL_POLL], words[layout.CTL_WORLD_LOCK]],
    [0, 0, 0],
    'nothing is asked',
  );
  m.run(() => m.allocate(heap.defineRecord('Later', { a: 'ref' })));
  Atomics.store(flags, QUIT, 1);
  await stubborn.exit;
  assert(heap.snapshot().objectCount > 0, 'a snapshot once the thread is gone');
  m.detach();
  await heap.close();
}

/** A thread is terminated while it looks: the others run on, and look themselves. */
async function terminated({ options }) {
  const heap = await createHeap({ heap: 4 * MIB, ...options });
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const m = heap.attach({ name: 'main' });
  const looking = spawn({ shared: heap.share(), flags, job: 'looking', name: 'looking' });
  await looking.ready;
  while (Atomics.load(flags, STUCK) === 0) sleep(1);
  assert(control(heap)[layout.CTL_STOP] === layout.PAUSE_INSPECT, 'the world is stopped');
  await looking.worker.terminate();
  // Without a cycle or another look: the mutator itself finds out.
  m.run(() => m.allocate(heap.defineRecord('After', { a: 'ref' })));
  if (options.collector !== 'none') m.run(() => m.collect());
  assert(heap.snapshot().objectCount > 0, 'another snapshot');
  m.detach();
  await heap.close();
}

/** The heap is closed while another thread looks at it. */
async function closing({ options }) {
  const heap = await createHeap({ heap: 64 * MIB, ...options });
  const node = heap.defineRecord('Node', { next: 'ref', number: 'i32' });
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const m = heap.attach({ name: 'main' });
  m.run(() =>
    m.scope(() => {
      const head = m.local(NULL);
      for (let i = 0; i < 500_000; i++) {
        const ref = m.allocate(node);
        m.setRef(ref, node.offset.next, m.get(head));
        m.set(head, ref);
      }
      m.persist(m.get(head));
    }),
  );
  const looker = spawn({ shared: heap.share(), flags, job: 'again', name: 'again' });
  await looker.ready;
  while (Atomics.load(flags, STUCK) === 0) sleep(1);
  await heap.close();
  assert((await looker.exit) === 0, 'the other thread was told so');
}

/** What is refused. */
async function misuse({ options }) {
  await withHeap({ heap: 4 * MIB, ...options }, async (heap, m) => {
    const Node = heap.defineRecord('Node', { next: 'ref' });
    const kept = m.run(() => m.persist(m.allocate(Node)));
    const small = thrownBy(() => heap.snapshot({ maxBytes: 1000 }));
    assert(isTospaceError(small, 'ERR_OUT_OF_MEMORY') && small.message.includes('maxBytes'), `${small}`);
    for (const maxBytes of [0, -1, Number.NaN, 'a'])
      assert(
        isTospaceError(
          thrownBy(() => heap.snapshot({ maxBytes })),
          'ERR_OPTION',
        ),
        `maxBytes ${maxBytes}`,
      );
    for (const body of [() => heap.snapshot(), () => m.run(() => {})]) {
      const error = thrownBy(() => heap.snapshot({ whileStopped: body }));
      assert(isTospaceError(error, 'ERR_STATE'), `${error}`);
    }
    assert(
      thrownBy(() =>
        heap.snapshot({
          whileStopped: () => {
            throw new Error('mine');
          },
        }),
      ).message === 'mine',
      'mine',
    );
    same(heap.snapshot().objectOf(kept).type, 'Node', 'the heap goes on');
    // A reference that is none.
    const broken = (value) => {
      const error = m.run(() => {
        const words = new Int32Array(heap.memory.buffer);
        words[(kept.get() + 8) >> 2] = value;
        const caught = thrownBy(() => heap.snapshot());
        words[(kept.get() + 8) >> 2] = 0;
        return caught;
      });
      assert(isTospaceError(error, 'ERR_VERIFY'), `${value}: ${error}`);
    };
    const { geometry } = heap.share().arena;
    for (const value of [
      4,
      kept_address(m, kept) + 4,
      geometry.heap + 3 * MIB,
      geometry.nonMoving + 4096 * 5,
      -8,
    ])
      broken(value);
    kept.close();
  });
}

const kept_address = (m, kept) => m.run(() => kept.get());

/** Which objects of two snapshots are the same. */
async function ids({ options }) {
  await withHeap({ heap: 4 * MIB, ...options }, async (heap, m) => {
    const Node = heap.defineRecord('Node', { next: 'ref' });
    const [plain, hashed, pinned, twinA, twinB] = m.run(() => {
      for (let i = 0; i < 1000; i++) m.allocate(Node);
      const made = [0, 1, 2, 3, 4].map((i) => m.persist(i === 2 ? m.allocatePinned(Node) : m.allocate(Node)));
      m.identityHash(made[1].get());
      // An embedder's own bits, the same in both.
      for (const i of [3, 4]) m.i32[made[i].get() >> 2] |= 0x70000000;
      return made;
    });
    const take = async () => {
      const graph = heap.snapshot();
      const all = await fileIds(graph);
      return [plain, hashed, pinned, twinA, twinB].map((handle) => {
        const { address } = graph.objectOf(handle);
        return { address, id: all.get(address) };
      });
    };
    const before = await take();
    if (options.collector !== 'none') {
      m.run(() => m.collect());
    }
    const after = await take();
    same(
      before.map(({ id }, i) => id === after[i].id),
      [false, true, true, false, false],
      'ids that stay',
    );
    if (options.collector !== 'none')
      same(
        before.map(({ address }, i) => address === after[i].address),
        [false, false, true, false, false],
        'objects that stay',
      );
  });
}

/** A million objects, a list as long as that among them. */
async function many({ options, count }) {
  return withHeap({ heap: 128 * MIB, ...options }, async (heap, m) => {
    const Node = heap.defineRecord('Node', { next: 'ref', other: 'ref' });
    m.run(() =>
      m.scope(() => {
        const head = m.local(NULL);
        for (let i = 0; i < count; i++) {
          const ref = m.allocate(Node);
          m.setRef(ref, Node.offset.next, m.get(head));
          if (m.get(head) !== NULL) m.setRef(m.get(head), Node.offset.other, ref);
          m.set(head, ref);
        }
        m.persist(m.get(head));
      }),
    );
    const start = performance.now();
    // Without garbage: what the graph keeps is meant.
    const heapUsed = () => {
      globalThis.gc();
      return process.memoryUsage().heapUsed;
    };
    const before = heapUsed();
    const graph = heap.snapshot();
    const grown = heapUsed() - before;
    const snapshotMs = performance.now() - start;
    same([graph.objectCount, graph.referenceCount], [count + 1, 2 * (count - 1) + 2], 'the list');
    const [head] = graph.largestRetainers(1);
    same(head.retainedBytes, 16 * count, 'its head retains all');
    // Objects are in the order of their addresses, and the end of the list was made first.
    const [path] = graph.pathsToRoots((o) => o.type === 'Node', 1);
    same(path.objects.length, count, 'the longest path');
    return { snapshotMs, totalMs: performance.now() - start, grown };
  });
}

const jobs = {
  lists(m, { node, ring, flags }) {
    m.run(() =>
      m.scope(() => {
        const all = m.local(m.allocateArray(ring, 8));
        parentPort.postMessage('ready');
        for (let turn = 0; Atomics.load(flags, QUIT) === 0; turn++) {
          m.scope(() => {
            const head = m.local(NULL);
            for (let i = 0; i < LIST; i++) {
              const ref = m.allocate(node);
              m.setRef(ref, node.offset.next, m.get(head));
              m.set(head, ref);
            }
            m.setElement(m.get(all), turn % 8, m.get(head));
          });
          Atomics.add(flags, DONE, 1);
          m.safepoint();
          // Without a collector there is an end to the memory.
          if (workerData.shared.options.collector === 'none') m.blocking(() => sleep(2));
        }
      }),
    );
  },
  stubborn(m, { flags }) {
    parentPort.postMessage('ready');
    m.run(() => {
      Atomics.store(flags, STUCK, 1);
      while (Atomics.load(flags, QUIT) === 0);
    });
  },
  looking(_m, { flags }, heap) {
    parentPort.postMessage('ready');
    heap.snapshot({
      whileStopped() {
        Atomics.store(flags, STUCK, 1);
        for (;;) Atomics.add(flags, 8, 1);
      },
    });
  },
  again(_m, { flags }, heap) {
    parentPort.postMessage('ready');
    const words = new Int32Array(heap.memory.buffer);
    const error = thrownBy(() => {
      for (;;) {
        heap.snapshot({
          whileStopped(graph) {
            Atomics.store(flags, STUCK, 1);
            // The heap is closed meanwhile, and must still be there.
            sleep(300);
            for (const { address, typeId } of graph.objects())
              assert((words[address >> 2] & 0xffff) === typeId, 'an object is where it was');
          },
        });
      }
    });
    assert(isTospaceError(error, 'ERR_STATE'), `${error}`);
  },
};

if (isMainThread) {
  await main({ known, tables, random, mutators, timeout, terminated, closing, misuse, ids, many });
} else {
  const heap = attachHeap(workerData.shared);
  const m = heap.attach({ name: workerData.name });
  jobs[workerData.job](m, workerData, heap);
  if (workerData.job !== 'again') m.detach();
}
