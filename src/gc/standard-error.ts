// What the threads of a heap say on standard error.

import { writeSync } from 'node:fs';

/** Writes a line at once: a worker's process.stderr waits for the event loop of the main thread, which may be a busy mutator. */
export function say(line: string): void {
  try {
    writeSync(2, `tospace: ${line}\n`);
  } catch {
    // Nobody reads, or not fast enough: a line is not worth the heap.
  }
}
