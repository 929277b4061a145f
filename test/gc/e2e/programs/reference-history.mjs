// Random histories with weak records, ephemerons and guards against a plain JavaScript model that knows what is reachable.
//
// While collections run beside the history, the model cannot know whether an unreachable object is dead yet; it knows the rules:
//
//   - what is reachable is there, and every weak field that names it gives it
//   - a weak field that names an unreachable object gives it, or null; once one gave null, all others do (they die at one instant)
//   - what was given is alive, and so is all it reaches: none of that may have been seen dead
//   - a guarded object is delivered only when it is unreachable
//
// What an unreachable guarded object reaches may have come back with it: it is *touched*. For weak fields inside of what came back it never
// died, for others it did; the model believes either until the history next stands still.
//
// Now and then the history stands still, lets the collector become idle and asks for one collection: after it the model is exact. Every
// unreachable object is dead for every weak field, and guarded ones are delivered in the order of their registration.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { assert, attachHeap, control, createHeap, layout, main, NULL, Random } from './support.mjs';

const ROOTS = 24;

function defineTypes(heap) {
  return {
    node: heap.defineRecord('Node', { id: 'i32', a: 'ref', b: 'ref' }),
    weak: heap.defineWeakRecord('Weak', { id: 'i32', a: 'ref', b: 'ref' }),
    ephemeron: heap.defineEphemeron('Ephemeron', { id: 'i32', a: 'ref', b: 'ref' }),
    refs: heap.defineRefArray('Refs'),
  };
}

class History {
  constructor(heap, m, types, { seed, queue = 0, alone = true, filler = 60 }) {
    Object.assign(this, { heap, m, types, queue, alone, filler, random: new Random(seed) });
    this.roots = new Array(ROOTS).fill(null);
    this.pinsRoots = seed % 2 === 0;
    /** All nodes with weak fields, reachable or not: those whose death was not seen. */
    this.withWeak = new Set();
    this.guards = [];
    this.nextId = (seed % 1000) * 1_000_000;
    this.counts = { steps: 0, nulls: 0, alive: 0, revived: 0, delivered: 0, exact: 0, reachable: 0 };
  }

  // -- the model

  /** What `starts` reach; `surely`: without the values of ephemerons that may have lost their keys. */
  closure(starts, surely = false) {
    const seen = new Set();
    const stack = [];
    const waiting = new Map();
    const reach = (node) => {
      if (node === null || seen.has(node)) return;
      seen.add(node);
      stack.push(node);
    };
    for (const node of starts) reach(node);
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      reach(node.strong[0]);
      reach(node.strong[1]);
      if (node.kind === 'ephemeron' && node.target !== null && !(surely && node.target.touched)) {
        if (seen.has(node.target)) reach(node.value);
        else waiting.set(node.target, [...(waiting.get(node.target) ?? []), node]);
      }
      for (const ephemeron of waiting.get(node) ?? []) reach(ephemeron.value);
      waiting.delete(node);
    }
    return seen;
  }

  reachable() {
    return this.closure(this.roots);
  }

  /** Before what is unreachable may become reachable again. */
  touch() {
    const reachable = this.closure(this.roots, true);
    const guarded = this.guards.filter((node) => !reachable.has(node));
    // With the roots, because a reachable key counts for an ephemeron that comes back.
    for (const node of this.closure([...this.roots, ...guarded]))
      if (!reachable.has(node)) node.touched = true;
    return reachable;
  }

  /** `ref` was read from a weak field of `owner`, a reachable node; the model's view of that is brought up to date. */
  observe(owner, ref, reachable) {
    const { target } = owner;
    const name = `the weak field of ${owner.kind} ${owner.id}`;
    if (target === null) {
      assert(ref === NULL, () => `${name} is ${ref} instead of null`);
      return;
    }
    if (ref === NULL) {
      assert(target.touched || !reachable.has(target), () => `${name} lost ${target.id}, which is reachable`);
      target.dead = true;
      this.clear(owner);
      this.counts.nulls++;
      return;
    }
    assert(this.idOf(ref) === target.id, () => `${name} gives ${this.idOf(ref)} instead of ${target.id}`);
    if (reachable.has(target) || target.touched) return;
    this.counts.alive++;
    for (const node of this.closure([target], true))
      assert(
        !node.dead || node.touched,
        () => `${node.id} was seen dead, and ${target.id}, which reaches it, is alive`,
      );
  }

  clear(owner) {
    owner.target = null;
    owner.value = null;
  }

  // -- the heap

  idOf(ref) {
    const { m, types } = this;
    const id = m.typeId(ref);
    const type = [types.node, types.weak, types.ephemeron].find((each) => each.id === id);
    assert(type !== undefined, () => `there is no node at ${ref}, but a ${id}`);
    return m.getI32(ref, type.offset.id);
  }

  strongRef(node, ref, i) {
    return this.m.getRef(ref, this.types[node.kind].offset[i === 0 ? 'a' : 'b']);
  }

  readTarget(node, ref) {
    return node.kind === 'weak' ? this.m.getWeak(ref) : this.m.getKey(ref);
  }

  newNode() {
    const { m, random, types } = this;
    const kind = random.pick(['node', 'node', 'weak', 'ephemeron']);
    const ref = random.int(3) === 0 ? m.allocatePinned(types[kind]) : m.allocate(types[kind]);
    const node = {
      kind,
      id: this.nextId++,
      strong: [null, null],
      target: null,
      value: null,
      dead: false,
      touched: false,
    };
    m.setI32(ref, types[kind].offset.id, node.id);
    if (kind !== 'node') this.withWeak.add(node);
    return { node, ref };
  }

  root(i) {
    return this.m.getElement(this.m.get(this.array), i);
  }

  setRoot(i, found) {
    this.roots[i] = found?.node ?? null;
    this.m.setElement(this.m.get(this.array), i, found?.ref ?? NULL);
  }

  /** A random reachable node with its address, found by walking along strong fields. */
  walk(wanted = () => true) {
    const { random } = this;
    const start = random.int(ROOTS);
    let node = this.roots[start];
    if (node === null) return null;
    let ref = this.root(start);
    let found = null;
    for (let hops = random.int(8); ; hops--) {
      assert(this.idOf(ref) === node.id, () => `a walk met ${this.idOf(ref)} instead of ${node.id}`);
      if (wanted(node)) found = { node, ref };
      const i = random.int(2);
      if (hops <= 0 || node.strong[i] === null) return found;
      ref = this.strongRef(node, ref, i);
      node = node.strong[i];
    }
  }

  link(owner, i, child) {
    owner.node.strong[i] = child?.node ?? null;
    this.m.setRef(owner.ref, this.types[owner.node.kind].offset[i === 0 ? 'a' : 'b'], child?.ref ?? NULL);
  }

  /**
   * Everything reachable, with its weak fields. After a collection these hold nothing but what was reachable then, or, in what it brought
   * back, what it brought back.
   */
  compare(isThere = () => true) {
    const { m } = this;
    const reachable = this.touch();
    const at = new Map();
    const stack = [];
    const meet = (node, ref, where) => {
      if (node === null) {
        assert(ref === NULL, () => `${where} is not null`);
        return;
      }
      if (at.has(node)) {
        assert(at.get(node) === ref, () => `${where}: ${node.id} has two addresses`);
        return;
      }
      assert(ref !== NULL && this.idOf(ref) === node.id, () => `${where} is not ${node.id}`);
      at.set(node, ref);
      stack.push(node);
    };
    for (let i = 0; i < ROOTS; i++) meet(this.roots[i], this.root(i), `root ${i}`);
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      const ref = at.get(node);
      for (const i of [0, 1]) meet(node.strong[i], this.strongRef(node, ref, i), `field ${i} of ${node.id}`);
      if (node.kind === 'node') continue;
      const { value } = node;
      const target = this.readTarget(node, ref);
      this.observe(node, target, reachable);
      if (target !== NULL) assert(isThere(node, node.target), () => `${node.target.id} should be dead`);
      if (node.kind === 'ephemeron') {
        if (node.target === null) assert(m.getValue(ref) === NULL, () => `${node.id} has a value and no key`);
        else if (reachable.has(node.target) || at.has(node.target))
          meet(value, m.getValue(ref), `the value of ${node.id}`);
      }
    }
    this.counts.reachable += at.size;
  }

  /** Asks for one ready object; the caller may use the reference until its next safepoint. */
  deliver() {
    const ref = this.m.nextFinalizable(this.queue);
    if (ref === NULL) return null;
    const id = this.idOf(ref);
    const index = this.guards.findIndex((node) => node.id === id);
    assert(index >= 0, () => `${id} was delivered and is not guarded`);
    const reachable = this.touch();
    const [node] = this.guards.splice(index, 1);
    // Touched, it was reached again by another way than this.
    assert(node.touched, () => `${id} was delivered and was never unreachable`);
    assert(!reachable.has(node) || node.touched, () => `${id} was delivered and is reachable`);
    this.counts.delivered++;
    return { node, ref };
  }

  /** With nothing else going on: one collection, after which everything is known. */
  exact() {
    const { m } = this;
    const words = control(this.heap);
    // What became ready in some earlier cycle holds on to what it reaches: it is taken out first.
    m.collect();
    while (Atomics.load(words, layout.CTL_CYCLES_ASKED) !== Atomics.load(words, layout.CTL_CYCLES_DONE))
      m.safepoint();
    while (this.deliver() !== null);
    // Reads what is left in all weak fields that can be read: from here on the model knows them.
    this.compare();
    const reachable = this.reachable();
    // All but those that something unreachable names weakly: that could not be read, and may come back.
    const unread = new Set(
      [...this.withWeak].filter((owner) => !reachable.has(owner)).map(({ target }) => target),
    );
    for (const node of reachable) {
      if (unread.has(node)) continue;
      node.touched = false;
      node.dead = false;
    }
    const dead = this.guards.filter((node) => !reachable.has(node));
    // What comes back in this collection.
    const back = new Set([...this.closure([...this.roots, ...dead])].filter((node) => !reachable.has(node)));
    m.collect();
    const kept = [];
    for (let ref = m.nextFinalizable(this.queue); ref !== NULL; ref = m.nextFinalizable(this.queue))
      kept.push(ref);
    const [got, wanted] = [kept.map((ref) => this.idOf(ref)).join(), dead.map((node) => node.id).join()];
    assert(got === wanted, () => `delivered ${got} instead of ${wanted}`);
    this.guards = this.guards.filter((node) => reachable.has(node));
    for (const owner of this.withWeak) {
      const { target } = owner;
      if (target === null || !(reachable.has(owner) || back.has(owner))) continue;
      // Weak fields of what was reachable have lost what was not; those of what came back keep what came back too.
      if (reachable.has(target) || target.touched || (back.has(owner) && back.has(target))) continue;
      this.clear(owner);
    }
    for (const node of back) node.dead = false;
    // Some of what came back is kept.
    for (const [i, node] of dead.entries())
      if (this.random.int(2) === 0) this.setRoot(this.random.int(ROOTS), { node, ref: kept[i] });
    const now = this.reachable();
    for (const owner of this.withWeak) if (!now.has(owner)) this.withWeak.delete(owner);
    this.counts.delivered += kept.length;
    this.counts.exact++;
    this.compare(
      (owner, target) => reachable.has(target) || target.touched || (back.has(owner) && back.has(target)),
    );
  }

  step() {
    const { m, random } = this;
    this.counts.steps++;
    const r = random.int(1000);
    if (r < 300) {
      const made = this.newNode();
      for (const i of [0, 1]) if (random.int(2) === 0) this.link(made, i, this.walk());
      if (made.node.kind !== 'node') this.aim(made);
      const owner = this.walk();
      if (owner === null || random.int(3) === 0) this.setRoot(random.int(ROOTS), made);
      else this.link(owner, random.int(2), made);
    } else if (r < 420) {
      const owner = this.walk();
      if (owner !== null) this.link(owner, random.int(2), random.int(5) === 0 ? null : this.walk());
    } else if (r < 520) {
      this.setRoot(random.int(ROOTS), random.int(5) === 0 ? null : this.walk());
    } else if (r < 640) {
      const owner = this.walk((node) => node.kind !== 'node');
      if (owner !== null) this.aim(owner);
    } else if (r < 860) {
      const owner = this.walk((node) => node.kind !== 'node');
      if (owner === null) return;
      const ref = this.readTarget(owner.node, owner.ref);
      const reachable = this.touch();
      this.observe(owner.node, ref, reachable);
      // What was unreachable and is still there becomes reachable again.
      if (ref !== NULL && !reachable.has(owner.node.target) && random.int(2) === 0) {
        this.counts.revived++;
        this.setRoot(random.int(ROOTS), { node: owner.node.target, ref });
      }
    } else if (r < 890) {
      // An ephemeron's value, by itself.
      const owner = this.walk((node) => node.kind === 'ephemeron');
      if (owner === null) return;
      const { node } = owner;
      const ref = m.getValue(owner.ref);
      if (node.target === null || (ref !== NULL && node.value === null))
        assert(ref === NULL, () => `${node.id} has a value`);
      else if (ref !== NULL) assert(this.idOf(ref) === node.value.id, () => `${node.id} has the wrong value`);
      else if (!node.target.touched && this.closure(this.roots, true).has(node.target))
        assert(node.value === null, () => `${node.id} lost its value`);
    } else if (r < 925) {
      const found = this.walk();
      if (found === null) return;
      m.guard(found.ref, this.queue);
      this.guards.push(found.node);
    } else if (r < 955) {
      const back = this.deliver();
      if (back !== null && random.int(2) === 0) this.setRoot(random.int(ROOTS), back);
    } else if (r < 990) {
      m.allocateArray(this.types.refs, random.int(this.filler * 10));
    } else if (r < 997) {
      m.safepoint();
    } else if (this.alone && random.int(3) === 0) {
      this.exact();
    } else if (random.int(4) === 0) {
      m.collect();
    }
  }

  /** Gives a node another weak target. */
  aim({ node, ref }) {
    const { m, random } = this;
    const target = random.int(6) === 0 ? null : this.walk();
    node.target = target?.node ?? null;
    if (node.kind === 'weak') {
      m.setWeak(ref, target?.ref ?? NULL);
      return;
    }
    const value = random.int(5) === 0 ? null : this.walk();
    node.value = target === null ? null : (value?.node ?? null);
    m.setEphemeron(ref, target?.ref ?? NULL, value?.ref ?? NULL);
  }

  run(steps) {
    const { m } = this;
    m.scope(() => {
      this.array = m.local(
        this.pinsRoots
          ? m.allocatePinnedArray(this.types.refs, ROOTS)
          : m.allocateArray(this.types.refs, ROOTS),
      );
      for (let i = 1; i <= steps; i++) {
        this.step();
        if (i % 500 === 0) {
          this.compare();
          if (this.reachable().size > 3000)
            for (let k = 0; k < ROOTS; k++) if (this.random.int(2) === 0) this.setRoot(k, null);
        }
      }
      if (!this.alone) return;
      // One at least comes back, whatever chance has made of the others.
      const { node, ref } = this.newNode();
      m.guard(ref, this.queue);
      this.guards.push(node);
      this.exact();
    });
  }
}

function runOne(heap, types, config) {
  const m = heap.attach();
  const history = new History(heap, m, types, config);
  m.run(() => history.run(config.steps));
  m.detach();
  return history.counts;
}

async function references({ options, seed, steps, threads = 1, filler }) {
  process.stderr.write(`seed ${seed}\n`);
  const heap = await createHeap(options);
  const failed = [];
  heap.on('abandoned', (error) => failed.push(String(error)));
  const types = defineTypes(heap);
  const alone = threads === 1;
  const config = (i) => ({ seed: seed + i, steps, queue: i, alone, filler });
  const workers = Array.from({ length: threads - 1 }, (_, i) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { shared: heap.share(), types, config: config(i + 1) },
    });
    return new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`a mutator thread exited with ${code}`)));
    });
  });
  const all = [runOne(heap, types, config(0)), ...(await Promise.all(workers))];
  const { cycles } = heap.stats();
  await heap.close();
  await new Promise((resolve) => setImmediate(resolve));
  assert(failed.length === 0, `cycles were abandoned: ${failed}`);
  const total = { cycles };
  for (const counts of all) for (const [key, n] of Object.entries(counts)) total[key] = (total[key] ?? 0) + n;
  return total;
}

if (isMainThread) await main({ references });
else {
  const { shared, types, config } = workerData;
  parentPort.postMessage(runOne(attachHeap(shared), types, config));
}
