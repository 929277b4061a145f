// How moves are done, seen from what they cost: whole page-table levels where both places are congruent modulo 1 GiB, single
// entries elsewhere, and always for memory that a userfaultfd watches.
//
// Behaviours: the kernel's move_pgt_entry (PMDs since 5.0, PUDs since 5.11, off for watched memory since 6.13), as timed by the
// selftest mm/mremap_test.c. Only ratios of medians of interleaved runs are looked at, far below what was measured.
import { expect } from 'vitest';
import {
  MADV_POPULATE_WRITE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  Reservation,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
} from '#src/uffd/index.js';
import { conformance } from './support/conformance.ts';
import { fileBacked, GIB, kernel, MIB, memfd, PAGE } from './support/memory.ts';
import { userfaultfd } from './support/requirements.ts';

const MOVE_TO = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
/** All of a GiB is mapped, so that a PUD can move; this much of it is there. */
const POPULATED = 256 * MIB;
const ROUNDS = 15;
const ATTEMPTS = 8;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** A populated memory file at an address aligned to 1 GiB, and two places to move it to. */
class Setup implements Disposable {
  readonly #file = memfd(GIB / PAGE);
  readonly heap = Reservation.reserve(kernel, GIB, { alignBytes: GIB });
  readonly congruent = Reservation.reserve(kernel, GIB, { alignBytes: GIB });
  readonly shifted = Reservation.reserve(kernel, GIB, { alignBytes: GIB, congruentTo: PAGE });

  constructor() {
    fileBacked(this.#file, GIB / PAGE, { at: this.heap.address }).forget();
    expect(kernel.madvise(this.heap.address, POPULATED, MADV_POPULATE_WRITE)).toBe(0);
  }

  /** The time of one move, in microseconds. The page tables come back afterwards, without a registration. */
  moveUs(to: Reservation): number {
    const start = process.hrtime.bigint();
    const result = kernel.mremap(this.heap.address, GIB, GIB, MOVE_TO, to.address);
    const us = Number(process.hrtime.bigint() - start) / 1000;
    expect(result).toBe(to.address);
    expect(kernel.mremap(to.address, GIB, GIB, MOVE_TO, this.heap.address)).toBe(this.heap.address);
    return us;
  }

  [Symbol.dispose](): void {
    for (const held of [this.heap, this.congruent, this.shifted, this.#file]) held.close();
  }
}

/** The ratio of two costs, of medians of interleaved runs; the best of a few attempts, since noise only lowers it. */
function ratio(slow: () => number, fast: () => number, enough: number): number {
  let best = 0;
  for (let attempt = 0; attempt < ATTEMPTS && best < enough; attempt++) {
    const runs = Array.from({ length: ROUNDS }, () => ({ fast: fast(), slow: slow() }));
    best = Math.max(best, median(runs.map((run) => run.slow)) / median(runs.map((run) => run.fast)));
  }
  return best;
}

const ENOUGH = 20;

conformance('a move between congruent places is at least 20 times faster than one by a page', () => {
  using setup = new Setup();
  const found = ratio(
    () => setup.moveUs(setup.shifted),
    () => setup.moveUs(setup.congruent),
    ENOUGH,
  );
  expect(found).toBeGreaterThanOrEqual(ENOUGH);
});

conformance(
  'memory that is watched without EVENT_REMAP moves entry by entry (6.13), or not (before)',
  { requires: userfaultfd },
  async (it) => {
    using setup = new Setup();
    using uffd = Userfaultfd.open(kernel);
    const found = ratio(
      () => {
        uffd.register(setup.heap.address, GIB, UFFDIO_REGISTER_MODE_MISSING_MINOR);
        return setup.moveUs(setup.congruent);
      },
      () => setup.moveUs(setup.congruent),
      ENOUGH,
    );
    // A kernel with the fast path makes no difference; what lies between would be neither.
    expect(found >= ENOUGH || found < 3, `a ratio of ${found.toFixed(1)}`).toBe(true);
    await it.saw(found >= ENOUGH ? 'the slow path' : 'the fast path');
  },
);
