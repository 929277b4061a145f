// MREMAP_DONTUNMAP: what is at the new place afterwards, what is at the old one, and what it counts as.
//
//   private anonymous memory   support probe, whole and partial moves, destinations in use
//   files                      private with copied pages, shared
//   fork                       pages copied on write and pages inherited
//   accounting                 resident size, address space, commit charge
//
// Behaviours: the kernel's selftest mm/mremap_dontunmap.c; the discussions of the patch series of Brian Geffon (2020: anonymous
// memory, 2021: shared memory) and Daniel Micay's copy-on-write program for the earlier MREMAP_RETAIN.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  MADV_POPULATE_WRITE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  Reservation,
  SYS_MREMAP,
  SYS_PREAD64,
  SYS_PWRITE64,
  VM_FLAG_ACCOUNT,
} from '#src/uffd/index.js';
import { conformance } from './support/conformance.ts';
import {
  adopt,
  anonymous,
  bytesAt,
  fileBacked,
  fill,
  kernel,
  MIB,
  memfd,
  mremap,
  PAGE,
  pageValues,
  times,
} from './support/memory.ts';
import { runForked } from './support/native.ts';
import { mappingAt, mappingsIn, meminfoBytes, statusBytes } from './support/proc.ts';
import { executableMemory } from './support/requirements.ts';
import { residentBytes } from './support/resident.ts';

const MOVE = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
const MOVE_TO = MOVE | MREMAP_FIXED;
const A = 97;
const X = 88;

conformance('a page without access can be moved: the probe for the flag', () => {
  using old = anonymous(1, { prot: PROT_NONE });
  using fresh = adopt(mremap(old.address, PAGE, PAGE, MOVE), PAGE);
  expect(mappingAt(fresh.address)?.permissions).toBe('---p');
  expect(mappingAt(old.address)?.permissions).toBe('---p');
});

conformance('private anonymous memory: all pages move, the old place stays and faults in zeroes', () => {
  using old = anonymous(5).fill(A);
  using fresh = adopt(mremap(old.address, 5 * PAGE, 5 * PAGE, MOVE), 5 * PAGE);
  expect(residentBytes(old)).toBe(0);
  expect(fresh.values()).toEqual(times(5, A));
  expect(old.values()).toEqual(times(5, 0));
  // Two memories now.
  old.fill(X);
  expect(fresh.values()).toEqual(times(5, A));
});

conformance('a memory file: both places show the same pages, and nothing is missing at the old one', () => {
  const file = memfd(5);
  using old = fileBacked(file, 5).fill(A);
  file.close();
  using fresh = adopt(mremap(old.address, 5 * PAGE, 5 * PAGE, MOVE), 5 * PAGE);
  expect(residentBytes(old)).toBe(0);
  expect(residentBytes(fresh)).toBe(5 * PAGE);
  expect(fresh.values()).toEqual(times(5, A));
  expect(old.values()).toEqual(times(5, A));
  fill(old.page(3), PAGE, X);
  expect(fresh.values()).toEqual([A, A, A, X, A]);
});

conformance('a shared anonymous mapping behaves as a memory file', () => {
  using old = anonymous(3, { shared: true }).fill(A);
  using fresh = adopt(mremap(old.address, 3 * PAGE, 3 * PAGE, MOVE), 3 * PAGE);
  fill(fresh.page(1), PAGE, X);
  expect(old.values()).toEqual([A, X, A]);
});

conformance('FIXED: the destination is replaced and returned', () => {
  using place = Reservation.reserve(kernel, 5 * PAGE);
  using old = anonymous(5).fill(A);
  using fresh = anonymous(5, { at: place.address }).fill(X);
  expect(mremap(old.address, 5 * PAGE, 5 * PAGE, MOVE_TO, fresh.address)).toBe(fresh.address);
  expect(fresh.values()).toEqual(times(5, A));
  expect(old.values()).toEqual(times(5, 0));
});

conformance('a part of a mapping: the other pages stay where they are', () => {
  using old = anonymous(10).fill(A);
  using fresh = adopt(mremap(old.page(5), 5 * PAGE, 5 * PAGE, MOVE), 5 * PAGE);
  expect(fresh.values()).toEqual(times(5, A));
  expect(old.values()).toEqual([...times(5, A), ...times(5, 0)]);
});

conformance('FIXED onto a part of a mapping: the rest of that mapping keeps its pages', () => {
  using place = Reservation.reserve(kernel, 10 * PAGE);
  using old = anonymous(5).fill(A);
  using fresh = anonymous(10, { at: place.address }).fill(X);
  expect(mremap(old.address, 5 * PAGE, 5 * PAGE, MOVE_TO, fresh.address)).toBe(fresh.address);
  expect(fresh.values()).toEqual([...times(5, A), ...times(5, X)]);
  expect(old.values()).toEqual(times(5, 0));
});

conformance('scattered pages can be gathered next to each other', () => {
  using place = Reservation.reserve(kernel, 3 * PAGE);
  using old = anonymous(7);
  for (let page = 0; page < 7; page++) fill(old.page(page), PAGE, page + 1);
  for (const [index, page] of [1, 3, 5].entries()) {
    const to = place.address + index * PAGE;
    expect(mremap(old.page(page), PAGE, PAGE, MOVE_TO, to)).toBe(to);
  }
  expect(pageValues(place.address, 3)).toEqual([2, 4, 6]);
  expect(old.values()).toEqual([1, 0, 3, 0, 5, 0, 7]);
  // What merges depends on where the pages were faulted in first: at most a mapping for each call.
  expect(mappingsIn(place.address, place.address + 3 * PAGE).length).toBeLessThanOrEqual(3);
});

conformance('a private file mapping: copied pages move, the old place reads the file again', () => {
  using file = memfd(3);
  using shared = fileBacked(file, 3).fill(A);
  using old = fileBacked(file, 3, { shared: false });
  fill(old.page(0), PAGE, X);
  expect(old.values()).toEqual([X, A, A]);
  using fresh = adopt(mremap(old.address, 3 * PAGE, 3 * PAGE, MOVE), 3 * PAGE);
  expect(fresh.values()).toEqual([X, A, A]);
  expect(old.values()).toEqual([A, A, A]);
  // Still private both, and still the same file below: a page that was copied does not follow it, the others do.
  shared.fill(66);
  expect(fresh.values()).toEqual([X, 66, 66]);
  expect(old.values()).toEqual([66, 66, 66]);
});

conformance('a regular file: private copies move away from it, shared pages stay in it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  const path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(2 * PAGE, A));
  const fd = openSync(path, 'r+');
  try {
    using copy = fileBacked({ fd }, 2, { shared: false });
    using shared = fileBacked({ fd }, 2);
    fill(copy.page(0), PAGE, X);
    fill(shared.page(1), PAGE, 66);
    using freshCopy = adopt(mremap(copy.address, copy.bytes, copy.bytes, MOVE), copy.bytes);
    using freshShared = adopt(mremap(shared.address, shared.bytes, shared.bytes, MOVE), shared.bytes);
    expect(freshCopy.values()).toEqual([X, 66]);
    expect(copy.values()).toEqual([A, 66]);
    expect(freshShared.values()).toEqual([A, 66]);
    expect(shared.values()).toEqual([A, 66]);
    fill(freshShared.page(0), PAGE, 67);
    expect(shared.values()).toEqual([67, 66]);
    expect(copy.values()).toEqual([67, 66]);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});

conformance(
  'after fork: pages copied on write and inherited ones move alike, the parent keeps its own',
  { requires: executableMemory },
  () => {
    using place = Reservation.reserve(kernel, 4 * PAGE);
    using old = anonymous(4).fill(A);
    // What the child writes, and what it found: memory files, because only system calls work there.
    using input = memfd(1);
    using pattern = fileBacked(input, 1).fill(X);
    using output = memfd(8);
    using found = fileBacked(output, 8).fill(1);
    const status = runForked([
      [SYS_PREAD64, input.fd, old.page(1), 1024, 0],
      [SYS_MREMAP, old.address, old.bytes, old.bytes, MOVE_TO, place.address],
      [SYS_PWRITE64, output.fd, place.address, old.bytes, 0],
      [SYS_PWRITE64, output.fd, old.address, old.bytes, old.bytes],
      // Not even what it writes later reaches the parent.
      [SYS_PREAD64, input.fd, old.page(2), PAGE, 0],
      [SYS_PREAD64, input.fd, place.address, PAGE, 0],
    ]);
    expect(status).toBe(0);
    expect(found.values()).toEqual([A, -1, A, A, 0, 0, 0, 0]);
    const copied = bytesAt(found.page(1), PAGE);
    expect(copied.subarray(0, 1024).every((byte) => byte === X)).toBe(true);
    expect(copied.subarray(1024).every((byte) => byte === A)).toBe(true);
    expect(old.values()).toEqual(times(4, A));
    expect(mappingAt(place.address)?.permissions).toBe('---p');
    expect(pattern.values()).toEqual([X]);
  },
);

conformance('resident pages count once, address space twice', () => {
  const bytes = 64 * MIB;
  // The engine's own memory moves by a few MiB meanwhile, and by a thread's arena now and then: such an attempt is repeated.
  const isNear = (found: number, expected: number): boolean => Math.abs(found - expected) < bytes / 4;
  const attempts: string[] = [];
  let agrees = false;
  while (!agrees && attempts.length < 5) {
    using old = anonymous(bytes / PAGE);
    expect(kernel.madvise(old.address, bytes, MADV_POPULATE_WRITE)).toBe(0);
    const before = { rss: statusBytes('VmRSS'), size: statusBytes('VmSize') };
    using fresh = adopt(mremap(old.address, bytes, bytes, MOVE), bytes);
    const after = { rss: statusBytes('VmRSS'), size: statusBytes('VmSize') };
    expect(residentBytes(old)).toBe(0);
    expect(residentBytes(fresh)).toBe(bytes);
    const grown = { rss: after.rss - before.rss, size: after.size - before.size };
    agrees = isNear(grown.rss, 0) && isNear(grown.size, bytes);
    attempts.push(`${grown.rss / MIB} MiB resident, ${grown.size / MIB} MiB of addresses`);
  }
  expect(agrees, attempts.join('; ')).toBe(true);
});

conformance('private memory is charged to the commit limit twice, until both are unmapped', async (it) => {
  const bytes = 64 * MIB;
  const charge = (): number => meminfoBytes('Committed_AS');
  const isCharged = (): boolean => {
    using old = anonymous(1);
    using fresh = adopt(mremap(old.address, PAGE, PAGE, MOVE), PAGE);
    return [old, fresh].every((region) => mappingAt(region.address)?.flags.has(VM_FLAG_ACCOUNT));
  };
  if (!isCharged()) it.skip('this kernel does not charge private memory (vm.overcommit_memory=1)');
  // The figure is of the whole machine: other processes come and go, so an attempt that they disturb is repeated. It lasts for as
  // short a time as can be: nothing slow may come between the first figure and the last.
  const attempts: string[] = [];
  for (let attempt = 0; attempt < 50; attempt++) {
    const start = charge();
    const old = anonymous(bytes / PAGE);
    const mapped = charge();
    const fresh = adopt(mremap(old.address, bytes, bytes, MOVE), bytes);
    const moved = charge();
    old[Symbol.dispose]();
    fresh[Symbol.dispose]();
    const end = charge();
    const deltas = [mapped - start, moved - mapped, end - start].map((delta) => delta / MIB);
    attempts.push(deltas.join(' '));
    if (attempts.at(-1) === '64 64 0') break;
    await new Promise((resolve) => setTimeout(resolve, attempt * 2));
  }
  expect(attempts).toContain('64 64 0');
});

conformance('memory files are charged by the file: a second mapping costs nothing', () => {
  using file = memfd(4);
  using old = fileBacked(file, 4).fill(A);
  using fresh = adopt(mremap(old.address, 4 * PAGE, 4 * PAGE, MOVE), 4 * PAGE);
  expect(mappingAt(old.address)?.flags.has(VM_FLAG_ACCOUNT)).toBe(false);
  expect(mappingAt(fresh.address)?.flags.has(VM_FLAG_ACCOUNT)).toBe(false);
  expect(file.allocatedBytes()).toBe(4 * PAGE);
  expect([...bytesAt(fresh.address, 2)]).toEqual([A, A]);
});
