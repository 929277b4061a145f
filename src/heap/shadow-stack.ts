// The shadow stack: a thread's own roots, in a region of the shared memory. Slots below T_SHADOW_TOP are roots; the collector marks
// from them and rewrites them at the flip. A runtime or a WebAssembly guest may push and pop there itself: store the reference, then
// raise the top word.
//
// A local handle is a slot's index. In a verifying heap it also carries the slot's generation in its upper bits, so that a handle that
// outlived its scope is found even when the slot is in use again.

import { invariant, TospaceError } from '../errors.ts';
import { SHADOW_SLOTS, THREAD_BYTES, T_SHADOW_BASE, T_SHADOW_LIMIT, T_SHADOW_TOP } from './layout.ts';
import type { Local, Ref } from './ref.ts';
import type { Tables } from './tables.ts';

const INDEX_MASK = SHADOW_SLOTS - 1;
const INDEX_BITS = 16;
const GENERATIONS = 1 << 14;
invariant(SHADOW_SLOTS === 1 << INDEX_BITS, 'a slot index fits the bits a local handle has for it');

export class ShadowStack {
  #thread: Int32Array<SharedArrayBuffer>;
  #slots: Int32Array<SharedArrayBuffer>;
  readonly #base: number;
  readonly #generations: Uint16Array | undefined;
  readonly #onRead: ((ref: Ref) => void) | undefined;

  /** @param onRead in a verifying heap: told of every reference that is read; handles are then checked too. */
  constructor(tables: Tables, index: number, onRead?: (ref: Ref) => void) {
    const thread = tables.threads[index]!;
    this.#base = tables.geometry.shadowStacks + index * SHADOW_SLOTS * 4;
    this.#slots = tables.words(this.#base, SHADOW_SLOTS);
    this.#thread = thread;
    this.#onRead = onRead;
    this.#generations = onRead === undefined ? undefined : new Uint16Array(SHADOW_SLOTS);
    // The base is above 2^31 in some address maps: record words are read back as unsigned by whoever needs the address.
    thread[T_SHADOW_BASE] = this.#base;
    thread[T_SHADOW_TOP] = this.#base;
    thread[T_SHADOW_LIMIT] = this.#base + SHADOW_SLOTS * 4;
  }

  /** The mutator is detached: slots are nobody's roots from now on, and those of the region may be another thread's. */
  close(): void {
    this.#thread = new Int32Array(new SharedArrayBuffer(THREAD_BYTES));
    this.#slots = this.#thread.subarray(0, 0);
    this.#thread[T_SHADOW_TOP] = this.#base;
  }

  /** Number of slots in use. */
  get depth(): number {
    return ((this.#thread[T_SHADOW_TOP]! >>> 0) - this.#base) >>> 2;
  }

  push(ref: Ref): Local {
    const index = this.depth;
    if (index >= SHADOW_SLOTS) {
      throw new TospaceError('ERR_HANDLE', `the shadow stack of ${SHADOW_SLOTS} slots is full`, {
        hint: 'Open a scope in loops, so that handles are released, or keep many references in a heap array.',
      });
    }
    this.#slots[index] = ref;
    this.#thread[T_SHADOW_TOP] = this.#base + ((index + 1) << 2);
    return (
      this.#generations === undefined ? index : index | (this.#generations[index]! << INDEX_BITS)
    ) as Local;
  }

  get(local: Local): Ref {
    const index = local & INDEX_MASK;
    if (this.#generations !== undefined) {
      this.#check(local);
      this.#onRead!(this.#slots[index] as Ref);
    }
    return this.#slots[index] as Ref;
  }

  set(local: Local, ref: Ref): void {
    if (this.#generations !== undefined) this.#check(local);
    this.#slots[local & INDEX_MASK] = ref;
  }

  /** Releases all slots from `depth` on. */
  truncate(depth: number): void {
    const generations = this.#generations;
    if (generations !== undefined) {
      for (let i = depth; i < this.depth; i++) generations[i] = (generations[i]! + 1) % GENERATIONS;
    }
    this.#thread[T_SHADOW_TOP] = this.#base + (depth << 2);
  }

  /** The reference `below` slots under the top; 0 is the last one pushed. */
  peek(below: number): Ref {
    const ref = this.#slots[this.depth - 1 - below] as Ref;
    this.#onRead?.(ref);
    return ref;
  }

  #check(local: Local): void {
    const index = local & INDEX_MASK;
    if (index >= this.depth || this.#generations![index] !== local >>> INDEX_BITS) {
      throw new TospaceError('ERR_HANDLE', `handle ${local} is used after its scope was closed`, {
        hint: 'Keep the reference in a handle of the enclosing scope, or in a persistent handle.',
      });
    }
  }
}
