// ART 080-oom-fragmentation: the heap is filled with many small arrays, of which every n-th stays, and one array of nearly all that is
// free then must be had: compaction makes of the holes one piece.

import { assert, isTospaceError, NULL, program, thrownBy } from './threads.mjs';

function fragment(heap, { smallBytes, hugeBytes, rounds, keepEvery, fits }) {
  const bytes = heap.defineArray('Bytes', 'u8');
  const link = heap.defineRecord('Link', { array: 'ref', next: 'ref', seed: 'i32' });
  const m = heap.attach();
  const result = m.run(() => {
    let small = 0;
    let pinned = 0;
    for (let round = 0; round < rounds; round++) {
      m.scope(() => {
        const list = m.local(NULL);
        let count = 0;
        for (;;) {
          const array = m.local(m.tryAllocateArray(bytes, smallBytes));
          if (m.get(array) === NULL) break;
          m.u8[m.get(array) + 8] = count;
          m.u8[m.get(array) + 8 + smallBytes - 1] = ~count;
          const entry = m.tryAllocate(link);
          if (entry === NULL) break;
          m.setRef(entry, link.offset.array, m.get(array));
          m.setRef(entry, link.offset.next, m.get(list));
          m.setI32(entry, link.offset.seed, count++);
          m.set(list, entry);
          m.shadowStack.truncate(m.shadowStack.depth - 1);
        }
        small += count;
        assert(count * smallBytes > heap.options.heap * 0.8, `the heap was full after ${count}`);
        // Before anything is dropped only the non-moving space can take it.
        if (!fits) {
          const refused = thrownBy(() => m.allocateArray(bytes, hugeBytes));
          assert(isTospaceError(refused, 'ERR_OUT_OF_MEMORY'), `${refused}`);
        }
        let index = 0;
        for (let ref = m.get(list); ref !== NULL; ref = m.getRef(ref, link.offset.next))
          if (index++ % keepEvery !== 0) m.setRef(ref, link.offset.array, NULL);
        const huge = m.local(m.allocateArray(bytes, hugeBytes));
        const at = m.get(huge);
        if (m.isPinned(at)) pinned++;
        for (let i = 0; i < hugeBytes; i += 4096) assert(m.u8[at + 8 + i] === 0, `byte ${i} is not zero`);
        m.u8[at + 8 + hugeBytes - 1] = 77;
        m.collect();
        assert(m.u8[m.get(huge) + 8 + hugeBytes - 1] === 77, 'the huge array lost its last byte');
        for (let ref = m.get(list); ref !== NULL; ref = m.getRef(ref, link.offset.next)) {
          const array = m.getRef(ref, link.offset.array);
          const seed = m.getI32(ref, link.offset.seed);
          if (array === NULL) continue;
          assert(m.length(array) === smallBytes, 'a small array changed its length');
          assert(
            m.u8[array + 8] === (seed & 0xff) && m.u8[array + 8 + smallBytes - 1] === (~seed & 0xff),
            'its bytes',
          );
        }
      });
    }
    return { small, pinned };
  });
  m.detach();
  return result;
}

await program({ fragment }, {});
