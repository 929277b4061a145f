// An intern table: one canonical object for each content. It keeps none of them alive: when nothing else refers to a canonical object
// it dies, and the next one of that content takes its place, in the same entry if it is still there.
//
// What content is, is the caller's: a hash and a comparison. The table is an object of the heap, for any number of threads, like a
// weak map. `intern` is a safepoint when it makes an object; the comparison runs under the table's lock and must not reach one.

import {
  assertTable,
  ENTRY_FIELDS,
  HashDirectory,
  type HashTableTypes,
  TABLE_FIELDS,
} from './hash-directory.ts';
import type { Mutator } from './mutator.ts';
import type { Persistent } from './persistent.ts';
import { type Local, NULL, type Ref } from './ref.ts';
import { assertCompiledStackRoom } from './stack-room.ts';
import type { TypeRegistry, WeakRecordType } from './types.ts';

const MAX_BUCKETS = 2 ** 22;

export type InternTableTypes = HashTableTypes<WeakRecordType<'next' | 'hash'>>;

export function defineInternTableTypes(types: TypeRegistry): InternTableTypes {
  return Object.freeze({
    table: types.record('tospace.InternTable', TABLE_FIELDS),
    refs: types.refArray('tospace.InternTable.buckets'),
    entry: types.weakRecord('tospace.InternTable.entry', ENTRY_FIELDS),
  });
}

/** Spreads a caller's hash over all bits (the finalizer of MurmurHash3). */
function mix(hash: number): number {
  let h = hash | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** An intern table as one thread uses it: inside `mutator.run`, until it is closed. */
export class InternTable {
  readonly #mutator: Mutator;
  readonly #types: InternTableTypes;
  readonly #directory: HashDirectory;
  readonly #handle: Persistent;

  private constructor(mutator: Mutator, types: InternTableTypes, directory: HashDirectory, ref: Ref) {
    this.#mutator = mutator;
    this.#types = types;
    this.#directory = directory;
    this.#handle = mutator.persist(ref);
  }

  /** Makes an empty table. A safepoint. @param types what `heap.defineInternTable()` returned. @throws TospaceError ERR_TYPE */
  static create(mutator: Mutator, types: InternTableTypes): InternTable {
    assertTable(mutator, types, 'InternTable');
    const directory = directoryOf(mutator, types);
    return new InternTable(mutator, types, directory, directory.create());
  }

  /** Opens a table that exists already: the `ref` of another one. @throws TospaceError ERR_TYPE */
  static open(mutator: Mutator, types: InternTableTypes, ref: Ref): InternTable {
    assertTable(mutator, types, 'InternTable', ref);
    return new InternTable(mutator, types, directoryOf(mutator, types), ref);
  }

  /** The table as an object: as any reference, stale after the next safepoint. */
  get ref(): Ref {
    return this.#handle.get();
  }

  /** Number of entries. Those whose objects have died count until they are met. */
  get size(): number {
    return this.#directory.entries(this.ref);
  }

  /** The canonical object with this hash for which `equals` is true, or null. */
  find(hash: number, equals: (candidate: Ref) => boolean): Ref {
    const table = this.ref;
    return this.#directory.locked(table, () => this.#find(table, mix(hash), equals));
  }

  /**
   * The canonical object of a content: the one in the table, or else the one that `create` makes, which is put there. A safepoint. The table
   * does not keep it alive: when nothing else refers to it, it dies, and its content is made anew next time.
   * @param hash any 32-bit integer that equal contents share.
   * @param equals whether a candidate has the content; must not reach a safepoint.
   * @param create makes an object of the content; when another thread is faster its object is taken, and this one is dropped.
   * @throws TospaceError ERR_OUT_OF_MEMORY; the table is as it was.
   */
  intern(hash: number, equals: (candidate: Ref) => boolean, create: () => Ref): Ref {
    const known = this.find(hash, equals);
    if (known !== NULL) return known;
    assertCompiledStackRoom();
    const m = this.#mutator;
    const mixed = mix(hash);
    return m.scope(() => {
      const object = m.local(create());
      const table = m.local(this.ref);
      const reused = this.#insert(table, mixed, object, equals, NULL);
      if (reused !== NULL) return reused;
      this.#directory.reserve(table);
      return this.#insert(table, mixed, object, equals, m.allocate(this.#types.entry));
    });
  }

  /** Gives up this thread's handle of the table. Closing twice does nothing. */
  close(): void {
    this.#handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #find(table: Ref, mixed: number, equals: (candidate: Ref) => boolean): Ref {
    const m = this.#mutator;
    const entry = this.#directory.find(table, mixed, (candidate) => {
      const object = m.getWeak(candidate);
      return object !== NULL && equals(object);
    });
    return entry === NULL ? NULL : m.getWeak(entry);
  }

  /** Puts `object` in the table, in a dead entry or in the given new one, unless an equal one is there. Null when it needs a new one. */
  #insert(table: Local, mixed: number, object: Local, equals: (candidate: Ref) => boolean, entry: Ref): Ref {
    const m = this.#mutator;
    const directory = this.#directory;
    const [map, made] = [m.get(table), m.get(object)];
    return directory.locked(map, () => {
      const known = this.#find(map, mixed, equals);
      if (known !== NULL) return known;
      const dead = directory.findDead(map, mixed);
      if (dead !== NULL) {
        m.setI32(dead, this.#types.entry.offset.hash, mixed);
        m.setWeak(dead, made);
        return made;
      }
      if (entry === NULL) return NULL;
      m.setWeak(entry, made);
      directory.insert(map, mixed, entry);
      return made;
    });
  }
}

function directoryOf(mutator: Mutator, types: InternTableTypes): HashDirectory {
  return new HashDirectory(mutator, types, MAX_BUCKETS, (entry) => mutator.getWeak(entry) === NULL);
}
