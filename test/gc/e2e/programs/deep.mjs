// Recursion to the end of V8's stack, and calls of the heap's there: a RangeError, after which all is as it was.
import { createHeap, NULL } from 'tospace';
import { assert, layout, main, recordOf, thrownBy } from './support.mjs';

function at(depth, body) {
  return depth === 0 ? body() : at(depth - 1, body);
}

/** The deepest recursion at whose end `body` works, more or less: frames change their size when V8 optimises them. */
function deepest(body) {
  let low = 0;
  let high = 1 << 16;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    try {
      at(middle, body);
      low = middle;
    } catch (error) {
      assert(error instanceof RangeError, () => error.stack);
      high = middle;
    }
  }
  return low;
}

/**
 * run() within run() to the end of the stack before any has returned: V8 compiles leave() when it is first called, and there is no room for
 * that by then.
 */
async function nested({ collector }) {
  const heap = await createHeap({ heap: 2 ** 20, collector });
  const m = heap.attach();
  let depth = 0;
  const deep = () => {
    depth++;
    m.run(deep);
  };
  const error = thrownBy(deep);
  assert(error instanceof RangeError, () => error.stack);
  assert(recordOf(heap, m)[layout.T_STATE] === layout.THREAD_SAFE, 'the thread is in a safe region again');
  m.run(() => m.collect());
  m.detach();
  await heap.close();
  return depth;
}

/** Each operation at every depth around the one from which it does not work any more. Returns how often it overflowed and how often it worked. */
async function overflow({ collector, around }) {
  const heap = await createHeap({ heap: 2 ** 20, collector });
  const Pair = heap.defineRecord('Pair', { car: 'ref', cdr: 'ref' });
  const Bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach();
  const kept = m.run(() => m.persist(m.allocate(Pair)));
  const attached = [];
  const operations = {
    collect: () => m.collect(),
    blocking: () => m.blocking(() => {}),
    run: () => m.run(() => m.scope(() => m.local(m.allocate(Pair)))),
    allocate: () => m.allocateArray(Bytes, 20_000),
    pinned: () => m.allocatePinned(Pair),
    persist: () => m.persist(kept.get()).close(),
    attach: () => attached.push(heap.attach()),
  };
  const record = recordOf(heap, m);
  const records = Array.from({ length: layout.MAX_THREADS }, (_, index) => recordOf(heap, { index }));
  const found = {};
  for (let i = 0; i < 50; i++) deepest(() => {}); // compiled
  for (const [name, operation] of Object.entries(operations)) {
    const counts = { worked: 0, overflowed: 0 };
    const outside = name === 'run' || name === 'attach';
    const end = outside ? deepest(operation) : m.run(() => deepest(operation));
    for (let depth = end + around; depth > end - around; depth--) {
      const attempt = () => {
        try {
          at(depth, operation);
          counts.worked++;
        } catch (error) {
          assert(error instanceof RangeError, () => `${name} at ${depth} of ${end}: ${error.stack}`);
          counts.overflowed++;
        }
      };
      if (outside) attempt();
      else m.run(attempt);
      while (attached.length > 0) attached.pop().detach();
      const taken = records.filter((other) => other[layout.T_STATE] !== layout.THREAD_FREE).length;
      assert(taken === 1, `${name} at ${depth}: ${taken} records are taken`);
      assert(record[layout.T_PENDING_BYTES] === 0, `${name} at ${depth}: a block is left unprepared`);
      m.run(() => {
        m.assertRunning();
        assert(m.shadowStack.depth === 0, `${name} at ${depth}: ${m.shadowStack.depth} handles are left`);
        const pair = m.allocate(Pair);
        m.setRef(kept.get(), Pair.offset.car, pair);
        assert(m.getRef(kept.get(), Pair.offset.car) === pair && pair !== NULL, 'a field');
      });
    }
    found[name] = counts;
  }
  m.run(() => m.collect());
  m.detach();
  await heap.close();
  return found;
}

main({ overflow, nested });
