// A thread's name in its record, so that the collector can say whom it waits for.

import { NAME_WORDS } from './layout.ts';

const MAX_BYTES = NAME_WORDS * 4;

/** Writes as much of `name` as fits, in whole characters, into the words from `at` on. */
export function writeName(words: Int32Array<SharedArrayBuffer>, at: number, name: string): void {
  // Not into the shared words at once: an encoder refuses shared memory.
  const bytes = new Uint8Array(MAX_BYTES);
  new TextEncoder().encodeInto(name, bytes);
  words.set(new Int32Array(bytes.buffer), at);
}

/** The name in the words from `at` on; empty when there is none. */
export function readName(words: Int32Array, at: number): string {
  const bytes = new Uint8Array(words.slice(at, at + NAME_WORDS).buffer);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end < 0 ? MAX_BYTES : end));
}
