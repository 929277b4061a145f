// How many bytes an array takes, and which lengths there are.

import { TospaceError } from '../errors.ts';
import { HEADER_BYTES } from './layout.ts';
import type { ArrayType } from './types.ts';

/** Largest array: lengths and sizes stay below 2^31. */
const MAX_ARRAY_BYTES = 2 ** 31 - 4096;

/** Bytes of an array, header included. @throws TospaceError ERR_TYPE for a length that is none. */
export function arrayBytes(type: ArrayType, length: number): number {
  const elementBytes = type.kind === 'ref-array' ? 4 : type.elementBytes;
  if (!(length >= 0 && length <= MAX_ARRAY_BYTES / elementBytes) || !Number.isInteger(length)) {
    throw new TospaceError('ERR_TYPE', `${length} is not a length of an array`, {
      hint: `Lengths are integers from 0 to ${MAX_ARRAY_BYTES / elementBytes} for this element.`,
    });
  }
  return (HEADER_BYTES + length * elementBytes + 7) & -8;
}
