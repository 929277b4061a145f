// The keys of objects that a caller writes by hand: one that nobody would read is a mistake, most often a slip of the pen. Imports errors.ts
// alone, so that every layer may use it.

import { inspect } from 'node:util';
import { TospaceError } from './errors.ts';

/** Letters and digits alone: `min-heap` and `minheap` are slips of `minHeap`. */
const essence = (key: string): string => key.toLowerCase().replace(/[^a-z0-9]/g, '');

/** How many letters must be put in, left out, replaced or swapped with their neighbours to make `b` of `a` (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, row[j]! + 1, next[j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) next[j] = Math.min(next[j]!, before[j - 2]! + 1);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** Which of `keys` was meant by `key`: the nearest one, if at most a third of its letters is wrong. */
export function meant(key: string, keys: readonly string[]): string | undefined {
  const wanted = essence(key);
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  let nearest: string | undefined;
  for (const each of keys) {
    const wrong = distance(wanted, essence(each));
    if (wrong < least) [least, nearest] = [wrong, each];
  }
  return nearest;
}

/** The error for a key that is none of `keys`. @param where it was given, for the message; '' where that is clear */
export function unknownKey(where: string, key: string, keys: readonly string[]): TospaceError {
  const suggestion = meant(key, keys);
  return new TospaceError('ERR_OPTION', `${where === '' ? '' : `${where}: `}there is no option ${key}`, {
    hint: `${suggestion === undefined ? '' : `Did you mean ${suggestion}? `}Options are ${keys.join(', ')}.`,
  });
}

/** Every key of an object of options: the compiler knows when one is missing. */
export type KeysOf<Options> = { readonly [Key in keyof Required<Options>]: true };

/**
 * Checks an object of options. A key whose value is undefined is one that was not given.
 * @param where what the options are for, as the caller wrote it
 * @throws TospaceError ERR_OPTION when it is no object, or has a key that there is not; the hint says which one was meant.
 */
export function assertKeys<Options extends object>(
  where: string,
  options: Options,
  keys: KeysOf<Options>,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TospaceError('ERR_OPTION', `${where}: options must be an object, not ${inspect(options)}`, {
      hint: `Options are ${Object.keys(keys).join(', ')}: write them as members of an object, or leave it out.`,
    });
  }
  for (const key in options)
    if (!Object.hasOwn(keys, key) && options[key] !== undefined)
      throw unknownKey(where, key, Object.keys(keys));
}
