// What a heap says of itself: options from the environment, and the mode with its reasons.
import { createHeap, formatOptions } from 'tospace';
import { assert, main } from './support.mjs';

const MIB = 2 ** 20;
const EPERM = 1;
const EVERY = { nth: 1, every: true, errno: EPERM };
const NO_USERFAULTFD = [
  { call: 'userfaultfd', ...EVERY },
  { call: 'openDevice', ...EVERY },
];

async function withHeap(options, body) {
  const heap = await createHeap(options);
  try {
    return await body(heap);
  } finally {
    await heap.close();
  }
}

/** What `options` give: the mode after a collection, and the line of options. */
function mode({ options }) {
  return withHeap({ heap: 4 * MIB, ...options }, (heap) => {
    const m = heap.attach();
    m.run(() => m.collect());
    m.detach();
    const shared = heap.mode;
    return { mode: shared, line: formatOptions(heap.options), options: heap.options };
  });
}

/** Without a userfaultfd: an error by default, another collector and the reason under `auto`. */
async function refused() {
  let code;
  try {
    await withHeap({ heap: MIB, stress: { injection: NO_USERFAULTFD } }, () => {});
  } catch (error) {
    code = error.code;
  }
  assert(code === 'ERR_PERMISSION', `without a userfaultfd: ${code}`);
  return mode({ options: { collector: 'auto', stress: { injection: NO_USERFAULTFD } } });
}

/** Kept in a variable across each kind of safepoint, with no collection in between: refused, and the safepoint is named. */
function stale() {
  return withHeap({ heap: 4 * MIB, verify: 'full' }, (heap) => {
    const Cell = heap.defineRecord('Cell', { next: 'ref', value: 'i32' });
    const Bytes = heap.defineArray('Bytes', 'u8');
    const m = heap.attach();
    const messages = {};
    const kept = (name, body) => {
      m.run(() =>
        m.scope(() => {
          const cell = m.allocate(Cell);
          const handle = m.local(cell);
          const persistent = m.persist(cell);
          body();
          try {
            m.getI32(cell, Cell.offset.value);
            messages[name] = 'not found';
          } catch (error) {
            messages[name] = `${error.code} ${error.message.replace(/\d+ is/, 'N is')}`;
          }
          // Read again it is fresh, from wherever.
          m.setI32(m.get(handle), Cell.offset.value, 1);
          m.setRef(persistent.get(), Cell.offset.next, m.get(handle));
          assert(
            m.getI32(m.getRef(m.asRef(m.shadowStack.peek(0)), Cell.offset.next), Cell.offset.value) === 1,
            'read',
          );
          // Neither closing a handle, nor a nested run, nor a scope is a safepoint.
          const again = m.get(handle);
          persistent.close();
          m.run(() => m.scope(() => m.local(again)));
          m.getI32(again, Cell.offset.value);
        }),
      );
    };
    kept('allocate', () => m.allocate(Cell));
    kept('allocateArray', () => m.allocateArray(Bytes, 8));
    kept('allocatePinned', () => m.allocatePinned(Cell));
    kept('safepoint', () => m.safepoint());
    kept('collect', () => m.collect());
    kept('blocking', () => m.blocking(() => {}));
    kept('three', () => {
      m.safepoint();
      m.allocate(Cell);
      m.safepoint();
    });
    // Pinned objects stay: their references do not become stale.
    m.run(() => {
      const pinned = m.allocatePinned(Cell);
      m.local(pinned);
      m.collect();
      m.setI32(pinned, Cell.offset.value, 7);
      assert(m.getI32(pinned, Cell.offset.value) === 7, 'pinned');
    });
    m.detach();
    return messages;
  });
}

/** Fields of every kind hold what they should. */
function fields({ verify }) {
  return withHeap({ heap: MIB, verify }, (heap) => {
    const All = heap.defineRecord('All', {
      a: 'i8',
      b: 'u8',
      c: 'i16',
      d: 'u16',
      e: 'i32',
      f: 'u32',
      g: 'f32',
      h: 'f64',
      i: 'i64',
    });
    const m = heap.attach();
    const values = m.run(() => {
      const handle = m.local(m.allocate(All));
      const { a, b, c, d, e, f, g, h, i } = All.offset;
      const all = m.get(handle);
      m.setI8(all, a, -1);
      m.setU8(all, b, 255);
      m.setI16(all, c, -2);
      m.setU16(all, d, 65534);
      m.setI32(all, e, -3);
      m.setU32(all, f, 4294967293);
      m.setF32(all, g, 0.5);
      m.setF64(all, h, 0.1);
      m.setI64(all, i, -5n);
      m.collect();
      const o = m.get(handle);
      return [
        m.getI8(o, a),
        m.getU8(o, b),
        m.getI16(o, c),
        m.getU16(o, d),
        m.getI32(o, e),
        m.getU32(o, f),
        m.getF32(o, g),
        m.getF64(o, h),
        Number(m.getI64(o, i)),
      ];
    });
    m.detach();
    return values;
  });
}

main({ mode, refused, stale, fields });
