// ART 004-ThreadStress: threads that do something else each time: allocate, allocate much, run out of memory, wait, wake each other,
// collect, leave and come back, exit.

import {
  assert,
  buildList,
  checkList,
  hash,
  NULL,
  program,
  Random,
  sleep,
  spawn,
  stopWord,
} from './threads.mjs';

const NODE = { next: 'ref', value: 'i32' };
const KINDS = ['allocate', 'large', 'outOfMemory', 'wait', 'wake', 'sleep', 'collect', 'comeBack', 'handles'];

async function threadStress(heap, { threads, seconds, seed }) {
  const types = { node: heap.defineRecord('Node', NODE), bytes: heap.defineArray('Bytes', 'u8') };
  const flags = new Int32Array(new SharedArrayBuffer(64));
  const counts = {};
  const kinds = new Int32Array(new SharedArrayBuffer(4));
  const stop = stopWord(
    seconds,
    () => heap.stats().cycles > 0 && KINDS.every((_, i) => Atomics.load(kinds, 0) & (1 << i)),
  );
  // A thread that ends is followed by another one.
  const lane = async (i) => {
    for (let k = 0; Atomics.load(stop, 0) === 0; k++) {
      const done = await spawn(import.meta.url, heap, {
        job: 'stress',
        types,
        flags,
        stop,
        kinds,
        seed: hash(seed, i * 1000 + k),
      });
      for (const [name, count] of Object.entries(done)) counts[name] = (counts[name] ?? 0) + count;
    }
  };
  await Promise.all(Array.from({ length: threads }, (_, i) => lane(i)));
  return { counts };
}

function stress(_heap, m, { types, flags, stop, kinds, seed }) {
  const { node, bytes } = types;
  const random = new Random(seed);
  const counts = {};
  const kept = buildList(m, node, 200);
  const operations = {
    allocate() {
      const count = random.int(2000);
      checkList(m, node, buildList(m, node, count), count);
    },
    large() {
      const length = random.int(400_000);
      const ref = m.local(m.allocateArray(bytes, length));
      m.fillBytes(m.get(ref), 0, length, seed & 0xff);
      m.safepoint();
      for (let i = 0; i < length; i += 997)
        assert(m.u8[m.get(ref) + 8 + i] === (seed & 0xff), 'a byte changed');
    },
    outOfMemory() {
      try {
        m.allocateArray(bytes, 1 << 30);
        assert(false, 'there is no such room');
      } catch (error) {
        if (error.code !== 'ERR_OUT_OF_MEMORY') throw error;
      }
    },
    wait: () => m.blocking(() => Atomics.wait(flags, 0, Atomics.load(flags, 0), random.int(20))),
    wake() {
      Atomics.add(flags, 0, 1);
      Atomics.notify(flags, 0);
    },
    sleep: () => m.blocking(() => sleep(random.int(5))),
    collect: () => random.int(10) === 0 && m.collect({ release: random.int(2) === 0 }),
    comeBack() {
      m.leave();
      m.enter();
    },
    handles() {
      const handles = Array.from({ length: random.int(50) }, () => m.persist(m.get(kept)));
      m.safepoint();
      for (const handle of handles) {
        assert(handle.get() === m.get(kept), 'handles of one object differ');
        handle.close();
      }
    },
  };
  assert(String(Object.keys(operations)) === String(KINDS), 'every operation is named');
  while (Atomics.load(stop, 0) === 0 && random.int(400) > 0) {
    const name = random.pick(KINDS);
    try {
      m.scope(operations[name]);
      Atomics.or(kinds, 0, 1 << KINDS.indexOf(name));
      counts[name] = (counts[name] ?? 0) + 1;
    } catch (error) {
      if (error.code !== 'ERR_OUT_OF_MEMORY') throw error;
      // The others have it all for a moment.
      counts.full = (counts.full ?? 0) + 1;
      m.blocking(() => sleep(1));
    }
    checkList(m, node, kept, 200);
  }
  assert(m.get(kept) !== NULL, 'the list is kept');
  return counts;
}

await program({ threadStress }, { stress });
