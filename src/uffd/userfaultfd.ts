// A userfaultfd: the descriptor through which the page faults of registered memory reach us, and pages go back.
import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import {
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  UFFD_API,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURES_EVENT,
  UFFD_USER_MODE_ONLY,
  UFFDIO_API,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_MOVE,
  UFFDIO_POISON,
  UFFDIO_REGISTER,
  UFFDIO_UNREGISTER,
  UFFDIO_WAKE,
  UFFDIO_WRITEPROTECT,
  UFFDIO_ZEROPAGE,
  USERFAULTFD_IOC_NEW,
} from './abi.ts';
import { check, hex, syscallError } from './check.ts';
import { EAGAIN, errnoName } from './errno.ts';
import type { Kernel } from './kernel.ts';

/**
 * `full`: faults that the kernel takes on our behalf (write(2) from a missing page) are delivered too.
 * `user-mode-only`: such a system call fails with EFAULT instead. Needs no privilege.
 */
export type UserfaultfdKind = 'full' | 'user-mode-only';

/** How {@link Userfaultfd.open} opens. */
export interface UserfaultfdOptions {
  /** `auto` (default): the full kind if allowed, else the user-mode-only kind. */
  readonly kind?: 'auto' | UserfaultfdKind;
  /**
   * UFFD_FEATURE_* bits to enable, none by default. Refused are the EVENT_* ones (see abi.ts), and SIGBUS: with it no fault is
   * ever reported; the thread is sent a signal instead, which ends a process that has no native handler for it.
   */
  readonly features?: bigint;
}

// poll() of a userfaultfd without O_NONBLOCK reports POLLERR at once; a child that inherited it would keep it open for ever.
const OPEN_FLAGS = O_CLOEXEC | O_NONBLOCK;
const DEVICE = '/dev/userfaultfd';
const TWO_32 = 0x1_0000_0000;

/** The system call of the full kind. Returns a descriptor or -errno. */
export function openFullBySyscall(kernel: Kernel): number {
  return kernel.userfaultfd(OPEN_FLAGS);
}

/** The device that gives out the full kind to whoever may open it, Linux 6.1. Returns a descriptor or -errno. */
export function openFullByDevice(kernel: Kernel): number {
  const device = kernel.openDevice(DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) return device;
  const fd = kernel.ioctl(device, USERFAULTFD_IOC_NEW, OPEN_FLAGS);
  kernel.close(device);
  return fd;
}

/** The kind that needs no privilege, Linux 5.11. Returns a descriptor or -errno. */
export function openUserModeOnly(kernel: Kernel): number {
  return kernel.userfaultfd(OPEN_FLAGS | UFFD_USER_MODE_ONLY);
}

const OPEN_KEYS: KeysOf<UserfaultfdOptions> = { kind: true, features: true };
const KINDS: readonly string[] = ['auto', 'full', 'user-mode-only'];

/**
 * Not safe for use from two threads: each thread that serves the same descriptor has its own object, through
 * {@link Userfaultfd.adopt}.
 *
 * All requests but `register` are hot calls: they never throw and allocate no object.
 */
export class Userfaultfd implements Disposable {
  readonly #kernel: Kernel;
  readonly #owned: boolean;
  // The largest structures, uffdio_copy and uffdio_move, are five words; smaller ones use its beginning. Written as 32-bit
  // halves, because a BigInt would be allocated for every word.
  readonly #args: BigUint64Array = new BigUint64Array(5);
  readonly #halves: Uint32Array = new Uint32Array(this.#args.buffer);
  #fd: number;
  readonly kind: UserfaultfdKind;
  /** UFFD_FEATURE_* bits that the kernel supports, whether requested or not. 0 for an adopted one that was not told. */
  readonly features: bigint;
  /** Ways to the full kind that were tried in vain before this one was opened, with the errno's name each. */
  readonly refused: readonly string[];

  private constructor(
    kernel: Kernel,
    fd: number,
    kind: UserfaultfdKind,
    features: bigint,
    owned: boolean,
    refused: readonly string[] = [],
  ) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#owned = owned;
    this.kind = kind;
    this.features = features;
    this.refused = refused;
  }

  /**
   * Opens a userfaultfd, close-on-exec and non-blocking. Linux 4.3; the user-mode-only kind 5.11.
   * @throws TospaceError `ERR_OPTION` for EVENT_* features and SIGBUS, another kind or option; `ERR_PERMISSION`, `ERR_UNSUPPORTED` or `ERR_SYSCALL` when the
   *   kind asked for cannot be had: the message lists each way that was tried, the hint says how to allow one
   */
  static open(kernel: Kernel, options: UserfaultfdOptions = {}): Userfaultfd {
    assertKeys('Userfaultfd.open', options, OPEN_KEYS);
    const { kind = 'auto', features = 0n } = options;
    if (!KINDS.includes(kind)) {
      throw new TospaceError('ERR_OPTION', `kind must be one of ${KINDS.join(', ')}, not ${String(kind)}`);
    }
    if ((features & UFFD_FEATURES_EVENT) !== 0n) {
      throw new TospaceError(
        'ERR_OPTION',
        'features must not contain EVENT_* bits: with them a move of registered memory waits for its own event',
      );
    }
    if ((features & UFFD_FEATURE_SIGBUS) !== 0n) {
      throw new TospaceError(
        'ERR_OPTION',
        'features must not contain SIGBUS: with it faults are not reported, they end the process',
      );
    }
    const tried: string[] = [];
    let result = -EAGAIN;
    let found: UserfaultfdKind = 'full';
    if (kind !== 'user-mode-only') {
      result = openFullBySyscall(kernel);
      if (result < 0) {
        // What the system call says explains more than that the device may not be opened either.
        tried.push(`userfaultfd(2) ${errnoName(result)}`);
        const byDevice = openFullByDevice(kernel);
        if (byDevice < 0) tried.push(`${DEVICE} ${errnoName(byDevice)}`);
        else result = byDevice;
      }
    }
    if (result < 0 && kind !== 'full') {
      found = 'user-mode-only';
      result = openUserModeOnly(kernel);
      if (result < 0) tried.push(`userfaultfd(2) with UFFD_USER_MODE_ONLY ${errnoName(result)}`);
    }
    if (result < 0)
      throw syscallError(result, 'userfaultfd', `opening a userfaultfd (tried: ${tried.join(', ')})`);
    return new Userfaultfd(kernel, result, found, handshake(kernel, result, features), true, tried);
  }

  /**
   * The same userfaultfd in a thread that was sent the descriptor number. Its {@link close} leaves the descriptor open.
   * @param features what the opener's `features` said, if it matters here
   */
  static adopt(kernel: Kernel, fd: number, kind: UserfaultfdKind, features: bigint = 0n): Userfaultfd {
    return new Userfaultfd(kernel, fd, kind, features, false);
  }

  /** The descriptor, for poll and for {@link adopt}; -1 after {@link close}. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Watches a page-aligned range for the faults of `mode` (UFFDIO_REGISTER_MODE_*). Shmem always takes MISSING and MINOR
   * together. Replaces the modes of an earlier registration by the same descriptor. About 1 µs per mapping.
   * A registration does not follow mremap, and mapping something else over the range drops it.
   * @throws TospaceError `ERR_STATE` after close; `ERR_SYSCALL` with EINVAL (nothing mapped, unaligned, MINOR on memory that
   *   is not shmem), EBUSY (watched by another userfaultfd); `ERR_PERMISSION` (a mapping that can never be written);
   *   `ERR_OUT_OF_MEMORY` (the mapping would have to be split, and there are too many)
   */
  register(addr: number, length: number, mode: number): void {
    if (this.#fd < 0) throw new TospaceError('ERR_STATE', 'the userfaultfd is closed');
    this.#set(0, addr);
    this.#set(1, length);
    this.#set(2, mode);
    this.#set(3, 0);
    const result = this.#kernel.ioctl(this.#fd, UFFDIO_REGISTER, this.#args);
    // The message is made only where it is needed: this runs in the collector's pause.
    if (result < 0) {
      throw syscallError(
        result,
        'UFFDIO_REGISTER',
        `watching ${length} bytes at ${hex(addr)} for faults of mode ${mode}`,
      );
    }
  }

  /**
   * Stops watching. **Every thread blocked on the range is woken, and sees what the kernel has there**: zeroes, or the page of
   * the page cache. Only when all pages are built. (Linux 6.18 wakes only where MISSING is registered: after MINOR or WP alone,
   * {@link wake} the range.)
   * @returns 0 or -errno
   */
  unregister(addr: number, length: number): number {
    this.#set(0, addr);
    this.#set(1, length);
    return this.#kernel.ioctl(this.#fd, UFFDIO_UNREGISTER, this.#args);
  }

  /**
   * Allocates pages, fills them from `src` and maps them at `dst`, then wakes who waits there (unless UFFDIO_MODE_DONTWAKE).
   * `src` need not be aligned, but must not be missing registered memory: this thread would fault and wait for itself.
   * @returns bytes installed, greater than 0; fewer than `length` if a later page stopped it (call again from there to learn
   *   why). Or -errno when nothing was installed: -EEXIST somebody else did (wake, go on), -ENOENT not registered,
   *   -EAGAIN mappings are changing, -ENOMEM, -EFAULT, -EINVAL, -ESRCH, -EBADF after close
   */
  copy(dst: number, src: number, length: number, mode: number = 0): number {
    this.#set(0, dst);
    this.#set(1, src);
    this.#set(2, length);
    this.#set(3, mode);
    return this.#install(UFFDIO_COPY, 4, length);
  }

  /**
   * Maps pages that are in the page cache already (they were written through an alias) and wakes who waits there. Linux 5.14.
   * @returns as {@link copy}; -EFAULT when the first page is a hole
   */
  continue(addr: number, length: number, mode: number = 0): number {
    this.#set(0, addr);
    this.#set(1, length);
    this.#set(2, mode);
    return this.#install(UFFDIO_CONTINUE, 3, length);
  }

  /**
   * Maps zero-filled pages and wakes who waits there.
   * @returns as {@link copy}
   */
  zeropage(addr: number, length: number, mode: number = 0): number {
    this.#set(0, addr);
    this.#set(1, length);
    this.#set(2, mode);
    return this.#install(UFFDIO_ZEROPAGE, 3, length);
  }

  /**
   * Moves pages from `src` to `dst`, without copying, and wakes who waits at `dst`. Both are private anonymous memory of equal
   * protection, and only `dst` must be registered. The pages at `src` are missing afterwards. Linux 6.8.
   * @param mode UFFDIO_MODE_DONTWAKE, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES
   * @returns as {@link copy}, but -ENOENT also when the first page of `src` is missing, and -EBUSY when it may be shared: since
   *   a fork it is, until the next store, even when the child has ended (MADV_DONTFORK avoids that)
   */
  move(dst: number, src: number, length: number, mode: number = 0): number {
    this.#set(0, dst);
    this.#set(1, src);
    this.#set(2, length);
    this.#set(3, mode);
    return this.#install(UFFDIO_MOVE, 4, length);
  }

  /**
   * Makes missing pages unusable, and wakes who waits there: an access is SIGBUS, a system call that touches them gets EFAULT.
   * Only in this mapping. COPY and CONTINUE put a page in its place again (ZEROPAGE only in shared memory); MADV_DONTNEED makes
   * it missing. Linux 6.6.
   * @returns as {@link copy}
   */
  poison(addr: number, length: number, mode: number = 0): number {
    this.#set(0, addr);
    this.#set(1, length);
    this.#set(2, mode);
    return this.#install(UFFDIO_POISON, 3, length);
  }

  /**
   * Write-protects a range that is registered with MODE_WP, or lifts that and wakes who waits to write. About 18 ms per GiB:
   * with UFFD_FEATURE_WP_ASYNC, PagemapScan.protect does it in half of that. Pages of private memory that were never
   * touched are protected only with UFFD_FEATURE_WP_UNPOPULATED. Stores through other mappings are not seen. Linux 5.7,
   * shmem 5.19.
   * @param mode UFFDIO_WRITEPROTECT_MODE_WP to protect, 0 to lift, UFFDIO_WRITEPROTECT_MODE_DONTWAKE to lift and wake nobody
   * @returns 0 or -errno: -ENOENT not registered with MODE_WP, -EAGAIN mappings are changing, -EINVAL, -EBADF after close
   */
  writeProtect(addr: number, length: number, mode: number): number {
    this.#set(0, addr);
    this.#set(1, length);
    this.#set(2, mode);
    return this.#kernel.ioctl(this.#fd, UFFDIO_WRITEPROTECT, this.#args);
  }

  /**
   * Wakes the threads that wait in the range; each tries its access again. Harmless where nobody waits. After an EEXIST it is
   * what keeps a thread from sleeping for ever.
   * @returns 0 or -errno
   */
  wake(addr: number, length: number): number {
    this.#set(0, addr);
    this.#set(1, length);
    return this.#kernel.ioctl(this.#fd, UFFDIO_WAKE, this.#args);
  }

  /**
   * Closes the descriptor: ranges that are still registered behave as after {@link unregister}. A thread that sits in poll or
   * read of it defers that, so stop servers first. Idempotent, never throws.
   */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0 && this.#owned) this.#kernel.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Word `index` of the arguments, as two halves; the conversion to Uint32 takes the value modulo 2^32. */
  #set(index: number, value: number): void {
    this.#halves[index * 2] = value;
    this.#halves[index * 2 + 1] = value / TWO_32;
  }

  /** An installing request, whose structure ends in a signed word (at `doneIndex`): bytes done, or -errno. */
  #install(request: number, doneIndex: number, length: number): number {
    // The kernel leaves the word alone when it turns the request away early: an old value would look like progress.
    this.#set(doneIndex, 0);
    const result = this.#kernel.ioctl(this.#fd, request, this.#args);
    if (result === 0) return length;
    // Partial success is reported as EAGAIN with the bytes done.
    if (result !== -EAGAIN) return result;
    const done = this.#halves[doneIndex * 2]! + (this.#halves[doneIndex * 2 + 1]! | 0) * TWO_32;
    return done > 0 ? done : result;
  }
}

/** UFFDIO_API, without which every other request is refused. Returns the features that the kernel supports. */
function handshake(kernel: Kernel, fd: number, features: bigint): bigint {
  const api = new BigUint64Array([BigInt(UFFD_API), features, 0n]);
  const result = kernel.ioctl(fd, UFFDIO_API, api);
  if (result < 0) kernel.close(fd);
  check(
    result,
    'UFFDIO_API',
    `agreeing on the userfaultfd interface with features 0x${features.toString(16)}`,
    features === 0n
      ? undefined
      : 'Ask only for features that the kernel has: open without any and look at `features`.',
  );
  return api[1]!;
}
