// Errors that are answers: the heap was too small, the kernel refuses, an option is out of range. They are printed with their hint and
// without a stack; everything else is a bug of somebody and keeps it.

import { TospaceError } from 'tospace';
import { USAGE_STATUS, UsageError } from './usage.ts';

const EXPECTED: ReadonlySet<string> = new Set([
  'ERR_OPTION',
  'ERR_OUT_OF_MEMORY',
  'ERR_UNSUPPORTED',
  'ERR_PERMISSION',
]);

/** What to print on standard error for an error, and the exit status. */
export function describeError(error: unknown): { readonly text: string; readonly status: number } {
  if (error instanceof UsageError) return { text: `tospace: ${error.message}`, status: USAGE_STATUS };
  if (error instanceof TospaceError && EXPECTED.has(error.code)) {
    const text = `tospace: ${error.code}: ${error.message}\ntospace: ${error.hint}`;
    // The library checks the ranges of options: a value out of range is a mistake on the command line as well.
    return { text, status: error.code === 'ERR_OPTION' ? USAGE_STATUS : 1 };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const hint = error instanceof TospaceError ? `\ntospace: ${error.hint}` : '';
  return { text: `tospace: ${text}${hint}`, status: 1 };
}
