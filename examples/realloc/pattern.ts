// Contents that tell every page from every other: pseudo-random bytes, repeated every MiB, with the number of the page in front.

const PAGE_BYTES = 4096;
const CHUNK_BYTES = 1024 * 1024;

/** A place in memory. `bytes` is a multiple of a MiB. */
export interface Block {
  readonly address: number;
  readonly bytes: number;
}

export class Pattern {
  readonly #chunk: Buffer = Buffer.alloc(CHUNK_BYTES);
  readonly #words: Uint32Array;
  readonly #zeroes: Buffer = Buffer.alloc(CHUNK_BYTES);

  constructor() {
    this.#words = new Uint32Array(this.#chunk.buffer, this.#chunk.byteOffset, CHUNK_BYTES / 4);
    // xorshift32: any fixed sequence without repetitions will do.
    let x = 0x9e3779b9;
    for (let i = 0; i < this.#words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      this.#words[i] = x;
    }
  }

  write(memory: Buffer): void {
    for (let at = 0; at < memory.length; at += CHUNK_BYTES) this.#chunkAt(at).copy(memory, at);
  }

  /** Whether every byte is as {@link write} left it. */
  isIn(memory: Buffer): boolean {
    for (let at = 0; at < memory.length; at += CHUNK_BYTES) {
      if (this.#chunkAt(at).compare(memory, at, at + CHUNK_BYTES) !== 0) return false;
    }
    return true;
  }

  /** Whether every byte is zero. */
  isZero(memory: Buffer): boolean {
    for (let at = 0; at < memory.length; at += CHUNK_BYTES) {
      if (this.#zeroes.compare(memory, at, at + CHUNK_BYTES) !== 0) return false;
    }
    return true;
  }

  #chunkAt(offset: number): Buffer {
    for (let at = 0; at < CHUNK_BYTES; at += PAGE_BYTES) this.#words[at / 4] = (offset + at) / PAGE_BYTES;
    return this.#chunk;
  }
}
