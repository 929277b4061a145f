// Types: what the collector must know of an object to copy it and to find its references. They live in a table outside the moving
// space, so that understanding an object never needs another object (which might not have been moved yet).

import { invariant, TospaceError } from '../errors.ts';
import {
  CTL_EPHEMERONS_DEFINED,
  CTL_REGISTRY_LOCK,
  CTL_TYPE_COUNT,
  CTL_TYPE_MAP_NEXT,
  CTL_TYPE_MAPS_END,
  GUARD_BYTES,
  GUARD_NEXT,
  HEADER_BYTES,
  KIND_EPHEMERON,
  KIND_GUARD,
  KIND_RAW_ARRAY,
  KIND_RECORD,
  KIND_REF_ARRAY,
  KIND_WEAK,
  MAX_TYPES,
  REFERENT,
} from './layout.ts';
import { withRepairableLock } from './lock.ts';
import type { Offset } from './ref.ts';
import type { Tables } from './tables.ts';
import { writeTypeText } from './type-names.ts';

/** What a field holds: `ref` is a reference the collector follows, everything else is raw data. */
export type FieldKind = 'ref' | 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'f32' | 'i64' | 'f64';

/** What an element of a raw array holds. */
export type ElementKind = Exclude<FieldKind, 'ref'>;

const FIELD_BYTES: Readonly<Record<FieldKind, number>> = Object.freeze({
  ref: 4,
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  i64: 8,
  f64: 8,
});

/** The fields of a record type: what each holds, by name. */
export type Shape = Readonly<Record<string, FieldKind>>;

/** The shape without fields. */
export type NoFields = Readonly<Record<never, FieldKind>>;

/** Offsets of the fields of a shape; of names alone, plain numbers. */
type Offsets<Fields, Name extends string> = [Fields] extends [string]
  ? Readonly<Record<Fields, number>>
  : { readonly [Field in keyof Fields]: Offset<Fields[Field] & string, Name> };

type Kinds<Fields> = [Fields] extends [string] ? Readonly<Record<Fields, FieldKind>> : Readonly<Fields>;

/**
 * A type of records: a fixed number of fields. A plain object: it may be posted to another thread.
 *
 * `Fields` is the shape, as in `RecordType<{ next: 'ref'; value: 'i32' }, 'Cell'>`: the compiler then refuses operations on the wrong kind of
 * field. Names alone, as in `RecordType<'next' | 'value'>`, do where that is not wanted.
 */
export interface RecordType<Fields extends Shape | string = string, Name extends string = string> {
  readonly kind: 'record';
  readonly id: number;
  readonly name: Name;
  /** Bytes of an instance, header included. */
  readonly bytes: number;
  /** Byte offset of every field from the object's start. */
  readonly offset: Offsets<Fields, Name>;
  readonly fields: Kinds<Fields>;
}

/** What an allocation needs of a record type. A descriptor for a layout of the embedder's own needs no more: see defineRecordLayout. */
export interface RecordDescriptor<Name extends string = string> {
  /** What `defineRecordLayout` returned. */
  readonly id: number;
  /** Bytes of an instance, header included. */
  readonly bytes: number;
  readonly name?: Name;
}

/** Besides its own fields, a record type has some that only operations of their own may touch. */
type WithWeak<Weak extends string, Fields extends Shape | string, Name extends string> = Omit<
  RecordType<Fields, Name>,
  'offset' | 'fields'
> & {
  readonly offset: Offsets<Fields, Name> & { readonly [Field in Weak]: Offset<'weak', Name> };
  readonly fields: Kinds<Fields> & { readonly [Field in Weak]: 'ref' };
};

/** A type of records whose field `referent` does not keep its object alive. Behaves as a record type wherever one is asked for. */
export type WeakRecordType<Fields extends Shape | string = string, Name extends string = string> = WithWeak<
  'referent',
  Fields,
  Name
>;

/** A type of records whose `value` lives as long as both the record and its `key` do. */
export type EphemeronType<Fields extends Shape | string = string, Name extends string = string> = WithWeak<
  'key' | 'value',
  Fields,
  Name
>;

/** A type of arrays whose elements are references. */
export interface RefArrayType<Name extends string = string> {
  readonly kind: 'ref-array';
  readonly id: number;
  readonly name: Name;
}

/** A type of arrays of raw data. */
export interface RawArrayType<Name extends string = string> {
  readonly kind: 'raw-array';
  readonly id: number;
  readonly name: Name;
  readonly element: ElementKind;
  readonly elementBytes: number;
}

export type ArrayType<Name extends string = string> = RefArrayType<Name> | RawArrayType<Name>;
export type HeapType = RecordType | ArrayType;

/** Largest record: what remains of 16 bits of 8-byte granules, far above any sensible class. */
export const MAX_RECORD_BYTES: number = 512 * 1024;

function badType(message: string, hint: string): TospaceError {
  return new TospaceError('ERR_TYPE', message, { hint });
}

/** Puts fields one behind the other in the given order, each on a multiple of its size. */
export function placeFields<Fields extends string>(
  fields: Readonly<Record<Fields, FieldKind>>,
): { bytes: number; offset: Record<Fields, number> } {
  let at = HEADER_BYTES;
  const offset = {} as Record<Fields, number>;
  for (const [name, kind] of Object.entries(fields) as [Fields, FieldKind][]) {
    const bytes = Object.hasOwn(FIELD_BYTES, kind) ? FIELD_BYTES[kind] : undefined;
    if (bytes === undefined) {
      throw badType(
        `field ${name}: ${String(kind)} is not a kind of field`,
        `Use one of ${Object.keys(FIELD_BYTES).join(', ')}.`,
      );
    }
    at = Math.ceil(at / bytes) * bytes;
    offset[name] = at;
    at += bytes;
  }
  return { bytes: Math.ceil(at / 8) * 8, offset };
}

/** `fields` behind the fixed ones. @throws TospaceError ERR_TYPE when one has the name of a fixed field. */
function behind<Fixed extends string, Fields extends string>(
  name: string,
  fixed: Readonly<Record<Fixed, FieldKind>>,
  fields: Readonly<Record<Fields, FieldKind>>,
): Record<Fixed | Fields, FieldKind> {
  for (const field of Object.keys(fields)) {
    if (Object.hasOwn(fixed, field))
      throw badType(`type ${name}: it has a field ${field} already`, 'Name the additional field otherwise.');
  }
  // Integer-like names would come before all others: the fixed fields have fixed places.
  if (Object.keys({ ...fixed, ...fields })[0] !== Object.keys(fixed)[0])
    throw badType(`type ${name}: a field is named by a number`, 'Begin names of fields with a letter.');
  return { ...fixed, ...fields };
}

const GUARD_FIELDS = Object.freeze({ referent: REFERENT, next: GUARD_NEXT });

/** The table of types of one heap, seen from one thread. */
export class TypeRegistry {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** Registers a record type. */
  record<const Name extends string, const Fields extends Shape>(
    name: Name,
    fields: Fields,
  ): RecordType<Fields, Name> {
    return this.#record(name, KIND_RECORD, fields) as RecordType<Fields, Name>;
  }

  /** Registers a type of records with a weak first field, `referent`, and others of the embedder's. */
  weakRecord<const Name extends string, const Fields extends Shape>(
    name: Name,
    fields: Fields,
  ): WeakRecordType<Fields, Name> {
    return this.#record(
      name,
      KIND_WEAK,
      behind(name, { referent: 'ref' }, fields),
    ) as unknown as WeakRecordType<Fields, Name>;
  }

  /** Registers a type of ephemerons: fields `key` and `value`, then others of the embedder's. */
  ephemeron<const Name extends string, const Fields extends Shape>(
    name: Name,
    fields: Fields,
  ): EphemeronType<Fields, Name> {
    const type = this.#record(name, KIND_EPHEMERON, behind(name, { key: 'ref', value: 'ref' }, fields));
    Atomics.store(this.#tables.control, CTL_EPHEMERONS_DEFINED, 1);
    return type as unknown as EphemeronType<Fields, Name>;
  }

  /** Registers the type of guards that wait, and that of those that are ready; returns their ids. */
  guards(): { readonly waiting: number; readonly ready: number } {
    const refs = [REFERENT, GUARD_NEXT];
    return {
      waiting: this.recordLayout('tospace.Guard', GUARD_BYTES, refs, KIND_GUARD, GUARD_FIELDS),
      ready: this.recordLayout('tospace.ReadyGuard', GUARD_BYTES, refs, KIND_RECORD, GUARD_FIELDS),
    };
  }

  #record<Fields extends string>(
    name: string,
    kind: number,
    fields: Readonly<Record<Fields, FieldKind>>,
  ): RecordType<Fields> {
    const { bytes, offset } = placeFields(fields);
    const refs = (Object.keys(fields) as Fields[])
      .filter((field) => fields[field] === 'ref')
      .map((field) => offset[field]);
    const id = this.recordLayout(name, bytes, refs, kind, offset);
    return Object.freeze({
      kind: 'record',
      id,
      name,
      bytes,
      offset: Object.freeze(offset),
      fields: Object.freeze({ ...fields }),
    }) as RecordType<Fields>;
  }

  /**
   * Registers a record type whose layout the embedder chose, and returns its id.
   * @param bytes size of an instance, header included: a multiple of 8.
   * @param refs byte offsets of the reference fields, each a multiple of 4 behind the 8-byte header.
   * @param fields byte offsets by name, for those who look at the heap.
   */
  recordLayout(
    name: string,
    bytes: number,
    refs: readonly number[],
    kind: number = KIND_RECORD,
    fields: Readonly<Record<string, number>> = {},
  ): number {
    if (!Number.isInteger(bytes) || bytes < HEADER_BYTES || bytes % 8 !== 0 || bytes > MAX_RECORD_BYTES) {
      throw badType(
        `type ${name}: ${bytes} is not a size of a record`,
        `The size includes the ${HEADER_BYTES}-byte header, is a multiple of 8 and at most ${MAX_RECORD_BYTES}.`,
      );
    }
    for (const at of refs) {
      if (!Number.isInteger(at) || at < HEADER_BYTES || at % 4 !== 0 || at + 4 > bytes) {
        throw badType(
          `type ${name}: ${at} is not the offset of a reference field`,
          `Offsets are multiples of 4 from ${HEADER_BYTES} to ${bytes - 4}.`,
        );
      }
    }
    // Words behind the last reference are not stored: scanning a record costs what its references need.
    const words =
      refs.length === 0 ? 0 : Math.floor(refs.reduce((last, at) => Math.max(last, at), 0) / 256) + 1;
    const map = new Uint32Array(words * 2);
    for (const at of refs) {
      const slot = at >>> 2;
      map[slot >>> 5]! |= 1 << (slot & 31);
    }
    // Only those of references have something to say in a path.
    const references = new Set(refs);
    const named = Object.entries(fields).filter(([, at]) => references.has(at));
    return this.#register(name, kind, bytes, map, Object.fromEntries(named));
  }

  refArray<const Name extends string>(name: Name): RefArrayType<Name> {
    const id = this.#register(name, KIND_REF_ARRAY, 2, new Uint32Array(0));
    return Object.freeze({ kind: 'ref-array', id, name });
  }

  rawArray<const Name extends string>(name: Name, element: ElementKind): RawArrayType<Name> {
    const raw = (element as FieldKind) !== 'ref' && Object.hasOwn(FIELD_BYTES, element);
    const elementBytes = raw ? FIELD_BYTES[element] : undefined;
    if (elementBytes === undefined) {
      throw badType(
        `type ${name}: ${String(element)} is not a kind of raw element`,
        'Arrays of references are made by defineRefArray.',
      );
    }
    const id = this.#register(name, KIND_RAW_ARRAY, Math.log2(elementBytes), new Uint32Array(0));
    return Object.freeze({ kind: 'raw-array', id, name, element, elementBytes });
  }

  #register(
    name: string,
    kind: number,
    size: number,
    map: Uint32Array,
    fields: Readonly<Record<string, number>> = {},
  ): number {
    const { control, geometry } = this.#tables;
    // Repairable: an id that is not counted yet is nobody's, whatever its entry holds.
    return withRepairableLock(control, CTL_REGISTRY_LOCK, () => {
      const id = control[CTL_TYPE_COUNT]!;
      invariant(id >= 1, 'type ids start at 1');
      if (id >= MAX_TYPES) {
        throw badType(
          `type ${name}: the table of ${MAX_TYPES - 1} types is full`,
          'Register a type once and share its descriptor.',
        );
      }
      const at = control[CTL_TYPE_MAP_NEXT]! >>> 0;
      if (at + map.byteLength > control[CTL_TYPE_MAPS_END]! >>> 0) {
        throw badType(
          `type ${name}: no room for its reference map`,
          'Raise typeMaps, or keep references at the front of large records.',
        );
      }
      new Uint32Array(this.#tables.buffer, at, map.length).set(map);
      control[CTL_TYPE_MAP_NEXT] = at + map.byteLength;
      const entry = this.#tables.words(geometry.types + id * 16, 4);
      entry[1] = size;
      entry[2] = at;
      entry[3] = map.length / 2;
      writeTypeText(this.#tables, id, { name, fields });
      // The kind last: a type is complete when it has one.
      Atomics.store(entry, 0, kind);
      control[CTL_TYPE_COUNT] = id + 1;
      return id;
    });
  }
}
