// Userspace swap without stopping anyone.
//
// A program has more memory than it should keep resident. Regions that it does not touch go to a file, compressed; when it touches
// one again, it faults, and the region comes back before the access goes on. The program knows nothing of it: it uses plain memory.
//
// Ancestors. This is the use for which MREMAP_DONTUNMAP was made: Chrome OS wanted to write a process's anonymous memory out while
// the process runs (the patch of 2020 that brought the flag says so). What regions go is decided as VMS did (Levy and Lipman,
// "Virtual Memory Management in the VAX/VMS Operating System", 1982): there are no reference bits, so a region is first taken away
// and kept for a while; if somebody wants it, it is still in memory and comes back for the price of a soft fault (clock.ts).
//
// Threads. Mutators read and write. One evictor takes regions away and writes them out. One server answers faults. The states of a
// region and who may change them are drawn in region.ts; every change is a compare-and-swap, and its winner owns the region until
// the next one.
//
// Eviction
//   1. moveAway   RESIDENT → MOVING → EVICTING. mremap(DONTUNMAP) moves the page tables from home to the shadow window. Home stays
//                 mapped and empty. No mutator can reach the pages from here on except through a fault, so **nobody can store into
//                 them between the copy and the release**: there is no dirty page to look for, no write protection, and no stop.
//   2. probation  The region stays in EVICTING for a while. A touch takes it back (see below), and nothing was wasted but 10 µs.
//   3. writeOut   The bytes are copied from the shadow, compressed and written to a free slot. Still EVICTING: a touch still wins.
//   4. sync       One fdatasync for the batch. Only now the disk has really agreed: delayed allocation, quotas and failing disks may
//                 report here for the first time.
//   5. commit     EVICTING → RELEASING, which closes the door for rescues; the pages are freed; → IN_FILE.
//
// A fault, by the state of the region
//   EVICTING   → RETURNING. The page tables go back: UFFDIO_MOVE (or COPY) for anonymous memory, UFFDIO_CONTINUE for shmem. → RESIDENT.
//              The evictor finds out at its next compare-and-swap, and throws its copy away.
//   IN_FILE    → LOADING. Slot read, checksum compared, decompressed, UFFDIO_COPY of the whole region. → RESIDENT.
//   MOVING, RELEASING, RETURNING, LOADING: somebody is about to leave that state without waiting for us. Wait for it, look again.
//   RESIDENT   The message is stale: another fault on the region was answered meanwhile, or it came back before the message was read.
//              Wake, and the access succeeds.
//
// Why home is registered before the move, although a registered range moves page by page and an unregistered one by whole tables.
// A collector moves its heap while everybody is stopped, so it can register afterwards. Here nobody is stopped: between a move and
// a registration a mutator would find zeroes (anonymous) or the page that is being copied (shmem), and nothing would tell us. Regions
// are smaller than a page table anyhow, so there is no fast path to lose. The order is: fill, register once and for all, then move.
//
// Anonymous and shared memory differ in what the empty home means. An anonymous page that was moved away is gone from home: MISSING.
// A shmem page stays in the page cache whoever maps it, so home faults MINOR until the hole is punched, and MISSING from then on. So
// commit must punch only while no fault can be answered with CONTINUE, or it would punch away a page that a mutator uses again:
// this is what RELEASING is for. For the same reason a COPY of a loaded region never finds a page there: EEXIST would be a bug.
//
// MINOR on a RESIDENT region happens too: the kernel may drop page tables of shmem (its own swap, a collapse to huge pages). The page
// in the cache is the truth then, and CONTINUE is the answer, but only by an owner: else the evictor might move the region away
// between our look and our CONTINUE, and a mutator would write to a page that is being copied.
//
// Messages may be stale in every way. Two mutators fault on a region, both messages are read at once, the first one is answered, the
// evictor takes the region away again, and now the second one is looked at. It then looks like a touch of a region that
// nobody touched. This costs an eviction and is never wrong, because a region is answered by its state, not by the message. But it is
// why MOVING exists: such a message may arrive while mremap runs, when the shadow does not hold the pages yet.
//
// Slots. The CRC-32 of each slot is kept in memory, beside its place. So it finds a torn slot, and also one that holds what was there
// before, or what belongs to another region. Only the evictor allocates and frees: the server leaves the slot of a loaded region to it.
//
// Failures
//   write, fdatasync (disk full, quota, I/O error): every region whose copy is not confirmed goes back home as if it had been touched;
//     the evictor reports the error and tries again later. Nothing is lost and nobody waits.
//   mremap (too many mappings): the region was not moved; the same.
//   a slot that is short or has the wrong checksum: its bytes exist nowhere any more. No answer to the fault would be right; so the
//     process stops with a report that names the region (fail-stop.ts). Zeroes are never handed out.
//   the server, the evictor or a mutator dies, or a page can be brought neither here nor there: the same.
//   SIGKILL: the file has no name and goes with the process.
//
// Not handled: a slot is freed when its region is loaded, so a region that is only read is written again (a swap cache would need
// write protection to know); regions do not come in ahead of the fault; fork (the child would not see evicted memory); memory that a
// device writes to (O_DIRECT, io_uring's registered buffers): pinned pages go on changing after they were moved away.
import {
  hex,
  invariant,
  type Kernel,
  TospaceError,
  UFFD_PAGEFAULT_FLAG_MINOR,
  type Userfaultfd,
} from 'tospace/uffd';
import type { Arena } from './arena.ts';
import type { Codec } from './codec.ts';
import { RegionState, type RegionTable, STATE_NAMES } from './region.ts';
import { SLOT_BLOCK_BYTES, type SlotAllocator, type SwapFile, slotBlocks } from './swap-file.ts';

const { RESIDENT, MOVING, EVICTING, RETURNING, RELEASING, IN_FILE, LOADING } = RegionState;

/** How a fault was answered. */
export type FaultAnswer =
  /** The region was in memory already; somebody else was faster. */
  | 'stale'
  /** From the shadow. */
  | 'rescued'
  /** From the file. */
  | 'loaded';

/** What a pager works with. Both kinds of thread have their own, over the same table, arenas and file. */
export interface PagerParts {
  readonly kernel: Kernel;
  readonly uffd: Userfaultfd;
  readonly table: RegionTable;
  readonly arenas: readonly Arena[];
  readonly file: SwapFile;
  readonly codec: Codec;
}

/** The part that evictor and server share: which region is where, and how one in the shadow gets home. */
class Pager {
  protected readonly parts: PagerParts;

  constructor(parts: PagerParts) {
    this.parts = parts;
  }

  /** The arena of a region and its offset there. */
  protected locate(region: number): { readonly arena: Arena; readonly offset: number } {
    let first = 0;
    for (const arena of this.parts.arenas) {
      const { bytes, regionBytes } = arena.description;
      const count = bytes / regionBytes;
      if (region < first + count) return { arena, offset: (region - first) * regionBytes };
      first += count;
    }
    throw new TospaceError('ERR_INVARIANT', `there is no region ${region}`);
  }

  /** A region in words. */
  describe(region: number): string {
    const { arena, offset } = this.locate(region);
    const { kind, home, regionBytes } = arena.description;
    const slot = this.parts.table.slot(region);
    const where =
      slot === undefined ? '' : `, slot at ${hex(slot.block * SLOT_BLOCK_BYTES)} of the swap file`;
    const state = STATE_NAMES[this.parts.table.state(region)];
    return `region ${region} (${kind}, ${hex(home + offset)} to ${hex(home + offset + regionBytes)}, ${state}${where})`;
  }

  /** EVICTING → RETURNING → RESIDENT, unless somebody else changed the state first. */
  protected tryReturn(region: number): boolean {
    const { table, uffd } = this.parts;
    if (!table.tryChange(region, EVICTING, RETURNING)) return false;
    const { arena, offset } = this.locate(region);
    arena.putBack(uffd, offset);
    table.change(region, RETURNING, RESIDENT);
    return true;
  }
}

/** The evictor's half. One thread only: it alone starts evictions, and it alone allocates slots. */
export class EvictingPager extends Pager {
  readonly #slots: SlotAllocator;
  /** A private copy is compressed, not the shadow: shadow pages may change or go home at any time, and not every compressor bears that. */
  readonly #staging: Uint8Array;
  readonly #shadows: ReadonlyMap<Arena, Uint8Array>;

  constructor(parts: PagerParts, slots: SlotAllocator) {
    super(parts);
    this.#slots = slots;
    this.#staging = new Uint8Array(parts.arenas[0]!.description.regionBytes);
    this.#shadows = new Map(parts.arenas.map((arena) => [arena, arena.shadowBytes()]));
  }

  /**
   * Step 1. False if the region is not RESIDENT (any more).
   * @throws TospaceError as `Arena.moveAway`; the region is RESIDENT then
   */
  moveAway(region: number): boolean {
    const { table } = this.parts;
    if (!table.tryChange(region, RESIDENT, MOVING)) return false;
    // It may have been loaded after the last look at slots: its old slot must not be forgotten.
    this.#freeSlot(region);
    const { arena, offset } = this.locate(region);
    try {
      arena.moveAway(offset);
    } catch (e) {
      table.change(region, MOVING, RESIDENT);
      throw e;
    }
    table.change(region, MOVING, EVICTING);
    return true;
  }

  /**
   * Step 3.
   * @returns bytes written; 0 if the region was touched, and is home again
   * @throws TospaceError as `SwapFile.writeSlot`, and `ERR_OUT_OF_MEMORY` when the file may not grow; the region is still EVICTING
   */
  writeOut(region: number): number {
    const { table, file, codec } = this.parts;
    if (table.state(region) !== EVICTING) return this.#lost(region);
    const { arena, offset } = this.locate(region);
    this.#staging.set(this.#shadows.get(arena)!.subarray(offset, offset + this.#staging.byteLength));
    const stored = codec.compress(this.#staging);
    // If it came home meanwhile the bytes may be a mixture; the state says so, and what is written below would be thrown away anyhow.
    if (table.state(region) !== EVICTING) return this.#lost(region);
    const blocks = slotBlocks(stored.byteLength);
    const block = this.#slots.allocate(blocks);
    if (block < 0) {
      throw new TospaceError(
        'ERR_OUT_OF_MEMORY',
        `the swap file has no room for ${blocks * SLOT_BLOCK_BYTES} bytes`,
        {
          hint: 'Raise --file-limit. Until a slot becomes free memory keeps the data.',
        },
      );
    }
    try {
      table.setSlot(region, file.writeSlot(block, stored));
    } catch (e) {
      this.#slots.release(block, blocks);
      throw e;
    }
    return stored.byteLength;
  }

  /** Step 5, after a sync that followed writeOut. False if the region was touched, and is home again. */
  commit(region: number): boolean {
    const { table, file } = this.parts;
    const slot = table.slot(region);
    invariant(slot !== undefined, `region ${region} was written before it is released`);
    file.dropCache(slot.block * SLOT_BLOCK_BYTES, slotBlocks(slot.storedBytes) * SLOT_BLOCK_BYTES);
    if (!table.tryChange(region, EVICTING, RELEASING)) {
      this.#lost(region);
      return false;
    }
    const { arena, offset } = this.locate(region);
    arena.release(offset);
    table.change(region, RELEASING, IN_FILE);
    return true;
  }

  /** Undoes steps 1 and 3: the region is home afterwards, brought by us or by the server. */
  bringBack(region: number): void {
    if (!this.tryReturn(region)) {
      this.#lost(region);
      return;
    }
    this.#dropShadow(region);
    this.reclaim(region);
  }

  /** Frees the slot of a region that is home again. True if it had one: it was loaded from it. */
  reclaim(region: number): boolean {
    return this.parts.table.state(region) === RESIDENT && this.#freeSlot(region);
  }

  #freeSlot(region: number): boolean {
    const { table, file } = this.parts;
    const slot = table.slot(region);
    if (slot === undefined) return false;
    table.setSlot(region, undefined);
    // Reading it brought it into the page cache, and so into memory twice. Dropping it can take a millisecond, so the server does not.
    file.dropCache(slot.block * SLOT_BLOCK_BYTES, slotBlocks(slot.storedBytes) * SLOT_BLOCK_BYTES);
    this.#slots.release(slot.block, slotBlocks(slot.storedBytes));
    return true;
  }

  /** The server took a region back, or is about to: its pages must all be home before the shadow is emptied. */
  #lost(region: number): 0 {
    const { table } = this.parts;
    table.waitWhile(region, RETURNING);
    // Nobody but this thread could have taken it any further, and this thread looks at a region once for each time it moved it.
    invariant(
      table.state(region) === RESIDENT || table.state(region) === RETURNING,
      `a region that was rescued is at home: ${this.describe(region)}`,
    );
    this.#dropShadow(region);
    this.reclaim(region);
    return 0;
  }

  #dropShadow(region: number): void {
    const { arena, offset } = this.locate(region);
    arena.dropShadow(offset);
  }
}

/** The server's half. Touches no registered memory: a fault of this thread would wait for itself. */
export class ServingPager extends Pager {
  /**
   * Answers a fault: when it returns, the access can go on.
   * @param flags UFFD_PAGEFAULT_FLAG_*
   * @throws TospaceError if it cannot be answered rightly. **The faulter still waits**: stop the process
   */
  fault(address: number, flags: number): FaultAnswer {
    const { table, uffd, kernel } = this.parts;
    const region = this.#regionAt(address);
    for (;;) {
      const state = table.state(region);
      switch (state) {
        case RESIDENT: {
          const page = kernel.getpagesize();
          if ((flags & UFFD_PAGEFAULT_FLAG_MINOR) === 0) {
            uffd.wake(address - (address % page), page);
            return 'stale';
          }
          if (!table.tryChange(region, RESIDENT, RETURNING)) break;
          this.locate(region).arena.mapCached(uffd, address);
          table.change(region, RETURNING, RESIDENT);
          return 'stale';
        }
        case EVICTING:
          if (this.tryReturn(region)) return 'rescued';
          break;
        case IN_FILE:
          if (table.tryChange(region, IN_FILE, LOADING)) {
            this.#load(region);
            return 'loaded';
          }
          break;
        default:
          table.waitWhile(region, state);
      }
    }
  }

  #regionAt(address: number): number {
    let first = 0;
    for (const { description } of this.parts.arenas) {
      const { home, bytes, regionBytes } = description;
      if (address >= home && address < home + bytes)
        return first + Math.floor((address - home) / regionBytes);
      first += bytes / regionBytes;
    }
    throw new TospaceError('ERR_INVARIANT', `a fault at ${hex(address)}, which is no memory of ours`);
  }

  #load(region: number): void {
    const { table, file, codec, uffd } = this.parts;
    const { arena, offset } = this.locate(region);
    const { regionBytes } = arena.description;
    const slot = table.slot(region);
    invariant(slot !== undefined, `a region in the file has a slot: ${this.describe(region)}`);
    try {
      const content = codec.decompress(file.readSlot(slot), regionBytes);
      invariant(
        content.byteLength === regionBytes,
        `a slot holds ${regionBytes} bytes: ${content.byteLength}`,
      );
      arena.install(uffd, offset, content);
    } catch (cause) {
      const code = cause instanceof TospaceError ? cause.code : 'ERR_VERIFY';
      const hint = cause instanceof TospaceError ? cause.hint : undefined;
      throw new TospaceError(
        code,
        `${this.describe(region)} cannot be brought back: ${(cause as Error).message}`,
        {
          cause,
          hint,
        },
      );
    }
    table.change(region, LOADING, RESIDENT);
  }
}
