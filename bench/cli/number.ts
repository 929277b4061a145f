// A number on a command line.

import { UsageError } from './usage.ts';

/** The number that `text` is, undefined for none. @throws UsageError unless it is one from `low` to `high`, and an integer where it must be */
export function number(
  option: string,
  text: string | undefined,
  low: number,
  high: number,
  whole: boolean,
): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new UsageError(
      `${option}: "${text}" is not ${whole ? 'an integer' : 'a number'} from ${low} to ${high}`,
    );
  }
  return value;
}
