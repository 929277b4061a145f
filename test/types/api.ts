// What must compile, and what must not: checked by `npm run typecheck`, never run. A line under @ts-expect-error that compiles is an error.
import {
  attachHeap,
  createHeap,
  type Heap,
  type HeapAccess,
  type HeapGraph,
  type HeapOptions,
  HeapWeakMap,
  type Local,
  type Mutator,
  NULL,
  parseOptions,
  type Persistent,
  type RecordType,
  type Ref,
  type RunBody,
  type ScopeBody,
  type SharedHeap,
} from 'tospace';
import * as tospace from 'tospace';
import { conformance, type Embedder } from 'tospace/conformance';
import { expectTypeOf } from 'vitest';

export function references(heap: HeapAccess, m: Mutator): void {
  const Cell = heap.defineRecord('Cell', { next: 'ref', value: 'i32', weight: 'f64', tag: 'u8' });
  const Other = heap.defineRecord('Other', { next: 'ref', value: 'i32' });
  const Bytes = heap.defineArray('Bytes', 'u8');
  const cell = m.allocate(Cell);
  const other = m.allocate(Other);

  // A number is no reference, and a reference no handle.
  expectTypeOf<number>().not.toExtend<Ref>();
  expectTypeOf<Ref>().not.toExtend<Local>();
  expectTypeOf<Local>().not.toExtend<Ref>();
  expectTypeOf(cell).toEqualTypeOf<Ref<'Cell'>>();
  expectTypeOf(m.asRef(4096)).toEqualTypeOf<Ref>();
  // @ts-expect-error a number is no reference
  m.local(4096);
  // @ts-expect-error a reference is no handle
  m.get(cell);
  // @ts-expect-error a handle is no reference: read it first
  m.setRef(cell, Cell.offset.next, m.local(other));

  // What a field holds.
  m.setRef(cell, Cell.offset.next, other);
  m.setI32(cell, Cell.offset.value, 1);
  m.setF64(cell, Cell.offset.weight, 1);
  m.setU8(cell, Cell.offset.tag, 1);
  m.addI32(cell, Cell.offset.value, 1);
  m.atomicStoreRef(cell, Cell.offset.next, NULL);
  // @ts-expect-error a reference is not read as a number
  m.getI32(cell, Cell.offset.next);
  // @ts-expect-error a number is not read as a reference
  m.getRef(cell, Cell.offset.value);
  // @ts-expect-error a store without its barrier
  m.setI32(cell, Cell.offset.next, other);
  // @ts-expect-error the wrong width
  m.getI32(cell, Cell.offset.weight);
  // @ts-expect-error the wrong width
  m.addI32(cell, Cell.offset.tag, 1);
  // @ts-expect-error there is no such field
  m.getI32(cell, Cell.offset.size);

  // Whose field it is, as far as the type of the reference is known.
  m.getI32(other, Other.offset.value);
  // @ts-expect-error a field of another type
  m.getI32(other, Cell.offset.value);
  // @ts-expect-error a field of another type
  m.setRef(cell, Other.offset.next, NULL);
  const next = m.getRef(cell, Cell.offset.next);
  expectTypeOf(next).toEqualTypeOf<Ref>();
  m.getI32(next, Cell.offset.value);
  m.getI32(next, Other.offset.value);
  m.getI32(m.asRef(8), 8);
  m.getI32(cell, 8);

  // Handles keep what is known.
  const held = m.local(cell);
  expectTypeOf(held).toEqualTypeOf<Local<'Cell'>>();
  m.setRef(m.get(held), Cell.offset.next, other);
  // @ts-expect-error a field of another type
  m.getI32(m.get(held), Other.offset.value);
  // @ts-expect-error a handle of another type
  m.set(held, other);
  m.set(held, NULL);
  m.set(held, next);
  const any = m.local(NULL);
  m.set(any, cell);
  m.set(any, other);

  // What is allocated how.
  expectTypeOf(m.allocateArray(Bytes, 8)).toEqualTypeOf<Ref<'Bytes'>>();
  // @ts-expect-error an array has a length
  m.allocate(Bytes);
  // @ts-expect-error a record has none
  m.allocateArray(Cell, 1);
  m.allocate({ id: heap.defineRecordLayout('Closure', 40, [8, 16]), bytes: 40 });
  // @ts-expect-error there is no such kind of field
  heap.defineRecord('Wrong', { a: 'string' });
  // @ts-expect-error references have arrays of their own
  heap.defineArray('Wrong', 'ref');
}

export function bodies(m: Mutator): void {
  expectTypeOf(m.run(() => 1)).toEqualTypeOf<number>();
  m.scope(() => m.blocking(() => {}));
  // @ts-expect-error behind an await it would run in a safe region
  m.run(async () => 1);
  // @ts-expect-error behind an await its handles would be gone
  m.scope(async () => {});
  // @ts-expect-error it would wait for nothing
  m.blocking(() => Promise.resolve());
  const passOn = <T>(body: RunBody<T>): T => m.run(body);
  const passOnToScope = <T>(body: ScopeBody<T>): T => m.scope(body);
  const passOnToBlocking = <T>(body: RunBody<T>): T => m.blocking(body);
  expectTypeOf(passOn(() => 'text')).toEqualTypeOf<string>();
  expectTypeOf(passOnToScope(() => 'text')).toEqualTypeOf<string>();
  expectTypeOf(passOnToBlocking(() => 'text')).toEqualTypeOf<string>();
  // @ts-expect-error passed on or not
  passOn(async () => 1);
  // @ts-expect-error passed on or not
  passOnToScope(async () => 1);
}

export function whatLeaves(heap: HeapAccess, m: Mutator): void {
  const Cell = heap.defineRecord('Cell', { next: 'ref', value: 'i32' });
  const cell = m.allocate(Cell);
  const local = m.local(cell);

  // A raw reference does not leave `run`, nor `blocking`: it is stale there.
  // @ts-expect-error a reference
  m.run(() => m.allocate(Cell));
  // @ts-expect-error read from a field
  m.run(() => m.getRef(cell, Cell.offset.next));
  // @ts-expect-error read from a handle
  m.blocking(() => m.get(local));
  // @ts-expect-error perhaps a reference
  m.run(() => (m.length(cell) > 0 ? cell : undefined));
  // @ts-expect-error nor does it in an array
  m.run(() => [cell]);
  // @ts-expect-error or a tuple
  m.run(() => [1, cell] as const);
  // @ts-expect-error or an object
  m.run(() => ({ size: 1, head: cell }));
  m.run(() => {
    // @ts-expect-error in a nested run neither: that is what scope is for
    m.run(() => cell);
  });
  const through = (body: RunBody<Ref>): Ref => m.run(body);
  // @ts-expect-error nor through a function that passes it on
  through(() => cell);

  // Persistent handles keep what is known, as those of scopes do.
  const kept = m.persist(cell);
  expectTypeOf(kept).toEqualTypeOf<Persistent<'Cell'>>();
  m.getI32(kept.get(), Cell.offset.value);
  kept.set(NULL);
  kept.set(m.getRef(cell, Cell.offset.next));
  // @ts-expect-error a reference to another type
  kept.set(m.allocate(heap.defineRecord('Other', { next: 'ref' })));
  const any: Persistent = kept;
  any.set(m.allocate(heap.defineRecord('Other', { next: 'ref' })));

  // What was read from an object does, and so do handles.
  expectTypeOf(m.run(() => m.getI32(cell, Cell.offset.value))).toEqualTypeOf<number>();
  expectTypeOf(m.run(() => m.persist(cell))).toEqualTypeOf<Persistent<'Cell'>>();
  expectTypeOf(m.run(() => [m.persist(cell)])).toEqualTypeOf<Persistent<'Cell'>[]>();
  expectTypeOf(m.run(() => HeapWeakMap.create(m, heap.defineWeakMap()))).toEqualTypeOf<HeapWeakMap>();
  expectTypeOf(m.run(() => heap.snapshot())).toEqualTypeOf<HeapGraph>();
  expectTypeOf(m.run(() => m.local(cell))).toEqualTypeOf<Local<'Cell'>>();
  expectTypeOf(m.run(() => Cell)).toEqualTypeOf<typeof Cell>();
  expectTypeOf(m.run(() => new Map([['a', 1]]))).toEqualTypeOf<Map<string, number>>();
  expectTypeOf(m.run(() => JSON.parse('1'))).toBeAny();
  expectTypeOf(m.run((): unknown => 1)).toBeUnknown();
  expectTypeOf(m.run((): void => {})).toEqualTypeOf<void>();
  expectTypeOf(
    m.run((): never => {
      throw new Error();
    }),
  ).toBeNever();

  // A reference leaves a scope, which is no safepoint; its handles end there.
  expectTypeOf(m.scope(() => m.get(local))).toEqualTypeOf<Ref<'Cell'>>();
  expectTypeOf(m.scope(() => ({ head: cell }))).toEqualTypeOf<{ head: Ref<'Cell'> }>();
  // @ts-expect-error a handle
  m.scope(() => m.local(cell));
  // @ts-expect-error nor does one in an array
  m.scope(() => [m.local(cell)]);
}

export function graphs(m: Mutator, graph: HeapGraph): void {
  for (const object of graph.objects()) {
    graph.objectAt(object.address);
    // @ts-expect-error where an object was is no reference to it
    m.typeId(object.address);
  }
}

export function listening(heap: Heap, shared: SharedHeap): void {
  heap.on('cycle', () => {});
  const access = attachHeap(shared);
  // @ts-expect-error events are told to the thread that created the heap
  access.on('cycle', () => {});
  expectTypeOf<Heap>().toExtend<HeapAccess>();
}

export function onlyWays(m: Mutator): void {
  // @ts-expect-error createHeap is the way to a heap
  void (() => tospace.Heap.create());
  // @ts-expect-error heap.attach is the way to a mutator
  void tospace.Mutator;
  // @ts-expect-error attachHeap is the way to a heap of another thread
  void tospace.HeapAccess;
  m.collect({ release: true });
  // @ts-expect-error what true would mean, nobody could tell
  m.collect(true);
}

export async function events(): Promise<void> {
  const heap = await createHeap();
  heap.on('cycle', ({ durationMs }) => expectTypeOf(durationMs).toEqualTypeOf<number>());
  // @ts-expect-error there is no such event
  heap.on('cycel', () => {});
  heap.listener = { pause: ({ durationUs }) => expectTypeOf(durationUs).toEqualTypeOf<number>() };
  heap.listener = undefined;
}

export function weak(heap: HeapAccess, m: Mutator): void {
  const Weak = heap.defineWeakRecord('Weak', { name: 'ref' });
  const Entry = heap.defineEphemeron('Entry');
  const record = m.allocate(Weak);
  m.getRef(record, Weak.offset.name);
  // @ts-expect-error a weak field has operations of its own
  m.getRef(record, Weak.offset.referent);
  // @ts-expect-error a weak field has operations of its own
  m.setRef(m.allocate(Entry), Entry.offset.value, record);
}

export function descriptors(heap: HeapAccess, m: Mutator): void {
  type CellType = RecordType<{ next: 'ref'; value: 'i32' }, 'Cell'>;
  const Cell: CellType = heap.defineRecord('Cell', { next: 'ref', value: 'i32' });
  const names: RecordType<'next' | 'value'> = Cell;
  const plain: RecordType = Cell;
  m.getI32(m.allocate(names), names.offset.value);
  m.getI32(m.allocate(plain), plain.offset.value!);
  // @ts-expect-error the shape is another
  const wrong: RecordType<{ next: 'ref'; value: 'f64' }, 'Cell'> = Cell;
  void wrong;
}

export async function options(): Promise<void> {
  await createHeap({
    heap: 4096 * 64,
    minHeap: '256KiB',
    safepointTimeoutMs: '2s',
    verify: 'phase',
    servers: 'auto',
  });
  await createHeap({ ...parseOptions(process.env.TOSPACE ?? ''), trigger: 0.5 });
  // @ts-expect-error no unit
  await createHeap({ heap: '256' });
  // @ts-expect-error not a unit of sizes
  await createHeap({ heap: '256MB' });
  // @ts-expect-error not a unit of durations
  await createHeap({ idleCollectMs: '5min' });
  // @ts-expect-error verify has levels
  await createHeap({ verify: true });
  // @ts-expect-error unknown
  await createHeap({ heapBytes: 1 });
  const heap = await createHeap();
  expectTypeOf(heap.options.heap).toEqualTypeOf<number>();
  expectTypeOf(heap.options.minHeap).toEqualTypeOf<number>();
  expectTypeOf(heap.options.safepointTimeoutMs).toEqualTypeOf<number>();
  expectTypeOf(heap.options.servers).toEqualTypeOf<number>();
  expectTypeOf(heap.options.trigger).toEqualTypeOf<number | 'auto'>();
  expectTypeOf(heap.options.collector).toEqualTypeOf<'concurrent' | 'stop-the-world' | 'none'>();
  expectTypeOf<HeapOptions['collector']>().toEqualTypeOf<
    'concurrent' | 'stop-the-world' | 'none' | 'auto' | undefined
  >();
  // @ts-expect-error what really runs is not for changing
  heap.options.heap = 1;
}

export async function kit(embedder: Embedder): Promise<void> {
  await conformance(embedder, { timeoutMs: '20s', checks: ['size'] });
  // @ts-expect-error not a unit of durations
  await conformance(embedder, { timeoutMs: '1min' });
  // @ts-expect-error there is no such check
  await conformance(embedder, { checks: ['sizes'] });
  // @ts-expect-error sizes are the kit's
  await conformance({ ...embedder, heap: { heap: '64MiB' } });
  await conformance({ ...embedder, heap: { largeObject: '64KiB' } });
}
