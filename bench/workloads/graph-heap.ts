// The managed side of random-graph: the types of its objects, and what is in them as a function of their model.

import type { HeapAccess, Mutator, RawArrayType, RecordType, Ref, RefArrayType } from 'tospace';
import { addWord, mix } from './checksum.ts';
import {
  BYTES,
  DOUBLES,
  KINDS,
  type ModelObject,
  REFS,
  SMALL,
  WIDE,
  WIDE_REFS,
  WORDS,
} from './graph-model.ts';

const HEADER_BYTES = 8;

export class GraphHeap {
  readonly #m: Mutator;
  readonly #small: RecordType<'first' | 'value' | 'second' | 'id' | 'third'>;
  readonly #wide: RecordType;
  readonly refs: RefArrayType;
  readonly #raw: readonly (RawArrayType | undefined)[];
  /** Byte offsets of the references of records, by kind. */
  readonly #slots: readonly (readonly number[])[];

  constructor(heap: HeapAccess, mutator: Mutator) {
    this.#m = mutator;
    // References and data alternate: a collector that takes one for the other damages something.
    const small = heap.defineRecord('random-graph.Small', {
      first: 'ref',
      value: 'i32',
      second: 'ref',
      id: 'i32',
      third: 'ref',
    });
    const wideFields: Record<string, 'ref' | 'i32'> = { value: 'i32' };
    for (let i = 0; i < WIDE_REFS; i++) wideFields[`ref${i}`] = 'ref';
    const wide = heap.defineRecord('random-graph.Wide', { ...wideFields, id: 'i32' });
    this.#small = small;
    this.#wide = wide;
    this.refs = heap.defineRefArray('random-graph.Refs');
    const raw: (RawArrayType | undefined)[] = [];
    raw[BYTES] = heap.defineArray('random-graph.Bytes', 'u8');
    raw[WORDS] = heap.defineArray('random-graph.Words', 'u32');
    raw[DOUBLES] = heap.defineArray('random-graph.Doubles', 'f64');
    this.#raw = raw;
    const offset = wide.offset as Readonly<Record<string, number>>;
    this.#slots = [
      [small.offset.first, small.offset.second, small.offset.third],
      Array.from({ length: WIDE_REFS }, (_, i) => offset[`ref${i}`]),
    ];
  }

  /** Allocates and fills the twin of a model object whose references are all null. A safepoint. */
  allocate(model: ModelObject): Ref {
    const m = this.#m;
    let ref: Ref;
    if (model.kind === SMALL) ref = m.allocate(this.#small);
    else if (model.kind === WIDE) ref = m.allocate(this.#wide);
    else if (model.kind === REFS) ref = m.allocateArray(this.refs, model.length);
    else ref = m.allocateArray(this.#raw[model.kind]!, model.length);
    if (model.kind === SMALL || model.kind === WIDE) m.i32[this.#idWord(ref, model)] = model.id;
    this.write(ref, model);
    return ref;
  }

  /** Writes what follows from the model's value. */
  write(ref: Ref, model: ModelObject): void {
    const { length, value } = model;
    const { u8, u32, f64, i32 } = this.#m;
    const at = ref + HEADER_BYTES;
    switch (model.kind) {
      case SMALL:
      case WIDE:
        i32[this.#valueWord(ref, model)] = value;
        break;
      case BYTES:
        for (let i = 0; i < length; i++) u8[at + i] = mix(value + i);
        break;
      case WORDS:
        for (let i = 0; i < length; i++) u32[(at >> 2) + i] = mix(value + i);
        break;
      case DOUBLES:
        for (let i = 0; i < length; i++) f64[(at >> 3) + i] = mix(value + i);
        break;
    }
  }

  getSlot(ref: Ref, model: ModelObject, index: number): Ref {
    return model.kind === REFS
      ? this.#m.getElement(ref, index)
      : this.#m.getRef(ref, this.#slots[model.kind][index]);
  }

  setSlot(ref: Ref, model: ModelObject, index: number, value: Ref): void {
    if (model.kind === REFS) this.#m.setElement(ref, index, value);
    else this.#m.setRef(ref, this.#slots[model.kind][index], value);
  }

  /** Compares everything but references with the model, and adds what was read to the checksum. @throws Error that tells what differs */
  read(ref: Ref, model: ModelObject, checksum: number): number {
    const m = this.#m;
    const { u8, u32, f64, i32 } = m;
    const { length, value, kind } = model;
    this.readHeader(ref, model);
    const at = ref + HEADER_BYTES;
    let sum = addWord(checksum, kind);
    switch (kind) {
      case SMALL:
      case WIDE: {
        const found = i32[this.#valueWord(ref, model)];
        if (found !== value) differs(model, 'value', found, value);
        return addWord(sum, found);
      }
      case REFS:
        return addWord(sum, m.length(ref));
      case BYTES:
        for (let i = 0; i < length; i++) {
          if (u8[at + i] !== (mix(value + i) & 255))
            differs(model, `byte ${i}`, u8[at + i], mix(value + i) & 255);
          sum = addWord(sum, u8[at + i]);
        }
        return sum;
      case WORDS:
        for (let i = 0, word = at >> 2; i < length; i++, word++) {
          if (u32[word] !== mix(value + i) >>> 0)
            differs(model, `word ${i}`, u32[word], mix(value + i) >>> 0);
          sum = addWord(sum, u32[word]);
        }
        return sum;
      default:
        for (let i = 0, double = at >> 3; i < length; i++, double++) {
          if (f64[double] !== mix(value + i)) differs(model, `double ${i}`, f64[double], mix(value + i));
          sum = addWord(sum, f64[double]);
        }
        return sum;
    }
  }

  /** Compares type, and length or identity, with the model. */
  readHeader(ref: Ref, model: ModelObject): void {
    const m = this.#m;
    const type = m.typeId(ref);
    const expected =
      model.kind === SMALL
        ? this.#small.id
        : model.kind === WIDE
          ? this.#wide.id
          : model.kind === REFS
            ? this.refs.id
            : this.#raw[model.kind]!.id;
    if (type !== expected) differs(model, 'type', type, expected);
    if (model.kind === SMALL || model.kind === WIDE) {
      const id = m.i32[this.#idWord(ref, model)];
      if (id !== model.id) differs(model, 'identity', id, model.id);
    } else if (m.length(ref) !== model.length) {
      differs(model, 'length', m.length(ref), model.length);
    }
  }

  #valueWord(ref: Ref, model: ModelObject): number {
    const { value } = (model.kind === SMALL ? this.#small.offset : this.#wide.offset) as { value: number };
    return (ref + value) >> 2;
  }

  #idWord(ref: Ref, model: ModelObject): number {
    const { id } = (model.kind === SMALL ? this.#small.offset : this.#wide.offset) as { id: number };
    return (ref + id) >> 2;
  }
}

/** Throws: the managed heap does not hold what the model says. */
export function differs(model: ModelObject, what: string, found: number, expected: number): never {
  throw new Error(
    `object ${model.id} (${KINDS[model.kind].name}): ${what} is ${found}, the model says ${expected}`,
  );
}
