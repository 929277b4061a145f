// A ring of bytes between two threads: one writes records of varying length, the other reads each in place and compares all of it with
// what it must be, which takes it as one piece.
//
// The ring's layout is one of two. A *mirrored* ring continues behind its end with its beginning: every record is one piece. A *plain*
// ring ends at its end: the producer copies a record that goes past it in two parts, and the consumer puts the two parts together in
// a buffer of its own. Only such records: this is the best that a plain ring can do.
//
// A record is 8 bytes of header (length, sequence number), then its bytes, padded to 8, so that a header never goes past the end.
// Positions count bytes since the beginning and wrap at 2^32; the ring's size is a power of two.

const HEADER_BYTES = 8;

// The control words, in shared memory. Each position is written by one thread; the word behind it says that the other one sleeps until
// it changes.
const HEAD = 0;
const TAIL = 2;
type Position = typeof HEAD | typeof TAIL;
const ASLEEP = 1;
/** The consumer waits for the first record. */
const READY = 4;
/** A thread has given up; the other must not wait for it. */
const ABORTED = 5;
const CONTROL_WORDS = 6;

/** Looks at a position this often before going to sleep. */
const SPINS = 2000;
/** A sleeper looks this often whether the other thread has given up. */
const SLEEP_MS = 20;

const SOURCE_BYTES = 1024 * 1024;
const SOURCE_STEP_BYTES = 64;

export type Layout = 'mirrored' | 'plain';

/** What both threads know of a pass. */
export interface Pass {
  readonly address: number;
  /** Of the ring, without its mirror: a power of two. */
  readonly ringBytes: number;
  readonly layout: Layout;
  /** Lengths lie evenly from half of it to one and a half times it. */
  readonly meanBytes: number;
  readonly records: number;
  readonly control: Int32Array;
}

export function createControl(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
}

/** Memory that a layout's ring takes, from its address on. */
export function spanOf({ layout, ringBytes }: Pick<Pass, 'layout' | 'ringBytes'>): number {
  return layout === 'mirrored' ? 2 * ringBytes : ringBytes;
}

/** The records of a pass: the same sequence in both threads. */
class Records {
  readonly #source: Buffer;
  readonly #meanBytes: number;
  #random = 0x9e3779b9;
  #sequence = -1;
  /** Bytes of the current record, and where in {@link source} they come from. */
  length = 0;
  offset = 0;

  constructor(meanBytes: number) {
    this.#meanBytes = meanBytes;
    this.#source = Buffer.alloc(SOURCE_BYTES + 2 * meanBytes);
    for (let at = 0; at < this.#source.length; at++) this.#source[at] = this.#next();
  }

  get source(): Buffer {
    return this.#source;
  }

  get sequence(): number {
    return this.#sequence;
  }

  advance(): void {
    this.#sequence++;
    this.length = (this.#meanBytes >>> 1) + ((this.#next() >>> 0) % (this.#meanBytes + 1));
    this.offset = (this.#sequence * SOURCE_STEP_BYTES) % SOURCE_BYTES;
  }

  /** xorshift32. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x;
  }
}

export interface Produced {
  /** From the first record to the consumer having read the last. */
  readonly seconds: number;
  readonly payloadBytes: number;
  /** Records that went past the end of the ring. */
  readonly straddling: number;
}

/**
 * The producer's side; waits for the consumer to be there. Blocks the thread.
 * @throws Error when the consumer gave up
 */
export function produce(pass: Pass, memory: ArrayBuffer): Produced {
  const { control, ringBytes, layout } = pass;
  const ring = Buffer.from(memory);
  const header = new Uint32Array(memory);
  const records = new Records(pass.meanBytes);
  const mask = ringBytes - 1;
  let head = 0;
  let tail = 0;
  let payloadBytes = 0;
  let straddling = 0;
  while (Atomics.load(control, READY) === 0) {
    Atomics.wait(control, READY, 0, SLEEP_MS);
    throwIfAborted(control);
  }
  const start = performance.now();
  try {
    for (let i = 0; i < pass.records; i++) {
      records.advance();
      const { source, offset, length } = records;
      const total = HEADER_BYTES + ((length + 7) & ~7);
      while (ringBytes - ((head - tail) >>> 0) < total) tail = awaitChange(control, TAIL, tail);
      const at = (head & mask) / 4;
      header[at] = length;
      header[at + 1] = records.sequence;
      const from = (head + HEADER_BYTES) & mask;
      const before = ringBytes - from;
      if (length > before) straddling++;
      if (layout === 'mirrored' || length <= before) {
        source.copy(ring, from, offset, offset + length);
      } else {
        source.copy(ring, from, offset, offset + before);
        source.copy(ring, 0, offset + before, offset + length);
      }
      head = (head + total) >>> 0;
      publish(control, HEAD, head);
      payloadBytes += length;
    }
    while (tail !== head) tail = awaitChange(control, TAIL, tail);
  } catch (error) {
    abort(control);
    throw error;
  }
  return { seconds: (performance.now() - start) / 1000, payloadBytes, straddling };
}

/**
 * The consumer's side: reads all records of a pass. Blocks the thread.
 * @throws Error when a record is not what it must be, or the producer gave up
 */
export function consume(pass: Pass, memory: ArrayBuffer): void {
  const { control, ringBytes, layout } = pass;
  const ring = Buffer.from(memory);
  const header = new Uint32Array(memory);
  const records = new Records(pass.meanBytes);
  const together = Buffer.alloc(2 * pass.meanBytes);
  const mask = ringBytes - 1;
  let head = 0;
  let tail = 0;
  Atomics.store(control, READY, 1);
  Atomics.notify(control, READY);
  try {
    for (let i = 0; i < pass.records; i++) {
      records.advance();
      while (head === tail) head = awaitChange(control, HEAD, head);
      const at = (tail & mask) / 4;
      const length = header[at]!;
      const from = (tail + HEADER_BYTES) & mask;
      const before = ringBytes - from;
      const { source, offset, sequence } = records;
      if (length !== records.length || header[at + 1] !== sequence)
        throw new Error(`record ${sequence} has the length ${length} instead of ${records.length}`);
      let isRight: boolean;
      if (layout === 'mirrored' || length <= before) {
        isRight = ring.compare(source, offset, offset + length, from, from + length) === 0;
      } else {
        ring.copy(together, 0, from, ringBytes);
        ring.copy(together, before, 0, length - before);
        isRight = together.compare(source, offset, offset + length, 0, length) === 0;
      }
      if (!isRight) throw new Error(`record ${sequence} of ${length} bytes is damaged`);
      tail = (tail + HEADER_BYTES + ((length + 7) & ~7)) >>> 0;
      publish(control, TAIL, tail);
    }
  } catch (error) {
    abort(control);
    throw error;
  }
}

/** The value of a position once it is no longer `seen`. */
function awaitChange(control: Int32Array, position: Position, seen: number): number {
  for (let spin = 0; spin < SPINS; spin++) {
    const value = Atomics.load(control, position) >>> 0;
    if (value !== seen) return value;
  }
  for (;;) {
    Atomics.store(control, position + ASLEEP, 1);
    // Returns at once if the position has changed: then the other thread may not have seen that somebody sleeps.
    Atomics.wait(control, position, seen | 0, SLEEP_MS);
    Atomics.store(control, position + ASLEEP, 0);
    const value = Atomics.load(control, position) >>> 0;
    if (value !== seen) return value;
    throwIfAborted(control);
  }
}

function publish(control: Int32Array, position: Position, value: number): void {
  Atomics.store(control, position, value | 0);
  if (Atomics.load(control, position + ASLEEP) !== 0) Atomics.notify(control, position);
}

function throwIfAborted(control: Int32Array): void {
  if (Atomics.load(control, ABORTED) !== 0) throw new Error('the other thread of the ring has given up');
}

/** Tells the other thread of a pass that this one will not go on. */
export function abort(control: Int32Array): void {
  Atomics.store(control, ABORTED, 1);
}
