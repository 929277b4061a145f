// mremap over more or less than one mapping, and at every alignment.
//
//   growing and shrinking in place   merges with what is next to it
//   several mappings in one call     gaps, userfaultfd, lengths that are too long (Linux 6.17)
//   alignment                        page-table entries, PMDs (2 MiB) and PUDs (1 GiB); neighbours of what is moved
//
// Behaviours: the kernel's selftest mm/mremap_test.c.
import { expect } from 'vitest';
import {
  MADV_POPULATE_WRITE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  Reservation,
  UFFDIO_REGISTER_MODE_MISSING,
  Userfaultfd,
  viewOf,
} from '#src/uffd/index.js';
import { conformance } from './support/conformance.ts';
import {
  anonymous,
  answer,
  fileBacked,
  fill,
  GIB,
  KIB,
  kernel,
  MIB,
  memfd,
  mremap,
  PAGE,
  pageValues,
  Region,
  times,
} from './support/memory.ts';
import { mappingAt, mappingsIn } from './support/proc.ts';
import { userfaultfd } from './support/requirements.ts';

const PLAIN_TO = MREMAP_MAYMOVE | MREMAP_FIXED;
const MOVE_TO = PLAIN_TO | MREMAP_DONTUNMAP;
const A = 97;

conformance('a mapping grows in place into the gap between two, and is one mapping then', () => {
  // With a page without access on both sides, so that nothing else merges.
  using place = Reservation.reserve(kernel, 5 * PAGE);
  using all = anonymous(3, { at: place.address + PAGE }).fill(A);
  expect(kernel.munmap(all.page(1), PAGE)).toBe(0);
  expect(mremap(all.page(0), PAGE, 2 * PAGE, 0)).toBe(all.address);
  expect(all.values()).toEqual([A, 0, A]);
  const found = mappingsIn(all.address, all.address + all.bytes);
  expect(found.map(({ start, end }) => [start, end])).toEqual([[all.address, all.address + all.bytes]]);
});

conformance('a part of a mapping grows in place at its end', () => {
  // With a page without access on both sides, so that nothing else merges.
  using place = Reservation.reserve(kernel, 5 * PAGE);
  using all = anonymous(3, { at: place.address + PAGE }).fill(A);
  expect(kernel.munmap(all.page(2), PAGE)).toBe(0);
  expect(mremap(all.page(1), PAGE, 2 * PAGE, 0)).toBe(all.page(1));
  expect(all.values()).toEqual([A, A, 0]);
  const found = mappingsIn(all.address, all.address + all.bytes);
  expect(found.map(({ start, end }) => [start, end])).toEqual([[all.address, all.address + all.bytes]]);
});

conformance('a length with holes can be shrunk to its first page', () => {
  using place = Reservation.reserve(kernel, 8 * PAGE);
  using all = anonymous(8, { at: place.address }).fill(A);
  for (const page of [2, 3, 6]) expect(kernel.munmap(all.page(page), PAGE)).toBe(0);
  expect(mremap(all.address, 8 * PAGE, PAGE, 0)).toBe(all.address);
  expect(pageValues(all.address, 1)).toEqual([A]);
  expect(mappingsIn(all.address, all.address + all.bytes).map(({ end }) => end)).toEqual([all.page(1)]);
});

const SPAN = 11;
/** First page and number of pages of five mappings, with a gap between any two. */
const PARTS = [
  [0, 1],
  [2, 2],
  [5, 1],
  [7, 2],
  [10, 1],
] as const;
/** What each page holds: 0 in the gaps, which are not mapped. */
const CONTENT = [1, 0, 2, 2, 0, 3, 0, 4, 4, 0, 5];

/** Five mappings with gaps, in a reservation of their own. */
function parts(address: number): Region[] {
  const region = anonymous(SPAN, { at: address });
  region.forget();
  CONTENT.forEach((value, page) => {
    if (value === 0) expect(kernel.munmap(region.page(page), PAGE)).toBe(0);
    else fill(region.page(page), PAGE, value);
  });
  return PARTS.map(([page, pages]) => new Region(region.page(page), pages * PAGE, true));
}

/** What the pages of a span hold; 0 for those that are not ours to read, undefined for none at all. */
function contentAt(address: number): (number | undefined)[] {
  const found = mappingsIn(address, address + SPAN * PAGE);
  return CONTENT.map((_, page) => {
    const at = address + page * PAGE;
    const mapping = found.find(({ start, end }) => start <= at && at < end);
    if (mapping === undefined) return undefined;
    return mapping.permissions.startsWith('rw') ? pageValues(at, 1)[0] : 0;
  });
}
const GAPS = CONTENT.map((value) => (value === 0 ? undefined : value));

for (const [name, flags] of [
  ['a plain move', PLAIN_TO],
  ['DONTUNMAP', MOVE_TO],
] as const) {
  conformance(
    `${name} of several mappings keeps data and gaps (6.17), or is a fault (before)`,
    async (it) => {
      using place = Reservation.reserve(kernel, SPAN * PAGE);
      using target = Reservation.reserve(kernel, SPAN * PAGE);
      const from = parts(place.address);
      const result = mremap(place.address, SPAN * PAGE, SPAN * PAGE, flags, target.address);
      if (result >= 0) {
        expect(result).toBe(target.address);
        // What a gap meets at the destination stays there, or goes: nothing of the source may be in it.
        expect(contentAt(target.address).map((value) => value ?? 0)).toEqual(CONTENT);
        if (flags === MOVE_TO)
          for (const region of from) expect(region.values()).toEqual(times(region.bytes / PAGE, 0));
        await it.saw('a move with its gaps');
      } else {
        expect(answer(result)).toBe('EFAULT');
        expect(contentAt(place.address)).toEqual(GAPS);
        await it.saw('EFAULT');
      }
    },
  );
}

conformance('several mappings move to a fixed place only, and not from a hole on', () => {
  using place = Reservation.reserve(kernel, SPAN * PAGE);
  using target = Reservation.reserve(kernel, SPAN * PAGE);
  parts(place.address);
  const attempt = (newPages: number, flags: number): number =>
    kernel.mremap(place.address, SPAN * PAGE, newPages * PAGE, flags, 0);
  expect(answer(attempt(SPAN, MREMAP_MAYMOVE | MREMAP_DONTUNMAP))).toBe('EFAULT');
  expect(answer(attempt(SPAN + 1, MREMAP_MAYMOVE))).toBe('EFAULT');
  // The same size at no particular place: there is nothing to do, and nothing is looked at.
  expect(attempt(SPAN, MREMAP_MAYMOVE)).toBe(place.address);
  const hole = place.address + PAGE;
  expect(answer(kernel.mremap(hole, 3 * PAGE, 3 * PAGE, PLAIN_TO, target.address))).toBe('EFAULT');
  expect(contentAt(place.address)).toEqual(GAPS);
});

conformance(
  'mappings watched by a userfaultfd move one at a time, never several',
  { requires: userfaultfd },
  () => {
    using place = Reservation.reserve(kernel, SPAN * PAGE);
    using target = Reservation.reserve(kernel, SPAN * PAGE);
    using uffd = Userfaultfd.open(kernel);
    const from = parts(place.address);
    for (const { address, bytes } of from) uffd.register(address, bytes, UFFDIO_REGISTER_MODE_MISSING);
    const span = SPAN * PAGE;
    expect(answer(kernel.mremap(place.address, span, span, PLAIN_TO, target.address))).toBe('EFAULT');
    expect(contentAt(place.address)).toEqual(GAPS);
    expect(
      mappingsIn(target.address, target.address + span).every(({ permissions }) => permissions[0] === '-'),
    ).toBe(true);
    const second = from[1]!;
    expect(mremap(second.address, second.bytes, second.bytes, PLAIN_TO, target.address)).toBe(target.address);
    expect(pageValues(target.address, 2)).toEqual([2, 2]);
  },
);

conformance(
  'a watched mapping behind others: those before it move, then the call fails',
  { requires: userfaultfd },
  async (it) => {
    using place = Reservation.reserve(kernel, SPAN * PAGE);
    using target = Reservation.reserve(kernel, SPAN * PAGE);
    using uffd = Userfaultfd.open(kernel);
    const from = parts(place.address);
    uffd.register(from[2]!.address, from[2]!.bytes, UFFDIO_REGISTER_MODE_MISSING);
    const span = SPAN * PAGE;
    expect(answer(kernel.mremap(place.address, span, span, PLAIN_TO, target.address))).toBe('EFAULT');
    if (contentAt(target.address)[0] === 1) {
      expect(contentAt(target.address).map((value) => value ?? 0)).toEqual([1, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0]);
      expect(contentAt(place.address).map((value) => value ?? 0)).toEqual([0, 0, 0, 0, 0, 3, 0, 4, 4, 0, 5]);
      await it.saw('a move that stopped half-way (6.17 and later)');
    } else {
      expect(contentAt(place.address)).toEqual(GAPS);
      await it.saw('no move at all (before 6.17)');
    }
  },
);

conformance('a length that is too long ignores holes and takes the neighbours along (6.17)', async (it) => {
  using place = Reservation.reserve(kernel, 16 * PAGE);
  using target = Reservation.reserve(kernel, 16 * PAGE);
  using all = anonymous(12, { at: place.address }).fill(A);
  // Four pages meant, a hole of four, four of somebody else, a hole of four.
  expect(kernel.munmap(all.page(4), 4 * PAGE)).toBe(0);
  fill(all.page(8), 4 * PAGE, 88);
  expect(kernel.munmap(all.page(12), 4 * PAGE)).toBe(0);
  const short = mremap(place.address, 8 * PAGE, 8 * PAGE, PLAIN_TO, target.address);
  if (short < 0) {
    expect(answer(short)).toBe('EFAULT');
    expect(pageValues(all.address, 4)).toEqual(times(4, A));
    await it.saw('EFAULT for a length beyond the mapping (before 6.17)');
    return;
  }
  expect(pageValues(target.address, 4)).toEqual(times(4, A));
  expect(pageValues(all.page(8), 4)).toEqual(times(4, 88));
  // Back, and once more with a length that reaches the neighbour.
  expect(mremap(target.address, 4 * PAGE, 4 * PAGE, PLAIN_TO, place.address)).toBe(place.address);
  expect(kernel.munmap(all.page(4), 4 * PAGE)).toBe(0);
  expect(mremap(place.address, 16 * PAGE, 16 * PAGE, PLAIN_TO, target.address)).toBe(target.address);
  expect(pageValues(target.address, 4)).toEqual(times(4, A));
  expect(pageValues(target.address + 8 * PAGE, 4)).toEqual(times(4, 88));
  expect(mappingAt(all.page(8))?.permissions).not.toBe('rw-p');
  await it.saw('neighbours that move along');
});

/** Distances from an address that is aligned to 1 GiB. */
const ALIGNMENTS: readonly (readonly [string, number])[] = [
  ['page', PAGE],
  ['1 MiB', MIB],
  ['PMD', 2 * MIB],
  ['PUD', 0],
];

/** Marks the first and last pages, the middle, and both sides of each 2 MiB and 1 GiB boundary that a few of them cover. */
function marks(address: number, bytes: number): Map<number, number> {
  const offsets = [0, PAGE, bytes / 2 - PAGE, bytes / 2, bytes - 2 * PAGE, bytes - PAGE];
  for (const step of [2 * MIB, GIB]) {
    const boundary = step - (address % step);
    offsets.push(boundary - PAGE, boundary);
  }
  const inside = offsets.filter((offset) => offset >= 0 && offset < bytes);
  return new Map(inside.map((offset, index) => [offset, index + 1]));
}

for (const [what, bytes] of [
  ['2 MiB', 2 * MIB],
  ['4 MiB', 4 * MIB],
  ['2 GiB', 2 * GIB],
] as const) {
  for (const kind of ['anonymous memory', 'a memory file'] as const) {
    conformance(`${what} of ${kind} keep their content between any two alignments`, () => {
      const wrong: string[] = [];
      for (const [fromName, fromOffset] of ALIGNMENTS) {
        for (const [toName, toOffset] of ALIGNMENTS) {
          for (const flags of [PLAIN_TO, MOVE_TO]) {
            using place = Reservation.reserve(kernel, bytes, { alignBytes: GIB, congruentTo: fromOffset });
            using target = Reservation.reserve(kernel, bytes, { alignBytes: GIB, congruentTo: toOffset });
            using file = memfd(kind === 'a memory file' ? bytes / PAGE : 1);
            const at = place.address;
            if (kind === 'a memory file') fileBacked(file, bytes / PAGE, { at }).forget();
            // Sparse, so nothing is charged for the whole.
            else anonymous(bytes / PAGE, { at, noReserve: true }).forget();
            const expected = marks(at, bytes);
            for (const [offset, value] of expected) fill(at + offset, PAGE, value);
            const result = mremap(at, bytes, bytes, flags, target.address);
            const found = [...expected].map(([offset]) => pageValues(target.address + offset, 1)[0]);
            const isRight = result === target.address && found.join() === [...expected.values()].join();
            if (!isRight)
              wrong.push(`${fromName} to ${toName}, flags ${flags}: ${found} (${answer(result)})`);
          }
        }
      }
      expect(wrong).toEqual([]);
    });
  }
}

/** Writes words that differ everywhere. */
function scatter(address: number, bytes: number): void {
  const words = new Uint32Array(viewOf(address, bytes));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
}

/** The offset of the first word that {@link scatter} did not write, except in `skip`; -1 if there is none. */
function firstCorrupted(address: number, bytes: number, skip: readonly [number, number]): number {
  const words = new Uint32Array(viewOf(address, bytes));
  for (let i = 0; i < words.length; i++) {
    if (i * 4 === skip[0]) i = skip[1] / 4;
    if (i < words.length && words[i] !== Math.imul(i + 1, 0x9e3779b1) >>> 0) return i * 4;
  }
  return -1;
}

conformance('a move inside a mapping leaves the neighbours of both places alone', () => {
  const bytes = 20 * MIB;
  using place = Reservation.reserve(kernel, bytes, { alignBytes: 2 * MIB });
  using all = anonymous(bytes / PAGE, { at: place.address });
  expect(kernel.madvise(all.address, bytes, MADV_POPULATE_WRITE)).toBe(0);
  for (const [from, to] of [
    [6 * MIB, 13 * MIB],
    [7 * MIB, 13 * MIB],
    [6 * MIB + 256 * KIB, 12 * MIB + 256 * KIB],
    [19 * MIB, 9 * MIB],
  ] as const) {
    scatter(all.address, bytes);
    const source = viewOf(all.address + from, MIB).slice(0);
    // A hole is left at the source: the neighbours on its two sides are checked apart from the destination.
    const result = mremap(all.address + from, MIB, MIB, PLAIN_TO, all.address + to);
    expect(result).toBe(all.address + to);
    expect(Buffer.compare(Buffer.from(viewOf(all.address + to, MIB)), Buffer.from(source))).toBe(0);
    anonymous(MIB / PAGE, { at: all.address + from }).forget();
    const words = new Uint8Array(viewOf(all.address + from, MIB));
    words.set(new Uint8Array(source));
    expect(firstCorrupted(all.address, bytes, [to, to + MIB])).toBe(-1);
  }
});

conformance('a move that could start lower, at a 2 MiB boundary, takes nothing that is there', () => {
  // Nothing is mapped below the source and the destination in their 2 MiB: the kernel may round both down.
  const inset = 256 * KIB;
  const open = (): number => {
    const place = Reservation.reserve(kernel, 4 * MIB, { alignBytes: 2 * MIB });
    // The first part is given back for good, so this reservation is never closed as a whole.
    kernel.munmap(place.address, inset);
    return place.address + inset;
  };
  const bytes = 4 * MIB - inset;
  const place = open();
  const target = open();
  using source = anonymous(bytes / PAGE, { at: place });
  using other = anonymous(bytes / PAGE, { at: target });
  scatter(source.address, bytes);
  scatter(other.address, bytes);
  expect(mremap(source.address, MIB, MIB, PLAIN_TO, other.address)).toBe(other.address);
  // The same words at the same offsets: all of the destination, and the source from behind the hole on.
  expect(firstCorrupted(other.address, bytes, [-1, -1])).toBe(-1);
  anonymous(MIB / PAGE, { at: source.address }).forget();
  expect(firstCorrupted(source.address, bytes, [0, MIB])).toBe(-1);
  expect(new Uint8Array(viewOf(source.address, MIB)).every((byte) => byte === 0)).toBe(true);
});
