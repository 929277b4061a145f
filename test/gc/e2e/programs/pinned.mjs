// Pinned and large objects, over many cycles.
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { createLibcKernel, Memfd } from 'tospace/uffd';
import {
  assert,
  createHeap,
  hash,
  isTospaceError,
  layout as L,
  main,
  NULL,
  Random,
  startCycle,
  thrownBy,
  withHeap,
} from './support.mjs';

const KIB = 1024;
const MIB = 1024 * KIB;

function defineTypes(heap) {
  return {
    node: heap.defineRecord('Node', { value: 'i32', check: 'i32', next: 'ref' }),
    raw: heap.defineRecord('Raw', { value: 'i32', check: 'i32' }),
    refs: heap.defineRefArray('Refs'),
    bytes: heap.defineArray('Bytes', 'u8'),
  };
}

function make(m, type, value, pinned = false) {
  const ref = pinned ? m.allocatePinned(type) : m.allocate(type);
  m.setI32(ref, type.offset.value, value);
  m.setI32(ref, type.offset.check, ~value);
  return ref;
}

function check(m, type, ref, value, what) {
  assert(ref !== NULL, () => `${what} is null`);
  const found = m.getI32(ref, type.offset.value);
  assert(
    found === value && m.getI32(ref, type.offset.check) === ~value,
    () => `${what} is ${found}, not ${value}`,
  );
}

/** Pinned objects of every kind, with references into the moving space and among each other. */
async function addresses({ options, cycles, seed }) {
  return withHeap(options, (heap, m) => {
    const types = defineTypes(heap);
    // A layout of the embedder's own: what its fields are, only the type table knows.
    const own = {
      kind: 'record',
      id: heap.defineRecordLayout('Own', 6000, [8, 5996]),
      name: 'Own',
      bytes: 6000,
      offset: {},
      fields: {},
    };
    const random = new Random(seed);
    const pins = [];
    m.run(() => {
      const churn = m.local(m.allocateArray(types.refs, 200));
      const add = (i) => {
        const kind = i % 4;
        const handle = m.persist(NULL);
        const child = m.persist(make(m, types.node, i));
        let ref;
        if (kind === 0) ref = make(m, types.node, i, true);
        else if (kind === 1) ref = make(m, types.raw, i, true);
        else if (kind === 2) ref = m.allocatePinnedArray(types.refs, 1 + random.int(3000));
        else ref = m.allocatePinned(own);
        handle.set(ref);
        if (kind === 0) m.setRef(ref, types.node.offset.next, child.get());
        if (kind === 2) m.setElement(ref, m.length(ref) - 1, child.get());
        if (kind === 3) m.setRef(ref, 5996, child.get());
        child.close();
        pins.push({ handle, ref, i, kind });
      };
      const verify = () => {
        for (const { handle, ref, i, kind } of pins) {
          assert(
            handle.get() === ref,
            () => `the pinned object ${i} was at ${ref} and is at ${handle.get()}`,
          );
          assert(m.isPinned(ref), 'it is pinned');
          if (kind < 2) check(m, kind === 0 ? types.node : types.raw, ref, i, `object ${i}`);
          if (kind === 0) check(m, types.node, m.getRef(ref, types.node.offset.next), i, `child of ${i}`);
          if (kind === 2)
            check(m, types.node, m.getElement(ref, m.length(ref) - 1), i, `last element of ${i}`);
          if (kind === 3) {
            check(m, types.node, m.getRef(ref, 5996), i, `far field of ${i}`);
            assert(m.getRef(ref, 8) === NULL, 'the near field is null');
          }
        }
      };
      for (let i = 0; i < 60; i++) add(i);
      for (let cycle = 0; cycle < cycles; cycle++) {
        // Old neighbours die, so that what is referred to moves.
        for (let k = 0; k < 200; k++) {
          const node = make(m, types.node, -k);
          m.setElement(m.get(churn), random.int(200), node);
        }
        for (let k = 0; k < 6; k++) {
          const [{ handle }] = pins.splice(random.int(pins.length), 1);
          handle.close();
          add(1000 * cycle + k);
        }
        m.collect({ release: random.int(4) === 0 });
        verify();
      }
      for (const { handle } of pins) handle.close();
      m.setElement(m.get(churn), 0, NULL);
      m.collect();
    });
    // Only the handles' array is left.
    return { cycles: heap.stats().cycles, leftBytes: heap.stats().nonMovingBytes };
  });
}

/** A large array of references: a cycle's window is held open while elements all over it are read and written. */
async function largeArray({ options, length, rounds, leastFaults = 0, seed }) {
  return withHeap(options, (heap, m) => {
    const types = defineTypes(heap);
    const random = new Random(seed);
    const model = new Int32Array(length).fill(-1);
    return m.run(() => {
      const array = m.persist(m.allocateArray(types.refs, length));
      const at = array.get();
      assert(m.isPinned(at), 'a large array is in the non-moving space');
      const put = (i, value) => {
        const ref = make(m, types.node, value);
        m.setElement(array.get(), i, ref);
        model[i] = value;
      };
      const read = (i) => {
        const ref = m.getElement(array.get(), i);
        if (model[i] < 0) assert(ref === NULL, `element ${i} is not null`);
        else check(m, types.node, ref, model[i], `element ${i}`);
      };
      for (let k = 0; k < 20_000; k++) put(random.int(length), k);
      for (let i = 0; i < length; i += 1024) put(i, i);
      const before = heap.stats().faults.count;
      const faults = () => heap.stats().faults.count - before;
      // A thread that gets little CPU meets fewer pages before the collector does.
      for (let round = 0; round < rounds || (faults() < leastFaults && round < 10 * rounds); round++) {
        startCycle(heap, m, L.PHASE_COMPACT);
        for (let k = 0; k < 600; k++) {
          const i = random.int(length);
          read(i);
          if (k % 3 === 0) put(random.int(length), round * 1000 + k);
          if (k % 50 === 0) m.safepoint();
        }
        m.collect();
      }
      for (let i = 0; i < length; i++) read(i);
      assert(array.get() === at, 'it has not moved');
      array.close();
      return { faults: faults() };
    });
  });
}

/** Pinned raw data goes to and comes from system calls while cycles run, of whatever kind the userfaultfd is. */
async function systemCalls({ options, milliseconds, bytes }) {
  return withHeap(options, (heap, m) => {
    const types = defineTypes(heap);
    const kernel = createLibcKernel();
    const file = Memfd.create(kernel, 'pinned-test', bytes);
    const fd = openSync(`/proc/self/fd/${file.fd}`, 'r+');
    let calls = 0;
    m.run(() => {
      const source = m.persist(m.allocatePinnedArray(types.bytes, bytes));
      const target = m.persist(m.allocatePinnedArray(types.bytes, bytes));
      const over = (handle) => Buffer.from(heap.memory.buffer, handle.get() + 8, bytes);
      const [from, to] = [over(source), over(target)];
      const list = m.local(NULL);
      const end = Date.now() + milliseconds;
      // So long, and until there is something to be seen.
      while (Date.now() < end || calls <= 20 || heap.stats().cycles <= 3) {
        if (calls % 8 === 0) startCycle(heap, m, [L.PHASE_MARK, L.PHASE_COMPACT][(calls / 8) % 2]);
        for (let k = 0; k < 50; k++) {
          const ref = make(m, types.node, k);
          m.setRef(ref, types.node.offset.next, k === 0 ? NULL : m.get(list));
          m.set(list, ref);
        }
        from.fill(calls & 0xff);
        from.writeInt32LE(calls, bytes - 4);
        assert(writeSync(fd, from, 0, bytes, 0) === bytes, 'everything is written');
        assert(readSync(fd, to, 0, bytes, 0) === bytes, 'everything is read');
        assert(to.equals(from) && to.readInt32LE(bytes - 4) === calls, `call ${calls} came back changed`);
        calls++;
        if (calls % 16 === 0) m.blocking(() => {});
        if (calls % 64 === 0) m.collect();
      }
      m.collect();
    });
    closeSync(fd);
    file.close();
    return { calls, cycles: heap.stats().cycles };
  });
}

/** Very many persistent handles; their pages are rewritten when somebody touches them, and by the sweep. */
async function handles({ options, count }) {
  return withHeap({ persistentSlots: count, ...options }, (heap, m) => {
    const types = defineTypes(heap);
    const all = [];
    return m.run(() => {
      for (let i = 0; i < count; i++) all.push(m.persist(make(m, types.node, i)));
      const wrong = thrownBy(() => m.persist(NULL));
      assert(isTospaceError(wrong, 'ERR_HANDLE'), `${wrong}`);
      m.collect();
      const asked = 40;
      let cycle;
      let after;
      // Again, where the window was over before this thread came to it.
      for (let round = 0; round < 20; round++) {
        cycle = heap.stats();
        startCycle(heap, m, L.PHASE_COMPACT);
        // In the window: a few of them are asked for.
        for (let k = 0; k < asked; k++) {
          const i = hash(k, 7) % count;
          check(m, types.node, all[i].get(), i, `handle ${i}`);
        }
        m.collect();
        after = heap.stats();
        if (after.faults.count > cycle.faults.count || heap.options.collector !== 'concurrent') break;
      }
      for (let i = 0; i < count; i++) check(m, types.node, all[i].get(), i, `handle ${i}`);
      for (let i = 0; i < count; i += 2) all[i].close();
      m.collect();
      for (let i = 1; i < count; i += 2) check(m, types.node, all[i].get(), i, `handle ${i}`);
      for (let i = 1; i < count; i += 2) all[i].close();
      return {
        asked,
        faults: after.faults.count - cycle.faults.count,
        builtByCollector: after.faults.pagesBuiltBy[0] - cycle.faults.pagesBuiltBy[0],
        handlePages: Math.floor((count * 4) / 4096),
      };
    });
  });
}

/** The space is full: pinned objects are refused, large ones go to the heap; what has died makes room again. */
async function full({ options }) {
  return withHeap({ heap: 16 * MIB, nonMoving: 2 * MIB, persistentSlots: 1000, ...options }, (heap, m) => {
    const types = defineTypes(heap);
    return m.run(() => {
      const pins = [];
      let error;
      try {
        for (;;) pins.push(m.persist(m.allocatePinnedArray(types.bytes, 100_000)));
      } catch (e) {
        error = e;
      }
      assert(isTospaceError(error, 'ERR_OUT_OF_MEMORY'), `${error}`);
      assert(
        /non-moving/.test(error.message) && /nonMoving/.test(error.hint),
        `${error.message} ${error.hint}`,
      );
      assert(pins.length === 20, `${pins.length} arrays of 100 000 bytes fit into 2 MiB`);
      const large = m.local(m.allocateArray(types.refs, 200_000));
      assert(!m.isPinned(m.get(large)), 'a large array falls back to the heap');
      const seventh = make(m, types.node, 7);
      m.setElement(m.get(large), 199_999, seventh);
      const tooLarge = thrownBy(() => m.allocatePinnedArray(types.bytes, 3 * MIB));
      assert(isTospaceError(tooLarge, 'ERR_OUT_OF_MEMORY'), `${tooLarge}`);
      // Half of them die: as many fit again, of the other kind too.
      for (const handle of pins.splice(0, 10)) handle.close();
      const again = [];
      for (let i = 0; i < 10; i++) again.push(m.persist(m.allocatePinnedArray(types.bytes, 100_000)));
      for (const handle of [...pins.splice(0), ...again.splice(0)]) handle.close();
      const refs = m.local(m.allocatePinnedArray(types.refs, 450_000));
      const eighth = make(m, types.node, 8);
      m.setElement(m.get(refs), 449_999, eighth);
      m.collect();
      check(m, types.node, m.getElement(m.get(refs), 449_999), 8, 'the last element');
      check(m, types.node, m.getElement(m.get(large), 199_999), 7, 'the last element of the moving one');
      // A dead array fills the space, live ones the heap: a large array waits for the collection that makes room where it can be made.
      m.set(refs, NULL);
      const live = m.local(m.allocateArray(types.refs, 4000));
      for (let i = 0; ; i++) {
        const small = m.tryAllocateArray(types.bytes, 60_000);
        if (small === NULL) break;
        m.setElement(m.get(live), i, small);
      }
      m.collect();
      m.persist(m.allocatePinnedArray(types.bytes, 1_900_000)).close();
      const waited = m.allocateArray(types.bytes, 1_000_000);
      assert(m.isPinned(waited), 'there was no room for it in the heap');
      return true;
    });
  });
}

/** An array that is larger than the heap, and fits into the non-moving space once the last one is dead. */
async function largerThanHeap({ options }) {
  return withHeap({ heap: MIB, nonMoving: 4 * MIB, persistentSlots: 1000, ...options }, (heap, m) => {
    const types = defineTypes(heap);
    return m.run(() => {
      for (let i = 0; i < 5; i++) {
        const ref = m.allocateArray(types.bytes, 3 * MIB);
        assert(m.isPinned(ref), 'it does not fit into the heap');
        assert(m.u8[ref + 8 + 2 * MIB] === 0, 'it is zeroed');
        m.u8[ref + 8 + 2 * MIB] = 1;
      }
      const refused = thrownBy(() => m.allocateArray(types.bytes, 5 * MIB));
      assert(isTospaceError(refused, 'ERR_OUT_OF_MEMORY'), `${refused}`);
      return true;
    });
  });
}

/** Memory of dead large objects is with the system again after the cycle that finds them dead. */
async function givenBack({ options }) {
  return withHeap({ heap: 16 * MIB, nonMoving: 64 * MIB, ...options }, (heap, m) => {
    const types = defineTypes(heap);
    return m.run(() => {
      m.collect({ release: true });
      const before = heap.stats().sharedBytes;
      const arrays = [];
      for (let i = 0; i < 6; i++) {
        const handle = m.persist(
          i % 2 === 0 ? m.allocateArray(types.bytes, 4 * MIB) : m.allocateArray(types.refs, MIB),
        );
        const ref = handle.get();
        assert(m.isPinned(ref), 'large arrays do not move');
        for (let at = ref + 8; at < ref + 4 * MIB; at += 4096) m.u8[at] = i % 2 === 0 ? 1 : 0;
        arrays.push(handle);
      }
      m.collect();
      const with6 = heap.stats();
      for (const handle of arrays.splice(0, 3)) handle.close();
      m.collect({ release: true });
      const with3 = heap.stats();
      for (const handle of arrays.splice(0, 3)) handle.close();
      m.collect({ release: true });
      const with0 = heap.stats();
      return [with6, with3, with0].map(({ sharedBytes, nonMovingBytes }) => ({
        shared: sharedBytes - before,
        nonMoving: nonMovingBytes,
      }));
    });
  });
}

/** Cycles that are given up between remark and flip: pinned objects, those from just then too, are all there afterwards. */
async function abandoned({ options, call, request, from, to }) {
  let given = 0;
  for (let nth = from; nth <= to; nth++) {
    const heap = await createHeap({
      heap: 4 * MIB,
      ...options,
      stress: {
        // Time for allocation between remark and flip.
        delayMs: { plan: 20, flip: 5 },
        injection: [
          { call, ...(request === undefined ? {} : { request }), thread: 'collector', nth, errno: 12 },
        ],
      },
    });
    const errors = [];
    heap.on('abandoned', (error) => errors.push(error));
    const types = defineTypes(heap);
    const m = heap.attach();
    m.run(() => {
      const pins = [];
      let i = 0;
      const add = () => {
        const handle = m.persist(make(m, types.node, i, true));
        const child = make(m, types.node, -i);
        m.setRef(handle.get(), types.node.offset.next, child);
        pins.push({ handle, i, ref: handle.get() });
        i++;
      };
      const verify = () => {
        for (const { handle, i: value, ref } of pins) {
          assert(handle.get() === ref, 'a pinned object has moved');
          check(m, types.node, ref, value, `object ${value}`);
          check(m, types.node, m.getRef(ref, types.node.offset.next), -value, `child of ${value}`);
        }
      };
      for (let k = 0; k < 50; k++) add();
      for (let cycle = 0; cycle < 4; cycle++) {
        startCycle(heap, m, L.PHASE_PLAN);
        for (let k = 0; k < 30; k++) add();
        for (const { handle } of pins.splice(hash(cycle, nth) % 40, 10)) handle.close();
        verify();
        try {
          m.collect();
        } catch (error) {
          assert(isTospaceError(error, 'ERR_SYSCALL', 'ERR_OUT_OF_MEMORY'), `${error}`);
        }
        verify();
      }
      m.collect();
      verify();
    });
    m.detach();
    await heap.close();
    await new Promise((resolve) => setImmediate(resolve));
    if (errors.length > 0) given++;
  }
  return given;
}

await main({ addresses, largeArray, systemCalls, handles, full, largerThanHeap, givenBack, abandoned });
