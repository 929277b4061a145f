// What mremap refuses, and with which errno.
//
//   flags, sizes, alignment, overlap   every combination that is an error for any kind of memory
//   hints                              a new address without FIXED
//   special mappings                   vdso and vvar, huge pages, sealed mappings
//   limits                             RLIMIT_AS
//
// Behaviours: the kernel's selftests mm/mremap_test.c and mm/mremap_dontunmap.c, the manual page, and the review of the first
// patches ("special mappings must not be duplicated").
import { expect } from 'vitest';
import {
  ENOSYS,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  SYS_MREMAP,
  SYS_MSEAL,
  VM_FLAG_DONTEXPAND,
  VM_FLAG_SEALED,
} from '#src/uffd/index.js';
import { conformance, type Requirement } from './support/conformance.ts';
import {
  adopt,
  anonymous,
  answer,
  fill,
  KIB,
  kernel,
  MIB,
  mremap,
  PAGE,
  pageValues,
  times,
} from './support/memory.ts';
import { mappingAt } from './support/proc.ts';
import { runKernelScenario } from './support/scenario.ts';

const MOVE = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
const MOVE_TO = MOVE | MREMAP_FIXED;
const PLAIN_TO = MREMAP_MAYMOVE | MREMAP_FIXED;
const TASK_SIZE = 2 ** 47 - 4096;
const A = 97;

conformance('DONTUNMAP and FIXED need MAYMOVE, unknown flags are refused', () => {
  using place = Reservation.reserve(kernel, PAGE);
  using old = anonymous(1).fill(A);
  const attempt = (flags: number): string => answer(mremap(old.address, PAGE, PAGE, flags, place.address));
  expect(attempt(MREMAP_DONTUNMAP)).toBe('EINVAL');
  expect(attempt(MREMAP_FIXED)).toBe('EINVAL');
  expect(attempt(MREMAP_DONTUNMAP | MREMAP_FIXED)).toBe('EINVAL');
  expect(attempt(8)).toBe('EINVAL');
  expect(attempt(MREMAP_MAYMOVE | 8)).toBe('EINVAL');
  expect(old.values()).toEqual([A]);
  expect(mappingAt(place.address)?.permissions).toBe('---p');
});

conformance('DONTUNMAP does not resize', () => {
  using place = Reservation.reserve(kernel, 4 * PAGE);
  using old = anonymous(3).fill(A);
  for (const flags of [MOVE, MOVE_TO]) {
    expect(answer(mremap(old.address, 2 * PAGE, 3 * PAGE, flags, place.address))).toBe('EINVAL');
    expect(answer(mremap(old.address, 3 * PAGE, 2 * PAGE, flags, place.address))).toBe('EINVAL');
  }
  expect(old.values()).toEqual(times(3, A));
});

conformance('sizes of DONTUNMAP are compared in pages (6.17), or in bytes (before)', async (it) => {
  using old = anonymous(2).fill(A);
  const result = mremap(old.address, PAGE + 100, PAGE + 50, MOVE);
  if (result >= 0) {
    using fresh = adopt(result, 2 * PAGE);
    expect(fresh.values()).toEqual([A, A]);
    expect(old.values()).toEqual([0, 0]);
    await it.saw('a comparison in pages');
  } else {
    expect(answer(result)).toBe('EINVAL');
    expect(old.values()).toEqual([A, A]);
    await it.saw('a comparison in bytes');
  }
});

conformance('a new address without FIXED is a hint: honoured where free, harmless where not', () => {
  using old = anonymous(2).fill(A);
  using taken = anonymous(2).fill(88);
  using elsewhere = adopt(mremap(old.address, 2 * PAGE, 2 * PAGE, MOVE, taken.address), 2 * PAGE);
  expect(elsewhere.address).not.toBe(taken.address);
  expect(taken.values()).toEqual([88, 88]);
  expect(elsewhere.values()).toEqual([A, A]);
  // A place that was just given back is free, unless another thread was faster: then there is another one.
  const landed: boolean[] = [];
  for (let attempt = 0; attempt < 20 && !landed.includes(true); attempt++) {
    const free = Reservation.reserve(kernel, 64 * MIB);
    const hint = free.address + 32 * MIB;
    free.close();
    using fresh = adopt(mremap(old.address, 2 * PAGE, 2 * PAGE, MOVE, hint), 2 * PAGE);
    landed.push(fresh.address === hint);
  }
  expect(landed).toContain(true);
});

conformance('FIXED: the destination may not overlap the source', () => {
  using place = Reservation.reserve(kernel, 4 * PAGE);
  using old = anonymous(3, { at: place.address }).fill(A);
  for (const flags of [PLAIN_TO, MOVE_TO]) {
    for (const pages of [0, 1, 2]) {
      const result = mremap(old.address, 3 * PAGE, 3 * PAGE, flags, old.page(pages));
      expect(`${flags} +${pages}: ${answer(result)}`).toBe(`${flags} +${pages}: EINVAL`);
      const backwards = mremap(old.page(pages), PAGE, 3 * PAGE, PLAIN_TO, old.address);
      expect(answer(backwards)).toBe('EINVAL');
    }
  }
  expect(old.values()).toEqual(times(3, A));
});

conformance('addresses are page-aligned, also a hint with DONTUNMAP', () => {
  using place = Reservation.reserve(kernel, 2 * PAGE);
  using old = anonymous(2).fill(A);
  expect(answer(mremap(old.address, PAGE, PAGE, PLAIN_TO, place.address + KIB))).toBe('EINVAL');
  expect(answer(mremap(old.address, PAGE, PAGE, MOVE_TO, place.address + KIB))).toBe('EINVAL');
  expect(answer(mremap(old.address, PAGE, PAGE, MOVE, place.address + KIB))).toBe('EINVAL');
  expect(answer(mremap(old.address + KIB, PAGE, PAGE, PLAIN_TO, place.address))).toBe('EINVAL');
  expect(answer(mremap(old.address + KIB, PAGE, PAGE, MOVE, 0))).toBe('EINVAL');
  expect(old.values()).toEqual([A, A]);
});

conformance('a new size of nothing, or of more than an address space, is refused', () => {
  using old = anonymous(1).fill(A);
  expect(answer(mremap(old.address, PAGE, 0, MREMAP_MAYMOVE))).toBe('EINVAL');
  expect(answer(mremap(old.address, PAGE, 0, MOVE))).toBe('EINVAL');
  expect(answer(mremap(old.address, PAGE, 2 ** 48, MREMAP_MAYMOVE))).toBe('EINVAL');
  // All ones: rounded up to pages it is 0.
  expect(answer(kernel.syscall(SYS_MREMAP, old.address, PAGE, -1, MREMAP_MAYMOVE))).toBe('EINVAL');
  expect(answer(mremap(old.address, PAGE, 2 * PAGE, PLAIN_TO, TASK_SIZE - PAGE))).toBe('EINVAL');
  expect(answer(mremap(old.address, PAGE, PAGE, MOVE_TO, TASK_SIZE))).toBe('EINVAL');
  expect(old.values()).toEqual([A]);
});

conformance('an address where nothing is mapped is a fault', () => {
  using place = Reservation.reserve(kernel, PAGE);
  // The second page of the address space: below the lowest address that may be mapped.
  for (const flags of [MREMAP_MAYMOVE, PLAIN_TO, MOVE, MOVE_TO])
    expect(answer(mremap(PAGE, PAGE, PAGE, flags, place.address))).toBe('EFAULT');
  expect(mappingAt(place.address)?.permissions).toBe('---p');
});

conformance('without MAYMOVE there must be room to grow', () => {
  using place = Reservation.reserve(kernel, 2 * PAGE);
  using old = anonymous(1, { at: place.address }).fill(A);
  expect(answer(mremap(old.address, PAGE, 2 * PAGE, 0))).toBe('ENOMEM');
  expect(old.values()).toEqual([A]);
});

interface SpecialMapping {
  name: string;
  flags: string[];
  dontunmap: string;
  mirror: string;
  grow: string;
  alive: boolean;
}

conformance('vdso and vvar are not duplicated, mirrored or grown', async () => {
  const found = await runKernelScenario<SpecialMapping[]>('mremap.mjs', ['special-mappings']);
  expect(found.map(({ name }) => name)).toContain('[vdso]');
  expect(found.map(({ name }) => name)).toContain('[vvar]');
  for (const { name, flags, ...answers } of found) {
    expect(flags).toContain(VM_FLAG_DONTEXPAND);
    expect({ name, ...answers }).toEqual({
      name,
      dontunmap: 'EINVAL',
      mirror: 'EINVAL',
      grow: 'EFAULT',
      alive: true,
    });
  }
});

const HUGE = 2 * MIB;
const hugePages: Requirement = {
  missing() {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    const address = kernel.mmap(0, HUGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address < 0) return `no huge pages are reserved (vm.nr_hugepages): mmap says ${answer(address)}`;
    kernel.munmap(address, HUGE);
    return undefined;
  },
};

conformance('huge pages move, but are not left behind, and do not grow', { requires: hugePages }, () => {
  using place = Reservation.reserve(kernel, 2 * HUGE, { alignBytes: HUGE });
  using target = Reservation.reserve(kernel, 2 * HUGE, { alignBytes: HUGE });
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED;
  expect(kernel.mmap(place.address, HUGE, PROT_READ | PROT_WRITE, flags, -1, 0)).toBe(place.address);
  fill(place.address, PAGE, A);
  expect(answer(mremap(place.address, HUGE, HUGE, MOVE_TO, target.address))).toBe('EINVAL');
  expect(answer(mremap(place.address, HUGE, 2 * HUGE, PLAIN_TO, target.address))).toBe('EINVAL');
  expect(answer(mremap(place.address, HUGE, HUGE, PLAIN_TO, target.address + PAGE))).toBe('EINVAL');
  expect(pageValues(place.address, 1)).toEqual([A]);
  expect(mremap(place.address, HUGE, HUGE, PLAIN_TO, target.address)).toBe(target.address);
  expect(pageValues(target.address, 2)).toEqual([A, 0]);
});

/** Seals a page of a reservation. It can never be unmapped again. */
function sealed(value: number): number | undefined {
  const region = anonymous(1).fill(value);
  const result = kernel.syscall(SYS_MSEAL, region.address, PAGE, 0);
  if (result === -ENOSYS) region[Symbol.dispose]();
  else expect(answer(result)).toBe('ok');
  return result === -ENOSYS ? undefined : region.address;
}

conformance('sealed memory neither moves nor is moved over', (it) => {
  const address = sealed(A);
  if (address === undefined) return it.skip('mseal does not exist (Linux 6.10)');
  using place = Reservation.reserve(kernel, PAGE);
  using other = anonymous(1).fill(88);
  expect(mappingAt(address)?.flags.has(VM_FLAG_SEALED)).toBe(true);
  for (const flags of [PLAIN_TO, MOVE_TO]) {
    expect(answer(mremap(address, PAGE, PAGE, flags, place.address))).toBe('EPERM');
    expect(answer(mremap(other.address, PAGE, PAGE, flags, address))).toBe('EPERM');
  }
  expect(answer(mremap(address, PAGE, PAGE, MOVE))).toBe('EPERM');
  expect(answer(kernel.munmap(address, PAGE))).toBe('EPERM');
  expect(pageValues(address, 1)).toEqual([A]);
  expect(other.values()).toEqual([88]);
});

conformance('RLIMIT_AS: a place left behind counts, unless the new one replaces as much', async () => {
  expect(await runKernelScenario('mremap.mjs', ['address-space-limit'])).toEqual({
    dontunmap: 'ENOMEM',
    plain: 'ok',
    dontunmapOverReservation: 'ok',
    value: A,
  });
});
