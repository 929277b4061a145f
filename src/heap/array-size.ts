// How many bytes an array takes, and which lengths there are.

import { TospaceError } from '../errors.ts';
import { HEADER_BYTES } from './layout.ts';
import type { ArrayType } from './types.ts';

/** Largest array: lengths and sizes stay below 2^31. */
const MAX_ARRAY_BYTES = 2 ** 31 - 4096;

/** Bytes of an array, header included. @throws TospaceError ERR_TYPE for a length that is none. */
export function arrayBytes(type: ArrayType, length: number): number {
  const elementBytes = type.kind === 'ref-array' ? 4 : type.elementBytes;
  // A record's type has no elements: no length will do.
  if (!(length >= 0 && length <= MAX_ARRAY_BYTES / elementBytes) || !Number.isInteger(length)) {
    if (elementBytes === undefined) throw unfit();
    throw new TospaceError('ERR_TYPE', `${length} is not a length of an array`, {
      hint: `Lengths are integers from 0 to ${MAX_ARRAY_BYTES / elementBytes} for this element.`,
    });
  }
  return (HEADER_BYTES + length * elementBytes + 7) & -8;
}

/** What is no type of the kind that an allocation wants. */
export function unfit(): TospaceError {
  return new TospaceError('ERR_TYPE', 'the type does not fit the call', {
    hint: 'allocate() takes a type of defineRecord, allocateArray() one of defineRefArray or defineArray.',
  });
}
