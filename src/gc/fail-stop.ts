// Fail stop: when a worker of the collector cannot go on, the process must not either. A mutator may be asleep in a fault that nobody
// will answer; waking it would hand it zeroes. So the report goes to standard error, synchronously, and all threads end at once.

import { writeSync } from 'node:fs';
import { encodeError } from '../errors.ts';
import type { Kernel } from '../uffd/index.ts';

/** Exit status after a fail stop (EX_SOFTWARE of sysexits.h). */
export const FAIL_STOP_STATUS = 70;

/** What is feared when a worker fails. */
const UNBUILT_PAGE = 'a thread may be waiting for a page that nobody can build';

/** Prints why, and ends the process. Does not return, and runs no exit handler. */
export function failStop(kernel: Kernel, where: string, error: unknown, fear: string = UNBUILT_PAGE): never {
  const encoded = encodeError(error);
  const lines = [
    `tospace: ${where} failed; the process is stopped because ${fear}.`,
    `tospace: ${encoded.code ?? encoded.name}: ${encoded.message}`,
    ...(encoded.hint === undefined ? [] : [`tospace: ${encoded.hint}`]),
    ...(encoded.stack === undefined ? [] : [encoded.stack]),
  ];
  try {
    writeSync(2, `${lines.join('\n')}\n`);
  } finally {
    kernel.exitGroup(FAIL_STOP_STATUS);
  }
  throw error;
}
