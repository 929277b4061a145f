// Page-fault messages, decoded in place.
import { invariant, TospaceError } from '../errors.ts';
import { UFFD_EVENT_PAGEFAULT, UFFD_MSG_BYTES } from './abi.ts';
import { EAGAIN, EINTR } from './errno.ts';
import type { Kernel } from './kernel.ts';

const TWO_32 = 0x1_0000_0000;
const WORDS = UFFD_MSG_BYTES / 4;

/** Reads up to `capacity` messages at a time. One per thread; allocates nothing after construction. */
export class FaultReader {
  readonly #kernel: Kernel;
  readonly #fd: number;
  readonly #words: Uint32Array;
  readonly capacity: number;

  /**
   * @param fd a non-blocking userfaultfd
   * @param capacity messages per read, at least 1. More than the number of threads that can fault is never needed
   * @throws TospaceError `ERR_OPTION` for another capacity
   */
  constructor(kernel: Kernel, fd: number, capacity: number = 64) {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new TospaceError('ERR_OPTION', `capacity must be an integer of at least 1, not ${capacity}`);
    this.#kernel = kernel;
    this.#fd = fd;
    this.#words = new Uint32Array(capacity * WORDS);
    this.capacity = capacity;
  }

  /**
   * Fetches pending faults; the earlier ones are overwritten.
   * @returns how many, 0 when none is pending (a fault that was resolved meanwhile is withdrawn by the kernel), or -errno
   * @throws TospaceError `ERR_INVARIANT` for any event but a page fault: nobody asks for others
   */
  read(): number {
    const words = this.#words;
    let bytes: number;
    do bytes = this.#kernel.read(this.#fd, words, words.byteLength);
    while (bytes === -EINTR);
    if (bytes < 0) return bytes === -EAGAIN ? 0 : bytes;
    const count = bytes / UFFD_MSG_BYTES;
    invariant(
      Number.isInteger(count),
      `a userfaultfd is read in whole messages of ${UFFD_MSG_BYTES} bytes: ${bytes}`,
    );
    for (let i = 0; i < count; i++) {
      const event = words[i * WORDS]! & 0xff;
      invariant(
        event === UFFD_EVENT_PAGEFAULT,
        `a userfaultfd reports page faults only: event 0x${event.toString(16)}`,
      );
    }
    return count;
  }

  /** The address of fault `i`: of its page, or of its byte with UFFD_FEATURE_EXACT_ADDRESS. */
  address(i: number): number {
    return this.#words[i * WORDS + 4]! + this.#words[i * WORDS + 5]! * TWO_32;
  }

  /** UFFD_PAGEFAULT_FLAG_*: WRITE 1, WP 2, MINOR 4 (the page is in the page cache, only not mapped). */
  flags(i: number): number {
    return this.#words[i * WORDS + 2]!;
  }

  /** The kernel's id of the thread that waits; 0 unless opened with UFFD_FEATURE_THREAD_ID. */
  threadId(i: number): number {
    return this.#words[i * WORDS + 6]!;
  }
}
