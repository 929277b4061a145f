// ART 114-ParallelGC: sixteen threads fill the heap to its edge at once. Each is told that memory ran out, lets go of what it has, and
// tries again; nobody hangs, and nobody's list is damaged.

import { checkList, NULL, program, sleep, spawn } from './threads.mjs';

async function fillUp(heap, { threads, times }) {
  const types = {
    node: heap.defineRecord('Node', { next: 'ref', value: 'i32' }),
    refs: heap.defineRefArray('Refs'),
  };
  const flags = new Int32Array(new SharedArrayBuffer(4));
  const lengths = await Promise.all(
    Array.from({ length: threads }, () =>
      spawn(import.meta.url, heap, { job: 'fill', types, flags, threads, times }),
    ),
  );
  const m = heap.attach();
  // Empty again: most of it is there for one.
  m.run(() => {
    m.collect();
    m.allocateArray(types.refs, Math.floor(heap.options.heap / 4) - 4096);
  });
  m.detach();
  return { most: Math.max(...lengths), times: times * threads };
}

function fill(_heap, m, { types, flags, threads, times }) {
  const { node } = types;
  m.blocking(() => {
    // All at once.
    Atomics.add(flags, 0, 1);
    while (Atomics.load(flags, 0) < threads) sleep(1);
  });
  let most = 0;
  for (let k = 0; k < times; k++) {
    m.scope(() => {
      const head = m.local(NULL);
      let count = 0;
      try {
        for (;;) {
          const ref = m.allocate(node);
          m.setI32(ref, node.offset.value, count++);
          m.setRef(ref, node.offset.next, m.get(head));
          m.set(head, ref);
        }
      } catch (error) {
        if (error.code !== 'ERR_OUT_OF_MEMORY' || error.cause !== undefined) throw error;
      }
      checkList(m, node, head, count);
      most = Math.max(most, count);
    });
    m.blocking(() => sleep(k % 3));
  }
  return most;
}

await program({ fillUp }, { fill });
