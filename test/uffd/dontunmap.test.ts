import { expect, test } from 'vitest';
import {
  createLibcKernel,
  EFAULT,
  EINVAL,
  Memfd,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  Reservation,
} from '#src/uffd/index.js';
import { createArena } from '../support/arena.mjs';
import { isMapped } from '../support/resources.ts';

// What the flip of the collector rests on.
const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const BYTES = 16 * PAGE;
const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

test('on shared memory, moving the page tables away leaves the old address with the same pages: a second file is needed', () => {
  const arena = createArena(4);
  const heap = arena.address;
  const from = arena.address + BYTES;
  const a = Memfd.create(kernel, 'a', BYTES);
  const b = Memfd.create(kernel, 'b', BYTES);
  a.map(heap, BYTES);
  arena.words[0] = 1;
  expect(kernel.mremap(heap, BYTES, BYTES, MOVE, from)).toBe(from);
  expect(arena.words[BYTES / 4]).toBe(1);
  // Not missing at all: the page cache still backs the old range.
  expect(arena.words[0]).toBe(1);
  b.map(heap, BYTES);
  expect(arena.words[0]).toBe(0);
  expect(arena.words[BYTES / 4]).toBe(1);
  arena.words[0] = 2;
  expect(arena.words[BYTES / 4]).toBe(1);
  a.close();
  b.close();
});

test('the old address stays ours, and the destination may be a reservation', () => {
  const file = Memfd.create(kernel, 'a', BYTES);
  const heap = Reservation.reserve(kernel, BYTES);
  const from = Reservation.reserve(kernel, BYTES);
  file.map(heap.address, BYTES);
  expect(kernel.mremap(heap.address, BYTES, BYTES, MOVE, from.address)).toBe(from.address);
  expect(isMapped(heap.address, BYTES, /^rw-s/)).toBe(true);
  expect(isMapped(from.address, BYTES, /^rw-s/)).toBe(true);
  heap.close();
  from.close();
  file.close();
});

test('what the kernel refuses', () => {
  const place = Reservation.reserve(kernel, BYTES);
  const target = Reservation.reserve(kernel, BYTES);
  const { address } = place;
  const mremap = (length: number, flags: number, to: number): number =>
    kernel.mremap(address, length, BYTES, flags, to);
  expect(mremap(BYTES, MREMAP_DONTUNMAP, 0)).toBe(-EINVAL);
  expect(mremap(BYTES - PAGE, MOVE, target.address)).toBe(-EINVAL);
  expect(mremap(BYTES, MOVE, address)).toBe(-EINVAL);
  expect(mremap(BYTES, MOVE, target.address + 1)).toBe(-EINVAL);
  // Nothing is ever mapped in the second page of the address space.
  expect(kernel.mremap(PAGE, PAGE, PAGE, MOVE, target.address)).toBe(-EFAULT);
  place.close();
  target.close();
});
