export interface Arena {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  /** Address of the first byte. */
  readonly address: number;
}
export function arenaOf(memory: WebAssembly.Memory): Arena;
export function createArena(wasmPages?: number): Arena;
