// The flip: the step of a cycle that nobody may see half done. In a pause, the heap window's page tables move away in one system call,
// the other memfd comes under the window, and its used part is registered, so that the next touch of any page faults.
//
//   1. mremap(heap → attic, MAYMOVE|FIXED|DONTUNMAP)   old pages leave by their page tables; the address stays ours
//   2. mmap(heap, other memfd, SHARED|FIXED)           on shmem the page cache still backs the old range: without this, nothing is missing
//   3. UFFDIO_REGISTER(heap, used, MISSING|MINOR)      after the move, because moving a registered mapping moves every page alone
//
// The non-moving window is hidden likewise, where anything is in it: its page tables move away and it is registered. The same file stays
// under it, so that its pages are MINOR faults.
//
// All of them can fail (mappings limit, memory). Each failure undoes what came before it, so that a cycle that cannot flip is abandoned
// and the heap stays as it was. Lengths come from the geometry only: since Linux 6.17 too long a length moves neighbours along.
//
// The attics must be empty reservations before the pause: a move onto populated pages would tear them down inside it.
//
// A flip runs once in a cycle, after everything else has pushed its code and data out of the caches, the kernel's and V8's alike, and
// takes three times as long as one that is run again at once. So it is rehearsed on a stage just before the pause.

import { TospaceError } from '../errors.ts';
import {
  check,
  MADV_DONTNEED,
  type Memfd,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  type Reservation,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
} from '../uffd/index.ts';
import { STAGE_BYTES } from '../heap/arena.ts';
import { CTL_FRONT, PAGE_BYTES } from '../heap/layout.ts';
import type { WorkerContext } from './context.ts';

/** Bytes of page tables dropped at a time: short enough that other threads' faults are not held up. */
const DROP_STEP_BYTES = 8 * 1024 * 1024;

const MOVE_FLAGS = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
const REGISTER_MODE = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR;

/** Times that a flip is rehearsed: the first brings code and data in, the second runs as the flip will. */
const REHEARSALS = 2;

/** Durations of the steps of a flip in microseconds. */
export interface FlipTimes {
  readonly moveUs: number;
  readonly mapUs: number;
  readonly registerUs: number;
  /** Hiding the non-moving window; 0 where nothing is in it. */
  readonly nonMovingUs: number;
}

/** Flips a small mapping of the same files to and fro, beside mutators. No page of the heap is touched. @throws TospaceError */
export function rehearseFlip(context: WorkerContext, register: boolean): void {
  const { kernel, arena } = context;
  const stage = arena.stage.address;
  for (let i = 0; i < REHEARSALS; i++) {
    arena.memfds[0].map(stage, STAGE_BYTES);
    check(
      kernel.mremap(stage, STAGE_BYTES, STAGE_BYTES, MOVE_FLAGS, stage + STAGE_BYTES),
      'mremap',
      'rehearsing a flip',
    );
    arena.memfds[1].map(stage, STAGE_BYTES);
    if (register) {
      context.uffd!.register(stage, PAGE_BYTES, REGISTER_MODE);
      check(context.uffd!.unregister(stage, PAGE_BYTES), 'ioctl', 'rehearsing a flip');
    }
    arena.stage.reset();
  }
}

/** How much of the two windows a flip hides, in bytes from their beginnings. */
export interface Hidden {
  /** Bytes of to-space in use. */
  readonly heapBytes: number;
  /** Bytes of the non-moving space that may hold references; 0 leaves its window alone. */
  readonly nonMovingBytes: number;
}

/**
 * Moves the heap window's page tables to the attic and maps the other memfd, then hides the non-moving window.
 * @param register false where nobody runs while pages are missing: then nothing is registered, and the non-moving window left alone.
 * @throws TospaceError when a step failed; everything is as before then.
 */
export function flipMappings(context: WorkerContext, hidden: Hidden, register: boolean): FlipTimes {
  const { kernel, arena, control } = context;
  const { geometry } = arena;
  const heap = arena.real(geometry.heap);
  const attic = arena.attic.address;
  const bytes = geometry.windowBytes;
  const front = control[CTL_FRONT]!;

  const start = performance.now();
  check(
    kernel.mremap(heap, bytes, bytes, MOVE_FLAGS, attic),
    'mremap',
    'moving the page tables of the heap away',
  );
  const moved = performance.now();
  const back = arena.memfds[1 - front]!;
  try {
    back.map(heap, bytes);
    const mapped = performance.now();
    if (register && hidden.heapBytes > 0) context.uffd!.register(heap, hidden.heapBytes, REGISTER_MODE);
    const registered = performance.now();
    if (register && hidden.nonMovingBytes > 0) hideNonMoving(context, hidden.nonMovingBytes);
    const ended = performance.now();
    return {
      moveUs: (moved - start) * 1000,
      mapUs: (mapped - moved) * 1000,
      registerUs: (registered - mapped) * 1000,
      nonMovingUs: (ended - registered) * 1000,
    };
  } catch (error) {
    // The move back replaces whatever is at the heap's address, with the old pages. Where even that fails, mapping the file again does
    // the same, only slower: its pages have not changed.
    if (kernel.mremap(attic, bytes, bytes, MOVE_FLAGS, heap) < 0)
      mapAgain(arena.memfds[front]!, heap, bytes, error);
    arena.attic.reset();
    throw error;
  }
}

/** Moves the non-moving window's page tables away and registers it. @throws TospaceError; the window is as before then. */
function hideNonMoving(context: WorkerContext, usedBytes: number): void {
  const { kernel, arena } = context;
  const { nonMoving, nonMovingWindowBytes: bytes } = arena.geometry;
  const window = arena.real(nonMoving);
  const attic = arena.nonMovingAttic.address;
  check(
    kernel.mremap(window, bytes, bytes, MOVE_FLAGS, attic),
    'mremap',
    'moving the page tables of the non-moving space away',
  );
  try {
    context.uffd!.register(window, usedBytes, REGISTER_MODE);
  } catch (error) {
    // The file is the same: pages that are touched now are mapped again by the kernel. What is in the attic goes with it.
    arena.nonMovingAttic.reset();
    throw error;
  }
}

function mapAgain(file: Memfd, heap: number, bytes: number, cause: unknown): void {
  try {
    file.map(heap, bytes);
  } catch {
    // Not an error of a system call, which would only abandon the cycle: mutators would go on with the wrong pages.
    throw new TospaceError(
      'ERR_STATE',
      'a flip failed half-way and could not be undone: the heap is not mapped',
      {
        hint: 'Mappings or address space ran out (vm.max_map_count, ulimit -v): the cause is the call that failed first.',
        cause,
      },
    );
  }
}

/** Drops the page tables that the last flip moved away, and makes the attics empty reservations again. Runs beside mutators. */
export function clearAttics(context: WorkerContext, from: Hidden): void {
  const { arena } = context;
  clearAttic(context, arena.attic, from.heapBytes);
  if (from.nonMovingBytes > 0) clearAttic(context, arena.nonMovingAttic, arena.geometry.nonMovingBytes);
}

function clearAttic(context: WorkerContext, attic: Reservation, usedBytes: number): void {
  for (let at = 0; at < usedBytes; at += DROP_STEP_BYTES) {
    // The page cache keeps the pages: only the attic's page tables go.
    const bytes = Math.min(DROP_STEP_BYTES, usedBytes - at);
    check(
      context.kernel.madvise(attic.address + at, bytes, MADV_DONTNEED),
      'madvise',
      'dropping the page tables of from-space',
    );
  }
  attic.reset();
}
