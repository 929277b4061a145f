// What an object is, as the kernels see it: a header that names a type, and the type's entry.
import {
  HEADER_BYTES, KIND_ARRAY_BIT, KIND_RECORD, KIND_REF_ARRAY, TYPE_ENTRY_LOG2, TYPE_ID_MASK, TYPE_KIND, TYPE_SIZE,
} from '../../heap/layout';
import { types } from './geometry';

/** Address of the type entry of the object whose header is at `header`. */
// @ts-ignore: decorator
@inline
export function typeOf(header: u32): u32 {
  return types + ((load<u32>(header) & TYPE_ID_MASK) << TYPE_ENTRY_LOG2);
}

/** Bytes of the object whose header is at `header`, a multiple of 8. */
// @ts-ignore: decorator
@inline
export function sizeOf(header: u32, type: u32): u32 {
  const size = load<u32>(type, TYPE_SIZE);
  if (!isArray(load<u32>(type, TYPE_KIND))) return size;
  return arrayBytes(load<u32>(header, 4), size);
}

/** Whether objects of this kind have a length, or the size that their type says. */
// @ts-ignore: decorator
@inline
export function isArray(kind: u32): bool {
  return (kind & KIND_ARRAY_BIT) != 0;
}

/** Bytes of an array of `length` elements of 2^log2 bytes, header included, rounded up to a granule. */
// @ts-ignore: decorator
@inline
export function arrayBytes(length: u32, log2: u32): u32 {
  return (HEADER_BYTES + (length << log2) + 7) & ~7;
}

export { KIND_RECORD, KIND_REF_ARRAY };
