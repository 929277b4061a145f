// Hash tables in the heap: what the weak map and the intern table share. Chains of entries hang from buckets, buckets lie in small
// segments, and a directory names the segments.
//
// It grows by linear hashing (Litwin 1980): an insertion that finds the table full adds one bucket and splits one chain into two, so that no
// operation ever rehashes everything, and a thread in the table's lock is never far from its end. Every insertion also looks through
// one bucket for entries whose object has died, in turn, so that a table holds at most about as many dead entries as live ones
// whatever is looked up. Tables do not shrink.
//
// Locking: every operation takes the table's own lock, a word of the table. Nothing is allocated under it, so its holder meets no
// safepoint: a thread that waits for it, running, holds up a pause no longer than the holder takes. For the same reason the
// word cannot move while somebody waits there.

import { TospaceError } from '../errors.ts';
import { withLock } from './lock.ts';
import type { Mutator } from './mutator.ts';
import { type Local, NULL, type Ref } from './ref.ts';
import type { FieldKind, RecordType, RefArrayType } from './types.ts';

/** Buckets of a segment. */
const SEGMENT = 64;

/** The types that one kind of table needs. A plain object: it may be posted to another thread. */
export interface HashTableTypes<Entry extends RecordType = RecordType> {
  readonly table: RecordType<'directory' | 'lock' | 'buckets' | 'entries' | 'hand'>;
  readonly refs: RefArrayType;
  readonly entry: Entry;
}

/** Fields of a table. */
export const TABLE_FIELDS: Readonly<
  Record<'directory' | 'lock' | 'buckets' | 'entries' | 'hand', FieldKind>
> = Object.freeze({ directory: 'ref', lock: 'i32', buckets: 'i32', entries: 'i32', hand: 'i32' });

/** Fields that every kind of entry has besides its weak ones. */
export const ENTRY_FIELDS: Readonly<Record<'next' | 'hash', FieldKind>> = Object.freeze({
  next: 'ref',
  hash: 'i32',
});

/** The types of another kind of table, or a reference to something else, would damage the heap. @throws TospaceError ERR_TYPE */
export function assertTable(mutator: Mutator, types: HashTableTypes, kind: string, ref?: Ref): void {
  const known = types?.table?.name === `tospace.${kind}`;
  if (known && (ref === undefined || (ref !== NULL && mutator.typeId(ref) === types.table.id))) return;
  throw new TospaceError(
    'ERR_TYPE',
    known ? `${ref} is no ${kind}` : `these are not the types of a ${kind}`,
    {
      hint: `create() takes what heap.define${kind}() returned; open() takes the ref of such a table besides.`,
    },
  );
}

/** The bucket, of `buckets`, for a hash. */
function bucketOf(hash: number, buckets: number): number {
  // The least power of two that is not below the number of buckets, less 1.
  const mask = buckets === 1 ? 0 : -1 >>> Math.clz32(buckets - 1);
  const bucket = hash & mask;
  return bucket < buckets ? bucket : bucket & (mask >>> 1);
}

export class HashDirectory {
  readonly #mutator: Mutator;
  readonly #types: HashTableTypes;
  readonly #maxBuckets: number;
  /** True when the object that an entry is for has died. */
  readonly #isDead: (entry: Ref) => boolean;

  constructor(mutator: Mutator, types: HashTableTypes, maxBuckets: number, isDead: (entry: Ref) => boolean) {
    this.#mutator = mutator;
    this.#types = types;
    this.#maxBuckets = maxBuckets;
    this.#isDead = isDead;
  }

  /** Makes an empty table. A safepoint. */
  create(): Ref {
    const m = this.#mutator;
    const { table, refs } = this.#types;
    return m.scope(() => {
      const segment = m.local(m.allocateArray(refs, SEGMENT));
      const directory = m.local(m.allocateArray(refs, 1));
      m.setElement(m.get(directory), 0, m.get(segment));
      const made = m.allocate(table);
      m.setRef(made, table.offset.directory, m.get(directory));
      m.setI32(made, table.offset.buckets, SEGMENT);
      return made;
    });
  }

  /** Runs `body`, which must not reach a safepoint, holding the lock of the table. */
  locked<T>(table: Ref, body: () => T): T {
    return withLock(this.#mutator.i32, (table + this.#types.table.offset.lock) >> 2, body);
  }

  /** Entries in the table; some of their objects may have died. */
  entries(table: Ref): number {
    return this.#mutator.getI32(table, this.#types.table.offset.entries);
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Holding the lock

  /** The first entry of the chain for `hash` for which `test` is true, or null. */
  find(table: Ref, hash: number, test: (entry: Ref) => boolean): Ref {
    const m = this.#mutator;
    const { offset } = this.#types.entry;
    let entry = this.#head(table, this.#bucketOf(table, hash));
    while (entry !== NULL && !(m.getI32(entry, offset.hash!) === hash && test(entry)))
      entry = m.getRef(entry, offset.next!);
    return entry;
  }

  /** An entry for a dead object in the chain for `hash`, or null. */
  findDead(table: Ref, hash: number): Ref {
    const m = this.#mutator;
    let entry = this.#head(table, this.#bucketOf(table, hash));
    while (entry !== NULL && !this.#isDead(entry)) entry = m.getRef(entry, this.#types.entry.offset.next!);
    return entry;
  }

  /** Adds an entry, adds a bucket if the table is full and `reserve` has made room for one, and looks through a bucket for dead ones. */
  insert(table: Ref, hash: number, entry: Ref): void {
    const m = this.#mutator;
    const { table: type, entry: entryType } = this.#types;
    m.setI32(entry, entryType.offset.hash!, hash);
    this.#push(table, this.#bucketOf(table, hash), entry);
    m.setI32(table, type.offset.entries, this.entries(table) + 1);
    this.#split(table);
    const hand = m.getI32(table, type.offset.hand) % m.getI32(table, type.offset.buckets);
    m.setI32(table, type.offset.hand, hand + 1);
    this.#filter(table, hand, (other) => !this.#isDead(other));
  }

  /** Takes an entry out. */
  remove(table: Ref, hash: number, entry: Ref): void {
    this.#filter(table, this.#bucketOf(table, hash), (other) => other !== entry && !this.#isDead(other));
  }

  #bucketOf(table: Ref, hash: number): number {
    return bucketOf(hash, this.#mutator.getI32(table, this.#types.table.offset.buckets));
  }

  #segment(table: Ref, bucket: number): Ref {
    const m = this.#mutator;
    return m.getElement(m.getRef(table, this.#types.table.offset.directory), Math.floor(bucket / SEGMENT));
  }

  #head(table: Ref, bucket: number): Ref {
    return this.#mutator.getElement(this.#segment(table, bucket), bucket % SEGMENT);
  }

  #push(table: Ref, bucket: number, entry: Ref): void {
    const m = this.#mutator;
    const segment = this.#segment(table, bucket);
    m.setRef(entry, this.#types.entry.offset.next!, m.getElement(segment, bucket % SEGMENT));
    m.setElement(segment, bucket % SEGMENT, entry);
  }

  /** Removes the entries of a bucket that are not to stay. */
  #filter(table: Ref, bucket: number, stays: (entry: Ref) => boolean): void {
    const m = this.#mutator;
    const { next } = this.#types.entry.offset;
    let before: Ref = NULL;
    let removed = 0;
    for (let entry = this.#head(table, bucket); entry !== NULL; ) {
      const after = m.getRef(entry, next!);
      if (stays(entry)) {
        before = entry;
      } else {
        removed++;
        if (before === NULL) m.setElement(this.#segment(table, bucket), bucket % SEGMENT, after);
        else m.setRef(before, next!, after);
      }
      entry = after;
    }
    if (removed > 0) m.setI32(table, this.#types.table.offset.entries, this.entries(table) - removed);
  }

  /** Adds a bucket when there are more entries than buckets. */
  #split(table: Ref): void {
    const m = this.#mutator;
    const { table: type, entry: entryType } = this.#types;
    const buckets = m.getI32(table, type.offset.buckets);
    if (!this.#isFull(table) || !this.#hasSegment(table, buckets)) return;
    m.setI32(table, type.offset.buckets, buckets + 1);
    // The bucket whose hashes the new one takes half of: without the highest bit of its number.
    const from = buckets - (1 << (31 - Math.clz32(buckets)));
    const segment = this.#segment(table, from);
    let entry = m.getElement(segment, from % SEGMENT);
    m.setElement(segment, from % SEGMENT, NULL);
    while (entry !== NULL) {
      const after = m.getRef(entry, entryType.offset.next!);
      this.#push(table, bucketOf(m.getI32(entry, entryType.offset.hash!), buckets + 1), entry);
      entry = after;
    }
  }

  #isFull(table: Ref): boolean {
    const buckets = this.#mutator.getI32(table, this.#types.table.offset.buckets);
    return this.entries(table) >= buckets && buckets < this.#maxBuckets;
  }

  /** Whether there is a segment for a bucket. */
  #hasSegment(table: Ref, bucket: number): boolean {
    const m = this.#mutator;
    const directory = m.getRef(table, this.#types.table.offset.directory);
    const index = Math.floor(bucket / SEGMENT);
    return index < m.length(directory) && m.getElement(directory, index) !== NULL;
  }

  // ------------------------------------------------------------------------------------------------------------------------

  /** Before an insertion, without the lock: sees to it that there is room for another bucket. A safepoint. */
  reserve(table: Local): void {
    const m = this.#mutator;
    const { table: type, refs } = this.#types;
    const now = m.get(table);
    const full = this.locked(now, () => {
      const buckets = m.getI32(now, type.offset.buckets);
      return this.#isFull(now) && !this.#hasSegment(now, buckets);
    });
    if (!full) return;
    m.scope(() => {
      const segment = m.local(m.allocateArray(refs, SEGMENT));
      const length = m.length(m.getRef(m.get(table), type.offset.directory));
      // The directory grows once in as many segments as it has.
      const grows = this.locked(m.get(table), () => {
        return m.getI32(m.get(table), type.offset.buckets) >= length * SEGMENT;
      });
      const directory = m.local(grows ? m.allocateArray(refs, length * 2) : NULL);
      const then = m.get(table);
      this.locked(then, () => {
        const buckets = m.getI32(then, type.offset.buckets);
        // Another thread may have been here.
        if (this.#hasSegment(then, buckets)) return;
        const index = Math.floor(buckets / SEGMENT);
        const old = m.getRef(then, type.offset.directory);
        if (index < m.length(old)) {
          m.setElement(old, index, m.get(segment));
          return;
        }
        const larger = m.get(directory);
        // Without room the table stays as it is: longer chains, and the next insertion tries again.
        if (larger === NULL || index >= m.length(larger)) return;
        for (let i = 0; i < m.length(old); i++) m.setElement(larger, i, m.getElement(old, i));
        m.setElement(larger, index, m.get(segment));
        m.setRef(then, type.offset.directory, larger);
      });
    });
  }
}
