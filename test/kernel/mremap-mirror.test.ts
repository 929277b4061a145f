// mremap with an old size of 0: a second mapping of the same shared memory, also without a descriptor.
//
// Behaviours: the manual page, the kernel's selftest mm/mremap_test.c, and the discussion of the proposed MREMAP_MIRROR flag
// (2017), whose remark was that nothing is mirrored: the object is shared, the page tables are not.
import { expect } from 'vitest';
import {
  FaultReader,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  Reservation,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  Userfaultfd,
  VM_FLAG_UFFD_MINOR,
  VM_FLAG_UFFD_MISSING,
} from '#src/uffd/index.js';
import { conformance } from './support/conformance.ts';
import {
  adopt,
  anonymous,
  answer,
  fileBacked,
  fill,
  kernel,
  memfd,
  mremap,
  PAGE,
  pageValues,
  times,
} from './support/memory.ts';
import { mappingAt } from './support/proc.ts';
import { userfaultfd } from './support/requirements.ts';
import { residentBytes } from './support/resident.ts';

const A = 97;
const X = 88;

conformance('a memory file: the mirror shares the pages, not the page tables', () => {
  using file = memfd(4);
  using original = fileBacked(file, 4).fill(A);
  using mirror = adopt(mremap(original.address, 0, 4 * PAGE, MREMAP_MAYMOVE), 4 * PAGE);
  expect(residentBytes(original)).toBe(4 * PAGE);
  expect(residentBytes(mirror)).toBe(0);
  expect(mirror.values()).toEqual(times(4, A));
  fill(mirror.page(1), PAGE, X);
  fill(original.page(2), PAGE, X + 1);
  expect(original.values()).toEqual([A, X, X + 1, A]);
  expect(mirror.values()).toEqual([A, X, X + 1, A]);
  expect(file.allocatedBytes()).toBe(4 * PAGE);
});

conformance('a fault in one does not map the page in the other', () => {
  using file = memfd(64);
  using original = fileBacked(file, 64);
  using mirror = adopt(mremap(original.address, 0, original.bytes, MREMAP_MAYMOVE), original.bytes);
  fill(mirror.page(5), PAGE, A);
  expect(residentBytes(mirror)).toBeGreaterThanOrEqual(PAGE);
  expect(residentBytes(original)).toBe(0);
  expect(pageValues(original.page(5), 1)).toEqual([A]);
});

conformance('a mirror may start inside a mapping, and lie at a place of the caller', () => {
  using place = Reservation.reserve(kernel, 2 * PAGE);
  using file = memfd(4);
  using original = fileBacked(file, 4);
  for (let page = 0; page < 4; page++) fill(original.page(page), PAGE, page + 1);
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  expect(mremap(original.page(2), 0, 2 * PAGE, flags, place.address)).toBe(place.address);
  expect(pageValues(place.address, 2)).toEqual([3, 4]);
  expect(mappingAt(place.address)?.offset).toBe(2 * PAGE);
});

conformance('a shared anonymous mapping has a mirror: the one use without a descriptor', () => {
  using original = anonymous(3, { shared: true }).fill(A);
  using mirror = adopt(mremap(original.address, 0, 3 * PAGE, MREMAP_MAYMOVE), 3 * PAGE);
  expect(mirror.values()).toEqual(times(3, A));
  fill(mirror.page(1), PAGE, X);
  expect(original.values()).toEqual([A, X, A]);
});

conformance('private memory has none, anonymous or of a file', () => {
  using file = memfd(2);
  using memory = anonymous(2).fill(A);
  using copy = fileBacked(file, 2, { shared: false });
  fill(copy.address, PAGE, X);
  for (const { address } of [memory, copy]) {
    expect(answer(mremap(address, 0, 2 * PAGE, MREMAP_MAYMOVE))).toBe('EINVAL');
  }
  expect(memory.values()).toEqual([A, A]);
  expect(copy.values()).toEqual([X, 0]);
});

conformance('a mirror needs MAYMOVE, and is not what DONTUNMAP makes', () => {
  using file = memfd(2);
  using original = fileBacked(file, 2).fill(A);
  expect(answer(mremap(original.address, 0, 2 * PAGE, 0))).toBe('ENOMEM');
  const flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
  expect(answer(mremap(original.address, 0, 2 * PAGE, flags))).toBe('EINVAL');
  expect(original.values()).toEqual([A, A]);
});

conformance(
  'a userfaultfd keeps watching the original, and does not watch the mirror',
  { requires: userfaultfd },
  () => {
    using file = memfd(2);
    using original = fileBacked(file, 2);
    using uffd = Userfaultfd.open(kernel);
    uffd.register(original.address, original.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    using mirror = adopt(mremap(original.address, 0, original.bytes, MREMAP_MAYMOVE), original.bytes);
    const watched = (address: number): boolean[] =>
      [VM_FLAG_UFFD_MISSING, VM_FLAG_UFFD_MINOR].map((flag) => mappingAt(address)!.flags.has(flag));
    expect(watched(original.address)).toEqual([true, true]);
    expect(watched(mirror.address)).toEqual([false, false]);
    // Would block for ever if it were watched: looked at only after the flags say so.
    expect(mirror.values()).toEqual([0, 0]);
    expect(new FaultReader(kernel, uffd.fd).read()).toBe(0);
  },
);
