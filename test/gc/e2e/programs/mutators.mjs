// Several threads mutate one shared graph, log what they did and saw, and the logs are replayed against a sequential model.
//
// Two kinds of place, so that an order can be found without any order being imposed:
//
//   free places   (a node's link, word and wide, the slots of the table) are changed by exchange and compare-exchange alone, and every
//                 value that is written is new. So each value has at most one successor, and the writes of a place must form one chain from
//                 its first value to the one found in the heap at the end. Every operation draws a ticket before and after: what ended
//                 before another began must not be later in the chain. Together this is linearizability, place by place.
//   owned places  (a node's a, b, counter and kids) are changed with the node's version odd: taken by compare-exchange from v to v + 1, given
//                 back as v + 2. The versions order the operations on a node, and the model must have seen what they saw.
//
// Besides, `hits` is only ever added to: what the additions returned are all numbers from 0 up, each once.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { attachHeap, createHeap, hash, main, NULL, Random, sleep } from './support.mjs';

const KIDS = 8;
/** Numbers of a log entry. */
const ENTRY = 8;
const FREE = 1;
const OWNED = 2;
const HIT = 3;
// Places of a node: `id * 8 + place`; slots of the table are places of ids below FIRST_ID.
const LINK = 0;
const WORD = 1;
const WIDE = 2;
const SLOT = 3;
const FIRST_ID = 1024;
/** Ids are `thread << 21 | number`. */
const THREAD_SHIFT = 21;
/** Written 64-bit values use both halves. */
const WIDE_STEP = 2 ** 21 + 1;

const NODE = {
  id: 'i32',
  check: 'i32',
  version: 'i32',
  counter: 'i32',
  a: 'ref',
  b: 'ref',
  link: 'ref',
  kids: 'ref',
  hits: 'i32',
  word: 'i32',
  wide: 'i64',
};

const wrong = (what) => {
  throw new Error(`wrong value: ${what}`);
};

/** The graph as one thread sees it. */
class Graph {
  constructor(m, types) {
    this.m = m;
    this.types = types;
    this.at = types.node.offset;
  }

  /** The id of a node, which must be one. */
  idOf(ref) {
    if (ref === NULL) return 0;
    const { m, at } = this;
    const id = m.getI32(ref, at.id);
    if (m.typeId(ref) !== this.types.node.id) wrong(`${ref} is of type ${m.typeId(ref)}, no node`);
    if (m.getI32(ref, at.check) !== (hash(id, 5) | 0)) wrong(`the node at ${ref} says it is ${id}`);
    return id;
  }

  /** A new node, in a handle. */
  make(id) {
    const { m, at } = this;
    const kids = m.local(m.allocateArray(this.types.refs, KIDS));
    const ref = m.allocate(this.types.node);
    m.setI32(ref, at.id, id);
    m.setI32(ref, at.check, hash(id, 5) | 0);
    m.setRef(ref, at.kids, m.get(kids));
    return m.local(ref);
  }

  kidIds(ref) {
    const kids = this.m.getRef(ref, this.at.kids);
    return Array.from({ length: KIDS }, (_, i) => this.idOf(this.m.getElement(kids, i)));
  }
}

const digest = (ids) => ids.reduce((h, id) => hash(h, id), 1);

class Mutations extends Graph {
  constructor(heap, m, { types, table, slots, tickets, index, seed, bytes }) {
    super(m, types);
    this.random = new Random(seed);
    this.table = m.run(() => m.borrow(table));
    this.slots = slots;
    this.tickets = tickets;
    this.index = index;
    this.bytes = bytes;
    this.made = 0;
    this.log = [];
    this.outOfMemory = 0;
    this.heap = heap;
  }

  ticket() {
    return Atomics.add(this.tickets, 0, 1);
  }

  fresh() {
    const id = ((this.index + 1) << THREAD_SHIFT) | ++this.made;
    return { id, local: this.make(id) };
  }

  /** A handle of some node: a walk from the table. */
  walk() {
    const { m, random, at } = this;
    let ref = m.atomicLoadElement(this.table.get(), random.int(this.slots));
    for (let hops = random.int(6); hops > 0; hops--) {
      const r = random.int(6);
      const next =
        r === 0
          ? m.getRef(ref, at.a)
          : r === 1
            ? m.atomicLoadRef(ref, at.b)
            : r < 4
              ? m.atomicLoadRef(ref, at.link)
              : m.getElement(m.getRef(ref, at.kids), random.int(KIDS));
      this.idOf(next);
      if (next !== NULL) ref = next;
    }
    return m.local(ref);
  }

  /** One operation on a free place: `load`, `exchange` and `compareExchange` work on it; `value` is what is written, and what is logged. */
  free(place, load, exchange, compareExchange, { value, logged }) {
    const r = this.random.int(10);
    const before = this.ticket();
    if (r < 3 || value === undefined) {
      const seen = load();
      this.log.push(FREE, place, before, this.ticket(), this.logged(seen), -1, 0, 0);
      return;
    }
    if (r < 5) {
      const old = exchange(value());
      this.log.push(FREE, place, before, this.ticket(), this.logged(old), logged, 0, 0);
      return;
    }
    const expected = load();
    if (r === 9) for (let spin = 0; spin < 200; spin++) this.spin = spin;
    const old = compareExchange(expected, value());
    this.log.push(FREE, place, before, this.ticket(), this.logged(old), old === expected ? logged : -1, 0, 0);
  }

  logged(value) {
    return typeof value === 'bigint' ? Number(value) : value;
  }

  freeLink(node) {
    const { m, at } = this;
    const stores = this.random.int(3) > 0;
    const { id, local } = stores ? this.fresh() : { id: 0, local: 0 };
    const seen = (ref) => this.idOf(ref);
    const place = this.idOf(m.get(node)) * 8 + LINK;
    this.freeRef(
      place,
      () => m.atomicLoadRef(m.get(node), at.link),
      (value) => m.exchangeRef(m.get(node), at.link, value),
      (expected, value) => m.compareExchangeRef(m.get(node), at.link, expected, value),
      stores ? { value: () => m.get(local), logged: id } : {},
      seen,
    );
  }

  freeSlot() {
    const { m } = this;
    const slot = this.random.int(this.slots);
    const stores = this.random.int(2) > 0;
    const { id, local } = stores ? this.fresh() : { id: 0, local: 0 };
    this.freeRef(
      slot * 8 + SLOT,
      () => m.atomicLoadElement(this.table.get(), slot),
      (value) => m.exchangeElement(this.table.get(), slot, value),
      (expected, value) => m.compareExchangeElement(this.table.get(), slot, expected, value),
      stores ? { value: () => m.get(local), logged: id } : {},
    );
  }

  /** References are logged by the ids of their nodes. There is no safepoint from the load to the compare-exchange. */
  freeRef(place, load, exchange, compareExchange, store) {
    this.logged = (ref) => this.idOf(ref);
    this.free(place, load, exchange, compareExchange, store);
    delete this.logged;
  }

  freeWord(node) {
    const { m, at } = this;
    const ref = m.get(node);
    const token = ((this.index + 1) << 24) | (++this.words & 0xffffff);
    this.free(
      this.idOf(ref) * 8 + WORD,
      () => m.atomicLoadI32(ref, at.word),
      (value) => m.exchangeI32(ref, at.word, value),
      (expected, value) => m.compareExchangeI32(ref, at.word, expected, value),
      { value: () => token, logged: token },
    );
  }
  words = 0;

  freeWide(node) {
    const { m, at } = this;
    const ref = m.get(node);
    const token = (((this.index + 1) << 24) | (++this.words & 0xffffff)) * WIDE_STEP;
    this.free(
      this.idOf(ref) * 8 + WIDE,
      () => m.atomicLoadI64(ref, at.wide),
      (value) => m.exchangeI64(ref, at.wide, value),
      (expected, value) => m.compareExchangeI64(ref, at.wide, expected, value),
      { value: () => BigInt(token), logged: token },
    );
  }

  /** Takes a node: its version becomes odd. */
  take(node) {
    const { m, at } = this;
    for (;;) {
      const ref = m.get(node);
      const version = m.atomicLoadI32(ref, at.version);
      if ((version & 1) === 0 && m.compareExchangeI32(ref, at.version, version, version + 1) === version)
        return version;
      // Whoever has it may be waiting for a collection.
      m.safepoint();
    }
  }

  giveBack(node, version) {
    this.m.atomicStoreI32(this.m.get(node), this.at.version, version + 2);
  }

  owned(node, op = this.random.int(8)) {
    const { m, random, at, log } = this;
    const value = random.int(3) === 0 ? m.local(NULL) : this.walk();
    const version = this.take(node);
    const id = this.idOf(m.get(node));
    if (random.int(20) === 0) m.safepoint();
    const ref = m.get(node);
    const kids = m.getRef(ref, at.kids);
    const to = m.get(value);
    switch (op) {
      case 0: {
        const [a, b] = [this.idOf(m.getRef(ref, at.a)), this.idOf(m.atomicLoadRef(ref, at.b))];
        log.push(OWNED, id, version, op, a, b, m.atomicLoadI32(ref, at.counter), digest(this.kidIds(ref)));
        break;
      }
      case 1:
        log.push(OWNED, id, version, op, this.idOf(m.getRef(ref, at.a)), this.idOf(to), 0, 0);
        m.setRef(ref, at.a, to);
        break;
      case 2:
        log.push(OWNED, id, version, op, this.idOf(m.exchangeRef(ref, at.b, to)), this.idOf(to), 0, 0);
        break;
      case 3: {
        const which = random.int(OPERATIONS.length);
        const operand = random.next() | 0;
        const old = m[OPERATIONS[which].name](ref, at.counter, operand);
        log.push(OWNED, id, version, op, which, operand, old, 0);
        break;
      }
      case 4: {
        const [from, target] = [random.int(KIDS), random.int(KIDS)];
        const count = random.int(KIDS - Math.max(from, target) + 1);
        m.copyElements(kids, from, kids, target, count);
        log.push(OWNED, id, version, op, from, target, count, 0);
        break;
      }
      case 5: {
        const i = random.int(KIDS);
        log.push(OWNED, id, version, op, i, this.idOf(m.exchangeElement(kids, i, to)), this.idOf(to), 0);
        break;
      }
      case 6: {
        const [a, b] = [m.getRef(ref, at.a), m.getRef(ref, at.b)];
        m.setRef(ref, at.a, b);
        m.atomicStoreRef(ref, at.b, a);
        log.push(OWNED, id, version, op, this.idOf(a), this.idOf(b), 0, 0);
        break;
      }
      default:
        m.setRef(ref, at.a, NULL);
        m.atomicStoreRef(ref, at.b, NULL);
        m.fillElements(kids, 0, KIDS, NULL);
        log.push(OWNED, id, version, 7, 0, 0, 0, 0);
    }
    this.giveBack(node, version);
  }

  hit(node) {
    const { m, at } = this;
    const ref = m.get(node);
    this.log.push(HIT, this.idOf(ref), m.addI32(ref, at.hits, 1), 0, 0, 0, 0, 0);
  }

  step() {
    const { m, random } = this;
    const r = random.int(1000);
    if (r < 60) this.freeSlot();
    else if (r < 180) this.freeLink(this.walk());
    else if (r < 280) this.freeWord(this.walk());
    else if (r < 360) this.freeWide(this.walk());
    else if (r < 700) this.owned(this.walk());
    else if (r < 800) this.hit(this.walk());
    else if (r < 940) m.allocateArray(this.bytes, random.int(random.int(20) === 0 ? 20_000 : 1000));
    else if (r < 990) m.safepoint();
    else if (r < 998) m.blocking(() => random.int(4) === 0 && sleep(random.int(2)));
    else if (random.int(6) === 0) m.collect({ release: random.int(3) === 0 });
  }

  run(steps) {
    const { m } = this;
    m.run(() => {
      for (let i = 0; i < steps; i++) {
        try {
          m.scope(() => this.step());
        } catch (error) {
          if (error?.code !== 'ERR_OUT_OF_MEMORY') throw error;
          // Cut the graph down. All of this happens without allocation.
          if (++this.outOfMemory > 200) throw new Error('out of memory again and again', { cause: error });
          for (let k = 0; k < 3 * this.slots; k++) m.scope(() => this.owned(this.walk(), 7));
          m.blocking(() => sleep(1));
        }
      }
    });
  }
}

const OPERATIONS = [
  { name: 'addI32', apply: (x, y) => (x + y) | 0 },
  { name: 'subI32', apply: (x, y) => (x - y) | 0 },
  { name: 'andI32', apply: (x, y) => x & y },
  { name: 'orI32', apply: (x, y) => x | y },
  { name: 'xorI32', apply: (x, y) => x ^ y },
  { name: 'exchangeI32', apply: (_, y) => y },
];

// ---------------------------------------------------------------------------------------------------------------------------
// Replay

/** Entries of one kind from all logs, by their first number: what `entry` makes of each. */
function group(logs, kind, entry) {
  const groups = new Map();
  for (const log of logs) {
    for (let i = 0; i < log.length; i += ENTRY) {
      if (log[i] !== kind) continue;
      const list = groups.get(log[i + 1]);
      if (list === undefined) groups.set(log[i + 1], [entry(log, i)]);
      else list.push(entry(log, i));
    }
  }
  return groups;
}

/** Checks the chains of the free places; returns the last value of each. `initial` are first values other than 0. */
function replayFree(logs, initial) {
  const places = group(logs, FREE, (log, i) => ({
    begin: log[i + 2],
    end: log[i + 3],
    seen: log[i + 4],
    wrote: log[i + 5],
    at: 0,
  }));
  const last = new Map(initial);
  let operations = 0;
  for (const [place, list] of places) {
    operations += list.length;
    const where = () => `place ${place % 8} of ${Math.floor(place / 8)}`;
    const next = new Map();
    for (const { seen, wrote } of list) {
      if (wrote === -1) continue;
      if (next.has(seen)) wrong(`${where()}: both ${wrote} and ${next.get(seen)} were written over ${seen}`);
      next.set(seen, wrote);
    }
    const position = new Map();
    let value = initial.get(place) ?? 0;
    for (let at = 0; ; at++) {
      if (position.has(value)) wrong(`${where()}: ${value} comes back`);
      position.set(value, at);
      if (!next.has(value)) break;
      value = next.get(value);
    }
    if (position.size !== next.size + 1)
      wrong(`${where()}: ${next.size + 1 - position.size} writes are lost`);
    last.set(place, value);
    for (const op of list) {
      op.at = position.get(op.wrote === -1 ? op.seen : op.wrote);
      if (op.at === undefined) wrong(`${where()}: ${op.seen} was seen and never written`);
    }
    // What ended before another began is not later in the chain; and a write comes behind everything that was over.
    list.sort((x, y) => x.begin - y.begin);
    const ended = [...list].sort((x, y) => x.end - y.end);
    let over = 0;
    let latest = -1;
    for (const op of list) {
      while (over < ended.length && ended[over].end < op.begin) latest = Math.max(latest, ended[over++].at);
      if (op.wrote === -1 ? op.at < latest : op.at <= latest)
        wrong(`${where()}: ${JSON.stringify(op)} comes after position ${latest} and has an earlier value`);
    }
  }
  return { last, operations };
}

/** Applies the owned operations in the order of their versions; returns the nodes of the model. */
function replayOwned(logs) {
  const histories = group(logs, OWNED, (log, i) => log.subarray(i, i + ENTRY));
  let operations = 0;
  const model = new Map();
  for (const [id, list] of histories) {
    list.sort((x, y) => x[2] - y[2]);
    const node = { a: 0, b: 0, counter: 0, kids: new Array(KIDS).fill(0), version: 0 };
    const must = (is, expected, what) => {
      if (is !== expected)
        wrong(`node ${id} at version ${node.version}: ${what} was ${is} instead of ${expected}`);
    };
    for (const [, , version, op, x, y, z, w] of list) {
      operations++;
      if (version !== node.version)
        wrong(`node ${id}: version ${version} was taken when it was ${node.version}`);
      switch (op) {
        case 0:
          must(x, node.a, 'a');
          must(y, node.b, 'b');
          must(z, node.counter, 'the counter');
          must(w, digest(node.kids), 'the digest of the kids');
          break;
        case 1:
          must(x, node.a, 'a');
          node.a = y;
          break;
        case 2:
          must(x, node.b, 'b');
          node.b = y;
          break;
        case 3:
          must(z, node.counter, 'the counter');
          node.counter = OPERATIONS[x].apply(node.counter, y);
          break;
        case 4:
          node.kids.splice(y, z, ...node.kids.slice(x, x + z));
          break;
        case 5:
          must(y, node.kids[x], `kid ${x}`);
          node.kids[x] = z;
          break;
        case 6:
          must(x, node.a, 'a');
          must(y, node.b, 'b');
          [node.a, node.b] = [node.b, node.a];
          break;
        default:
          node.a = 0;
          node.b = 0;
          node.kids.fill(0);
      }
      node.version += 2;
    }
    model.set(id, node);
  }
  return { model, operations };
}

/** What additions of 1 returned are 0, 1, 2 …; returns how many there were for each node. */
function replayHits(logs) {
  const hits = group(logs, HIT, (log, i) => log[i + 2]);
  for (const [id, list] of hits) {
    list.sort((x, y) => x - y);
    for (const [i, value] of list.entries()) if (value !== i) wrong(`the hits of node ${id} are ${list}`);
  }
  return hits;
}

/** The heap at the end equals the model at the end, for everything that can be reached. */
function compare(m, types, table, slots, { last, model, hits }) {
  const graph = new Graph(m, types);
  const { at } = graph;
  const must = (is, expected, what) => {
    if (is !== expected) wrong(`at the end ${what} is ${is} instead of ${expected}`);
  };
  const ids = new Map();
  const queue = [];
  const meet = (ref) => {
    const id = graph.idOf(ref);
    if (ref === NULL) return id;
    if (ids.has(id)) must(ref, ids.get(id), `the address of node ${id}`);
    else {
      ids.set(id, ref);
      queue.push(ref);
    }
    return id;
  };
  for (let i = 0; i < slots; i++)
    must(meet(m.getElement(table.get(), i)), last.get(i * 8 + SLOT), `slot ${i} of the table`);
  for (let ref = queue.pop(); ref !== undefined; ref = queue.pop()) {
    const id = graph.idOf(ref);
    const node = model.get(id) ?? { a: 0, b: 0, counter: 0, kids: new Array(KIDS).fill(0), version: 0 };
    must(meet(m.getRef(ref, at.a)), node.a, `a of node ${id}`);
    must(meet(m.getRef(ref, at.b)), node.b, `b of node ${id}`);
    must(m.getI32(ref, at.counter), node.counter, `the counter of node ${id}`);
    must(m.getI32(ref, at.version), node.version, `the version of node ${id}`);
    must(m.getI32(ref, at.hits), hits.get(id)?.length ?? 0, `hits of node ${id}`);
    must(meet(m.getRef(ref, at.link)), last.get(id * 8 + LINK) ?? 0, `link of node ${id}`);
    must(m.getI32(ref, at.word), last.get(id * 8 + WORD) ?? 0, `word of node ${id}`);
    must(Number(m.atomicLoadI64(ref, at.wide)), last.get(id * 8 + WIDE) ?? 0, `wide of node ${id}`);
    const kids = m.getRef(ref, at.kids);
    for (let i = 0; i < KIDS; i++) must(meet(m.getElement(kids, i)), node.kids[i], `kid ${i} of node ${id}`);
  }
  return ids.size;
}

// ---------------------------------------------------------------------------------------------------------------------------

/** One heap, `threads` mutators, `steps` steps each; for `seconds`, one heap after the other. The first wrong value ends it. */
async function graph({ options, seed, threads = 4, steps = 20_000, slots = 24, seconds = 0 }) {
  const end = performance.now() + seconds * 1000;
  const total = { rounds: 0, cycles: 0, free: 0, owned: 0, faults: 0, reachable: 0, outOfMemory: 0 };
  do {
    await round({ options, seed: seed + total.rounds, threads, steps, slots }, total);
  } while (performance.now() < end);
  return total;
}

async function round({ options, seed, threads, steps, slots }, total) {
  process.stderr.write(`seed ${seed}\n`);
  const heap = await createHeap(options);
  const abandoned = [];
  heap.on('abandoned', (error) => abandoned.push(String(error)));
  const types = { node: heap.defineRecord('Node', NODE), refs: heap.defineRefArray('Refs') };
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach({ name: 'main' });
  const first = new Map();
  const table = m.run(() => {
    const graph = new Graph(m, types);
    const table = m.persist(m.allocateArray(types.refs, slots));
    for (let i = 0; i < slots; i++) {
      m.scope(() => {
        const node = graph.make(FIRST_ID + i);
        m.setElement(table.get(), i, m.get(node));
        first.set(i * 8 + SLOT, FIRST_ID + i);
      });
    }
    return table;
  });
  const tickets = new Int32Array(new SharedArrayBuffer(4));
  const results = await Promise.all(
    Array.from({ length: threads }, (_, index) => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: {
          graph: { types, table: table.share(), slots, tickets, index, seed: hash(seed, index), bytes },
          shared: heap.share(),
          steps,
        },
      });
      return new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.once('exit', (code) => reject(new Error(`a mutator thread exited with ${code}`)));
      });
    }),
  );
  const logs = results.map(({ log }) => log);
  const { last, operations: free } = replayFree(logs, first);
  const { model, operations: owned } = replayOwned(logs);
  const hits = replayHits(logs);
  const reachable = m.run(() => {
    const found = compare(m, types, table, slots, { last, model, hits });
    m.collect();
    compare(m, types, table, slots, { last, model, hits });
    return found;
  });
  const { cycles, faults } = heap.stats();
  m.detach();
  await heap.close();
  if (abandoned.length > 0) throw new Error(`cycles were abandoned: ${abandoned}`);
  total.rounds++;
  total.cycles += cycles;
  total.free += free;
  total.owned += owned;
  total.faults += faults.count;
  total.reachable += reachable;
  total.outOfMemory += results.reduce((sum, one) => sum + one.outOfMemory, 0);
}

if (isMainThread) {
  await main({ graph });
} else {
  const heap = attachHeap(workerData.shared);
  const m = heap.attach({ name: `mutator ${workerData.graph.index}` });
  const mutations = new Mutations(heap, m, workerData.graph);
  mutations.run(workerData.steps);
  m.detach();
  parentPort.postMessage({ log: Float64Array.from(mutations.log), outOfMemory: mutations.outOfMemory });
}
