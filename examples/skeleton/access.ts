// Step 5. Fields. None of these is a safepoint. References are stored by setRef and setElement alone: they carry the write barrier, without
// which a collection that marks beside the program would not notice the store. Raw data needs none.
import type { Ref } from 'tospace';
import type { Machine } from './machine.ts';

export type PairField = 'car' | 'cdr';
export type ClosureField = 'environment' | 'name';

/** Elements of an array begin behind the header. */
const HEADER_BYTES = 8;

export function readPair({ mutator, types }: Machine, pair: Ref, field: PairField): Ref {
  return mutator.getRef(pair, types.pair.offset[field]);
}

export function writePair({ mutator, types }: Machine, pair: Ref, field: PairField, value: Ref): void {
  mutator.setRef(pair, types.pair.offset[field], value);
}

export function readClosure({ mutator, types }: Machine, closure: Ref, field: ClosureField): Ref {
  return mutator.getRef(closure, types.closure.offset[field]);
}

export function writeClosure(
  { mutator, types }: Machine,
  closure: Ref,
  field: ClosureField,
  value: Ref,
): void {
  mutator.setRef(closure, types.closure.offset[field], value);
}

export function readCode({ mutator, types }: Machine, closure: Ref): number {
  return mutator.getI32(closure, types.closure.offset.code);
}

export function writeCode({ mutator, types }: Machine, closure: Ref, code: number): void {
  mutator.setI32(closure, types.closure.offset.code, code);
}

export function readElement({ mutator }: Machine, vector: Ref, index: number): Ref {
  return mutator.getElement(vector, index);
}

export function writeElement({ mutator }: Machine, vector: Ref, index: number, value: Ref): void {
  mutator.setElement(vector, index, value);
}

/** Elements of a vector, or code units of a string. */
export function lengthOf({ mutator }: Machine, object: Ref): number {
  return mutator.length(object);
}

/** Raw data may be read and written through bytes of the shared memory. */
export function readText({ mutator }: Machine, string: Ref): string {
  const { u8 } = mutator;
  let text = '';
  for (let i = 0, at = string + HEADER_BYTES; i < mutator.length(string); i++, at += 2)
    text += String.fromCharCode(u8[at]! | (u8[at + 1]! << 8));
  return text;
}

export function writeText({ mutator }: Machine, string: Ref, text: string, from = 0): void {
  const { u8 } = mutator;
  for (let i = 0, at = string + HEADER_BYTES + from * 2; i < text.length; i++, at += 2) {
    u8[at] = text.charCodeAt(i);
    u8[at + 1] = text.charCodeAt(i) >> 8;
  }
}
