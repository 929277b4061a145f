// Persistent handles: slots of one table that outlive scopes and may be used by any thread.
//
// The table is a pinned array of references, which the collector treats as any other: its elements are marked concurrently, stores dirty
// their cards, and after a flip its pages are rewritten one by one when they are touched. So no pause grows with the number of handles.
//
// A free slot holds a link to the next free one, written so that it can never be taken for a reference: the complement of an index
// lies at the very top of the 32-bit range, above every window, and both marking and forwarding leave such words alone.

import { TospaceError } from '../errors.ts';
import {
  CARD_DIRTY,
  CARD_LOG2,
  CTL_PERSISTENT,
  CTL_PERSISTENT_FREE,
  CTL_PERSISTENT_TOP,
  CTL_REGISTRY_LOCK,
  HEADER_BYTES,
} from './layout.ts';
import { withLock } from './lock.ts';
import type { Ref } from './ref.ts';
import type { Tables } from './tables.ts';

/** What the table needs of the thread that uses it. */
export interface PersistentOwner {
  /** False when the thread is detached or the heap is gone. */
  readonly usable: boolean;
  /** Throws unless the thread may touch roots now: a pause that rewrites them could be on. */
  assertRunning(): void;
  /** In a verifying heap: throws unless `ref` is null or names an object. */
  assertReference(ref: Ref): void;
  /** Runs `body` as a mutator, entering if need be. */
  run<T>(body: () => T): T;
}

/** A handle that keeps its object alive until it is closed, or its thread detaches. Not tied to a scope. */
export class Persistent {
  readonly #table: PersistentTable;
  readonly #index: number;
  #open = true;

  constructor(table: PersistentTable, index: number) {
    this.#table = table;
    this.#index = index;
  }

  #slot(): number {
    if (!this.#open) {
      throw new TospaceError('ERR_HANDLE', 'this persistent handle is closed', {
        hint: 'Do not use a handle after close().',
      });
    }
    return this.#index;
  }

  get(): Ref {
    return this.#table.load(this.#slot());
  }

  set(ref: Ref): void {
    this.#table.store(this.#slot(), ref);
  }

  /** Gives the slot back. Closing twice, or after the thread has detached, does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#table.free(this, this.#index);
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
  readonly #heapBase: number;
  readonly #owner: PersistentOwner;
  readonly #open = new Set<Persistent>();

  constructor(tables: Tables, owner: PersistentOwner) {
    this.#control = tables.control;
    const { heap, persistentSlots, cards, managedBytes } = tables.geometry;
    const array = tables.control[CTL_PERSISTENT]!;
    this.#length = tables.words(array + 4, 1);
    this.#slots = tables.words(array + HEADER_BYTES, persistentSlots);
    this.#cards = tables.bytes(cards, managedBytes >>> CARD_LOG2);
    this.#heapBase = heap;
    this.#owner = owner;
  }

  create(ref: Ref): Persistent {
    this.#owner.assertRunning();
    const control = this.#control;
    const slots = this.#slots;
    const index = withLock(control, CTL_REGISTRY_LOCK, () => {
      const free = control[CTL_PERSISTENT_FREE]!;
      if (free !== 0) {
        control[CTL_PERSISTENT_FREE] = ~slots[free - 1]!;
        this.#write(free - 1, ref);
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
      control[CTL_PERSISTENT_TOP] = top + 1;
      return top;
    });
    const handle = new Persistent(this, index);
    this.#open.add(handle);
    return handle;
  }

  load(index: number): Ref {
    this.#owner.assertRunning();
    return this.#slots[index] as Ref;
  }

  store(index: number, ref: Ref): void {
    this.#owner.assertRunning();
    this.#owner.assertReference(ref);
    this.#write(index, ref);
  }

  #write(index: number, ref: Ref): void {
    this.#slots[index] = ref;
    const at = this.#slots.byteOffset + index * 4 - this.#heapBase;
    this.#cards[at >> CARD_LOG2] = CARD_DIRTY;
  }

  /** Closes all handles of this thread. */
  closeAll(): void {
    for (const handle of this.#open) handle.close();
  }

  /** A slot is freed as a mutator, because a pause may be rewriting the table otherwise. */
  free(handle: Persistent, index: number): void {
    this.#open.delete(handle);
    if (!this.#owner.usable) return;
    this.#owner.run(() =>
      withLock(this.#control, CTL_REGISTRY_LOCK, () => {
        this.#slots[index] = ~this.#control[CTL_PERSISTENT_FREE]!;
        this.#control[CTL_PERSISTENT_FREE] = index + 1;
      }),
    );
  }
}
