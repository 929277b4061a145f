// What belongs to a mutator while it is attached, and to nobody else: its buffer, its roots, its handles.
import { assert, createHeap, isTospaceError, layout, main, NULL, recordOf, thrownBy } from './support.mjs';

const NODE = { next: 'ref', value: 'i32' };

const refused = (body) => assert(isTospaceError(thrownBy(body), 'ERR_STATE'), () => `not refused: ${body}`);

/** A detached mutator whose record another one has got by now. */
async function detached(options) {
  const heap = await createHeap({ heap: 2 ** 20, ...options });
  const node = heap.defineRecord('Node', NODE);
  const bytes = heap.defineArray('Bytes', 'u8');
  const a = heap.attach();
  a.run(() => a.allocate(node));
  const { index } = a;
  a.detach();
  const b = heap.attach();
  assert(b.index === index, 'the record is used again');
  const record = recordOf(heap, b);
  b.run(() =>
    b.scope(() => {
      const own = b.local(b.allocate(node));
      const cursor = record[layout.T_CURSOR];
      const top = record[layout.T_SHADOW_TOP];
      const ref = b.get(own);
      refused(() => a.allocate(node));
      refused(() => a.tryAllocate(node));
      refused(() => a.allocateArray(bytes, 8));
      refused(() => a.allocatePinned(node));
      for (const use of [() => a.scope(() => a.local(ref)), () => a.local(ref)]) {
        try {
          use();
        } catch (error) {
          assert(isTospaceError(error, 'ERR_STATE', 'ERR_HANDLE', 'ERR_TYPE'), () => error.stack);
        }
      }
      assert(record[layout.T_CURSOR] === cursor, 'the buffer is the own one still');
      assert(record[layout.T_SHADOW_TOP] === top && b.get(own) === ref, 'and so are the roots');
    }),
  );
  b.detach();
  // Detached within a scope of its own.
  const c = heap.attach();
  let d;
  let kept;
  c.scope(() => {
    c.detach();
    d = heap.attach();
    d.enter();
    kept = d.local(d.allocate(node));
  });
  assert(d.shadowStack.depth === 1, 'a handle of another mutator is released');
  d.collect();
  assert(d.get(kept) !== NULL, 'its object lives');
  d.leave();
  d.detach();
  await heap.close();
}

/** close() of a handle where its thread may not run as a mutator: it stays open, and is closed later. */
async function refusedClose() {
  const heap = await createHeap({ heap: 2 ** 20 });
  const node = heap.defineRecord('Node', NODE);
  const [outer, inner] = [heap.attach(), heap.attach()];
  const handle = outer.run(() => outer.persist(outer.allocate(node)));
  const { slot } = handle.share();
  outer.run(() => inner.run(() => inner.blocking(() => refused(() => handle.close()))));
  outer.run(() => assert(outer.typeId(handle.get()) === node.id, 'the handle is open'));
  handle.close();
  handle.close();
  outer.run(() => {
    assert(
      isTospaceError(
        thrownBy(() => handle.get()),
        'ERR_HANDLE',
      ),
      'the handle is closed',
    );
    const next = [outer.persist(NULL), outer.persist(NULL)];
    assert(next[0].share().slot === slot && next[1].share().slot !== slot, 'its slot is given away once');
  });
  inner.detach();
  outer.detach();
  await heap.close();
}

/** Descriptors of an embedder's own that have something to do when they are asked. */
async function descriptors() {
  const heap = await createHeap({ heap: 2 ** 20 });
  const node = heap.defineRecord('Node', NODE);
  const bytes = heap.defineArray('Bytes', 'u8');
  const m = heap.attach();
  const record = recordOf(heap, m);
  const busy = (type) => ({
    ...type,
    get id() {
      m.allocate(node);
      return type.id;
    },
    get bytes() {
      m.allocate(node);
      return type.bytes;
    },
  });
  const broken = (type) => ({
    ...type,
    get id() {
      throw new Error('on purpose');
    },
  });
  m.run(() => {
    const before = m.allocate(node);
    const cursor = record[layout.T_CURSOR];
    assert(thrownBy(() => m.allocate(broken(node))).message === 'on purpose', 'a record');
    assert(thrownBy(() => m.allocateArray(broken(bytes), 8)).message === 'on purpose', 'an array');
    assert(record[layout.T_CURSOR] === cursor, 'nothing was taken');
    const ref = m.allocate(busy(node));
    assert(ref === before + 3 * node.bytes, 'behind those that its descriptor allocated');
    assert(m.typeId(ref) === node.id, 'a header');
    assert(m.typeId(m.allocateArray(busy(bytes), 8)) === bytes.id, 'an array');
    m.collect();
  });
  m.detach();
  await heap.close();
}

await main({ detached, refusedClose, descriptors });
