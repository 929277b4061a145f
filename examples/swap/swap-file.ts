// The file that evicted regions go to. It has no name, so nothing is left of it when the process ends, however it ends.
//
// Everything here works on ordinary memory: a system call that read registered memory would need a page that only we can bring, and
// with a user-mode-only userfaultfd it would fail with EFAULT.
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  openSync,
  readSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { check, errnoName, invariant, type Kernel, TospaceError } from 'tospace/uffd';
import type { Slot } from './region.ts';

/** Slots start at multiples of this: the block size of common file systems and the page size of the page cache. */
export const SLOT_BLOCK_BYTES = 4096;

/** __O_TMPFILE | O_DIRECTORY: a file without a name. O_EXCL beside it: it can never get one. Node's constants lack it. */
const O_TMPFILE = 0o20200000;
const OWNER_ONLY = 0o600;
const SYS_FADVISE64 = 221;
const POSIX_FADV_DONTNEED = 4;
const TMPFS_MAGIC = 0x01021994;
/** open(2) of a file system that cannot make nameless files; EISDIR: of a kernel older than that. */
const NO_TMPFILE: ReadonlySet<string | undefined> = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EISDIR', 'EINVAL']);
/** What a full disk, quota or file-size limit says. All mean that storage ran out, and that memory must keep the data. */
const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** The calls that reach the disk, apart so that a test can fail each of them. All throw as Node's do. */
export interface FileCalls {
  write(fd: number, bytes: Uint8Array, from: number, length: number, position: number): number;
  read(fd: number, into: Uint8Array, at: number, length: number, position: number): number;
  sync(fd: number): void;
}

const FILE_CALLS: FileCalls = { write: writeSync, read: readSync, sync: fdatasyncSync };

export class SwapFile implements Disposable {
  readonly #kernel: Kernel;
  readonly #calls: FileCalls;
  readonly #owned: boolean;
  #fd: number;
  /** What readSlot reads into: as large as the largest slot so far. */
  #scratch = new Uint8Array(0);

  private constructor(kernel: Kernel, fd: number, owned: boolean, calls: FileCalls) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#owned = owned;
    this.#calls = calls;
  }

  /**
   * A file without a name in `directory`. Where the file system cannot make one, it has a name for the moment until it is unlinked.
   * @throws TospaceError `ERR_OPTION` if no file can be made there
   */
  static createTemporary(kernel: Kernel, directory: string): SwapFile {
    const { O_RDWR, O_EXCL, O_CREAT } = constants;
    try {
      let fd: number;
      try {
        fd = openSync(directory, O_TMPFILE | O_RDWR | O_EXCL, OWNER_ONLY);
      } catch (e) {
        if (!NO_TMPFILE.has((e as NodeJS.ErrnoException).code)) throw e;
        const path = join(directory, `tospace-swap-${process.pid}-${Date.now()}`);
        fd = openSync(path, O_RDWR | O_CREAT | O_EXCL, OWNER_ONLY);
        unlinkSync(path);
      }
      return new SwapFile(kernel, fd, true, FILE_CALLS);
    } catch (cause) {
      throw new TospaceError('ERR_OPTION', `no swap file can be made in ${directory}: ${String(cause)}`, {
        cause,
        hint: 'Name a directory that this user may write to: --directory PATH.',
      });
    }
  }

  /**
   * An existing empty file, or a device, instead. It keeps its name and, if it is a file, what is written to it.
   * @throws TospaceError `ERR_OPTION` if it cannot be opened or has content
   */
  static open(kernel: Kernel, path: string): SwapFile {
    try {
      const fd = openSync(path, constants.O_RDWR);
      const stat = fstatSync(fd);
      if (stat.isFile() && stat.size > 0) {
        closeSync(fd);
        throw new Error('it is not empty, and would be overwritten');
      }
      return new SwapFile(kernel, fd, true, FILE_CALLS);
    } catch (cause) {
      throw new TospaceError('ERR_OPTION', `--file ${path}: ${(cause as Error).message}`, {
        cause,
        hint: 'Name an empty file or a device that this user may read and write.',
      });
    }
  }

  /** The same file in another thread that was sent the descriptor. Its {@link close} leaves the descriptor open. */
  static adopt(kernel: Kernel, fd: number, calls: FileCalls = FILE_CALLS): SwapFile {
    return new SwapFile(kernel, fd, false, calls);
  }

  get fd(): number {
    return this.#fd;
  }

  /**
   * Writes a slot; it is safe only after {@link sync}.
   * @returns what {@link readSlot} needs
   * @throws TospaceError `ERR_OUT_OF_MEMORY` when the disk, a quota or the file-size limit is exhausted; `ERR_SYSCALL` for others
   */
  writeSlot(block: number, stored: Uint8Array): Slot {
    const position = block * SLOT_BLOCK_BYTES;
    // A write may do a part only; a disk that fills up does so at the last write that succeeds.
    for (let at = 0; at < stored.byteLength; ) {
      at += attempt('write', `writing ${stored.byteLength} bytes to the swap file at ${position}`, () => {
        const written = this.#calls.write(this.#fd, stored, at, stored.byteLength - at, position + at);
        if (written > 0) return written;
        throw Object.assign(new Error('no progress'), { code: 'ENOSPC', errno: -28, syscall: 'write' });
      });
    }
    return { block, storedBytes: stored.byteLength, crc: crc32(stored) };
  }

  /**
   * Returns when everything written so far has reached the disk. Delayed allocation, quotas and broken disks speak up here at the
   * latest, which is why no page may be dropped before.
   * @throws TospaceError as {@link writeSlot}
   */
  sync(): void {
    attempt('fdatasync', 'making the swap file safe', () => this.#calls.sync(this.#fd));
  }

  /**
   * Reads a slot and checks it. The bytes are good until the next call.
   * @throws TospaceError `ERR_VERIFY` if the file is too short or its content is not what was written; as `writeSlot` for others
   */
  readSlot(slot: Slot): Uint8Array {
    const position = slot.block * SLOT_BLOCK_BYTES;
    if (this.#scratch.byteLength < slot.storedBytes) this.#scratch = new Uint8Array(slot.storedBytes);
    const stored = this.#scratch.subarray(0, slot.storedBytes);
    const what = `reading ${slot.storedBytes} bytes from the swap file at ${position}`;
    for (let at = 0; at < stored.byteLength; ) {
      const bytes = attempt('read', what, () =>
        this.#calls.read(this.#fd, stored, at, stored.byteLength - at, position + at),
      );
      if (bytes === 0) throw damaged(`the swap file ends ${stored.byteLength - at} bytes too early: ${what}`);
      at += bytes;
    }
    const crc = crc32(stored);
    if (crc !== slot.crc)
      throw damaged(`checksum 0x${crc.toString(16)} instead of 0x${slot.crc.toString(16)}: ${what}`);
    return stored;
  }

  /**
   * Takes written and synced bytes out of the page cache: memory that the file system holds on our behalf is memory, too.
   * @param bytes 0: to the end of the file
   */
  dropCache(position: number, bytes: number): void {
    // ESPIPE of a device that has no cache; nothing else is possible, and nothing depends on it.
    this.#kernel.syscall(SYS_FADVISE64, this.#fd, position, bytes, POSIX_FADV_DONTNEED);
  }

  /** Bytes on the disk. */
  diskBytes(): number {
    return check(this.#kernel.fileBlocks(this.#fd), 'fstat', 'asking for the size of the swap file');
  }

  /** Idempotent, never throws. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0 && this.#owned) this.#kernel.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Whether files in a directory are memory themselves: then compression is all that is gained. */
export function isInMemory(directory: string): boolean {
  return statfsSync(directory).type === TMPFS_MAGIC;
}

function damaged(message: string): TospaceError {
  return new TospaceError('ERR_VERIFY', message, {
    hint: 'The swap file was truncated or changed while in use, or the disk is broken. What was only there is lost.',
  });
}

/** Runs a call of Node's fs and turns what it throws into the errors of this project. */
function attempt<T>(call: string, what: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const { code, errno } = cause as NodeJS.ErrnoException;
    if (errno === undefined) throw cause;
    const name = code ?? errnoName(errno);
    throw new TospaceError(
      FULL.has(code) ? 'ERR_OUT_OF_MEMORY' : 'ERR_SYSCALL',
      `${what}: ${call} failed with ${name}`,
      {
        syscall: call,
        errno: Math.abs(errno),
        errnoName: name,
        cause,
        hint: FULL.has(code)
          ? 'Make room on the disk of the swap file, raise the limit (quota, ulimit -f), or name another --directory. ' +
            'Until then memory keeps the data.'
          : 'The disk of the swap file may be failing: see the kernel log.',
      },
    );
  }
}

/** A run of free blocks. */
interface Run {
  readonly block: number;
  readonly blocks: number;
}

/**
 * Which blocks of the file are in use: first fit over a sorted list of free runs, neighbours merged. Belongs to one thread.
 * Slots of different lengths reuse each other's space, and the file grows only when no run fits.
 */
export class SlotAllocator {
  readonly #capacity: number;
  #free: Run[];
  #used = 0;
  #end = 0;

  /** @param capacityBlocks limit of the file, in blocks */
  constructor(capacityBlocks: number) {
    invariant(capacityBlocks >= 0, `a swap file has a capacity: ${capacityBlocks}`);
    this.#capacity = capacityBlocks;
    this.#free = [];
  }

  /** Blocks in use. */
  get usedBlocks(): number {
    return this.#used;
  }

  /** Blocks up to the end of the last slot that ever was: the length of the file. */
  get endBlock(): number {
    return this.#end;
  }

  /** The first block of a run of `blocks`, or -1 when there is none below the limit. */
  allocate(blocks: number): number {
    const index = this.#free.findIndex((run) => run.blocks >= blocks);
    if (index >= 0) {
      const run = this.#free[index]!;
      const rest = { block: run.block + blocks, blocks: run.blocks - blocks };
      this.#free.splice(index, 1, ...(rest.blocks > 0 ? [rest] : []));
      this.#used += blocks;
      return run.block;
    }
    // The run at the end of the file, if it is free, is the beginning of the new slot.
    const last = this.#free.at(-1);
    const open = last !== undefined && last.block + last.blocks === this.#end ? last : undefined;
    const block = open?.block ?? this.#end;
    if (block + blocks > this.#capacity) return -1;
    if (open !== undefined) this.#free.pop();
    this.#end = block + blocks;
    this.#used += blocks;
    return block;
  }

  /** Gives a run back that {@link allocate} returned for this number of blocks. */
  release(block: number, blocks: number): void {
    let low = 0;
    for (let high = this.#free.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#free[middle]!.block < block) low = middle + 1;
      else high = middle;
    }
    const before = this.#free[low - 1];
    const after = this.#free[low];
    invariant(
      block >= 0 && blocks > 0 && block + blocks <= this.#end,
      `released blocks ${block}+${blocks} lie inside the file of ${this.#end} blocks`,
    );
    invariant(
      (before === undefined || before.block + before.blocks <= block) &&
        (after === undefined || block + blocks <= after.block),
      `blocks ${block}+${blocks} are released once`,
    );
    const joinsBefore = before !== undefined && before.block + before.blocks === block;
    const joinsAfter = after !== undefined && block + blocks === after.block;
    const start = joinsBefore ? before.block : block;
    const end = joinsAfter ? after.block + after.blocks : block + blocks;
    const at = joinsBefore ? low - 1 : low;
    this.#free.splice(at, Number(joinsBefore) + Number(joinsAfter), { block: start, blocks: end - start });
    this.#used -= blocks;
  }
}

/** Blocks that a slot of so many bytes takes. */
export function slotBlocks(storedBytes: number): number {
  return Math.ceil(storedBytes / SLOT_BLOCK_BYTES);
}
