// The two kinds of memory that are swapped, and what moving, returning, releasing and loading a region mean for each. No policy and
// no states: pager.ts decides who may call what when.
//
//   home    where mutators use it, registered with the userfaultfd for good
//   shadow  a window of the same size that nobody but the evictor looks at, PROT_NONE except for regions on their way out. A region's
//           place in it has the same offset as at home, so nobody has to be told where a region went
import {
  addressOf,
  check,
  EAGAIN,
  EBUSY,
  hex,
  type Kernel,
  MADV_DONTFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  Memfd,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  syscallError,
  UFFD_FEATURE_MOVE,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  type Userfaultfd,
  viewOf,
} from 'tospace/uffd';

export type ArenaKind = 'anon' | 'shmem';

/** An arena as it is sent to another thread. */
export interface ArenaDescription {
  readonly kind: ArenaKind;
  readonly bytes: number;
  readonly regionBytes: number;
  readonly home: number;
  readonly shadow: number;
  /** The memfd of a shmem arena, else -1. */
  readonly fd: number;
}

/** For how long the kernel may answer a request with EAGAIN and no progress. It does so while it loses races for page locks. */
const AGAIN_MAX_MS = 5000;
const MEMFD_NAME = 'tospace-swap';

/** Offsets are bytes from the start of the arena, multiples of the region size; each call concerns the one region there. */
export abstract class Arena {
  readonly kernel: Kernel;
  readonly description: ArenaDescription;
  protected readonly shadow: Reservation;

  protected constructor(kernel: Kernel, description: ArenaDescription) {
    this.kernel = kernel;
    this.description = description;
    this.shadow = Reservation.adopt(kernel, description.shadow, description.bytes);
  }

  /** The UFFDIO_REGISTER_MODE_* that home needs. */
  abstract readonly registerMode: number;

  /** Takes the pages away from home. Mutators fault from this call on, none of them can reach the pages any more. */
  moveAway(offset: number): void {
    const { home, shadow, regionBytes } = this.description;
    check(
      this.kernel.mremap(
        home + offset,
        regionBytes,
        regionBytes,
        MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
        shadow + offset,
      ),
      'mremap',
      `moving a region of ${regionBytes} bytes away from ${hex(home + offset)}`,
    );
  }

  /** Gives the pages back to home and wakes who waits there. The shadow may still show them: dropShadow comes after. */
  abstract putBack(uffd: Userfaultfd, offset: number): void;

  /** Empties the shadow of a region and gives the address space back to the reservation. */
  dropShadow(offset: number): void {
    this.shadow.reset(this.description.shadow + offset, this.description.regionBytes);
  }

  /** Frees the pages that were moved away: from now on only the file has them. */
  abstract release(offset: number): void;

  /** Fills home with new pages that hold the bytes of `content`, and wakes who waits there. */
  install(uffd: Userfaultfd, offset: number, content: Uint8Array): void {
    const { home, regionBytes } = this.description;
    const source = addressOf(content);
    complete('UFFDIO_COPY', home + offset, regionBytes, (at, bytes) =>
      uffd.copy(home + offset + at, source + at, bytes),
    );
  }

  /** Maps the one page of `address`, which is in the page cache already. Only for an owner of the region. */
  abstract mapCached(uffd: Userfaultfd, address: number): void;

  /** The bytes of the shadow window. Readable only where a region is on its way out. */
  shadowBytes(): Uint8Array {
    return new Uint8Array(viewOf(this.description.shadow, this.description.bytes));
  }
}

/** Private anonymous memory: pages move back by page tables (UFFDIO_MOVE) where the kernel can, else by copy. */
export class AnonArena extends Arena {
  readonly registerMode: number = UFFDIO_REGISTER_MODE_MISSING;

  static adopt(kernel: Kernel, description: ArenaDescription): AnonArena {
    return new AnonArena(kernel, description);
  }

  override putBack(uffd: Userfaultfd, offset: number): void {
    const { home, shadow, regionBytes } = this.description;
    let movable = (uffd.features & UFFD_FEATURE_MOVE) !== 0n;
    complete('UFFDIO_MOVE', home + offset, regionBytes, (at, bytes) => {
      if (movable) {
        const moved = uffd.move(home + offset + at, shadow + offset + at, bytes);
        // EBUSY: pages that were shared with a forked child. The bytes are the same, so copying them is as right, only slower.
        if (moved !== -EBUSY) return moved;
        movable = false;
      }
      return uffd.copy(home + offset + at, shadow + offset + at, bytes);
    });
  }

  override release(offset: number): void {
    this.dropShadow(offset);
  }

  override mapCached(): void {
    // Anonymous memory has no page cache, so there is nothing that could be missing from the page tables alone.
  }
}

/** A memfd, mapped shared: the pages stay in the page cache, whoever maps them, until a hole is punched. */
export class ShmemArena extends Arena {
  readonly registerMode: number = UFFDIO_REGISTER_MODE_MISSING_MINOR;
  readonly #memfd: Memfd;

  private constructor(kernel: Kernel, description: ArenaDescription) {
    super(kernel, description);
    this.#memfd = Memfd.adopt(kernel, MEMFD_NAME, description.fd, description.bytes);
  }

  static adopt(kernel: Kernel, description: ArenaDescription): ShmemArena {
    return new ShmemArena(kernel, description);
  }

  override putBack(uffd: Userfaultfd, offset: number): void {
    const { home, regionBytes } = this.description;
    complete('UFFDIO_CONTINUE', home + offset, regionBytes, (at, bytes) =>
      uffd.continue(home + offset + at, bytes),
    );
  }

  override release(offset: number): void {
    this.dropShadow(offset);
    this.#memfd.punch(offset, this.description.regionBytes);
  }

  override mapCached(uffd: Userfaultfd, address: number): void {
    const page = this.kernel.getpagesize();
    const start = address - (address % page);
    const result = uffd.continue(start, page);
    // A stale message: the page is mapped, and so is what the faulter will find. It may sleep all the same.
    if (result < 0) uffd.wake(start, page);
  }
}

/** The arena of a description, in any thread. */
export function adoptArena(kernel: Kernel, description: ArenaDescription): Arena {
  return description.kind === 'anon'
    ? AnonArena.adopt(kernel, description)
    : ShmemArena.adopt(kernel, description);
}

/** What the creator of an arena holds; the rest uses {@link adoptArena}. */
export interface OwnedArena extends Disposable {
  readonly description: ArenaDescription;
}

/**
 * Reserves both windows and maps fresh memory at home.
 * @throws TospaceError `ERR_OUT_OF_MEMORY` and as `check`
 */
export function createArena(kernel: Kernel, kind: ArenaKind, bytes: number, regionBytes: number): OwnedArena {
  const resources = new Disposables();
  try {
    const home = resources.add(Reservation.reserve(kernel, bytes));
    const shadow = resources.add(Reservation.reserve(kernel, bytes));
    let fd = -1;
    if (kind === 'anon') {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
      check(
        kernel.mmap(home.address, bytes, PROT_READ | PROT_WRITE, flags, -1, 0),
        'mmap',
        `mapping ${bytes} bytes of anonymous memory`,
      );
      // A fork would leave pages shared, and shared pages cannot be moved back. No child of this process looks at them.
      check(kernel.madvise(home.address, bytes, MADV_DONTFORK), 'madvise', 'keeping forked children out');
    } else {
      const memfd = resources.add(Memfd.create(kernel, MEMFD_NAME, bytes));
      memfd.map(home.address, bytes);
      fd = memfd.fd;
    }
    const description = { kind, bytes, regionBytes, home: home.address, shadow: shadow.address, fd };
    return { description, [Symbol.dispose]: () => resources.dispose() };
  } catch (e) {
    resources.dispose();
    throw e;
  }
}

/** Disposes of things in the reverse order of their making. Node 20 has no DisposableStack. */
class Disposables {
  readonly #things: Disposable[] = [];

  add<T extends Disposable>(thing: T): T {
    this.#things.push(thing);
    return thing;
  }

  dispose(): void {
    for (let thing = this.#things.pop(); thing !== undefined; thing = this.#things.pop())
      thing[Symbol.dispose]();
  }
}

/**
 * Repeats a request that may do a part of its range at a time until all of it is done.
 * @param step makes the request from byte `at` of the range on; bytes done, or -errno when there were none
 * @throws TospaceError as `check`. Then the region is neither here nor there, and its owner must not go on
 */
function complete(
  request: string,
  address: number,
  length: number,
  step: (at: number, bytes: number) => number,
): void {
  let deadline = 0;
  for (let at = 0; at < length; ) {
    const result = step(at, length - at);
    if (result > 0) {
      at += result;
      deadline = 0;
      continue;
    }
    if (deadline === 0) deadline = performance.now() + AGAIN_MAX_MS;
    if (result !== -EAGAIN || performance.now() > deadline)
      throw syscallError(result, request, `bringing ${length - at} bytes to ${hex(address + at)}`);
  }
}
