// What the swapped memory holds, and how every byte of it is known: records of 256 bytes, a header and a piece of a real file.
//
//   word 0      number of the record
//   word 1      version: how often it was written
//   word 2      where in the corpus the piece starts, in words
//   word 3      complement of the sum of the first three
//   words 4-63  the piece
//
// The corpus is taken from the executable of Node itself: machine code, tables, JavaScript. So memory compresses as real memory does,
// no better. Each record belongs to one mutator, which remembers its version in memory that is not swapped; every other mutator has
// records in the same pages. From seed, record and version all 64 words follow, and each read compares all of them.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export const RECORD_BYTES = 256;
const RECORD_WORDS = RECORD_BYTES / 4;
const HEADER_WORDS = 4;
const PIECE_WORDS = RECORD_WORDS - HEADER_WORDS;

const CORPUS_CHUNKS = 64;
const CORPUS_CHUNK_BYTES = 64 * 1024;

/** 4 MiB from all over a file. */
export function readCorpus(path: string = process.execPath): SharedArrayBuffer {
  const corpus = new SharedArrayBuffer(CORPUS_CHUNKS * CORPUS_CHUNK_BYTES);
  const fd = openSync(path, 'r');
  try {
    const span = Math.max(0, fstatSync(fd).size - CORPUS_CHUNK_BYTES);
    for (let i = 0; i < CORPUS_CHUNKS; i++) {
      const from = Math.floor((span * i) / (CORPUS_CHUNKS - 1));
      readSync(fd, new Uint8Array(corpus), i * CORPUS_CHUNK_BYTES, CORPUS_CHUNK_BYTES, from);
    }
  } finally {
    closeSync(fd);
  }
  return corpus;
}

/** The records of one arena that belong to one mutator. */
export class Content {
  readonly #corpus: Int32Array;
  readonly #words: Int32Array;
  readonly #versions: Uint16Array;
  readonly #owners: number;
  readonly #owner: number;
  readonly #seed: number;
  readonly #pieces: number;
  /** Over all words that were read, and over all that should have been: the running checksum and what it has to be. */
  seen = 0;
  expected = 0;
  /** The first record that was wrong, in words. */
  firstWrong: string | undefined;

  constructor(corpus: SharedArrayBuffer, memory: ArrayBuffer, owner: number, owners: number, seed: number) {
    this.#corpus = new Int32Array(corpus);
    this.#words = new Int32Array(memory);
    this.#owners = owners;
    this.#owner = owner;
    this.#seed = seed;
    this.#pieces = this.#corpus.length - PIECE_WORDS;
    this.#versions = new Uint16Array(Math.ceil(memory.byteLength / RECORD_BYTES / owners));
  }

  /** How many records are this mutator's. Numbered from 0 here; neighbours in memory belong to others. */
  get records(): number {
    return this.#versions.length;
  }

  /** Byte offset of a record in the arena. */
  offset(index: number): number {
    return (index * this.#owners + this.#owner) * RECORD_BYTES;
  }

  /** Writes the next version. */
  write(index: number): void {
    const version = ++this.#versions[index]!;
    const record = index * this.#owners + this.#owner;
    const at = record * RECORD_WORDS;
    const words = this.#words;
    const from = this.#piece(record, version);
    words[at] = record;
    words[at + 1] = version & 0xffff;
    words[at + 2] = from;
    words[at + 3] = ~(record + (version & 0xffff) + from);
    for (let i = 0; i < PIECE_WORDS; i++) words[at + HEADER_WORDS + i] = this.#corpus[from + i]!;
  }

  /** Reads a record and compares it. @returns the number of words that are wrong */
  read(index: number): number {
    const version = this.#versions[index]!;
    const record = index * this.#owners + this.#owner;
    const at = record * RECORD_WORDS;
    const words = this.#words;
    const corpus = this.#corpus;
    const from = this.#piece(record, version);
    let wrong = 0;
    let { seen, expected } = this;
    for (let i = 0; i < RECORD_WORDS; i++) {
      const word = words[at + i]!;
      const right =
        i >= HEADER_WORDS
          ? corpus[from + i - HEADER_WORDS]!
          : i === 0
            ? record
            : i === 1
              ? version
              : i === 2
                ? from
                : ~(record + version + from);
      seen = (Math.imul(seen, 31) + word) | 0;
      expected = (Math.imul(expected, 31) + right) | 0;
      if (word !== right) {
        wrong++;
        this.firstWrong ??= `record ${record}, version ${version}, word ${i}: 0x${(word >>> 0).toString(16)}, not 0x${(right >>> 0).toString(16)}`;
      }
    }
    this.seen = seen;
    this.expected = expected;
    return wrong;
  }

  /** The first versions lie in memory as in the file; later ones are pieces from anywhere. */
  #piece(record: number, version: number): number {
    if (version <= 1) return (record * PIECE_WORDS) % this.#pieces;
    let hash = Math.imul(record ^ this.#seed, 0x9e3779b1) ^ Math.imul(version, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    hash ^= hash >>> 13;
    return (hash >>> 0) % this.#pieces;
  }
}
