// Memory for the cases of the conformance suite: stretches of pages that are unmapped at the end of their scope.
//
// Everything that a case maps at a fixed address lies in a Reservation of its own. What a plain mremap leaves behind is a hole
// that any thread of Node might map something into, so `mremap` here closes it at once: what is disposed of later is ours.
import {
  check,
  createLibcKernel,
  EEXIST,
  errnoName,
  type Kernel,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  Memfd,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  viewOf,
} from '#src/uffd/index.js';

export const kernel: Kernel = createLibcKernel();
export const PAGE: number = kernel.getpagesize();
export const KIB = 1024;
export const MIB: number = 1024 * KIB;
export const GIB: number = 1024 * MIB;

/** A mapped stretch of pages. */
export class Region implements Disposable {
  readonly address: number;
  readonly bytes: number;
  /** Whether the place belongs to a reservation, which wants it back. */
  readonly #reserved: boolean;
  #open = true;

  constructor(address: number, bytes: number, reserved: boolean) {
    this.address = address;
    this.bytes = bytes;
    this.#reserved = reserved;
  }

  /** Address of page `index`. */
  page(index: number): number {
    return this.address + index * PAGE;
  }

  /** A view of all bytes. It must not be used after the region is gone. */
  view(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(viewOf(this.address, this.bytes));
  }

  /** {@link fill} of the whole. */
  fill(value: number): this {
    fill(this.address, this.bytes, value);
    return this;
  }

  /** {@link pageValues} of the whole. */
  values(): number[] {
    return pageValues(this.address, this.bytes / PAGE);
  }

  /** The region was moved away or unmapped, and the place is nobody's: there is nothing to unmap any more. */
  forget(): void {
    this.#open = false;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#reserved) close(this.address, this.bytes, MAP_FIXED);
    else kernel.munmap(this.address, this.bytes);
  }
}

/** Where {@link anonymous} and {@link fileBacked} map, and how. */
export interface RegionOptions {
  /** An address inside a reservation of the caller, which is replaced there. Default: the kernel's choice. */
  readonly at?: number;
  /** PROT_* bits. Default PROT_READ | PROT_WRITE. */
  readonly prot?: number;
  /** MAP_SHARED instead of MAP_PRIVATE. Default: false for anonymous memory, true for files. */
  readonly shared?: boolean;
  /** Charges no commit: for large, sparse memory. */
  readonly noReserve?: boolean;
}

function map(bytes: number, options: RegionOptions, flags: number, fd: number, offset: number): Region {
  const { at = 0, prot = PROT_READ | PROT_WRITE } = options;
  const place = at > 0 ? MAP_FIXED : 0;
  const address = check(kernel.mmap(at, bytes, prot, flags | place, fd, offset), 'mmap', 'mapping a region');
  return new Region(address, bytes, at > 0);
}

/** Maps `pages` pages of anonymous memory. */
export function anonymous(pages: number, options: RegionOptions = {}): Region {
  const kind = options.shared ? MAP_SHARED : MAP_PRIVATE;
  const charge = options.noReserve ? MAP_NORESERVE : 0;
  return map(pages * PAGE, options, MAP_ANONYMOUS | kind | charge, -1, 0);
}

/** Maps `pages` pages of a file (a memfd, or any open descriptor) from byte `offset` on. */
export function fileBacked(
  file: { readonly fd: number },
  pages: number,
  options: RegionOptions & { readonly offset?: number } = {},
): Region {
  const kind = options.shared === false ? MAP_PRIVATE : MAP_SHARED;
  return map(pages * PAGE, options, kind, file.fd, options.offset ?? 0);
}

/** A new memory file of `pages` pages. */
export function memfd(pages: number): Memfd {
  return Memfd.create(kernel, 'conformance', pages * PAGE);
}

/** What a call mapped at a place of the kernel's choice. */
export function adopt(address: number, bytes: number): Region {
  return new Region(check(address, 'mremap', 'adopting what the kernel placed'), bytes, false);
}

/** PROT_NONE memory over a range. With MAP_FIXED_NOREPLACE a part that is in use stays as it is. */
function close(address: number, bytes: number, place: number): number {
  return kernel.mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | place, -1, 0);
}

/**
 * mremap(2) of memory inside reservations: a move that left a hole at the old place puts PROT_NONE memory there at once.
 * @returns as the system call
 */
export function mremap(from: number, oldBytes: number, newBytes: number, flags: number, to = 0): number {
  const result = kernel.mremap(from, oldBytes, newBytes, flags, to);
  const moved = result >= 0 && result !== from;
  if (moved && (flags & MREMAP_DONTUNMAP) === 0 && oldBytes > 0) {
    const length = Math.ceil(oldBytes / PAGE) * PAGE;
    const filled = close(from, length, MAP_FIXED_NOREPLACE);
    if (filled !== -EEXIST) check(filled, 'mmap', 'closing the hole that a move left');
  }
  return result;
}

/** Writes `value` to every byte of a range. */
export function fill(address: number, bytes: number, value: number): void {
  new Uint8Array(viewOf(address, bytes)).fill(value);
}

/** The bytes of a range, copied. */
export function bytesAt(address: number, bytes: number): Uint8Array {
  return new Uint8Array(viewOf(address, bytes)).slice();
}

/** For each page the value that all its bytes have, or -1 for a page of different bytes. Touches the pages. */
export function pageValues(address: number, pages: number): number[] {
  const view = new Uint8Array(viewOf(address, pages * PAGE));
  return Array.from({ length: pages }, (_, index) => {
    const page = view.subarray(index * PAGE, (index + 1) * PAGE);
    return page.every((byte) => byte === page[0]) ? page[0]! : -1;
  });
}

/** `count` times `value`. */
export function times(count: number, value: number): number[] {
  return Array.from({ length: count }, () => value);
}

/** The result of a system call as a word: `ok`, or the name of its errno. */
export function answer(result: number): string {
  return result >= 0 ? 'ok' : errnoName(result);
}
