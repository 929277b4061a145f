// A weak map: values for objects, by identity, that keep nothing alive. An entry is an ephemeron, so a value lives while its key does and
// the map does, even if it refers to the key.
//
// Keys are found by their identity hash, which lies in the header and moves along. It has 16 bits: beyond some 65 000 keys chains
// grow longer in proportion. An embedder who uses the header's spare bits for something that changes cannot use such objects as keys.
//
// The map itself is an object of the heap: `map.ref` may be stored anywhere, and opened by any thread. Several threads may use
// one map; each operation takes the map's lock (hash-directory.ts). `set` is a safepoint, nothing else is.

import { TospaceError } from '../errors.ts';
import {
  assertTable,
  ENTRY_FIELDS,
  HashDirectory,
  type HashTableTypes,
  TABLE_FIELDS,
} from './hash-directory.ts';
import type { Mutator } from './mutator.ts';
import type { Persistent } from './persistent.ts';
import { NULL, type Ref } from './ref.ts';
import { assertCompiledStackRoom } from './stack-room.ts';
import type { EphemeronType, TypeRegistry } from './types.ts';

/** As many as there are identity hashes. */
const MAX_BUCKETS = 65536;

export type WeakMapTypes = HashTableTypes<EphemeronType<'next' | 'hash'>>;

export function defineWeakMapTypes(types: TypeRegistry): WeakMapTypes {
  return Object.freeze({
    table: types.record('tospace.WeakMap', TABLE_FIELDS),
    refs: types.refArray('tospace.WeakMap.buckets'),
    entry: types.ephemeron('tospace.WeakMap.entry', ENTRY_FIELDS),
  });
}

/** A weak map as one thread uses it: inside `mutator.run`, until it is closed. */
export class HeapWeakMap {
  readonly #mutator: Mutator;
  readonly #types: WeakMapTypes;
  readonly #directory: HashDirectory;
  readonly #handle: Persistent;

  private constructor(mutator: Mutator, types: WeakMapTypes, directory: HashDirectory, ref: Ref) {
    this.#mutator = mutator;
    this.#types = types;
    this.#directory = directory;
    this.#handle = mutator.persist(ref);
  }

  /** Makes an empty map. A safepoint. @param types what `heap.defineWeakMap()` returned. @throws TospaceError ERR_TYPE */
  static create(mutator: Mutator, types: WeakMapTypes): HeapWeakMap {
    assertTable(mutator, types, 'WeakMap');
    const directory = directoryOf(mutator, types);
    return new HeapWeakMap(mutator, types, directory, directory.create());
  }

  /** Opens a map that exists already: the `ref` of another one. @throws TospaceError ERR_TYPE */
  static open(mutator: Mutator, types: WeakMapTypes, ref: Ref): HeapWeakMap {
    assertTable(mutator, types, 'WeakMap', ref);
    return new HeapWeakMap(mutator, types, directoryOf(mutator, types), ref);
  }

  /** The map as an object: as any reference, stale after the next safepoint. */
  get ref(): Ref {
    return this.#handle.get();
  }

  /** Number of entries. Those whose keys have died count until they are met. */
  get size(): number {
    return this.#directory.entries(this.ref);
  }

  /** The value for `key`, or null. */
  get(key: Ref): Ref {
    const table = this.ref;
    const hash = this.#hash(key);
    return this.#directory.locked(table, () => {
      const entry = this.#find(table, hash, key);
      return entry === NULL ? NULL : this.#mutator.getValue(entry);
    });
  }

  has(key: Ref): boolean {
    const table = this.ref;
    const hash = this.#hash(key);
    return this.#directory.locked(table, () => this.#find(table, hash, key) !== NULL);
  }

  /** Lets `key` have the value `value`. A safepoint. @throws TospaceError ERR_OUT_OF_MEMORY; the map is as it was. */
  set(key: Ref, value: Ref): void {
    assertCompiledStackRoom();
    const m = this.#mutator;
    const hash = this.#hash(key);
    if (this.#replace(this.ref, hash, key, value)) return;
    m.scope(() => {
      const [keyLocal, valueLocal, table] = [m.local(key), m.local(value), m.local(this.ref)];
      this.#directory.reserve(table);
      const entry = m.allocate(this.#types.entry);
      const [k, v, map] = [m.get(keyLocal), m.get(valueLocal), m.get(table)];
      m.setEphemeron(entry, k, v);
      this.#directory.locked(map, () => {
        // Another thread may have set it meanwhile.
        const known = this.#find(map, hash, k);
        if (known !== NULL) m.setEphemeron(known, k, v);
        else this.#directory.insert(map, hash, entry);
      });
    });
  }

  /** Takes `key` out; false when it was not in the map. */
  delete(key: Ref): boolean {
    assertCompiledStackRoom();
    const table = this.ref;
    const hash = this.#hash(key);
    return this.#directory.locked(table, () => {
      const entry = this.#find(table, hash, key);
      if (entry !== NULL) this.#directory.remove(table, hash, entry);
      return entry !== NULL;
    });
  }

  /** Gives up this thread's handle of the map. Closing twice does nothing. */
  close(): void {
    this.#handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #hash(key: Ref): number {
    if (key !== NULL) return this.#mutator.identityHash(key);
    throw new TospaceError('ERR_TYPE', 'null is no key of a weak map', {
      hint: 'Keys are objects: their deaths remove them from the map.',
    });
  }

  #find(table: Ref, hash: number, key: Ref): Ref {
    return this.#directory.find(table, hash, (entry) => this.#mutator.getKey(entry) === key);
  }

  #replace(table: Ref, hash: number, key: Ref, value: Ref): boolean {
    return this.#directory.locked(table, () => {
      const entry = this.#find(table, hash, key);
      if (entry !== NULL) this.#mutator.setEphemeron(entry, key, value);
      return entry !== NULL;
    });
  }
}

function directoryOf(mutator: Mutator, types: WeakMapTypes): HashDirectory {
  return new HashDirectory(mutator, types, MAX_BUCKETS, (entry) => mutator.getKey(entry) === NULL);
}
