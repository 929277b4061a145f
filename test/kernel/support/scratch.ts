// Memory for one case: each area lies in a reservation of its own with a guard page behind it, so that no neighbour can merge
// with it or be hit by a length that is too long. Views of an area fault like any other access to it: a case looks at a window
// only where its pages are present, and at an alias whenever it likes.
import {
  check,
  MADV_NOHUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  Memfd,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  viewOf,
} from '#src/uffd/index.js';
import { actorsAreIdle } from './actors.ts';
import { kernel, MIB, PAGE } from './memory.ts';

export const HUGE_PAGE: number = 2 * MIB;

/** A range of memory that goes away with the case. */
export class Area implements Disposable {
  readonly #place: Reservation;
  readonly address: number;
  readonly bytes: number;
  /** All of it, as 32-bit words. */
  readonly words: Int32Array;

  constructor(place: Reservation, bytes: number) {
    this.#place = place;
    this.address = place.address;
    this.bytes = bytes;
    this.words = new Int32Array(viewOf(place.address, bytes));
  }

  /** The address of a page. */
  page(index: number): number {
    return this.address + index * PAGE;
  }

  /** The first word of a page. */
  get(page: number): number {
    return this.words[(page * PAGE) / 4]!;
  }

  /** Sets the first word of a page. */
  set(page: number, value: number): void {
    this.words[(page * PAGE) / 4] = value;
  }

  /** Writes to the first `pages` pages, so that they exist: page p gets `first + p`. */
  fill(first: number, pages: number = this.bytes / PAGE): void {
    for (let p = 0; p < pages; p++) this.set(p, first + p);
  }

  [Symbol.dispose](): void {
    if (actorsAreIdle()) this.#place.close();
  }
}

const reserve = (bytes: number): Reservation => {
  // Aligned for huge pages, with at least one page to spare.
  const alignBytes = bytes >= HUGE_PAGE ? HUGE_PAGE : PAGE;
  return Reservation.reserve(kernel, bytes + PAGE, { alignBytes });
};

/** Private anonymous memory, nothing touched, of small pages. */
export function privateArea(pages: number): Area {
  const bytes = pages * PAGE;
  const place = reserve(bytes);
  mapAnonymous(place.address, bytes);
  check(kernel.madvise(place.address, bytes, MADV_NOHUGEPAGE), 'madvise', 'asking for small pages');
  return new Area(place, bytes);
}

/** Puts fresh private anonymous memory at an address that is ours. */
export function mapAnonymous(address: number, bytes: number, prot: number = PROT_READ | PROT_WRITE): void {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  check(kernel.mmap(address, bytes, prot, flags, -1, 0), 'mmap', 'mapping scratch memory');
}

/** A memory file mapped twice. */
export interface Shared extends Disposable {
  readonly file: Memfd;
  readonly window: Area;
  /** The same pages at another address. */
  readonly alias: Area;
}

/** A memory file of `pages` holes (the file may be shorter than its mappings: `filePages`). */
export function sharedArea(pages: number, filePages: number = pages): Shared {
  const file = Memfd.create(kernel, 'kernel-case', filePages * PAGE);
  const window = mapped(file, pages);
  const alias = mapped(file, pages);
  return {
    file,
    window,
    alias,
    [Symbol.dispose]() {
      window[Symbol.dispose]();
      alias[Symbol.dispose]();
      file.close();
    },
  };
}

/** A mapping of a memory file that goes away with the case; the file does not. */
export function mapped(file: Memfd, pages: number, prot: number = PROT_READ | PROT_WRITE): Area {
  const bytes = pages * PAGE;
  const place = reserve(bytes);
  file.map(place.address, bytes, { prot });
  return new Area(place, bytes);
}

/** A reservation that nothing is put into. */
export function reserved(pages: number): Area {
  return new Area(reserve(pages * PAGE), pages * PAGE);
}
