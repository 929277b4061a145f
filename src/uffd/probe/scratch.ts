// Memory to experiment with, and ways to look at it that cannot go wrong: contents are read and written by the kernel on our behalf, so
// that a page that is not there is EFAULT, where a load of our own would end the process.
import { addressOf } from '../libc.ts';
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  SYS_PREAD64,
  SYS_PWRITE64,
  UFFD_API,
  UFFDIO_API,
} from '../abi.ts';
import { check, hex } from '../check.ts';
import { EEXIST, EPERM } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { Memfd } from '../memfd.ts';
import { Reservation } from '../reservation.ts';
import { openFullByDevice, openFullBySyscall, openUserModeOnly } from '../userfaultfd.ts';
import { contradiction, outcome } from './experiment.ts';

/** A memory file of a few pages, mapped; and as much private memory. */
export interface Scratch {
  readonly pageBytes: number;
  readonly bytes: number;
  readonly file: Memfd;
  /** Shared mapping of the whole file; no page is present. */
  readonly window: number;
  /** A reservation of the same length. */
  readonly spare: number;
  /** Private memory, reads as zeroes. */
  readonly anonymous: number;
}

const SCRATCH_PAGES = 2;

export function useScratch<T>(
  kernel: Kernel,
  use: (scratch: Scratch) => T,
  pages: number = SCRATCH_PAGES,
): T {
  const pageBytes = kernel.getpagesize();
  const bytes = pages * pageBytes;
  using file = Memfd.create(kernel, 'tospace-probe', bytes);
  using place = Reservation.reserve(kernel, 3 * bytes);
  const [window, spare, anonymous] = [place.address, place.address + bytes, place.address + 2 * bytes];
  file.map(window, bytes);
  check(kernel.mprotect(anonymous, bytes, PROT_READ | PROT_WRITE), 'mprotect', 'opening scratch memory');
  return use({ pageBytes, bytes, file, window, spare, anonymous });
}

/** Private anonymous memory. */
export function useAnonymous<T>(kernel: Kernel, bytes: number, use: (address: number) => T): T {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const address = check(
    kernel.mmap(0, bytes, PROT_READ | PROT_WRITE, flags, -1, 0),
    'mmap',
    'mapping scratch memory',
  );
  try {
    return use(address);
  } finally {
    kernel.munmap(address, bytes);
  }
}

/** Reads and writes single words of memory through a file of its own. */
export class Pad implements Disposable {
  readonly #kernel: Kernel;
  readonly #file: Memfd;
  readonly #word: Uint32Array = new Uint32Array(1);

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#file = Memfd.create(kernel, 'tospace-pad', kernel.getpagesize());
  }

  /** Stores a word at an address. */
  poke(address: number, value: number): void {
    this.#word[0] = value;
    this.#transfer(SYS_PWRITE64, addressOf(this.#word), `writing to ${hex(address)}`);
    this.#transfer(SYS_PREAD64, address, `writing to ${hex(address)}`);
  }

  /** The word at an address. */
  peek(address: number): number {
    this.#transfer(SYS_PWRITE64, address, `reading from ${hex(address)}`);
    this.#transfer(SYS_PREAD64, addressOf(this.#word), `reading from ${hex(address)}`);
    return this.#word[0]!;
  }

  /** What the kernel answers when it must read the word at an address: 4, or -errno. */
  tryRead(address: number): number {
    return this.#kernel.syscall(SYS_PWRITE64, this.#file.fd, address, 4, 0);
  }

  /** What the kernel answers when it must write the word at an address: 4, or -errno. */
  tryWrite(address: number): number {
    return this.#kernel.syscall(SYS_PREAD64, this.#file.fd, address, 4, 0);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  #transfer(call: number, address: number, what: string): void {
    const name = call === SYS_PREAD64 ? 'pread' : 'pwrite';
    check(this.#kernel.syscall(call, this.#file.fd, address, 4, 0), name, what);
  }
}

/** Fails unless the word at an address is the expected one. Its range must not be registered: a missing page would block us. */
export function expectWord(pad: Pad, address: number, value: number, where: string): void {
  const seen = pad.peek(address);
  if (seen !== value)
    throw contradiction(`${where} holds ${hex(seen)} instead of ${hex(value)}, which was written before`);
}

export const MOVE_FLAGS: number = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

/** A pattern that no fresh page holds. */
export const PATTERN = 0x70_57_ac_e0;

/** Runs an installing request twice: it must do everything, then find it done. Proves the pages are there without a fault. */
export function installsOnce(request: string, bytes: number, install: () => number): void {
  const first = check(install(), request, 'installing scratch pages');
  if (first !== bytes)
    throw contradiction(`${request} installed ${first} of ${bytes} bytes in scratch memory`);
  const second = install();
  if (second !== -EEXIST) {
    throw contradiction(`a second ${request} ended with ${outcome(second)} instead of EEXIST`);
  }
}

/**
 * Opens any kind of userfaultfd, bare; the user-mode-only one if possible, so that a system call on watched memory fails where it
 * would wait for ever. Returns a descriptor or -errno.
 */
function openAny(kernel: Kernel): number {
  let fd = openUserModeOnly(kernel);
  if (fd < 0) fd = openFullBySyscall(kernel);
  if (fd < 0) fd = openFullByDevice(kernel);
  return fd;
}

/** A request whose structure is `words`, which the kernel may change. Returns 0 or -errno. */
export function request(
  kernel: Kernel,
  fd: number,
  number: number,
  words: readonly (number | bigint)[],
): number {
  return kernel.ioctl(fd, number, BigUint64Array.from(words, BigInt));
}

/** Uses a userfaultfd on which the features were agreed. */
export function useFeatures<T>(kernel: Kernel, features: bigint, use: (fd: number) => T): T {
  const fd = check(openAny(kernel), 'userfaultfd', 'opening a userfaultfd');
  try {
    const result = request(kernel, fd, UFFDIO_API, [UFFD_API, features, 0]);
    const hint = result === -EPERM ? 'Grant CAP_SYS_PTRACE.' : 'This kernel does not have the feature.';
    check(result, 'UFFDIO_API', `asking for features 0x${features.toString(16)}`, hint);
    return use(fd);
  } finally {
    kernel.close(fd);
  }
}
