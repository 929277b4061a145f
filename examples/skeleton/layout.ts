// Step 1. Object layout: what kinds of object there are, and where their references lie.
//
// Registered once for each heap; the descriptors are plain objects and may be posted to other threads. Fields begin behind a header of 8
// bytes, at multiples of their size. Two ways are shown: by fields, which the heap places, and by a layout of your own.
import type { Heap, RawArrayType, RecordType, RefArrayType } from 'tospace';

export interface Types {
  readonly pair: RecordType<'car' | 'cdr'>;
  readonly closure: RecordType<'environment' | 'code' | 'name'>;
  /** Elements are references. */
  readonly vector: RefArrayType;
  /** UTF-16 code units. */
  readonly string: RawArrayType;
}

/** Header, environment at +8, code at +12, name at +16; a multiple of 8. */
const CLOSURE_BYTES = 24;
const CLOSURE_OFFSET = { environment: 8, code: 12, name: 16 } as const;
/** Offsets of its references: code is an index, which the collector must leave alone. */
const CLOSURE_REFERENCES = [CLOSURE_OFFSET.environment, CLOSURE_OFFSET.name];

export function defineTypes(heap: Heap, closureReferences: readonly number[] = CLOSURE_REFERENCES): Types {
  return {
    pair: heap.defineRecord('Pair', { car: 'ref', cdr: 'ref' }),
    closure: {
      kind: 'record',
      id: heap.defineRecordLayout('Closure', CLOSURE_BYTES, closureReferences),
      name: 'Closure',
      bytes: CLOSURE_BYTES,
      offset: CLOSURE_OFFSET,
      fields: { environment: 'ref', code: 'i32', name: 'ref' },
    },
    vector: heap.defineRefArray('Vector'),
    string: heap.defineArray('String', 'u16'),
  };
}
