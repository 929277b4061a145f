// Memory that JavaScript can read and write at an address that system calls can work on: a shared WebAssembly.Memory, as the
// heap uses. Plain JavaScript, because worker and child scripts import it too.
import { addressOf } from '#src/uffd/index.js';

/** @param {WebAssembly.Memory} memory @returns the view, its address, and words by address offset */
export function arenaOf(memory) {
  const bytes = new Uint8Array(memory.buffer);
  return { memory, bytes, words: new Int32Array(memory.buffer), address: addressOf(bytes) };
}

/** @param {number} wasmPages size in pages of 64 KiB */
export function createArena(wasmPages = 16) {
  return arenaOf(new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: true }));
}
