// ART 096-array-copy-concurrent-gc: bulk copies of references and of bytes race collections. Each thread copies between arrays of its own
// and compares with a model; and into an array that all share, whose elements must be whole at any moment.

import { assert, NULL, program, Random, sleep, spawn, stopWord } from './threads.mjs';

async function copies(heap, { threads, seconds, length, seed }) {
  const types = {
    node: heap.defineRecord('Node', { value: 'i32', check: 'i32' }),
    refs: heap.defineRefArray('Refs'),
    bytes: heap.defineArray('Bytes', 'u8'),
  };
  const m = heap.attach();
  const common = m.run(() => m.persist(m.allocateArray(types.refs, length)));
  const copied = new Int32Array(new SharedArrayBuffer(4));
  const stop = stopWord(seconds, () => heap.stats().cycles > 2 && Atomics.load(copied, 0) > 40);
  const data = { types, common: common.share(), length, stop, copied };
  const done = await Promise.all([
    spawn(import.meta.url, heap, { ...data, job: 'collect' }),
    ...Array.from({ length: threads }, (_, i) =>
      spawn(import.meta.url, heap, { ...data, job: 'copy', seed: seed + i }),
    ),
  ]);
  m.detach();
  return { copies: done.slice(1).reduce((sum, n) => sum + n, 0) };
}

function collect(_heap, m, { stop }) {
  while (Atomics.load(stop, 0) === 0) {
    m.collect();
    m.blocking(() => sleep(2));
  }
}

function copy(_heap, m, { types, common: shared, length, stop, copied: all, seed }) {
  const { node, refs, bytes } = types;
  const random = new Random(seed);
  const common = m.borrow(shared);
  const make = (value) => {
    const ref = m.allocate(node);
    m.setI32(ref, node.offset.value, value);
    m.setI32(ref, node.offset.check, ~value);
    return ref;
  };
  const check = (ref, expected) => {
    if (ref === NULL) return assert(expected === undefined || expected === -1, 'an element is gone');
    const value = m.getI32(ref, node.offset.value);
    assert(m.getI32(ref, node.offset.check) === ~value, `an element is no node: ${ref}`);
    assert(expected === undefined || value === expected, `an element is ${value} instead of ${expected}`);
  };
  const arrays = [0, 1].map(() => m.local(m.allocateArray(refs, length)));
  const models = arrays.map(() => new Array(length).fill(-1));
  const raw = m.local(m.allocateArray(bytes, length));
  const rawModel = new Uint8Array(length);
  let copied = 0;
  while (Atomics.load(stop, 0) === 0) {
    for (let k = 0; k < 20; k++) {
      const i = random.int(length);
      const which = random.int(2);
      const value = random.int(1 << 24);
      const ref = make(value);
      m.setElement(m.get(arrays[which]), i, ref);
      models[which][i] = value;
    }
    const range = () => {
      const count = random.int(length + 1);
      return [random.int(length - count + 1), random.int(length - count + 1), count];
    };
    {
      const [from, to, count] = range();
      const [s, t] = [random.int(2), random.int(2)];
      m.copyElements(m.get(arrays[s]), from, m.get(arrays[t]), to, count);
      const moved = models[s].slice(from, from + count);
      for (let i = 0; i < count; i++) models[t][to + i] = moved[i];
    }
    {
      const [from, to, count] = range();
      m.copyElements(m.get(arrays[0]), from, common.get(), to, count);
      if (random.int(10) === 0)
        m.fillElements(common.get(), from, from + count, m.getElement(m.get(arrays[1]), 0));
    }
    {
      const [from, to, count] = range();
      if (random.int(4) === 0) {
        m.fillBytes(m.get(raw), from, from + count, copied & 0xff);
        rawModel.fill(copied & 0xff, from, from + count);
      }
      m.copyBytes(m.get(raw), from, m.get(raw), to, count);
      rawModel.copyWithin(to, from, from + count);
    }
    copied++;
    Atomics.add(all, 0, 1);
    m.safepoint();
    for (let k = 0; k < 200; k++) {
      const i = random.int(length);
      check(m.getElement(m.get(arrays[0]), i), models[0][i]);
      check(m.getElement(m.get(arrays[1]), i), models[1][i]);
      check(m.getElement(common.get(), i));
      assert(m.u8[m.get(raw) + 8 + i] === rawModel[i], 'a byte is wrong');
    }
  }
  for (const [k, model] of models.entries())
    for (let i = 0; i < length; i++) check(m.getElement(m.get(arrays[k]), i), model[i]);
  return copied;
}

await program({ copies }, { copy, collect });
