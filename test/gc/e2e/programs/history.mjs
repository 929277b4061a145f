// Random histories: a heap and a model of it in plain JavaScript go through the same random operations, and are compared, node by
// node, with identities, when they meet. A difference names the seed.
//
// History.step works on one mutator; several threads run one each on the same heap.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { assert, attachHeap, createHeap, hash, main, NULL, Random, sleep } from './support.mjs';

const ROOTS = 24;
const PERSISTENTS = 12;
const BIG_BYTES = 13000 & -8;
const BIG_REFS = [8, 4088, 4092, 4096, 8184, 8192, 12996 & -4];

export function defineTypes(heap) {
  const wide = {};
  for (let i = 0; i < 150; i++) wide[`f${i}`] = i % 3 === 0 ? 'ref' : 'i32';
  return {
    leaf: heap.defineRecord('Leaf', { value: 'i32' }),
    pair: heap.defineRecord('Pair', { a: 'ref', s: 'u8', x: 'f64', b: 'ref' }),
    wide: heap.defineRecord('Wide', wide),
    big: heap.defineRecordLayout('Big', BIG_BYTES, BIG_REFS),
    refs: heap.defineRefArray('Refs'),
    bytes: heap.defineArray('Bytes', 'u8'),
    ints: heap.defineArray('Ints', 'i32'),
    doubles: heap.defineArray('Doubles', 'f64'),
  };
}

/** Per kind of node: where its references are, what else it holds, and how it is checked. */
class Shapes {
  constructor(types) {
    this.types = types;
    this.big = { kind: 'record', id: types.big, name: 'Big', bytes: BIG_BYTES, offset: {}, fields: {} };
    const refsOf = (type) =>
      Object.keys(type.fields)
        .filter((f) => type.fields[f] === 'ref')
        .map((f) => type.offset[f]);
    const intsOf = (type) =>
      Object.keys(type.fields)
        .filter((f) => type.fields[f] === 'i32')
        .map((f) => type.offset[f]);
    this.slots = { leaf: [], pair: refsOf(types.pair), wide: refsOf(types.wide), big: BIG_REFS, raw: [] };
    this.words = {
      leaf: intsOf(types.leaf),
      pair: [],
      wide: intsOf(types.wide),
      big: [12, 16, 4084, 4100, 8188, BIG_BYTES - 8],
      raw: [],
    };
  }
  slot(node, i) {
    return node.kind === 'refs' ? 8 + 4 * i : this.slots[node.kind][i];
  }
}

export class History {
  constructor(heap, m, types, seed, config) {
    this.heap = heap;
    this.m = m;
    this.shapes = new Shapes(types);
    this.random = new Random(seed);
    this.config = { maxArray: 5000, maxRaw: 20000, roots: ROOTS, share: 1, ...config };
    this.tag = hash(seed, 1) & 0xffff;
    this.roots = [];
    this.persistents = [];
    this.liveBytes = 0;
    this.sinceCompare = 0;
    this.outOfMemory = 0;
    this.compared = 0;
    this.allocated = 0;
  }

  begin() {
    for (let i = 0; i < this.config.roots; i++) this.roots.push({ local: this.m.local(NULL), node: null });
  }

  // -- bodies: everything in an object that is not a reference

  fill(node, ref) {
    const { m } = this;
    m.u8[ref + 2] = node.tag & 0xff;
    m.u8[ref + 3] = (node.tag >>> 8) & 0xff;
    if (node.kind === 'raw') {
      const { seed, length, view } = node;
      const at = ref + 8;
      if (view === 'u8') for (let i = 0; i < length; i++) m.u8[at + i] = hash(seed, i);
      else if (view === 'i32') for (let i = 0; i < length; i++) m.i32[(at >> 2) + i] = hash(seed, i);
      else for (let i = 0; i < length; i++) m.f64[(at >> 3) + i] = hash(seed, i) / 3;
      return;
    }
    if (node.kind === 'refs') return;
    m.i32[(ref >> 2) + 1] = hash(node.seed, 99);
    for (const at of this.shapes.words[node.kind]) m.i32[(ref + at) >> 2] = hash(node.seed, at);
    if (node.kind === 'pair') {
      const { offset } = this.shapes.types.pair;
      m.f64[(ref + offset.x) >> 3] = node.seed * 1.5;
      m.u8[ref + offset.s] = node.seed & 0xff;
    }
  }

  check(node, ref) {
    const { m } = this;
    const bad = (what) => {
      throw new Error(`the ${node.kind} ${node.tag} at ${ref}: ${what}`);
    };
    const tag = m.u8[ref + 2] | (m.u8[ref + 3] << 8);
    if (tag !== node.tag) bad(`its tag is ${tag}, its type ${m.typeId(ref)}`);
    if (node.kind === 'raw') {
      const { seed, length, view } = node;
      if (m.length(ref) !== length) bad(`its length is ${m.length(ref)} instead of ${length}`);
      const at = ref + 8;
      if (view === 'u8') {
        for (let i = 0; i < length; i++)
          if (m.u8[at + i] !== (hash(seed, i) & 0xff)) bad(`byte ${i} is ${m.u8[at + i]}`);
      } else if (view === 'i32') {
        for (let i = 0; i < length; i++)
          if (m.u32[(at >> 2) + i] !== hash(seed, i)) bad(`word ${i} is ${m.u32[(at >> 2) + i]}`);
      } else {
        for (let i = 0; i < length; i++)
          if (m.f64[(at >> 3) + i] !== hash(seed, i) / 3) bad(`double ${i} is ${m.f64[(at >> 3) + i]}`);
      }
      return 8 + length * (view === 'u8' ? 1 : view === 'i32' ? 4 : 8);
    }
    if (node.kind === 'refs') {
      if (m.length(ref) !== node.refs.length)
        bad(`its length is ${m.length(ref)} instead of ${node.refs.length}`);
      return 8 + node.refs.length * 4;
    }
    if (m.u32[(ref >> 2) + 1] !== hash(node.seed, 99)) bad('its header word changed');
    for (const at of this.shapes.words[node.kind]) {
      if (m.u32[(ref + at) >> 2] !== hash(node.seed, at))
        bad(`the word at ${at} is ${m.u32[(ref + at) >> 2]}`);
    }
    if (node.kind === 'pair') {
      const { offset } = this.shapes.types.pair;
      if (m.f64[(ref + offset.x) >> 3] !== node.seed * 1.5) bad(`x is ${m.f64[(ref + offset.x) >> 3]}`);
      if (m.u8[ref + offset.s] !== (node.seed & 0xff)) bad(`s is ${m.u8[ref + offset.s]}`);
    }
    return node.kind === 'big' ? BIG_BYTES : this.shapes.types[node.kind].bytes;
  }

  /** Compares everything that is reachable, with identities: two names of one node are two names of one object. */
  compare() {
    const { m } = this;
    const at = new Map();
    const owner = new Map();
    const queue = [];
    let bytes = 0;
    const meet = (node, ref, where) => {
      if (node === null) {
        assert(ref === NULL, () => `${where()} is ${ref} instead of null`);
        return;
      }
      const known = at.get(node);
      if (known !== undefined) {
        assert(known === ref, () => `${where()} names ${ref}, and the same node is at ${known} elsewhere`);
        return;
      }
      assert(ref > 0 && ref % 8 === 0, () => `${where()} is ${ref}, the model has a ${node.kind}`);
      assert(!owner.has(ref), () => `${where()} names ${ref}, which is another node already`);
      assert(
        node.pinnedAt === undefined || node.pinnedAt === ref,
        () => `${where()}: a pinned ${node.kind} has moved`,
      );
      at.set(node, ref);
      owner.set(ref, node);
      queue.push(node);
    };
    for (const [i, root] of this.roots.entries()) meet(root.node, m.get(root.local), () => `root ${i}`);
    for (const [i, root] of this.persistents.entries()) {
      meet(root.node, root.handle.get(), () => `persistent ${i}`);
    }
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      const ref = at.get(node);
      bytes += this.check(node, ref);
      const { refs, kind, tag } = node;
      for (let i = 0; i < (refs?.length ?? 0); i++) {
        meet(refs[i], m.getRef(ref, this.shapes.slot(node, i)), () => `slot ${i} of ${kind} ${tag}`);
      }
    }
    this.liveBytes = bytes;
    this.sinceCompare = 0;
    this.compared++;
    return at.size;
  }

  // -- operations

  /** A random node with its present address, found by walking from a root; checks every tag on its way. */
  walk(wantsSlots = false) {
    const { m, random } = this;
    const start =
      random.int(8) === 0 && this.persistents.length > 0
        ? random.pick(this.persistents)
        : random.pick(this.roots);
    let node = start.node;
    if (node === null) return null;
    let ref = start.handle === undefined ? m.get(start.local) : start.handle.get();
    let found = null;
    for (let hops = random.int(10); ; hops--) {
      assert(
        ref !== NULL && (m.u8[ref + 2] | (m.u8[ref + 3] << 8)) === node.tag,
        () => `a walk met ${ref} instead of ${node.kind} ${node.tag}`,
      );
      if (!wantsSlots || (node.refs !== null && node.refs.length > 0)) found = { node, ref };
      if (hops <= 0 || node.refs === null || node.refs.length === 0) return found;
      const i = random.int(node.refs.length);
      if (node.refs[i] === null) return found;
      ref = m.getRef(ref, this.shapes.slot(node, i));
      node = node.refs[i];
    }
  }

  newNode() {
    const { random } = this;
    this.tag = (this.tag + 1) & 0xffff;
    const base = { tag: this.tag, seed: random.next(), refs: null };
    const r = random.int(100);
    if (r < 20) return { ...base, kind: 'leaf' };
    if (r < 60) return { ...base, kind: 'pair', refs: [null, null] };
    if (r < 70) return { ...base, kind: 'wide', refs: new Array(this.shapes.slots.wide.length).fill(null) };
    if (r < 75) return { ...base, kind: 'big', refs: new Array(BIG_REFS.length).fill(null) };
    if (r < 87) {
      const length = random.int(4) === 0 ? random.int(this.config.maxArray + 1) : random.int(40);
      return { ...base, kind: 'refs', refs: new Array(length).fill(null) };
    }
    const view = random.pick(['u8', 'i32', 'f64']);
    const length = Math.floor(
      random.int(random.pick([8, 100, 1000, this.config.maxRaw])) /
        (view === 'f64' ? 8 : view === 'i32' ? 4 : 1),
    );
    return { ...base, kind: 'raw', view, length };
  }

  bytesOf(node) {
    if (node.kind === 'raw') return 16 + node.length * (node.view === 'u8' ? 1 : node.view === 'i32' ? 4 : 8);
    if (node.kind === 'refs') return 16 + node.refs.length * 4;
    return node.kind === 'big' ? BIG_BYTES : this.shapes.types[node.kind].bytes;
  }

  allocateOnce(node) {
    const { types } = this.shapes;
    node.pinnedAt = undefined;
    if (this.random.int(100) < (this.config.pinnedPercent ?? 10)) {
      const ref = this.allocatePinned(node);
      assert(this.m.isPinned(ref), () => `${ref} was allocated pinned and is not`);
      node.pinnedAt = ref;
      return ref;
    }
    if (node.kind === 'refs') return this.m.allocateArray(types.refs, node.refs.length);
    if (node.kind === 'raw')
      return this.m.allocateArray(
        { u8: types.bytes, i32: types.ints, f64: types.doubles }[node.view],
        node.length,
      );
    return this.m.allocate(node.kind === 'big' ? this.shapes.big : types[node.kind]);
  }

  allocatePinned(node) {
    const { types } = this.shapes;
    if (node.kind === 'refs') return this.m.allocatePinnedArray(types.refs, node.refs.length);
    if (node.kind === 'raw')
      return this.m.allocatePinnedArray(
        { u8: types.bytes, i32: types.ints, f64: types.doubles }[node.view],
        node.length,
      );
    return this.m.allocatePinned(node.kind === 'big' ? this.shapes.big : types[node.kind]);
  }

  /** Allocates; when the heap is full, forgets roots until it fits. */
  allocate(node) {
    for (let attempt = 0; ; attempt++) {
      try {
        const ref = this.allocateOnce(node);
        this.fill(node, ref);
        this.sinceCompare += this.bytesOf(node);
        this.allocated++;
        return ref;
      } catch (error) {
        if (error?.code !== 'ERR_OUT_OF_MEMORY') throw error;
        this.outOfMemory++;
        // Alone on the heap, no roots means no live object: whatever is smaller than the heap must fit then.
        if (attempt > 12)
          throw new Error(`out of memory for ${this.bytesOf(node)} bytes with no root left`, {
            cause: error,
          });
        this.forget(attempt < 4 ? 0.5 : 1);
        if (attempt >= 2 && this.config.share < 1) this.m.blocking(() => sleep(2));
      }
    }
  }

  forget(part) {
    for (const root of this.roots)
      if (part === 1 || this.random.int(100) < part * 100) this.setRoot(root, null, NULL);
    for (const root of this.persistents) {
      if (part === 1 || this.random.int(100) < part * 100) {
        root.handle.set(NULL);
        root.node = null;
      }
    }
  }

  setRoot(root, node, ref) {
    root.node = node;
    this.m.set(root.local, ref);
  }

  link(owner, i, child) {
    owner.node.refs[i] = child?.node ?? null;
    this.m.setRef(owner.ref, this.shapes.slot(owner.node, i), child?.ref ?? NULL);
  }

  step() {
    const { m, random } = this;
    const r = random.int(1000);
    if (r < 400) {
      const node = this.newNode();
      let ref = this.allocate(node);
      // A new array or record gets some of its references at once.
      for (let k = Math.min(node.refs?.length ?? 0, random.int(6)); k > 0; k--)
        this.link({ node, ref }, random.int(node.refs.length), this.walk());
      const owner = this.walk(true);
      if (owner === null || random.int(3) === 0) this.setRoot(random.pick(this.roots), node, ref);
      else this.link(owner, random.int(owner.node.refs.length), { node, ref });
      ref = NULL;
    } else if (r < 600) {
      const owner = this.walk(true);
      if (owner !== null)
        this.link(owner, random.int(owner.node.refs.length), random.int(5) === 0 ? null : this.walk());
    } else if (r < 680) {
      // Swap two fields: the marker must not lose what is hidden this way.
      const [a, b] = [this.walk(true), this.walk(true)];
      if (a !== null && b !== null) {
        const [i, j] = [random.int(a.node.refs.length), random.int(b.node.refs.length)];
        const left = { node: a.node.refs[i], ref: m.getRef(a.ref, this.shapes.slot(a.node, i)) };
        const right = { node: b.node.refs[j], ref: m.getRef(b.ref, this.shapes.slot(b.node, j)) };
        this.link(a, i, right);
        this.link(b, j, left);
      }
    } else if (r < 740) {
      const found = this.walk();
      this.setRoot(random.pick(this.roots), found?.node ?? null, found?.ref ?? NULL);
    } else if (r < 770) {
      this.setRoot(random.pick(this.roots), null, NULL);
    } else if (r < 800) {
      const found = this.walk();
      if (found !== null) {
        if (this.persistents.length < PERSISTENTS)
          this.persistents.push({ handle: m.persist(found.ref), node: found.node });
        else {
          const root = random.pick(this.persistents);
          root.handle.set(found.ref);
          root.node = found.node;
        }
      }
    } else if (r < 815) {
      if (this.persistents.length > 0)
        this.persistents.splice(random.int(this.persistents.length), 1)[0].handle.close();
    } else if (r < 900) {
      const found = this.walk();
      if (found !== null && found.node.kind !== 'refs') {
        found.node.seed = random.next();
        this.fill(found.node, found.ref);
      }
    } else if (r < 940) {
      // A scope: a chain that lives in handles while it grows, and becomes garbage or a root afterwards.
      m.scope(() => {
        const root = random.pick(this.roots);
        let node = root.node;
        let local = m.local(m.get(root.local));
        for (let k = random.int(6); k >= 0; k--) {
          this.tag = (this.tag + 1) & 0xffff;
          const pair = { tag: this.tag, seed: random.next(), kind: 'pair', refs: [node, null] };
          // Not `allocate`: that may forget roots, this chain lives in handles.
          let ref;
          try {
            ref = this.allocateOnce(pair);
          } catch (error) {
            if (error?.code !== 'ERR_OUT_OF_MEMORY') throw error;
            this.outOfMemory++;
            break;
          }
          this.fill(pair, ref);
          m.setRef(ref, this.shapes.slot(pair, 0), m.get(local));
          node = pair;
          local = m.local(ref);
        }
        if (random.int(2) === 0) this.setRoot(root, node, m.get(local));
      });
    } else if (r < 985) {
      const found = this.walk();
      if (found !== null) this.check(found.node, found.ref);
    } else if (r < 995) {
      m.safepoint();
    } else if (r < 998) {
      m.blocking(() => {
        if (random.int(4) === 0) sleep(1);
      });
    } else if (random.int(100) < (this.config.collectPercent ?? 40)) {
      m.collect({ release: random.int(3) === 0 });
    }
  }

  run(steps) {
    const { m } = this;
    const part = (this.heap.options.heap * this.config.share) / 2;
    m.scope(() => {
      this.begin();
      const every = this.config.compareEvery ?? Math.max(200, steps >> 4);
      for (let i = 1; i <= steps; i++) {
        this.step();
        if (i % every === 0 || this.sinceCompare > part) {
          this.compare();
          while (this.liveBytes > part * 0.8) {
            this.forget(0.5);
            this.compare();
          }
        }
      }
      if (this.config.collects) m.collect();
      this.compare();
    });
    for (const { handle } of this.persistents) handle.close();
  }
}

function runOne(heap, types, seed, config) {
  const m = heap.attach();
  const history = new History(heap, m, types, seed, config);
  try {
    m.run(() => history.run(config.steps));
  } finally {
    m.detach();
  }
  return { compared: history.compared, outOfMemory: history.outOfMemory, allocated: history.allocated };
}

async function histories({ options, seed, threads = 1, ...config }) {
  process.stderr.write(`seed ${seed}\n`);
  const heap = await createHeap(options);
  const failed = [];
  heap.on('abandoned', (error) => failed.push(String(error)));
  const types = defineTypes(heap);
  const workers = [];
  const each = { ...config, share: 1 / threads, collects: options.collector !== 'none' };
  for (let i = 1; i < threads; i++) {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { shared: heap.share(), types, seed: seed + i, config: each },
    });
    workers.push(
      new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.once('exit', (code) => reject(new Error(`a mutator thread exited with ${code}`)));
      }),
    );
  }
  const mine = runOne(heap, types, seed, each);
  const all = [mine, ...(await Promise.all(workers))];
  const statistics = heap.stats();
  await heap.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert(failed.length === 0, `cycles were abandoned: ${failed}`);
  const sum = (key) => all.reduce((total, one) => total + one[key], 0);
  return {
    cycles: statistics.cycles,
    faults: statistics.faults.count,
    compared: sum('compared'),
    allocated: sum('allocated'),
    outOfMemory: sum('outOfMemory'),
    sharedBytesPeak: statistics.sharedBytesPeak,
  };
}

if (isMainThread) {
  if (process.argv[1] === new URL(import.meta.url).pathname) await main({ histories });
} else if (workerData?.shared !== undefined) {
  const { shared, types, seed, config } = workerData;
  parentPort.postMessage(runOne(attachHeap(shared), types, seed, config));
}
