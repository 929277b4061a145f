// The end of the process when going on would mean a thread that waits for ever, or bytes that were never written.
import { writeSync } from 'node:fs';
import { encodeError, type Kernel } from 'tospace/uffd';

/** sysexits' EX_SOFTWARE, as the collector of this package uses it. */
export const FAIL_STOP_STATUS = 70;

/**
 * Prints why and ends all threads at once, also those that wait for a page: they cannot be terminated one by one. Does not return.
 */
export function failStop(kernel: Kernel, thread: string, error: unknown): never {
  const { code, name, message, hint, stack } = encodeError(error);
  const lines = [
    `swap: the ${thread} failed; the process is stopped, because memory would be wrong or wait for ever`,
    `swap: ${code ?? name}: ${message}`,
    ...(hint === undefined ? [] : [`swap: ${hint}`]),
    ...(stack === undefined ? [] : [stack]),
  ];
  try {
    writeSync(2, `${lines.join('\n')}\n`);
  } finally {
    kernel.exitGroup(FAIL_STOP_STATUS);
  }
  throw error;
}
