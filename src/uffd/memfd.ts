// A file in memory (shmem) that lives as long as its descriptor or a mapping of it. The storage behind every window.
import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_FIXED,
  MAP_SHARED,
  MFD_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
} from './abi.ts';
import { check, hex, syscallError } from './check.ts';
import type { Kernel } from './kernel.ts';

/** Where {@link Memfd.map} maps. */
export interface MemfdMapOptions {
  /** Byte offset in the file of the first mapped byte, page-aligned. Default 0. */
  readonly offset?: number;
  /** PROT_* bits. Default PROT_READ | PROT_WRITE. */
  readonly prot?: number;
}

const MAP_KEYS: KeysOf<MemfdMapOptions> = { offset: true, prot: true };

export class Memfd implements Disposable {
  readonly #kernel: Kernel;
  readonly #name: string;
  readonly #owned: boolean;
  #fd: number;
  /** Size of the file in bytes. Sparse: only touched pages take memory. */
  readonly bytes: number;

  private constructor(kernel: Kernel, name: string, fd: number, bytes: number, owned: boolean) {
    this.#kernel = kernel;
    this.#name = name;
    this.#fd = fd;
    this.#owned = owned;
    this.bytes = bytes;
  }

  /**
   * Creates an empty file of `bytes` (a multiple of the page size), close-on-exec. Linux 3.17.
   * @param name shown as `/memfd:name` in /proc/self/maps, at most 249 bytes
   * @throws TospaceError `ERR_OUT_OF_MEMORY`, `ERR_PERMISSION` or `ERR_SYSCALL`; nothing is left behind
   */
  static create(kernel: Kernel, name: string, bytes: number): Memfd {
    const fd = check(
      kernel.memfdCreate(name, MFD_CLOEXEC),
      'memfd_create',
      `creating the memory file "${name}"`,
    );
    const result = kernel.ftruncate(fd, bytes);
    if (result < 0) kernel.close(fd);
    check(result, 'ftruncate', `sizing the memory file "${name}" to ${bytes} bytes`);
    return new Memfd(kernel, name, fd, bytes, true);
  }

  /** The same file in another thread that was sent the descriptor. Its {@link close} leaves the descriptor open. */
  static adopt(kernel: Kernel, name: string, fd: number, bytes: number): Memfd {
    return new Memfd(kernel, name, fd, bytes, false);
  }

  /** The descriptor; -1 after {@link close}. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Maps `length` bytes of the file at `addr`, MAP_SHARED | MAP_FIXED: **whatever was there is replaced**, so the place must
   * be the caller's own, a reservation or a window. Both are page-aligned. Drops a userfaultfd registration of the range.
   * @throws TospaceError `ERR_STATE` after close, `ERR_OPTION` for the address 0 or an option that there is not, else as {@link check}
   */
  map(addr: number, length: number, options: MemfdMapOptions = {}): void {
    assertKeys('Memfd.map', options, MAP_KEYS);
    const { offset = 0, prot = PROT_READ | PROT_WRITE } = options;
    const fd = this.#open();
    // MAP_FIXED at 0 would be refused on most systems and be a disaster on the others.
    if (!(addr > 0)) throw new TospaceError('ERR_OPTION', `addr must be a positive address, not ${addr}`);
    const result = this.#kernel.mmap(addr, length, prot, MAP_SHARED | MAP_FIXED, fd, offset);
    // The message is made only where it is needed: this runs in the collector's pause.
    if (result < 0) {
      const what = `mapping ${length} bytes of "${this.#name}" at offset ${offset} to ${hex(addr)}`;
      throw syscallError(result, 'mmap', what);
    }
  }

  /**
   * Gives the pages of a range back; it reads as zeroes afterwards, through every mapping. About 0.2 ms per MiB of 4 KiB
   * pages. (MADV_DONTNEED of a mapping would free nothing: the page cache keeps the pages.)
   * @throws TospaceError `ERR_STATE` after close, else as {@link check}
   */
  punch(offset: number, length: number): void {
    check(
      this.#kernel.fallocate(this.#open(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length),
      'fallocate',
      `releasing ${length} bytes at offset ${offset} of "${this.#name}"`,
    );
  }

  /**
   * Bytes of memory that the file holds now.
   * @throws TospaceError `ERR_STATE` after close
   */
  allocatedBytes(): number {
    return check(this.#kernel.fileBlocks(this.#open()), 'fstat', `asking for the memory of "${this.#name}"`);
  }

  /** Closes the descriptor; mappings keep the file alive. Idempotent, never throws. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    // An error of close means nothing here: the descriptor is gone and there is nothing to write back.
    if (fd >= 0 && this.#owned) this.#kernel.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): number {
    if (this.#fd < 0) throw new TospaceError('ERR_STATE', `the memory file "${this.#name}" is closed`);
    return this.#fd;
  }
}
