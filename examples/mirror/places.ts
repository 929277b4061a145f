// Two mappings of the same pages, made in two ways.
//
// `mremap`: a length of 0 asks for a second mapping of whatever shared object is mapped at the old address; no descriptor is needed.
// `mmap`:   the memfd is mapped once more.
import { check, type Kernel, Memfd, MREMAP_FIXED, MREMAP_MAYMOVE, Reservation } from 'tospace/uffd';

export const WAYS = ['mremap', 'mmap'] as const;
export type Way = (typeof WAYS)[number];

/** Puts a mirror of the `bytes` at `address` to `mirror`, which must be a place of ours. */
export function makeMirror(
  kernel: Kernel,
  way: Way,
  file: Memfd,
  address: number,
  bytes: number,
  mirror: number,
): void {
  if (way === 'mmap') file.map(mirror, bytes);
  else {
    const result = kernel.mremap(address, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, mirror);
    check(result, 'mremap', `mirroring ${bytes} bytes`);
  }
}

/** Memory that continues with itself: `bytes` at `address`, and the same bytes again right behind them. */
export class Mirrored implements Disposable {
  readonly #reservation: Reservation;
  readonly #file: Memfd;
  readonly #kernel: Kernel;
  readonly address: number;
  readonly bytes: number;

  private constructor(kernel: Kernel, reservation: Reservation, file: Memfd) {
    this.#kernel = kernel;
    this.#reservation = reservation;
    this.#file = file;
    this.address = reservation.address;
    this.bytes = file.bytes;
  }

  /**
   * Maps the first half; the second stays a reservation until {@link mirror}.
   * @param bytes a multiple of the page size
   */
  static create(kernel: Kernel, bytes: number): Mirrored {
    const reservation = Reservation.reserve(kernel, 2 * bytes);
    const file = Memfd.create(kernel, 'example-mirror', bytes);
    file.map(reservation.address, bytes);
    return new Mirrored(kernel, reservation, file);
  }

  /** Where the same bytes begin again. */
  get mirrorAddress(): number {
    return this.address + this.bytes;
  }

  mirror(way: Way): this {
    makeMirror(this.#kernel, way, this.#file, this.address, this.bytes, this.mirrorAddress);
    return this;
  }

  /** The second half is a reservation again. */
  unmirror(): void {
    this.#reservation.reset(this.mirrorAddress, this.bytes);
  }

  [Symbol.dispose](): void {
    this.#reservation.close();
    this.#file.close();
  }
}
