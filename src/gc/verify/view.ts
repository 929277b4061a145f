// The heap as the verifier sees it: read by plain TypeScript that shares no code with the kernels, so that a mistake in one of them
// is not repeated in its check. Slow, and meant to be.

import { TospaceError } from '../../errors.ts';
import { NonMovingSpace } from '../../heap/non-moving.ts';
import {
  CHUNK_BYTES,
  CTL_BLACK_DELTA,
  CTL_BLACK_LINE,
  CTL_PERSISTENT,
  CTL_REFERENCE_TABLE,
  CTL_TYPE_COUNT,
  GRANULE_BYTES,
  HEADER_BYTES,
  KIND_EPHEMERON,
  KIND_GUARD,
  KIND_RAW_ARRAY,
  KIND_RECORD,
  KIND_REF_ARRAY,
  KIND_WEAK,
  REFS_GUARDS,
  REFS_ROOTS_END,
  T_NAME,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  TYPE_ID_MASK,
} from '../../heap/layout.ts';
import type { Tables } from '../../heap/tables.ts';
import { readName } from '../../heap/thread-name.ts';
import { readTypeText } from '../../heap/type-names.ts';

const COMMON_HINT =
  'Most often a reference was kept in a variable across a safepoint, or stored without setRef. Otherwise report this as a defect, ' +
  'with the seed of the run.';

/** What the verifier found, and what to do about it. */
export function corrupt(what: string, hint: string = COMMON_HINT): TospaceError {
  return new TospaceError('ERR_VERIFY', `heap verification: ${what}`, { hint });
}

const UNMARKED_HINT =
  'Most often the reference was stored without the write barrier: by a view, copyWithin or code of your own instead of setRef, setElement ' +
  'or copyElements. The conformance kit finds which store.';

/** The trace has missed an object to which `whence` refers. */
export function unmarked(object: string, whence: string): TospaceError {
  return corrupt(`${object} is reachable and not marked: ${whence} refers to it`, UNMARKED_HINT);
}

export const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;

export interface ObjectShape {
  readonly bytes: number;
  readonly kind: number;
  /** Byte offsets of a record's reference slots; none for an array. */
  readonly slots: readonly number[];
  /** Elements of an array of references, 0 for anything else. Not listed one by one: an array may fill half of the heap. */
  readonly elements: number;
}

/** The byte offsets of the reference slots that lie in [from, to) of the object. */
export function* slotsWithin(shape: ObjectShape, from: number, to: number): Generator<number> {
  for (const slot of shape.slots) if (slot >= from && slot < to) yield slot;
  const first = Math.max(0, Math.ceil((from - HEADER_BYTES) / 4));
  const last = Math.min(shape.elements, Math.ceil((to - HEADER_BYTES) / 4));
  for (let i = first; i < last; i++) yield HEADER_BYTES + i * 4;
}

/** Bytes at the object's start in which its reference slots do not keep alive what they name. */
export function weakBytes(shape: ObjectShape): number {
  if (shape.kind === KIND_EPHEMERON) return HEADER_BYTES + 8;
  return shape.kind === KIND_WEAK || shape.kind === KIND_GUARD ? HEADER_BYTES + 4 : 0;
}

/** Where a root lies: the address of its slot. */
export interface RootSlot {
  readonly at: number;
  readonly name: string;
}

/** What tells apart the mistakes behind a word that names no object. */
const NO_OBJECT_HINT =
  'Most often a reference was kept in a variable across a safepoint; or the object before it was written past its end, or something that ' +
  'is no reference (a tagged integer, say) was stored where the type has one. Otherwise report this as a defect, with the seed of the run.';

/** How far below an address an object is looked for that ends there. */
const NEIGHBOUR_BYTES = 64 * 1024;

const RECORD_SLOTS = new WeakMap<Tables, Map<number, readonly number[]>>();

export class HeapView {
  readonly tables: Tables;
  readonly base: number;
  readonly bytes: number;
  /** The whole memory in 32-bit words. */
  readonly words: Uint32Array;
  /** Of the heap and the non-moving space. */
  readonly marks: Uint32Array;
  /** Of the heap. */
  readonly lives: Uint32Array;
  readonly nonMoving: NonMovingSpace;
  /** Whether the mark bits are those of the objects where they are now: between remark and flip. */
  marksAreCurrent = false;
  readonly #recordSlots: Map<number, readonly number[]>;

  constructor(tables: Tables) {
    this.tables = tables;
    const { geometry } = tables;
    this.base = geometry.heap;
    this.bytes = geometry.heapBytes;
    this.words = new Uint32Array(tables.buffer);
    const chunks = Math.ceil(geometry.heapBytes / CHUNK_BYTES);
    this.marks = new Uint32Array(tables.buffer, geometry.marks, (geometry.managedBytes / CHUNK_BYTES) * 2);
    this.nonMoving = new NonMovingSpace(tables);
    this.lives = new Uint32Array(tables.buffer, geometry.lives, chunks * 2);
    let slots = RECORD_SLOTS.get(tables);
    if (slots === undefined) {
      slots = new Map();
      RECORD_SLOTS.set(tables, slots);
    }
    this.#recordSlots = slots;
  }

  inHeap(ref: number): boolean {
    return ref >= this.base && ref < this.base + this.bytes;
  }

  inNonMoving(ref: number): boolean {
    const { nonMoving, nonMovingBytes } = this.tables.geometry;
    return ref >= nonMoving && ref < nonMoving + nonMovingBytes;
  }

  /** Bit of the granule at `ref`, an address of the non-moving space, among the objects allocated since remark. */
  isFresh(ref: number): boolean {
    const { fresh, nonMoving } = this.tables.geometry;
    const granule = (ref - nonMoving) / GRANULE_BYTES;
    return ((this.words[fresh / 4 + (granule >>> 5)]! >>> (granule & 31)) & 1) === 1;
  }

  /** True for an object below the black line, or of the non-moving space, that neither the trace has met nor came after it. */
  isDead(ref: number): boolean {
    if (ref === 0 || this.bit(this.marks, ref)) return false;
    return this.inNonMoving(ref)
      ? !this.isFresh(ref)
      : this.inHeap(ref) && ref < this.tables.control[CTL_BLACK_LINE]!;
  }

  /** @throws TospaceError ERR_VERIFY unless an object begins at `ref`, an address of the non-moving space. Returns its room's end. */
  #nonMovingEnd(ref: number, whence: () => string): number {
    if (!this.nonMoving.isAllocated(ref))
      throw corrupt(
        `${whence()} holds ${hex(ref)}, where the non-moving space has no object`,
        NO_OBJECT_HINT,
      );
    return ref + this.nonMoving.extent(ref);
  }

  /**
   * Shape of the object that `ref` names, read through the alias or window at `bias` from its space's addresses. Objects of the heap end at
   * or below `end`.
   * @throws TospaceError ERR_VERIFY when there is no well-formed object that ends at or below `end`.
   */
  shape(ref: number, bias: number, end: number, whence: () => string): ObjectShape {
    if (ref % GRANULE_BYTES !== 0)
      throw corrupt(`${whence()} holds ${hex(ref)}, which is not on an 8-byte boundary`, NO_OBJECT_HINT);
    const stays = this.inNonMoving(ref);
    if (!stays && (!this.inHeap(ref) || ref >= end))
      throw corrupt(`${whence()} holds ${hex(ref)}, which lies outside the heap in use`, NO_OBJECT_HINT);
    const limit = stays ? this.#nonMovingEnd(ref, whence) : end;
    const at = (ref + bias) / 4;
    const id = this.words[at]! & TYPE_ID_MASK;
    if (id === 0 || id >= this.tables.control[CTL_TYPE_COUNT]!) {
      throw corrupt(
        `${whence()} holds ${hex(ref)}, where there is no object (type ${id})${this.#neighbour(ref)}`,
        NO_OBJECT_HINT,
      );
    }
    const entry = this.tables.geometry.types / 4 + id * 4;
    const kind = this.words[entry]!;
    const size = this.words[entry + 1]!;
    const length = this.words[at + 1]!;
    let bytes = size;
    let slots: readonly number[] = [];
    if (kind === KIND_RECORD || kind === KIND_WEAK || kind === KIND_EPHEMERON || kind === KIND_GUARD) {
      slots = this.#slotsOf(id, entry);
    } else if (kind === KIND_REF_ARRAY) {
      bytes = Math.ceil((HEADER_BYTES + length * 4) / 8) * 8;
    } else if (kind === KIND_RAW_ARRAY) {
      bytes = Math.ceil((HEADER_BYTES + length * 2 ** size) / 8) * 8;
    } else {
      throw corrupt(`type ${id} has the kind ${kind}`);
    }
    if (ref + bytes > limit)
      throw corrupt(`the object at ${hex(ref)} (from ${whence()}) ends behind the space in use`);
    return { bytes, kind, slots, elements: kind === KIND_REF_ARRAY ? length : 0 };
  }

  /** Which marked object ends where one should begin: it may have been written past its end. In words; empty where none is known. */
  #neighbour(ref: number): string {
    if (!this.marksAreCurrent || !this.inHeap(ref)) return '';
    const lowest = Math.max(this.base, ref - NEIGHBOUR_BYTES);
    let at = ref - GRANULE_BYTES;
    while (at >= lowest && !this.bit(this.marks, at)) at -= GRANULE_BYTES;
    if (at < lowest) return '';
    const { bytes } = this.shape(at, 0, this.base + this.bytes, () => 'the mark bitmap');
    return at + bytes === ref ? `, right behind ${this.describe(at)}` : '';
  }

  /** The object at `ref` in words: "the Pair at 0x10000". Nothing of it is taken for granted. */
  describe(ref: number): string {
    const id = this.words[ref / 4]! & TYPE_ID_MASK;
    const known = id > 0 && id < this.tables.control[CTL_TYPE_COUNT]!;
    return `the ${(known ? readTypeText(this.tables, id)?.name : undefined) ?? 'object'} at ${hex(ref)}`;
  }

  /** A slot of an object in words: "car of the Pair at 0x10000", "element 3 of the Vector at 0x20000". */
  describeSlot(ref: number, slot: number): string {
    const id = this.words[ref / 4]! & TYPE_ID_MASK;
    const fields = Object.entries(readTypeText(this.tables, id)?.fields ?? {});
    const name = fields.find(([, offset]) => offset === slot)?.[0];
    const isArray = this.words[this.tables.geometry.types / 4 + id * 4] === KIND_REF_ARRAY;
    const place = isArray ? `element ${(slot - HEADER_BYTES) / 4}` : (name ?? `field +${slot}`);
    return `${place} of ${this.describe(ref)}`;
  }

  #slotsOf(id: number, entry: number): readonly number[] {
    let slots = this.#recordSlots.get(id);
    if (slots === undefined) {
      const map = this.words[entry + 2]! / 4;
      const words = this.words[entry + 3]! * 2;
      const found: number[] = [];
      for (let w = 0; w < words; w++) {
        for (let bit = 0; bit < 32; bit++)
          if ((this.words[map + w]! >>> bit) & 1) found.push((w * 32 + bit) * 4);
      }
      slots = found;
      this.#recordSlots.set(id, slots);
    }
    return slots;
  }

  /** Bit of the granule at `ref` in a bitmap. */
  bit(bitmap: Uint32Array, ref: number): boolean {
    const granule = (ref - this.base) / GRANULE_BYTES;
    return ((bitmap[granule >>> 5]! >>> (granule & 31)) & 1) === 1;
  }

  /** Where `ref` goes under the current plan, counted bit by bit. */
  forward(ref: number): number {
    if (!this.inHeap(ref)) return ref;
    const { control, geometry } = this.tables;
    if (ref >= control[CTL_BLACK_LINE]!) return ref - control[CTL_BLACK_DELTA]!;
    const chunk = Math.floor((ref - this.base) / CHUNK_BYTES);
    let at = this.words[geometry.chunks / 4 + chunk]!;
    for (let r = this.base + chunk * CHUNK_BYTES; r < ref; r += GRANULE_BYTES)
      if (this.bit(this.lives, r)) at += GRANULE_BYTES;
    return at;
  }

  *roots(): Generator<RootSlot> {
    const { tables } = this;
    for (const i of tables.attached()) {
      const thread = tables.threads[i]!;
      const base = thread[T_SHADOW_BASE]! >>> 0;
      const top = thread[T_SHADOW_TOP]! >>> 0;
      const name = readName(thread, T_NAME) || String(i);
      for (let at = base; at < top; at += 4)
        yield { at, name: `slot ${(at - base) / 4} of the shadow stack of thread ${name}` };
    }
    yield {
      at: (tables.control.byteOffset >>> 0) + CTL_PERSISTENT * 4,
      name: 'the array of persistent handles',
    };
    const references = tables.control[CTL_REFERENCE_TABLE]! >>> 0;
    for (let i = REFS_GUARDS; i < REFS_ROOTS_END; i++)
      yield { at: references + i * 4, name: `word ${i} of the reference table` };
  }
}
