// ART 102-concurrent-gc: holders whose references are taken out, hidden in handles over safepoints, and put into other holders, by several
// threads at once while cycles run. What the marker does not find in the heap at one moment it must find in a handle, or through a card.

import { assert, NULL, program, Random, sleep, spawn, stopWord } from './threads.mjs';

async function hide(heap, { threads, holders, seconds, seed }) {
  const types = {
    holder: heap.defineRecord('Holder', { held: 'ref', value: 'i32' }),
    refs: heap.defineRefArray('Refs'),
  };
  const { held, value } = types.holder.offset;
  const m = heap.attach();
  const table = m.run(() => {
    const table = m.persist(m.allocateArray(types.refs, holders));
    for (let i = 0; i < holders; i++) {
      m.scope(() => {
        const inner = m.local(m.allocate(types.holder));
        m.setI32(m.get(inner), value, i);
        const outer = m.allocate(types.holder);
        m.setRef(outer, held, m.get(inner));
        m.setElement(table.get(), i, outer);
      });
    }
    return table;
  });
  const moved = new Int32Array(new SharedArrayBuffer(4));
  const stop = stopWord(seconds, () => heap.stats().cycles > 3 && Atomics.load(moved, 0) > 2000);
  const collecting = spawn(import.meta.url, heap, { job: 'collect', stop });
  const moves = await Promise.all(
    Array.from({ length: threads }, (_, i) =>
      spawn(import.meta.url, heap, {
        job: 'move',
        types,
        table: table.share(),
        holders,
        stop,
        moved,
        seed: seed + i,
      }),
    ),
  );
  await collecting;
  m.run(() => {
    const seen = new Uint8Array(holders);
    for (let i = 0; i < holders; i++) {
      const inner = m.getRef(m.getElement(table.get(), i), held);
      assert(inner !== NULL, `holder ${i} is empty`);
      const is = m.getI32(inner, value);
      assert(is >= 0 && is < holders && seen[is] === 0, `holder ${i} holds ${is}, twice or out of range`);
      seen[is] = 1;
    }
  });
  m.detach();
  return { moves: moves.reduce((sum, n) => sum + n, 0) };
}

function move(_heap, m, { types, table: shared, holders, stop, moved, seed }) {
  const random = new Random(seed);
  const { held } = types.holder.offset;
  const table = m.borrow(shared);
  const hidden = Array.from({ length: 8 }, () => m.local(NULL));
  let moves = 0;
  const take = (local) => {
    const holder = m.getElement(table.get(), random.int(holders));
    m.set(local, random.int(2) === 0 ? m.exchangeRef(holder, held, NULL) : takeByCompare(m, holder, held));
  };
  const put = (local) => {
    while (m.get(local) !== NULL) {
      const holder = m.getElement(table.get(), random.int(holders));
      if (m.compareExchangeRef(holder, held, NULL, m.get(local)) === NULL) m.set(local, NULL);
      else if (random.int(16) === 0) {
        // Full: what is there comes out instead.
        m.set(local, m.exchangeRef(holder, held, m.get(local)));
      }
      if (random.int(64) === 0) m.safepoint();
    }
    moves++;
  };
  while (Atomics.load(stop, 0) === 0) {
    for (const local of hidden) take(local);
    for (let k = random.int(30); k > 0; k--) m.allocate(types.holder);
    m.safepoint();
    for (const local of hidden) put(local);
    Atomics.add(moved, 0, hidden.length);
  }
  return moves;
}

/** One collection after the other. */
function collect(_heap, m, { stop }) {
  while (Atomics.load(stop, 0) === 0) {
    m.collect();
    m.blocking(() => sleep(1));
  }
}

function takeByCompare(m, holder, held) {
  const seen = m.atomicLoadRef(holder, held);
  return seen !== NULL && m.compareExchangeRef(holder, held, seen, NULL) === seen ? seen : NULL;
}

await program({ hide }, { move, collect });
