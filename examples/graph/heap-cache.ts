// The cache on the managed heap, shared by all threads without a lock.
//
//   index ─► Entry { key, value ─► Value { updates, sum, text ─► bytes }, link0 … link3 ─► Entry }
//
// A Value never changes once it is published. An update makes a new one and puts it in the old one's place by compare-and-exchange; if
// another thread was faster, it begins again. Readers take the value once, atomically, and what they then read is of one piece. There
// is no problem of reclamation, and none of ABA: the old value is garbage when the last thread has forgotten it, as in any managed heap.
//
// Every request is one safepoint or more, and no reference is kept across one: after it, the way begins at the index again.
import type {
  Heap,
  HeapAccess,
  Local,
  Mutator,
  RawArrayType,
  RecordType,
  Ref,
  RefArrayType,
  SharedHandle,
  RunBody,
  ScopeBody,
} from 'tospace';
import type { Cache, StateReport } from './cache.ts';
import {
  entryChecksum,
  HOPS,
  LINKS,
  linkAt,
  linkOf,
  textLength,
  type Shape,
  textSeed,
  textUnit,
  visit,
} from './content.ts';

const HEADER_BYTES = 8;

type EntryType = RecordType<'key' | 'value' | 'link0' | 'link1' | 'link2' | 'link3'>;
type ValueType = RecordType<'updates' | 'sum' | 'text'>;

/** What a thread needs to find the cache. Can be posted. */
export interface SharedCache {
  readonly shape: Shape;
  readonly index: SharedHandle;
  readonly types: {
    readonly index: RefArrayType;
    readonly entry: EntryType;
    readonly value: ValueType;
    readonly text: RawArrayType;
  };
}

/** Registers the types, and allocates the index. The calling thread must stay attached for as long as others use it. */
export function createHeapCache(heap: Heap, mutator: Mutator, shape: Shape): SharedCache {
  const types = {
    index: heap.defineRefArray('graph.Index'),
    entry: heap.defineRecord('graph.Entry', {
      key: 'i32',
      value: 'ref',
      link0: 'ref',
      link1: 'ref',
      link2: 'ref',
      link3: 'ref',
    }),
    value: heap.defineRecord('graph.Value', { updates: 'i32', sum: 'i32', text: 'ref' }),
    text: heap.defineArray('graph.Text', 'u8'),
  };
  const index = mutator.run(() => mutator.persist(mutator.allocateArray(types.index, shape.entries)).share());
  return { shape, index, types };
}

export class HeapCache implements Cache {
  wrong = 0;
  /** Updates that began again because another thread was faster. */
  retries = 0;
  readonly #m: Mutator;
  readonly #shared: SharedCache;
  #index: Local = 0 as Local;

  constructor(mutator: Mutator, shared: SharedCache) {
    this.#m = mutator;
    this.#shared = shared;
  }

  static attach(heap: HeapAccess, shared: SharedCache, name: string): { cache: HeapCache; mutator: Mutator } {
    const mutator = heap.attach({ name });
    return { mutator, cache: new HeapCache(mutator, shared) };
  }

  /** Runs `body` as a mutator: all other methods are called inside. Outside of it the thread is in a safe region. */
  run<T>(body: RunBody<T>): T {
    const m = this.#m;
    const opened = (): T => {
      this.#index = m.local(m.borrow(this.#shared.index).get());
      return body();
    };
    return m.run((() => m.scope(opened as ScopeBody<T>)) as RunBody<T>);
  }

  /** Makes a part of the entries, without links and values: so all entries lie together, and a walk touches few pages. */
  build(part: number, parts: number): void {
    const m = this.#m;
    const { shape, types } = this.#shared;
    const end = partBegin(part + 1, parts, shape);
    for (let key = partBegin(part, parts, shape); key < end; key++) {
      const entry = m.allocate(types.entry);
      m.setI32(entry, types.entry.offset.key, key);
      m.setElement(m.get(this.#index), key, entry);
    }
  }

  /** Gives the entries of a part their links and values, when all entries have been made. */
  link(part: number, parts: number): void {
    const m = this.#m;
    const { shape, types } = this.#shared;
    const end = partBegin(part + 1, parts, shape);
    for (let key = partBegin(part, parts, shape); key < end; key++) {
      const value = this.#makeValue(key, 0, 0);
      const index = m.get(this.#index);
      const entry = m.getElement(index, key);
      m.setRef(entry, types.entry.offset.value, value);
      for (let i = 0; i < LINKS; i++)
        m.setRef(entry, types.entry.offset.link0 + 4 * i, m.getElement(index, linkOf(key, i, shape)));
    }
  }

  walk(key: number, path: number): number {
    const m = this.#m;
    const { entry: type } = this.#shared.types;
    m.safepoint();
    let entry = m.getElement(m.get(this.#index), key);
    let seen = visit(0, m.getI32(entry, type.offset.key));
    for (let hop = 0; hop < HOPS; hop++) {
      entry = m.getRef(entry, type.offset.link0 + 4 * linkAt(path, hop));
      seen = visit(seen, m.getI32(entry, type.offset.key));
    }
    if (!this.#isValue(m.getI32(entry, type.offset.key), m.atomicLoadRef(entry, type.offset.value)))
      this.wrong++;
    return seen;
  }

  update(key: number, delta: number): void {
    const m = this.#m;
    const { entry: entryType, value: valueType } = this.#shared.types;
    for (;;) {
      const old = m.atomicLoadRef(m.getElement(m.get(this.#index), key), entryType.offset.value);
      const updates = m.getI32(old, valueType.offset.updates) + 1;
      const fresh = this.#makeValue(key, updates, (m.getI32(old, valueType.offset.sum) + delta) | 0);
      // Objects may have moved, and another thread may have been here. No safepoint from here to the exchange.
      const entry = m.getElement(m.get(this.#index), key);
      const current = m.atomicLoadRef(entry, entryType.offset.value);
      if (
        m.getI32(current, valueType.offset.updates) === updates - 1 &&
        m.compareExchangeRef(entry, entryType.offset.value, current, fresh) === current
      )
        return;
      this.retries++;
    }
  }

  readAll(): StateReport {
    const m = this.#m;
    const { shape, types } = this.#shared;
    const { offset } = types.entry;
    let checksum = 0;
    let wrong = 0;
    for (let key = 0; key < shape.entries; key++) {
      m.safepoint();
      const entry = m.getElement(m.get(this.#index), key);
      const value = m.atomicLoadRef(entry, offset.value);
      const updates = m.getI32(value, types.value.offset.updates);
      checksum = (checksum + entryChecksum(key, updates, m.getI32(value, types.value.offset.sum))) | 0;
      let right = m.getI32(entry, offset.key) === key && this.#isValue(key, value);
      for (let i = 0; i < LINKS; i++) {
        const linked = m.getRef(entry, offset.link0 + 4 * i);
        if (m.getI32(linked, offset.key) !== linkOf(key, i, shape)) right = false;
      }
      if (!right) wrong++;
    }
    return { checksum: checksum >>> 0, wrong };
  }

  /** A new value, not yet published. A safepoint. */
  #makeValue(key: number, updates: number, sum: number): Ref {
    const m = this.#m;
    const { value: type, text: textType } = this.#shared.types;
    const seed = textSeed(key, updates);
    const length = textLength(seed);
    const text = m.allocateArray(textType, length);
    const { u8 } = m;
    for (let i = 0; i < length; i++) u8[text + HEADER_BYTES + i] = textUnit(seed, i);
    const depth = m.shadowStack.depth;
    const kept = m.local(text);
    const value = m.allocate(type);
    m.setI32(value, type.offset.updates, updates);
    m.setI32(value, type.offset.sum, sum);
    m.setRef(value, type.offset.text, m.get(kept));
    m.shadowStack.truncate(depth);
    return value;
  }

  #isValue(key: number, value: Ref): boolean {
    const m = this.#m;
    const { offset } = this.#shared.types.value;
    const seed = textSeed(key, m.getI32(value, offset.updates));
    const text = m.getRef(value, offset.text);
    const length = textLength(seed);
    if (m.length(text) !== length) return false;
    const { u8 } = m;
    for (let i = 0; i < length; i++) if (u8[text + HEADER_BYTES + i] !== textUnit(seed, i)) return false;
    return true;
  }
}

function partBegin(part: number, parts: number, { entries }: Shape): number {
  return Math.floor((entries * part) / parts);
}
