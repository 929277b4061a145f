// The WebAssembly kernels, as TypeScript sees them (sources: src/gc/kernels).

import { readFileSync } from 'node:fs';
import { MEMORY_BYTES } from '../heap/geometry.ts';
import type { WasmMemory, WasmModule } from '../heap/webassembly.ts';

/** Addresses are byte offsets in the shared memory, pages are to-space page indexes. */
export interface Kernels {
  markBegin(clearEnd: number): void;
  markRoots(from: number, to: number): void;
  markDrain(budget: number): number;
  markPending(): number;
  markOverflows(): number;
  scanUnscanned(end: number): number;
  referencesBegin(ephemerons: number): void;
  referencesFound(): number;
  waitingEphemerons(): number;
  settleStrays(): number;
  clearDead(): number;
  ephemeronsCleared(): number;
  sweepGuards(head: number): number;
  resurrect(): number;
  takeGroups(from: number, end: number): number;
  ageCards(from: number, end: number, round: number): number;
  scanAgedCards(from: number, end: number, round: number): void;
  scanDirtyCards(from: number, end: number): number;
  countDirtyCards(end: number): number;
  plan(end: number): number;
  forwardOne(ref: number): number;
  forwardRoots(from: number, to: number): void;
  buildPages(page: number, count: number, destination: number): void;
  slideBlackFirsts(fromPage: number, toPage: number, count: number): void;
  fixPages(page: number, count: number): void;
  pageWord(page: number): number;
  claimPages(page: number, limit: number, owner: number): number;
  movePages(page: number, count: number, from: number, to: number, owner: number): number;
  firstPageBelow(page: number, limit: number, state: number): number;
  lowestPageAtLeast(page: number, state: number): number;
  clearPageWords(page: number, count: number): void;
  fillWords(from: number, to: number, word: number): void;
}

let compiled: WasmModule | undefined;

/** The compiled module; it can be posted to other threads. */
export function kernelModule(): WasmModule {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./kernels.wasm', import.meta.url)));
  return compiled;
}

/** An instance for this thread, over the memory of one heap. */
export function instantiateKernels(module: WasmModule, memory: WasmMemory, control: number): Kernels {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const exports = instance.exports as unknown as Kernels & { bind(control: number): void };
  exports.bind(control);
  return exports;
}

/** Pages of memory the module declares; a test compares it with the module. */
export const MEMORY_PAGES: number = MEMORY_BYTES / 65536;
