// A host without a collector: the guest's memory is a WebAssembly.Memory and nothing else. It has a record with an allocation buffer, a
// shadow stack and cards because the guest writes them, and never looks at any of it. What is allocated stays until `reset`.
import { type GuestImports, TospaceError } from 'tospace';
import { type Guest, type GuestTypes, instantiate } from './guest.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** As the heap's. */
const BUFFER_BYTES = 64 * KIB;
const MEMORY_PAGES = 65_536;

const RECORD = 64 * KIB;
const POLL = RECORD + 4 * KIB;
const SHADOW_STACK = 128 * KIB;
const SHADOW_STACK_BYTES = 256 * KIB;
const CARD_GROUPS = 512 * KIB;
const CARDS = MIB;
const AREA = 16 * MIB;

/** Words of the record, by docs/guest-abi.md. */
const CURSOR = 16;
const LIMIT = 17;
const SHADOW_TOP = 20;
const SHADOW_LIMIT = 21;

const TYPES: GuestTypes = { node: 2, entry: 3, table: 4 };

export class PlainHost {
  readonly guest: Guest;
  readonly #bytes: Uint8Array;
  readonly #record: Int32Array;
  readonly #areaBytes: number;
  #next = AREA;

  /** @param areaBytes room for objects, touched here and now */
  constructor(module: WebAssembly.Module, areaBytes: number) {
    // The same kind of memory as the heap's: the compiled code is the same.
    const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
    this.#bytes = new Uint8Array(memory.buffer);
    this.#record = new Int32Array(memory.buffer, RECORD, 64);
    this.#areaBytes = areaBytes;
    this.#bytes.fill(1, AREA, AREA + areaBytes);
    this.reset();
    this.guest = instantiate(module, memory, this.#functions(), TYPES);
  }

  /** Forgets all objects. */
  reset(): void {
    this.#next = AREA;
    this.#record[CURSOR] = 0;
    this.#record[LIMIT] = 0;
    this.#record[SHADOW_TOP] = SHADOW_STACK;
    this.#record[SHADOW_LIMIT] = SHADOW_STACK + SHADOW_STACK_BYTES;
  }

  #allocate(type: number, bytes: number, length: number): number {
    if (this.#record[CURSOR]! + bytes > this.#record[LIMIT]!) {
      const start = this.#next;
      const taken = Math.max(BUFFER_BYTES, Math.ceil(bytes / BUFFER_BYTES) * BUFFER_BYTES);
      this.#next += taken;
      if (this.#next > AREA + this.#areaBytes)
        throw new TospaceError(
          'ERR_OUT_OF_MEMORY',
          `the plain memory's ${this.#areaBytes} bytes are used up`,
        );
      this.#bytes.fill(0, start, start + taken);
      this.#record[CURSOR] = start;
      this.#record[LIMIT] = start + taken;
    }
    const ref = this.#record[CURSOR]!;
    this.#record[CURSOR] = ref + bytes;
    const words = new Int32Array(this.#bytes.buffer, ref, 2);
    words[0] = type;
    words[1] = length;
    return ref;
  }

  #functions(): GuestImports {
    const allocate = (type: number, bytes: number, length: number): number =>
      this.#allocate(type, bytes, length);
    const none = (): never => {
      throw new TospaceError('ERR_STATE', 'the plain host has no such function');
    };
    return {
      thread: RECORD,
      poll: POLL,
      cards: CARDS,
      cardGroups: CARD_GROUPS,
      allocateSlow: allocate,
      tryAllocateSlow: allocate,
      allocatePinned: allocate,
      safepointSlow: none,
      collect: none,
      shadowOverflow: none,
      copyElements: none,
      fillElements: none,
      getWeak: none,
      setWeak: none,
      getKey: none,
      getValue: none,
      setEphemeron: none,
      identityHash: none,
      guard: none,
      nextFinalizable: none,
      checkRef: none,
      checkSlot: none,
      checkRaw: none,
    };
  }
}
