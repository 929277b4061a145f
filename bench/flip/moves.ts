// The moves of one group, timed.
//
// The pages are allocated, touched and stamped once for a group; then its variants take turns. A turn begins in the same state every
// time: all pages are mapped at home, the destination is an empty reservation.
//
//   home ──(timed: mremap DONTUNMAP|FIXED|MAYMOVE)──> destination
//   home <──(not timed: the same call back)────────── destination, which is made a reservation again
//
// A turn does that twice, and the second one counts.
// Registering home comes before the clock starts, and the way back drops it: the registration does not follow the move, and what
// stays at home is replaced. Neither place is unmapped at any time, so no other thread can map something there.
import {
  check,
  createLibcKernel,
  EINVAL,
  invariant,
  type Kernel,
  MADV_NOHUGEPAGE,
  MADV_POPULATE_WRITE,
  Memfd,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
  viewOf,
} from 'tospace/uffd';
import {
  ALIGN_BYTES,
  CONGRUENCE_NAMES,
  CONGRUENCES,
  type Congruence,
  type Group,
  VARIANTS,
  type Variant,
} from './configurations.ts';
import { residentBytes } from './resident.ts';

const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
/** Pages that carry a stamp: enough to find a move that went wrong, few enough to leave the caches alone. */
const STAMPS = 64;
/** In the first round every move is verified instead of timed. */
const WARM_UP_ROUNDS = 1;
/** Below this there are no percentiles worth the name, however slow the machine is. */
const ROUNDS_MIN = 5;

export interface VariantTimes {
  readonly variant: Variant;
  /** One for each round. */
  readonly us: readonly number[];
}

/**
 * Measures all variants of a group in alternation, at most `rounds` times each.
 * @param deadlineMs of performance.now(): rounds after it are left out, but for the first five
 * @throws TospaceError when the kernel refuses a step or the pages did not arrive
 */
export function measureGroup(group: Group, rounds: number, deadlineMs: number): VariantTimes[] {
  const kernel = createLibcKernel();
  const { sizeBytes } = group;
  using home = Reservation.reserve(kernel, sizeBytes, { alignBytes: ALIGN_BYTES });
  using uffd = Userfaultfd.open(kernel);
  const populatedBytes = populate(kernel, group, home.address);
  const places = new Map<Congruence, Reservation>();
  try {
    for (const congruence of CONGRUENCE_NAMES) {
      const congruentTo = home.address + CONGRUENCES[congruence].shiftBytes;
      places.set(
        congruence,
        Reservation.reserve(kernel, sizeBytes, { alignBytes: ALIGN_BYTES, congruentTo }),
      );
    }
    const turns = VARIANTS.map((variant) => ({ variant, us: [] as number[] }));
    for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
      if (round >= WARM_UP_ROUNDS + ROUNDS_MIN && performance.now() > deadlineMs) break;
      for (let i = 0; i < turns.length; i++) {
        // Who goes first changes: a variant must not always meet the caches of the same predecessor.
        const { variant, us } = turns[(i + round) % turns.length]!;
        const place = places.get(variant.congruence)!;
        // The rehearsal: a page-by-page move of its predecessor has walked over all caches, which a short move would pay for.
        for (const isTimed of [false, true]) {
          if (variant.registered) uffd.register(home.address, sizeBytes, modeOf(group));
          const start = performance.now();
          const moved = kernel.mremap(home.address, sizeBytes, sizeBytes, MOVE, place.address);
          const end = performance.now();
          check(moved, 'mremap', 'moving the pages away');
          if (round === 0) verify(place.address, populatedBytes);
          else if (isTimed) us.push((end - start) * 1000);
          const back = kernel.mremap(place.address, sizeBytes, sizeBytes, MOVE, home.address);
          check(back, 'mremap', 'moving the pages back');
          place.reset();
        }
      }
    }
    // They have been moved hundreds of times.
    verify(home.address, populatedBytes);
    return turns;
  } finally {
    for (const place of places.values()) place.close();
  }
}

/** What the clock and the call cost by themselves: a call of mremap that is refused before it looks at anything. */
export function callUs(rounds: number): number[] {
  const kernel = createLibcKernel();
  return Array.from({ length: rounds }, () => {
    const start = performance.now();
    const result = kernel.mremap(0, 0, 0, MREMAP_FIXED, 0);
    const us = (performance.now() - start) * 1000;
    invariant(result === -EINVAL, `FIXED without MAYMOVE is refused: ${result}`);
    return us;
  });
}

/** Shmem is always watched for both: see UFFDIO_REGISTER_MODE_MISSING_MINOR. Anonymous memory knows no MINOR faults. */
function modeOf({ memory }: Group): number {
  return memory === 'shmem' ? UFFDIO_REGISTER_MODE_MISSING_MINOR : UFFDIO_REGISTER_MODE_MISSING;
}

/** Puts the group's memory at home. Returns the bytes from its beginning that are populated. */
function populate(kernel: Kernel, { memory, sizeBytes, populated }: Group, address: number): number {
  if (memory === 'shmem') {
    using file = Memfd.create(kernel, 'bench-flip', sizeBytes);
    file.map(address, sizeBytes);
  } else {
    check(
      kernel.mprotect(address, sizeBytes, PROT_READ | PROT_WRITE),
      'mprotect',
      'making memory of a place',
    );
  }
  // With huge pages there would be one entry to move for 512. EINVAL: a kernel without them.
  const plain = kernel.madvise(address, sizeBytes, MADV_NOHUGEPAGE);
  if (plain !== -EINVAL) check(plain, 'madvise', 'asking for pages of 4 KiB');
  const bytes = sizeBytes * populated;
  if (bytes === 0) return 0;
  check(kernel.madvise(address, bytes, MADV_POPULATE_WRITE), 'madvise', `touching ${bytes} bytes`);
  const words = new Uint32Array(viewOf(address, bytes));
  for (const [at, stamp] of stamps(words.length)) words[at] = stamp;
  return bytes;
}

/** All pages are mapped here, none is missing, and they are the right ones. */
function verify(address: number, populatedBytes: number): void {
  const resident = residentBytes(address);
  invariant(
    resident === populatedBytes,
    `after a move ${populatedBytes} bytes are mapped at the new place: ${resident}`,
  );
  if (populatedBytes === 0) return;
  const words = new Uint32Array(viewOf(address, populatedBytes));
  for (const [at, stamp] of stamps(words.length)) {
    invariant(words[at] === stamp, `after a move word ${at} is ${stamp}: ${words[at]}`);
  }
}

/** Indexes and values of the words that carry stamps, from the first to the last. */
function* stamps(words: number): Iterable<readonly [at: number, stamp: number]> {
  for (let i = 0; i < STAMPS; i++) {
    const at = Math.floor(((words - 1) * i) / (STAMPS - 1));
    yield [at, at + 1];
  }
}
