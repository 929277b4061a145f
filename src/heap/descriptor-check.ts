// In a verifying heap: what is allocated is described as it was registered. A descriptor of an embedder's own may name another size than
// its type has; one of another heap may name anything.

import {
  KIND_ARRAY_BIT,
  KIND_NONE,
  KIND_RAW_ARRAY,
  KIND_REF_ARRAY,
  MAX_TYPES,
  TYPE_ENTRY_LOG2,
  TYPE_SIZE,
} from './layout.ts';
import { type Misuse, misuse } from './misuse.ts';
import type { Tables } from './tables.ts';
import type { ArrayType, RecordDescriptor } from './types.ts';

export class DescriptorCheck {
  readonly #types: Int32Array<SharedArrayBuffer>;
  readonly #misuse: Misuse;

  constructor(tables: Tables, names: Misuse) {
    this.#types = tables.words(tables.geometry.types, MAX_TYPES << (TYPE_ENTRY_LOG2 - 2));
    this.#misuse = names;
  }

  /** Kind and size of a type: bytes of a record, the binary logarithm of an element's. */
  #entry(type: { readonly id: number }, what: string): { kind: number; size: number } {
    if (typeof type?.id !== 'number')
      throw misuse(
        `${what}: ${type === null || typeof type !== 'object' ? String(type) : 'the object'} is no type`,
        'A type is what defineRecord, defineRefArray, defineArray and their kin return: check the spelling of its name.',
      );
    const at = type.id << (TYPE_ENTRY_LOG2 - 2);
    const kind = type.id > 0 && type.id < MAX_TYPES ? this.#types[at]! : KIND_NONE;
    if (kind === KIND_NONE)
      throw misuse(
        `${what}: there is no type ${type.id}`,
        'A type belongs to the heap that it was registered with.',
      );
    return { kind, size: this.#types[at + (TYPE_SIZE >> 2)]! };
  }

  record(type: RecordDescriptor, what: string): void {
    const { kind, size } = this.#entry(type, what);
    if ((kind & KIND_ARRAY_BIT) !== 0)
      throw misuse(
        `${what}: the type does not fit the call`,
        'Arrays are made by allocateArray(type, length).',
      );
    if (size !== type.bytes) this.#differs(type.id, what, `${type.bytes} bytes`, `${size}`);
  }

  array(type: ArrayType, what: string): void {
    const { kind, size } = this.#entry(type, what);
    if ((kind & KIND_ARRAY_BIT) === 0)
      throw misuse(`${what}: the type does not fit the call`, 'Records are made by allocate(type).');
    const isRefs = type.kind === 'ref-array';
    const elementBytes = isRefs ? 4 : type.elementBytes;
    const bytes = kind === KIND_REF_ARRAY ? 4 : 2 ** size;
    if (isRefs !== (kind !== KIND_RAW_ARRAY) || elementBytes !== bytes)
      this.#differs(
        type.id,
        what,
        `elements of ${elementBytes} bytes${isRefs ? ', references' : ''}`,
        `${bytes}${kind === KIND_REF_ARRAY ? ', references' : ''}`,
      );
  }

  #differs(type: number, what: string, said: string, registered: string): never {
    throw misuse(
      `${what}: the descriptor says ${said}, and ${this.#misuse.nameOf(type)} was registered with ${registered}`,
      'Give defineRecordLayout the size that the descriptor names; a type belongs to the heap that it was registered with.',
    );
  }
}
