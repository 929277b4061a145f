// Persistent handles: slots of one table that outlive scopes and may be used by any thread.
//
// The table is a pinned array of references, which the collector treats as any other: its elements are marked concurrently, stores dirty
// their cards, and after a flip its pages are rewritten one by one when they are touched. So no pause grows with the number of handles.
//
// Each slot has a word beside it that says whose it is: the thread's index + 1 in the lower 8 bits, or 0, and above them a number that
// counts how often the slot was given away, so that a handle which another thread has borrowed is not mistaken for a later one. When a
// thread dies, the collector gives back what was its own. Sections under the lock may be left at any point: at worst a slot is lost.
//
// A free slot holds a link to the next free one, written so that it can never be taken for a reference: the complement of an index
// lies at the very top of the 32-bit range, above every window, and both marking and forwarding leave such words alone.

import { TospaceError } from '../errors.ts';
import {
  CARD_DIRTY,
  CARD_GROUP_LOG2,
  CARD_LOG2,
  CARDS_PER_GROUP,
  CTL_PERSISTENT,
  CTL_PERSISTENT_FREE,
  CTL_PERSISTENT_TOP,
  CTL_REGISTRY_LOCK,
  FREE_LINK,
  GROUP_DIRTY,
  HEADER_BYTES,
} from './layout.ts';
import { withRepairableLock } from './lock.ts';
import type { Ref } from './ref.ts';
import { StackPath } from './stack-room.ts';
import type { Tables } from './tables.ts';

/** What the table needs of the thread that uses it. */
export interface PersistentOwner {
  /** Index of the thread's record. */
  readonly index: number;
  /** False when the thread is detached or the heap is gone. */
  readonly usable: boolean;
  /** Throws unless the thread may touch roots now: a pause that rewrites them could be on. */
  assertRunning(): void;
  /** In a verifying heap: throws unless `ref` is null or names an object. */
  assertReference(ref: Ref): void;
  /** In a verifying heap: the thread has read `ref`. */
  noteReference(ref: Ref): void;
  /** Runs `body` as a mutator, entering if need be. */
  run<T>(body: () => T): T;
}

/** A persistent handle as another thread is told of it. Can be posted. */
export interface SharedHandle {
  readonly slot: number;
  /** Tells this use of the slot from earlier and later ones. */
  readonly use: number;
}

/** Owner words are `use << USE_SHIFT | owner`. */
const USE_SHIFT = 8;
const OWNER_MASK = 0xff;
const USE_MASK = 0xffffff;

// A handle is made and closed as a whole, or not at all, wherever V8's stack ends.
const CREATE = new StackPath();
const CLOSE = new StackPath();

/** What is no reference but a link of the free list, as an unsigned number: complements of slot indexes. */
const isLink = (word: number): boolean => word >>> 0 >= FREE_LINK;

/**
 * A handle that keeps its object alive until it is closed, or its thread detaches or ends. Not tied to a scope. Another thread may borrow
 * it; a borrowed handle reads and writes the same slot, and keeps nothing alive by itself. `Name` as for {@link Ref}.
 */
// biome-ignore lint/suspicious/noExplicitAny: as for Ref
export class Persistent<Name extends string = any> {
  readonly #table: PersistentTable;
  readonly #index: number;
  /** Of a borrowed handle: the use of the slot that it belongs to. */
  readonly #borrowed: number | undefined;
  #open = true;

  constructor(table: PersistentTable, index: number, borrowed?: number) {
    this.#table = table;
    this.#index = index;
    this.#borrowed = borrowed;
  }

  /** What another thread needs for `mutator.borrow`. @throws TospaceError ERR_HANDLE when it is closed */
  share(): SharedHandle {
    const slot = this.#slot();
    return { slot, use: this.#borrowed ?? this.#table.useOf(slot) };
  }

  #slot(): number {
    if (!this.#open) {
      throw new TospaceError('ERR_HANDLE', 'this persistent handle is closed', {
        hint: 'Do not use a handle after close().',
      });
    }
    return this.#index;
  }

  /** What it refers to now. @throws TospaceError ERR_HANDLE when it was closed, by its owner if it is borrowed. */
  get(): Ref<Name> {
    const slot = this.#slot();
    return this.#borrowed === undefined
      ? this.#table.load(slot)
      : this.#table.loadBorrowed(slot, this.#borrowed);
  }

  /** Lets it refer to another object, or to null. @throws as {@link get} */
  set(ref: Ref<NoInfer<Name>>): void {
    const slot = this.#slot();
    if (this.#borrowed === undefined) this.#table.store(slot, ref);
    else this.#table.storeBorrowed(slot, this.#borrowed, ref);
  }

  /**
   * Gives the slot back, unless it is borrowed. Closing twice, or after the thread has detached, does nothing.
   * @throws TospaceError ERR_STATE where the thread may not run as a mutator now; the handle stays open.
   */
  close(): void {
    if (!this.#open) return;
    CLOSE.assertRoom();
    const isFree = (): void => {
      this.#open = false;
    };
    if (this.#borrowed === undefined) this.#table.free(this, this.#index, isFree);
    else isFree();
    CLOSE.end();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The table of one heap, as one mutator uses it. */
export class PersistentTable {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #slots: Int32Array<SharedArrayBuffer>;
  /** Length word of the array: slots that were ever used. */
  readonly #length: Int32Array<SharedArrayBuffer>;
  readonly #cards: Uint8Array<SharedArrayBuffer>;
  readonly #cardGroups: Uint8Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #owners: Int32Array<SharedArrayBuffer>;
  readonly #owner: PersistentOwner;
  readonly #open = new Set<Persistent>();

  constructor(tables: Tables, owner: PersistentOwner) {
    this.#control = tables.control;
    const { heap, persistentSlots, cards, cardGroups, managedBytes } = tables.geometry;
    const array = tables.control[CTL_PERSISTENT]!;
    this.#length = tables.words(array + 4, 1);
    this.#slots = tables.words(array + HEADER_BYTES, persistentSlots);
    this.#cards = tables.bytes(cards, managedBytes >>> CARD_LOG2);
    this.#cardGroups = tables.bytes(cardGroups, Math.ceil(this.#cards.length / CARDS_PER_GROUP));
    this.#heapBase = heap;
    this.#owners = tables.words(tables.geometry.persistentOwners, tables.geometry.persistentSlots);
    this.#owner = owner;
  }

  create(ref: Ref): Persistent {
    this.#owner.assertRunning();
    CREATE.assertRoom();
    const control = this.#control;
    const slots = this.#slots;
    const owners = this.#owners;
    const mine = this.#owner.index + 1;
    const index = withRepairableLock(control, CTL_REGISTRY_LOCK, () => {
      const free = control[CTL_PERSISTENT_FREE]!;
      if (free !== 0) {
        control[CTL_PERSISTENT_FREE] = ~slots[free - 1]!;
        this.#write(free - 1, ref);
        // The owner last: what has one holds a reference.
        Atomics.store(owners, free - 1, owners[free - 1]! + (1 << USE_SHIFT) + mine);
        return free - 1;
      }
      const top = control[CTL_PERSISTENT_TOP]!;
      if (top === slots.length) {
        throw new TospaceError('ERR_HANDLE', `all ${slots.length} persistent handles are in use`, {
          hint: 'Close handles that are no longer needed, raise persistentSlots, or keep references in a heap array.',
        });
      }
      // Before the card is dirtied: its scan reads as far as the array is long.
      this.#length[0] = top + 1;
      this.#write(top, ref);
      owners[top] = mine;
      Atomics.store(control, CTL_PERSISTENT_TOP, top + 1);
      return top;
    });
    const handle = new Persistent(this, index);
    this.#open.add(handle);
    CREATE.end();
    return handle;
  }

  load(index: number): Ref {
    this.#owner.assertRunning();
    const ref = this.#slots[index] as Ref;
    this.#owner.noteReference(ref);
    return ref;
  }

  store(index: number, ref: Ref): void {
    this.#owner.assertRunning();
    this.#owner.assertReference(ref);
    this.#write(index, ref);
  }

  #write(index: number, ref: Ref): void {
    this.#slots[index] = ref;
    const card = (this.#slots.byteOffset + index * 4 - this.#heapBase) >> CARD_LOG2;
    this.#cards[card] = CARD_DIRTY;
    if (this.#cardGroups[card >> CARD_GROUP_LOG2] !== GROUP_DIRTY)
      this.#cardGroups[card >> CARD_GROUP_LOG2] = GROUP_DIRTY;
  }

  /** The number of the slot's present use. */
  useOf(index: number): number {
    return Atomics.load(this.#owners, index) >>> USE_SHIFT;
  }

  /** A handle of another thread. @throws TospaceError ERR_HANDLE when it is closed already */
  borrow({ slot, use }: SharedHandle): Persistent {
    this.#owner.assertRunning();
    this.loadBorrowed(slot, use);
    return new Persistent(this, slot, use);
  }

  loadBorrowed(index: number, use: number): Ref {
    // The slot before its owner: whoever frees it takes the owner away first.
    const ref = Atomics.load(this.#slots, index) as Ref;
    this.#assertUse(index, use);
    this.#owner.assertRunning();
    this.#owner.noteReference(ref);
    return ref;
  }

  storeBorrowed(index: number, use: number, ref: Ref): void {
    this.#owner.assertRunning();
    this.#owner.assertReference(ref);
    // Under the lock: the owner may close the handle at any time, and a reference must not end up in the free list.
    withRepairableLock(this.#control, CTL_REGISTRY_LOCK, () => {
      this.#assertUse(index, use);
      this.#write(index, ref);
    });
  }

  #assertUse(index: number, use: number): void {
    const word = Atomics.load(this.#owners, index);
    if ((word & OWNER_MASK) !== 0 && ((word >>> USE_SHIFT) & USE_MASK) === use) return;
    throw new TospaceError('ERR_HANDLE', 'the persistent handle was closed by the thread that made it', {
      hint: 'Keep the thread that made it attached, and the handle open, for as long as others use it.',
    });
  }

  /** Closes all handles of this thread. */
  closeAll(): void {
    for (const handle of this.#open) handle.close();
  }

  /**
   * A slot is freed as a mutator, because a pause may be rewriting the table otherwise.
   * @param isFree called when it is: the handle is not open any more.
   */
  free(handle: Persistent, index: number, isFree: () => void): void {
    if (!this.#owner.usable) {
      this.#open.delete(handle);
      isFree();
      return;
    }
    this.#owner.run(() =>
      withRepairableLock(this.#control, CTL_REGISTRY_LOCK, () => {
        // Together, and whatever comes of the way back: where the way here fails the handle stays what it was.
        giveBack(this.#control, this.#slots, this.#owners, index);
        this.#open.delete(handle);
        isFree();
      }),
    );
  }
}

/** Puts a slot onto the free list. Under the lock. */
function giveBack(
  control: Int32Array<SharedArrayBuffer>,
  slots: Int32Array<SharedArrayBuffer>,
  owners: Int32Array<SharedArrayBuffer>,
  index: number,
): void {
  Atomics.store(owners, index, owners[index]! & ~OWNER_MASK);
  Atomics.store(slots, index, ~control[CTL_PERSISTENT_FREE]!);
  control[CTL_PERSISTENT_FREE] = index + 1;
}

/** On the collector: gives back all slots of a thread that is gone. `thread` is the index of its record. */
export function releasePersistents(tables: Tables, thread: number): void {
  const { control, geometry } = tables;
  const slots = tables.words(control[CTL_PERSISTENT]! + HEADER_BYTES, geometry.persistentSlots);
  const owners = tables.words(geometry.persistentOwners, geometry.persistentSlots);
  withRepairableLock(control, CTL_REGISTRY_LOCK, () => {
    const top = control[CTL_PERSISTENT_TOP]!;
    for (let i = 0; i < top; i++)
      if ((owners[i]! & OWNER_MASK) === thread + 1 && !isLink(slots[i]!)) giveBack(control, slots, owners, i);
  });
}
