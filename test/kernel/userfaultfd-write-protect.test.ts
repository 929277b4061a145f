// userfaultfd: write-protection. Origin: "userfaultfd-unit-tests" means uffd-unit-tests.c of the kernel's selftests (mm),
// "uffd-wp-mremap" the file of that name there; the others are this project's own.
//
//   protect, store, lift                                                     userfaultfd-unit-tests (wp)
//   DONTWAKE; wrong arguments                                                own
//   pages that are not there: WP_UNPOPULATED, holes of shared memory         userfaultfd-unit-tests (wp-unpopulated)
//   a protected mapping that moves, with and without EVENT_REMAP             uffd-wp-mremap
//   what protection survives, and what goes around it                        own
//   installing protected pages: COPY and CONTINUE with MODE_WP               userfaultfd-unit-tests (wp), own
import { closeSync, openSync, readSync } from 'node:fs';
import { describe, expect } from 'vitest';
import {
  EAGAIN,
  EINVAL,
  ENOENT,
  MADV_DONTNEED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  SYS_MREMAP,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
  UFFDIO_MODE_WP,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_DONTWAKE,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '#src/uffd/index.js';
import { useActors } from './support/actors.ts';
import { conformance } from './support/conformance.ts';
import { kernel, PAGE } from './support/memory.ts';
import { feature, userfaultfd } from './support/requirements.ts';
import { type Area, mapAnonymous, privateArea, reserved, sharedArea } from './support/scratch.ts';
import { source, Watcher } from './support/watcher.ts';

const WP = UFFDIO_REGISTER_MODE_WP;
const PROTECT = UFFDIO_WRITEPROTECT_MODE_WP;
const WP_STORE = UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP;
const UFFD_WP_BIT = 57n;

const NEEDED = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
const protecting = {
  requires: [userfaultfd, feature(NEEDED, 'write-protection of private and shared memory')],
};
const actors = useActors(1);

/** For each page whether its page-table entry, or the marker in its place, says protected: bit 57 of /proc/self/pagemap. */
function protectedPages(address: number, pages: number): boolean[] {
  const entries = new BigUint64Array(pages);
  const fd = openSync('/proc/self/pagemap', 'r');
  const bytes = readSync(fd, entries, 0, entries.byteLength, (address / PAGE) * 8);
  closeSync(fd);
  expect(bytes).toBe(entries.byteLength);
  return Array.from(entries, (entry) => ((entry >> UFFD_WP_BIT) & 1n) === 1n);
}

/** The cases that hold for both kinds of memory. */
function onBothKinds(name: string, body: (area: Area, kind: 'private' | 'shared') => void): void {
  conformance(`private memory: ${name}`, protecting, () => {
    using area = privateArea(4);
    body(area, 'private');
  });
  conformance(`shared memory: ${name}`, protecting, () => {
    using file = sharedArea(4);
    body(file.window, 'shared');
  });
}

function watch(area: Area, mode: number, features: bigint = 0n): Watcher {
  const watcher = Watcher.open(features);
  expect(watcher.register(area.address, area.bytes, mode)).toBeGreaterThan(0);
  return watcher;
}

describe('protected pages', () => {
  onBothKinds('a store is reported and waits until the protection is lifted; a read is not', (area) => {
    area.fill(10);
    using watcher = watch(area, WP);
    expect(watcher.uffd.writeProtect(area.address, 2 * PAGE, PROTECT)).toBe(0);
    expect(protectedPages(area.address, 4)).toEqual([true, true, false, false]);
    expect(actors[0]!.load(area.address).result()).toBe(10);
    expect(actors[0]!.store(area.page(2), 5).result()).toBe(5);
    expect(watcher.read()).toBe(-EAGAIN);
    const written = actors[0]!.store(area.page(1), 6);
    expect(watcher.takeFault()).toMatchObject({ flags: WP_STORE, address: area.page(1) });
    expect(written.isBlocked()).toBe(true);
    expect(area.get(1)).toBe(11);
    expect(watcher.uffd.writeProtect(area.page(1), PAGE, 0)).toBe(0);
    expect(written.result()).toBe(6);
    expect(area.get(1)).toBe(6);
    expect(protectedPages(area.address, 2)).toEqual([true, false]);
  });

  onBothKinds('lifted with DONTWAKE, the thread sleeps until WAKE', (area) => {
    area.fill(10);
    using watcher = watch(area, WP);
    expect(watcher.uffd.writeProtect(area.address, PAGE, PROTECT)).toBe(0);
    const written = actors[0]!.store(area.address, 6);
    watcher.takeFault();
    expect(watcher.uffd.writeProtect(area.address, PAGE, UFFDIO_WRITEPROTECT_MODE_DONTWAKE)).toBe(0);
    expect(written.isBlocked()).toBe(true);
    expect(watcher.uffd.wake(area.address, PAGE)).toBe(0);
    expect(written.result()).toBe(6);
  });

  onBothKinds(
    'DONTWAKE while protecting, an unknown mode, unaligned: EINVAL; not registered for it: ENOENT',
    (area) => {
      using watcher = watch(area, WP);
      const { uffd } = watcher;
      expect(uffd.writeProtect(area.address, PAGE, PROTECT | UFFDIO_WRITEPROTECT_MODE_DONTWAKE)).toBe(
        -EINVAL,
      );
      expect(uffd.writeProtect(area.address, PAGE, 4)).toBe(-EINVAL);
      expect(uffd.writeProtect(area.address + 8, PAGE, PROTECT)).toBe(-EINVAL);
      expect(uffd.writeProtect(area.address, 0, PROTECT)).toBe(-EINVAL);
      using other = privateArea(1);
      expect(uffd.writeProtect(other.address, PAGE, PROTECT)).toBe(-ENOENT);
      expect(watcher.register(area.address, area.bytes, UFFDIO_REGISTER_MODE_MISSING)).toBeGreaterThan(0);
      expect(uffd.writeProtect(area.address, PAGE, PROTECT)).toBe(-ENOENT);
    },
  );

  onBothKinds('close lifts the protection and lets the thread go', (area) => {
    area.fill(10);
    using watcher = watch(area, WP);
    expect(watcher.uffd.writeProtect(area.address, area.bytes, PROTECT)).toBe(0);
    const written = actors[0]!.store(area.address, 6);
    watcher.takeFault();
    watcher.close();
    expect(written.result()).toBe(6);
    expect(protectedPages(area.address, 4)).toEqual([false, false, false, false]);
  });

  // The kernel (seen on 6.18) wakes the waiting threads only where the registration contains MISSING.
  conformance(
    'UNREGISTER lifts the protection, but WAKE is what surely lets the thread go',
    protecting,
    async (it) => {
      using area = privateArea(4);
      area.fill(10);
      using watcher = watch(area, WP);
      expect(watcher.uffd.writeProtect(area.address, area.bytes, PROTECT)).toBe(0);
      const written = actors[0]!.store(area.address, 6);
      watcher.takeFault();
      expect(watcher.uffd.unregister(area.address, area.bytes)).toBe(0);
      expect(protectedPages(area.address, 4)).toEqual([false, false, false, false]);
      await it.saw(written.isBlocked() ? 'the thread still asleep' : 'the thread awake');
      expect(watcher.uffd.wake(area.address, area.bytes)).toBe(0);
      expect(written.result()).toBe(6);
    },
  );
});

describe('pages that are not there', () => {
  for (const unpopulated of [false, true]) {
    const name = `private memory is ${unpopulated ? 'protected with' : 'not protected without'} WP_UNPOPULATED`;
    const requires = [...protecting.requires, feature(UFFD_FEATURE_WP_UNPOPULATED, 'WP_UNPOPULATED')];
    conformance(name, { requires }, () => {
      using area = privateArea(2);
      using watcher = watch(area, WP, unpopulated ? UFFD_FEATURE_WP_UNPOPULATED : 0n);
      expect(watcher.uffd.writeProtect(area.address, area.bytes, PROTECT)).toBe(0);
      expect(protectedPages(area.address, 2)).toEqual([unpopulated, unpopulated]);
      const written = actors[0]!.store(area.address, 6);
      if (unpopulated) {
        expect(watcher.takeFault().flags & WP_STORE).toBe(WP_STORE);
        expect(watcher.uffd.writeProtect(area.address, PAGE, 0)).toBe(0);
      }
      expect(written.result()).toBe(6);
      expect(watcher.read()).toBe(-EAGAIN);
    });
  }

  conformance('holes of shared memory are always protected', protecting, () => {
    using file = sharedArea(2);
    using watcher = watch(file.window, WP);
    expect(watcher.uffd.writeProtect(file.window.address, file.window.bytes, PROTECT)).toBe(0);
    expect(protectedPages(file.window.address, 2)).toEqual([true, true]);
    const written = actors[0]!.store(file.window.address, 6);
    expect(watcher.takeFault().flags & WP_STORE).toBe(WP_STORE);
    expect(watcher.uffd.writeProtect(file.window.address, PAGE, 0)).toBe(0);
    expect(written.result()).toBe(6);
    expect(file.alias.get(0)).toBe(6);
  });
});

describe('a protected mapping that moves', () => {
  for (const follows of [false, true]) {
    for (const keeps of [false, true]) {
      const call = keeps ? 'MREMAP_DONTUNMAP' : 'a plain move';
      const name = `${call} ${follows ? 'with EVENT_REMAP keeps' : 'without EVENT_REMAP drops'} the protection`;
      onBothKinds(name, (area) => {
        area.fill(10, 3);
        using place = reserved(4);
        const features = (follows ? UFFD_FEATURE_EVENT_REMAP : 0n) | UFFD_FEATURE_WP_UNPOPULATED;
        using watcher = watch(area, WP, features);
        expect(watcher.uffd.writeProtect(area.address, area.bytes, PROTECT)).toBe(0);
        const flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keeps ? MREMAP_DONTUNMAP : 0);
        const moving = actors[0]!.syscall(
          SYS_MREMAP,
          area.address,
          area.bytes,
          area.bytes,
          flags,
          place.address,
        );
        if (follows) expect(watcher.take()[0]!.event).toBe('remap');
        expect(moving.result()).toBe(place.address);
        if (!keeps) mapAnonymous(area.address, area.bytes);
        expect(protectedPages(place.address, 4)).toEqual([follows, follows, follows, follows]);
        const written = actors[0]!.store(place.address, 6);
        if (follows) {
          expect(watcher.takeFault()).toMatchObject({ flags: WP_STORE, address: place.address });
          expect(watcher.uffd.writeProtect(place.address, PAGE, 0)).toBe(0);
        }
        expect(written.result()).toBe(6);
        expect([place.get(0), place.get(1), place.get(2)]).toEqual([6, 11, 12]);
      });
    }
  }
});

describe('what protection survives, and what goes around it', () => {
  conformance(
    'MADV_DONTNEED of shared memory: a marker stays, and the next store is reported',
    protecting,
    () => {
      using file = sharedArea(2);
      const { window } = file;
      window.fill(10);
      using watcher = watch(window, WP);
      expect(watcher.uffd.writeProtect(window.address, window.bytes, PROTECT)).toBe(0);
      expect(kernel.madvise(window.address, window.bytes, MADV_DONTNEED)).toBe(0);
      expect(protectedPages(window.address, 2)).toEqual([true, true]);
      expect(actors[0]!.load(window.page(1)).result()).toBe(11);
      const written = actors[0]!.store(window.address, 6);
      expect(watcher.takeFault().flags & WP_STORE).toBe(WP_STORE);
      expect(watcher.uffd.writeProtect(window.address, PAGE, 0)).toBe(0);
      expect(written.result()).toBe(6);
    },
  );

  conformance('a hole that is punched: the marker stays too', protecting, () => {
    using file = sharedArea(1);
    file.window.set(0, 10);
    using watcher = watch(file.window, WP);
    expect(watcher.uffd.writeProtect(file.window.address, PAGE, PROTECT)).toBe(0);
    file.file.punch(0, PAGE);
    expect(protectedPages(file.window.address, 1)).toEqual([true]);
    expect(file.alias.get(0)).toBe(0);
  });

  conformance('a store through another mapping is not seen', protecting, () => {
    using file = sharedArea(1);
    file.window.set(0, 10);
    using watcher = watch(file.window, WP);
    expect(watcher.uffd.writeProtect(file.window.address, PAGE, PROTECT)).toBe(0);
    file.alias.set(0, 7);
    expect(file.window.get(0)).toBe(7);
    expect(watcher.read()).toBe(-EAGAIN);
    expect(protectedPages(file.window.address, 1)).toEqual([true]);
  });
});

describe('installing protected pages', () => {
  onBothKinds('COPY with MODE_WP: reads go on, the first store is reported', (area) => {
    using watcher = watch(area, WP | UFFDIO_REGISTER_MODE_MISSING);
    const read = actors[0]!.load(area.address);
    watcher.takeFault();
    expect(watcher.uffd.copy(area.address, source(5).address, PAGE, UFFDIO_MODE_WP)).toBe(PAGE);
    expect(read.result()).toBe(5);
    expect(protectedPages(area.address, 1)).toEqual([true]);
    const written = actors[0]!.store(area.address, 6);
    expect(watcher.takeFault().flags).toBe(WP_STORE);
    expect(watcher.uffd.writeProtect(area.address, PAGE, 0)).toBe(0);
    expect(written.result()).toBe(6);
  });

  conformance('CONTINUE with MODE_WP: the same; without the registration for it EINVAL', protecting, () => {
    using file = sharedArea(1);
    const { window } = file;
    file.alias.set(0, 5);
    using watcher = watch(window, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    expect(watcher.uffd.continue(window.address, PAGE, UFFDIO_MODE_WP)).toBe(-EINVAL);
    expect(watcher.register(window.address, PAGE, UFFDIO_REGISTER_MODE_MISSING_MINOR | WP)).toBeGreaterThan(
      0,
    );
    expect(watcher.uffd.continue(window.address, PAGE, UFFDIO_MODE_WP)).toBe(PAGE);
    expect(window.get(0)).toBe(5);
    const written = actors[0]!.store(window.address, 6);
    expect(watcher.takeFault().flags).toBe(WP_STORE);
    expect(watcher.uffd.writeProtect(window.address, PAGE, 0)).toBe(0);
    expect(written.result()).toBe(6);
  });
});
