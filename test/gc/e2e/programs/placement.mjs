// Where objects come to lie: pages they span, fill, and end on; heaps that are full, nearly empty, or all alive.

import {
  assert,
  buildList,
  checkList,
  hash,
  isTospaceError,
  layout,
  main,
  NULL,
  Random,
  reported,
  startCycle,
  thrownBy,
  withHeap,
} from './support.mjs';

const PAGE = 4096;

function writeBytes(m, ref, seed) {
  const length = m.length(ref);
  for (let i = 0; i < length; i++) m.u8[ref + 8 + i] = hash(seed, i);
}

function checkBytes(m, ref, seed, length) {
  assert(m.length(ref) === length, `an array has ${m.length(ref)} elements instead of ${length}`);
  for (let i = 0; i < length; i++) {
    const is = m.u8[ref + 8 + i];
    assert(is === (hash(seed, i) & 0xff), () => `byte ${i} of ${length} is ${is} (seed ${seed})`);
  }
}

/** Arrays of exactly these sizes in bytes, header included, between garbage, through several collections. */
function sizes({ options }) {
  return withHeap({ heap: 8 * 1024 * 1024, largeObject: 2 ** 31, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const refs = heap.defineRefArray('Refs');
    const all = [];
    for (const base of [PAGE, 2 * PAGE, 4 * PAGE, 65536]) {
      for (const more of [-16, -8, 0, 8, 16]) all.push(base + more);
    }
    m.run(() => {
      for (let round = 0; round < 2; round++) {
        m.scope(() => {
          const random = new Random(round);
          const kept = [];
          for (const size of random.shuffle([...all])) {
            m.allocateArray(bytes, random.int(5000));
            const length = size - 8;
            const raw = m.local(m.allocateArray(bytes, length));
            writeBytes(m, m.get(raw), size);
            // Every reference of an array that spans pages, and both its neighbours' edges.
            const array = m.local(m.allocateArray(refs, (size - 8) >> 2));
            for (let i = 0; i < m.length(m.get(array)); i++)
              m.setElement(m.get(array), i, i % 3 === 2 ? NULL : m.get(i % 3 === 0 ? raw : array));
            kept.push({ raw, array, size });
          }
          for (let cycle = 0; cycle < 2; cycle++) {
            m.collect({ release: cycle === 1 });
            for (const { raw, array, size } of kept) {
              checkBytes(m, m.get(raw), size, size - 8);
              const at = m.get(array);
              for (let i = 0; i < (size - 8) >> 2; i++) {
                const expected = i % 3 === 2 ? NULL : m.get(i % 3 === 0 ? raw : array);
                assert(
                  m.getElement(at, i) === expected,
                  () => `element ${i} of the array of ${size} bytes is ${m.getElement(at, i)}`,
                );
              }
            }
          }
        });
      }
    });
  });
}

/** An array that is the whole heap, byte for byte. */
function wholeHeap({ options }) {
  return withHeap({ heap: 256 * 1024, largeObject: 2 ** 31, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const length = heap.options.heap - 8;
    m.run(() => {
      for (let round = 0; round < 3; round++) {
        m.scope(() => {
          const local = m.local(m.allocateArray(bytes, length));
          writeBytes(m, m.get(local), round);
          assert(heap.stats().usedBytes === heap.options.heap, 'the heap is not full');
          m.collect({ release: round === 1 });
          checkBytes(m, m.get(local), round, length);
          const error = thrownBy(() => m.allocateArray(bytes, 0));
          assert(isTospaceError(error, 'ERR_OUT_OF_MEMORY'), `a full heap threw ${error}`);
          checkBytes(m, m.get(local), round, length);
        });
        // One byte more is too much whatever is collected, and is found out without harm.
        for (const tooLong of [
          length + 1,
          2 * length,
          2 ** 30,
          2 ** 31 - 8192,
          2 ** 31 - 4097,
          2 ** 31 - 4096,
        ]) {
          const error = thrownBy(() => m.allocateArray(bytes, tooLong));
          assert(isTospaceError(error, 'ERR_OUT_OF_MEMORY'), `${tooLong} bytes threw ${error}`);
        }
        for (const wrong of [-1, 1.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY]) {
          const error = thrownBy(() => m.allocateArray(bytes, wrong));
          assert(isTospaceError(error, 'ERR_TYPE'), `a length of ${wrong} threw ${error}`);
        }
      }
    });
  });
}

/** Small objects up to the heap's last byte, then all of them alive through collections. */
function lastByte({ options, objectBytes }) {
  return withHeap({ heap: 256 * 1024, ...options }, (heap, m) => {
    const fields = { next: 'ref', value: 'i32' };
    for (let i = 16; i < objectBytes; i += 8) fields[`pad${i}`] = 'f64';
    const type = heap.defineRecord('Sized', fields);
    assert(type.bytes === objectBytes, `a record of ${type.bytes} bytes`);
    const count = heap.options.heap / objectBytes;
    m.run(() => {
      m.scope(() => {
        const head = buildList(m, type, count);
        assert(heap.stats().usedBytes === heap.options.heap, 'the heap is not full');
        checkList(m, type, head, count);
        for (let i = 0; i < 3; i++) {
          m.collect();
          checkList(m, type, head, count);
        }
        const before = heap.stats().cycles;
        const error = thrownBy(() => m.allocate(type));
        assert(isTospaceError(error, 'ERR_OUT_OF_MEMORY'), `a full heap threw ${error}`);
        assert(heap.stats().cycles > before, 'no collection was tried');
        checkList(m, type, head, count);
        // The first half goes; the space is usable again.
        let ref = m.get(head);
        for (let i = 0; i < count / 2; i++) ref = m.getRef(ref, type.offset.next);
        m.set(head, ref);
        const more = buildList(m, type, Math.floor(count / 4));
        checkList(m, type, more, Math.floor(count / 4));
        checkList(m, type, head, count / 2);
      });
      m.scope(() => checkList(m, type, buildList(m, type, count), count));
    });
  });
}

/** More than half of the heap in one array: it slides down over itself. */
function overHalf({ options }) {
  return withHeap({ heap: 256 * 1024, largeObject: 2 ** 31, ...options }, (heap, m) => {
    const bytes = heap.defineArray('Bytes', 'u8');
    const refs = heap.defineRefArray('Refs');
    m.run(() => {
      const size = Math.floor(heap.options.heap * 0.7);
      for (let round = 0; round < 4; round++) {
        m.scope(() => {
          m.allocateArray(bytes, Math.floor(heap.options.heap / 5) + round * 13);
          const small = m.local(m.allocateArray(bytes, 100));
          writeBytes(m, m.get(small), 5);
          const big = m.local(
            round % 2 === 0 ? m.allocateArray(bytes, size) : m.allocateArray(refs, size >> 2),
          );
          const check = () => {
            checkBytes(m, m.get(small), 5, 100);
            if (round % 2 === 0) return checkBytes(m, m.get(big), round, size);
            for (let i = 0; i < m.length(m.get(big)); i++)
              assert(
                m.getElement(m.get(big), i) === m.get(i % 2 ? small : big),
                () => `element ${i} is wrong`,
              );
          };
          if (round % 2 === 0) writeBytes(m, m.get(big), round);
          else
            for (let i = 0; i < m.length(m.get(big)); i++)
              m.setElement(m.get(big), i, m.get(i % 2 ? small : big));
          const before = m.get(big);
          m.collect();
          assert(m.get(big) < before, 'the array did not move');
          check();
          m.collect();
          check();
        });
      }
    });
  });
}

/** Cycles over a heap with nothing alive, with one object, and with everything alive. */
function extremes({ options }) {
  return withHeap({ heap: 512 * 1024, ...options }, async (heap, m, reports) => {
    const type = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
    m.run(() => {
      // Never allocated from, garbage only, and twice in a row.
      m.collect();
      m.collect();
      for (let i = 0; i < 10_000; i++) m.allocate(type);
      m.collect();
      m.collect({ release: true });
    });
    await reported(heap, reports);
    const last = reports.at(-1);
    assert(
      last.liveBytes === 0 && last.usedBytesAfter === 0,
      `an empty heap reports ${JSON.stringify(last)}`,
    );
    m.run(() => {
      for (let i = 0; i < 10_000; i++) m.allocate(type);
      m.scope(() => {
        const head = buildList(m, type, 1);
        for (let i = 0; i < 8_000; i++) m.allocate(type);
        m.collect();
        checkList(m, type, head, 1);
        m.collect();
        checkList(m, type, head, 1);
      });
    });
    await reported(heap, reports);
    assert(
      reports.at(-1).liveBytes === 16 && reports.at(-1).usedBytesAfter === PAGE,
      `one object reports ${JSON.stringify(reports.at(-1))}`,
    );
    m.run(() => {
      m.scope(() => {
        const count = 25_000;
        const head = buildList(m, type, count);
        for (let i = 0; i < 3; i++) {
          m.collect();
          checkList(m, type, head, count);
        }
      });
    });
    await reported(heap, reports);
    assert(reports.at(-1).liveBytes === 400_000, `all alive reports ${JSON.stringify(reports.at(-1))}`);
  });
}

/** Compaction is held back, so that the mutator meets nearly every page by a fault, in random order, reading and writing. */
function faults({ options, pages, compactMs }) {
  return withHeap(
    // Once, before the sweep begins: until then only servers build pages, however slowly the mutator comes along.
    {
      heap: pages * PAGE * 3,
      trigger: 0.95,
      ...options,
      stress: { delayMs: { compact: compactMs, batch: 5 } },
    },
    (heap, m) => {
      const ints = heap.defineArray('Ints', 'i32');
      const refs = heap.defineRefArray('Refs');
      const random = new Random(1);
      m.run(() => {
        m.scope(() => {
          const table = m.local(m.allocateArray(refs, pages));
          for (let i = 0; i < pages; i++) {
            if (i % 5 === 0) m.allocateArray(ints, 300);
            const ref = m.allocateArray(ints, PAGE / 4 - 2);
            for (let k = 0; k < PAGE / 4 - 2; k++) m.i32[(ref >> 2) + 2 + k] = hash(i, k);
            m.setElement(m.get(table), i, ref);
          }
          startCycle(heap, m, layout.PHASE_COMPACT);
          const order = random.shuffle(Array.from({ length: pages }, (_, i) => i));
          for (const i of order) {
            const ref = m.getElement(m.get(table), i);
            for (const k of [0, 511, PAGE / 4 - 3]) {
              const is = m.i32[(ref >> 2) + 2 + k];
              assert(is === (hash(i, k) | 0), () => `array ${i} holds ${is} at ${k}`);
            }
            m.i32[(ref >> 2) + 2 + 7] = i;
            m.setElement(m.get(table), i, ref);
          }
          for (const i of order) {
            const ref = m.getElement(m.get(table), i);
            for (let k = 0; k < PAGE / 4 - 2; k++) {
              const is = m.i32[(ref >> 2) + 2 + k];
              assert(
                is === (k === 7 ? i : hash(i, k) | 0),
                () => `array ${i} holds ${is} at ${k} afterwards`,
              );
            }
          }
        });
      });
      return { faults: heap.stats().faults.count };
    },
  );
}

/** Nobody touches the heap while the window is open. */
function noFault({ options }) {
  return withHeap({ heap: 16 * 1024 * 1024, ...options }, (heap, m) => {
    const type = heap.defineRecord('Node', { next: 'ref', value: 'i32' });
    m.run(() => {
      m.scope(() => {
        const head = buildList(m, type, 200_000);
        m.collect();
        const before = heap.stats();
        m.collect();
        const after = heap.stats();
        assert(after.cycles === before.cycles + 1, 'one cycle ran');
        assert(
          after.faults.count === before.faults.count,
          `${after.faults.count - before.faults.count} faults in a cycle that nobody watched`,
        );
        checkList(m, type, head, 200_000);
      });
    });
  });
}

await main({ sizes, wholeHeap, lastByte, overHalf, extremes, faults, noFault });
