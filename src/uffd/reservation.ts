// Address space that is ours before anything is put there. A place that merely looks free is never a MAP_FIXED target: between
// the look and the call a thread stack or a library may have been mapped there, and would be torn away without an error.
import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, PROT_NONE } from './abi.ts';
import { check, hex } from './check.ts';
import type { Kernel } from './kernel.ts';

/** How {@link Reservation.reserve} places the range. */
export interface ReserveOptions {
  /** A power of two, at least the page size: the modulus of the alignment. Default: the page size. */
  readonly alignBytes?: number;
  /**
   * Any page-aligned address: the reservation starts at the same remainder modulo `alignBytes`. Moving page tables is cheap
   * only between places that are congruent modulo 1 GiB. Default 0: aligned.
   */
  readonly congruentTo?: number;
}

const RESERVE_KEYS: KeysOf<ReserveOptions> = { alignBytes: true, congruentTo: true };
const RESERVE_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

export class Reservation implements Disposable {
  readonly #kernel: Kernel;
  #closed = false;
  /** First byte. */
  readonly address: number;
  /** Length in bytes. */
  readonly bytes: number;

  private constructor(kernel: Kernel, address: number, bytes: number) {
    this.#kernel = kernel;
    this.address = address;
    this.bytes = bytes;
  }

  /**
   * Reserves `bytes` (a positive multiple of the page size) as PROT_NONE memory that is charged to nobody.
   * @throws TospaceError `ERR_OPTION` for a bad size or alignment, `ERR_OUT_OF_MEMORY` when the address space or the number
   *   of mappings is limited; nothing is left behind
   */
  static reserve(kernel: Kernel, bytes: number, options: ReserveOptions = {}): Reservation {
    assertKeys('Reservation.reserve', options, RESERVE_KEYS);
    const page = kernel.getpagesize();
    const { alignBytes = page, congruentTo = 0 } = options;
    if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % page !== 0) {
      throw new TospaceError('ERR_OPTION', `bytes must be a positive multiple of ${page}, not ${bytes}`);
    }
    if (alignBytes < page || !Number.isInteger(Math.log2(alignBytes))) {
      throw new TospaceError(
        'ERR_OPTION',
        `alignBytes must be a power of two of at least ${page}, not ${alignBytes}`,
      );
    }
    if (!Number.isSafeInteger(congruentTo) || congruentTo < 0 || congruentTo % page !== 0) {
      throw new TospaceError('ERR_OPTION', `congruentTo must be a page-aligned address, not ${congruentTo}`);
    }
    // One alignment more than needed contains a fitting start; what sticks out on both sides is trimmed. All of it is held
    // from the first call on, so no other thread can slip in between.
    const span = bytes + alignBytes - page;
    const what = `reserving ${bytes} bytes of address space aligned to ${alignBytes}`;
    const low = check(kernel.mmap(0, span, PROT_NONE, RESERVE_FLAGS, -1, 0), 'mmap', what);
    const head = mod(congruentTo - low, alignBytes);
    const address = low + head;
    const tail = span - head - bytes;
    let result = head > 0 ? kernel.munmap(low, head) : 0;
    if (result < 0) {
      kernel.munmap(low, span);
    } else {
      result = tail > 0 ? kernel.munmap(address + bytes, tail) : 0;
      if (result < 0) kernel.munmap(address, bytes + tail);
    }
    check(result, 'munmap', what);
    return new Reservation(kernel, address, bytes);
  }

  /** The same reservation in another thread that was sent its address. Only the thread that reserved it may close it. */
  static adopt(kernel: Kernel, address: number, bytes: number): Reservation {
    return new Reservation(kernel, address, bytes);
  }

  /**
   * Puts fresh PROT_NONE memory over a range of the reservation (default: all of it), in place of whatever is mapped there.
   * The address stays ours throughout. Costs the release of the page tables that were there: 80 ms per GiB.
   * @throws TospaceError `ERR_OPTION` for a range outside, `ERR_STATE` after close, else as {@link check}
   */
  reset(addr: number = this.address, length: number = this.address + this.bytes - addr): void {
    if (this.#closed) throw new TospaceError('ERR_STATE', 'the reservation is closed');
    if (!(addr >= this.address && length > 0 && addr + length <= this.address + this.bytes)) {
      throw new TospaceError(
        'ERR_OPTION',
        `${hex(addr)}+${hex(length)} lies outside the reservation ${hex(this.address)}+${hex(this.bytes)}`,
      );
    }
    check(
      this.#kernel.mmap(addr, length, PROT_NONE, RESERVE_FLAGS | MAP_FIXED, -1, 0),
      'mmap',
      `emptying ${length} bytes of the reservation at ${hex(addr)}`,
    );
  }

  /** Unmaps the whole range with everything in it. Idempotent, never throws. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#kernel.munmap(this.address, this.bytes);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The remainder that is never negative. */
function mod(n: number, modulus: number): number {
  return ((n % modulus) + modulus) % modulus;
}
