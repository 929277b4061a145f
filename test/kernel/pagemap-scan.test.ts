// WP_ASYNC and PAGEMAP_SCAN: which pages were written, without a single message. Origin: "pagemap_ioctl" means the file of that
// name in the kernel's selftests (mm); the others are this project's own.
//
//   before and after protecting; which pages were written                    pagemap_ioctl (sanity_tests, base_tests)
//   fetching and protecting in one step                                      pagemap_ioctl (sanity_tests)
//   limits: max_pages, the length of the vector                              pagemap_ioctl (sanity_tests_sd)
//   categories                                                               pagemap_ioctl
//   more than 512 regions: walk_end may fall short                           own
//   what is seen (stores of the kernel) and what is not (other mappings)     own
//   together with MISSING and MINOR; after a move                            own
//   wrong arguments                                                          pagemap_ioctl (sanity_tests)
import { describe, expect } from 'vitest';
import {
  addressOf,
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  EPERM,
  MADV_POPULATE_READ,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  O_CLOEXEC,
  PAGE_IS_FILE,
  PAGE_IS_PFNZERO,
  PAGE_IS_PRESENT,
  PAGE_IS_WPALLOWED,
  PAGE_IS_WRITTEN,
  PAGEMAP_SCAN,
  PagemapScan,
  PM_SCAN_CHECK_WPASYNC,
  PM_SCAN_WP_MATCHING,
  SYS_MREMAP,
  SYS_READ,
  TospaceError,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFDIO_MODE_WP,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  UFFDIO_REGISTER_MODE_WP,
} from '#src/uffd/index.js';
import { useActors } from './support/actors.ts';
import { conformance, type Requirement } from './support/conformance.ts';
import { kernel, PAGE } from './support/memory.ts';
import { feature, userfaultfd } from './support/requirements.ts';
import { type Area, privateArea, reserved, sharedArea } from './support/scratch.ts';
import { Watcher } from './support/watcher.ts';

const FETCH_AND_PROTECT = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;

const pagemapScan: Requirement = {
  missing() {
    using scan = PagemapScan.open(kernel);
    // Nothing is scanned. Kernels before 6.7 do not know the request (ENOTTY).
    const result = scan.scan(PAGE, 0);
    return result === 0 ? undefined : `the kernel has no PAGEMAP_SCAN (${result})`;
  },
};
const scanning = { requires: pagemapScan };
const tracking = {
  requires: [pagemapScan, userfaultfd, feature(UFFD_FEATURE_WP_ASYNC, 'WP_ASYNC')],
};
const actors = useActors(1);

/** Watches for stores, from now on, without messages. */
function track(area: Area, features: bigint = 0n): Watcher {
  const watcher = Watcher.open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | features);
  expect(watcher.register(area.address, area.bytes, UFFDIO_REGISTER_MODE_WP)).toBeGreaterThan(0);
  return watcher;
}

/** The regions of the last scan, as [page, pages] of `area`. */
function regions(scan: PagemapScan, count: number, area: Area): number[][] {
  expect(count).toBeGreaterThanOrEqual(0);
  return Array.from({ length: count }, (_, i) => [
    (scan.start(i) - area.address) / PAGE,
    (scan.end(i) - scan.start(i)) / PAGE,
  ]);
}

/** The written pages of all of `area`, as [page, pages]. */
function written(scan: PagemapScan, area: Area, flags: number = 0): number[][] {
  return regions(scan, scan.scan(area.address, area.bytes, { flags }), area);
}

describe('which pages were written', () => {
  for (const kind of ['private', 'shared'] as const) {
    conformance(
      `${kind} memory: all before it is protected, none after, then exactly those`,
      tracking,
      () => {
        using area = kind === 'private' ? privateArea(10) : undefined;
        using file = kind === 'shared' ? sharedArea(10) : undefined;
        const memory: Area = area ?? file!.window;
        memory.fill(1);
        using watcher = track(memory);
        using scan = PagemapScan.open(kernel);
        expect(written(scan, memory)).toEqual([[0, 10]]);
        expect(scan.protect(memory.address, memory.bytes)).toBe(0);
        expect(written(scan, memory)).toEqual([]);
        for (const page of [0, 1, 5, 9]) expect(actors[0]!.store(memory.page(page), 7).result()).toBe(7);
        expect(written(scan, memory)).toEqual([
          [0, 2],
          [5, 1],
          [9, 1],
        ]);
        // Reading changes nothing.
        expect(actors[0]!.load(memory.page(3)).result()).toBe(4);
        expect(written(scan, memory)).toHaveLength(3);
        // Nobody waits, and nothing is reported.
        expect(watcher.read()).toBe(-EAGAIN);
        expect([scan.resumeAt, scan.walkEnd]).toEqual([memory.page(10), memory.page(10)]);
      },
    );

    conformance(`${kind} memory: fetching and protecting is one step`, tracking, () => {
      using area = kind === 'private' ? privateArea(6) : undefined;
      using file = kind === 'shared' ? sharedArea(6) : undefined;
      const memory: Area = area ?? file!.window;
      using _watcher = track(memory);
      using scan = PagemapScan.open(kernel);
      expect(scan.protect(memory.address, memory.bytes)).toBe(0);
      // Holes count as well.
      memory.set(2, 1);
      memory.set(3, 1);
      expect(written(scan, memory, FETCH_AND_PROTECT)).toEqual([[2, 2]]);
      expect(written(scan, memory, FETCH_AND_PROTECT)).toEqual([]);
      memory.set(3, 2);
      expect(written(scan, memory, FETCH_AND_PROTECT)).toEqual([[3, 1]]);
      // Only what matches is protected: the others may be written without a word.
      memory.set(4, 1);
      const matching = scan.scan(memory.page(5), PAGE, { flags: FETCH_AND_PROTECT });
      expect(matching).toBe(0);
      expect(written(scan, memory)).toEqual([[4, 1]]);
    });
  }

  conformance('UFFDIO_WRITEPROTECT protects and lifts as well', tracking, () => {
    using memory = privateArea(3);
    memory.fill(1);
    using watcher = track(memory);
    using scan = PagemapScan.open(kernel);
    expect(watcher.uffd.writeProtect(memory.address, memory.bytes, 1)).toBe(0);
    expect(written(scan, memory)).toEqual([]);
    expect(watcher.uffd.writeProtect(memory.page(1), PAGE, 0)).toBe(0);
    expect(written(scan, memory)).toEqual([[1, 1]]);
  });

  conformance(
    'where nothing is registered everything counts as written, and protecting is EPERM or passes over it',
    scanning,
    () => {
      using memory = privateArea(3);
      memory.fill(1);
      using scan = PagemapScan.open(kernel);
      expect(written(scan, memory)).toEqual([[0, 3]]);
      expect(scan.protect(memory.address, memory.bytes)).toBe(-EPERM);
      expect(scan.scan(memory.address, memory.bytes, { flags: PM_SCAN_WP_MATCHING })).toBeGreaterThanOrEqual(
        0,
      );
      memory.set(1, 5);
      expect(written(scan, memory)).toEqual([[0, 3]]);
    },
  );

  conformance('a registration without WP_ASYNC is EPERM too', tracking, () => {
    using memory = privateArea(1);
    memory.fill(1);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, PAGE, UFFDIO_REGISTER_MODE_WP)).toBeGreaterThan(0);
    using scan = PagemapScan.open(kernel);
    expect(scan.protect(memory.address, PAGE)).toBe(-EPERM);
  });
});

describe('limits', () => {
  const dirty = (memory: Area, scan: PagemapScan, pages: readonly number[]): void => {
    expect(scan.protect(memory.address, memory.bytes)).toBe(0);
    for (const page of pages) memory.set(page, 1);
  };

  conformance('max_pages: the scan ends right behind the last page that counts', tracking, () => {
    using memory = privateArea(12);
    using _watcher = track(memory);
    using scan = PagemapScan.open(kernel);
    dirty(memory, scan, [1, 2, 3, 7, 8]);
    const limited = scan.scan(memory.address, memory.bytes, { pagesMax: 4 });
    expect(regions(scan, limited, memory)).toEqual([
      [1, 3],
      [7, 1],
    ]);
    expect([scan.walkEnd, scan.resumeAt]).toEqual([memory.page(8), memory.page(8)]);
    const rest = scan.scan(scan.resumeAt, memory.page(12) - scan.resumeAt, { pagesMax: 4 });
    expect(regions(scan, rest, memory)).toEqual([[8, 1]]);
    expect(scan.resumeAt).toBe(memory.page(12));
  });

  conformance('the vector: the scan ends where the first region begins that does not fit', tracking, () => {
    using memory = privateArea(12);
    using _watcher = track(memory);
    using scan = PagemapScan.open(kernel, 2);
    dirty(memory, scan, [1, 4, 5, 9]);
    expect(written(scan, memory)).toEqual([
      [1, 1],
      [4, 2],
    ]);
    expect([scan.walkEnd, scan.resumeAt]).toEqual([memory.page(9), memory.page(6)]);
    const rest = scan.scan(scan.resumeAt, memory.page(12) - scan.resumeAt);
    expect(regions(scan, rest, memory)).toEqual([[9, 1]]);
    expect(scan.resumeAt).toBe(memory.page(12));
  });

  conformance(
    'more than 512 regions: each page is reported, and walk_end may fall short of the range',
    tracking,
    async (it) => {
      const PAGES = 2000;
      using memory = privateArea(PAGES);
      using _watcher = track(memory);
      using scan = PagemapScan.open(kernel, PAGES);
      const even = Array.from({ length: PAGES / 2 }, (_, i) => 2 * i);
      dirty(memory, scan, even);
      const found = written(scan, memory);
      expect(found).toEqual(even.map((page) => [page, 1]));
      const { walkEnd } = scan;
      expect(scan.resumeAt).toBe(memory.page(PAGES));
      expect(walkEnd).toBeLessThanOrEqual(memory.page(PAGES));
      await it.saw(walkEnd === memory.page(PAGES) ? 'walk_end right' : 'walk_end short of what was scanned');
      // The same in pieces: their union is the same, whatever their number.
      using pieces = PagemapScan.open(kernel, 100);
      const union: number[][] = [];
      for (let at = memory.address; at < memory.page(PAGES); at = pieces.resumeAt) {
        const count = pieces.scan(at, memory.page(PAGES) - at, { flags: FETCH_AND_PROTECT });
        union.push(...regions(pieces, count, memory));
      }
      expect(union).toEqual(found);
      expect(written(scan, memory)).toEqual([]);
    },
  );
});

describe('categories', () => {
  conformance('present, file, zero page; regions of equal categories are one', scanning, () => {
    using memory = privateArea(4);
    using file = sharedArea(2);
    memory.set(1, 1);
    expect(kernel.madvise(memory.page(2), PAGE, MADV_POPULATE_READ)).toBe(0);
    file.window.set(0, 1);
    using scan = PagemapScan.open(kernel);
    const report = PAGE_IS_PRESENT | PAGE_IS_FILE | PAGE_IS_PFNZERO;
    const look = (area: Area): number[][] => {
      const count = scan.scan(area.address, area.bytes, { mask: 0, report });
      return regions(scan, count, area).map((region, i) => [...region, scan.categories(i)]);
    };
    expect(look(memory).filter(([, , categories]) => categories !== 0)).toEqual([
      [1, 1, PAGE_IS_PRESENT],
      [2, 1, PAGE_IS_PRESENT | PAGE_IS_PFNZERO],
    ]);
    expect(look(file.window)[0]).toEqual([0, 1, PAGE_IS_PRESENT | PAGE_IS_FILE]);
    const absent = { mask: PAGE_IS_PRESENT, inverted: PAGE_IS_PRESENT };
    expect(regions(scan, scan.scan(memory.address, memory.bytes, absent), memory)).toEqual([
      [0, 1],
      [3, 1],
    ]);
    const either = { mask: 0, anyOf: PAGE_IS_FILE | PAGE_IS_PFNZERO };
    expect(regions(scan, scan.scan(memory.address, memory.bytes, either), memory)).toEqual([[2, 1]]);
  });

  conformance('a range that is registered says that it can be protected', tracking, () => {
    using memory = privateArea(2);
    memory.fill(1);
    using watcher = Watcher.open(UFFD_FEATURE_WP_ASYNC);
    expect(watcher.register(memory.page(1), PAGE, UFFDIO_REGISTER_MODE_WP)).toBeGreaterThan(0);
    using scan = PagemapScan.open(kernel);
    const found = scan.scan(memory.address, memory.bytes, { mask: PAGE_IS_WPALLOWED });
    expect(regions(scan, found, memory)).toEqual([[1, 1]]);
  });
});

describe('what is seen', () => {
  conformance('a store of the kernel is: read(2) into a page', tracking, () => {
    using memory = privateArea(4);
    using input = sharedArea(1);
    input.alias.set(0, 77);
    memory.fill(1);
    using watcher = track(memory);
    using scan = PagemapScan.open(kernel);
    expect(scan.protect(memory.address, memory.bytes)).toBe(0);
    expect(actors[0]!.syscall(SYS_READ, input.file.fd, memory.page(2), 4).result()).toBe(4);
    expect(memory.get(2)).toBe(77);
    expect(written(scan, memory)).toEqual([[2, 1]]);
    expect(watcher.read()).toBe(-EAGAIN);
  });

  conformance('a store through another mapping is not', tracking, () => {
    using file = sharedArea(4);
    file.window.fill(1);
    using _watcher = track(file.window);
    using scan = PagemapScan.open(kernel);
    expect(scan.protect(file.window.address, file.window.bytes)).toBe(0);
    file.alias.set(1, 7);
    file.window.set(3, 7);
    expect(file.window.get(1)).toBe(7);
    expect(written(scan, file.window)).toEqual([[3, 1]]);
  });

  conformance(
    'with MISSING and MINOR: faults wait as ever; CONTINUE with MODE_WP installs what counts as not written',
    tracking,
    () => {
      using file = sharedArea(2);
      const { window, alias } = file;
      alias.fill(40);
      using watcher = Watcher.open(UFFD_FEATURE_WP_ASYNC);
      const mode = UFFDIO_REGISTER_MODE_MISSING_MINOR | UFFDIO_REGISTER_MODE_WP;
      expect(watcher.register(window.address, window.bytes, mode)).toBeGreaterThan(0);
      using scan = PagemapScan.open(kernel);
      expect(scan.protect(window.address, window.bytes)).toBe(0);
      const read = actors[0]!.load(window.address);
      expect(watcher.takeFault().flags).toBe(UFFD_PAGEFAULT_FLAG_MINOR);
      expect(read.isBlocked()).toBe(true);
      expect(watcher.uffd.continue(window.address, 2 * PAGE, UFFDIO_MODE_WP)).toBe(2 * PAGE);
      expect(read.result()).toBe(40);
      expect(written(scan, window)).toEqual([]);
      expect(actors[0]!.store(window.page(1), 9).result()).toBe(9);
      expect(written(scan, window)).toEqual([[1, 1]]);
      expect(watcher.read()).toBe(-EAGAIN);
    },
  );

  for (const follows of [false, true]) {
    const name = follows
      ? 'a move with EVENT_REMAP takes the watch along'
      : 'a move without EVENT_REMAP ends it: everything counts as written at the new place';
    conformance(name, tracking, () => {
      using memory = privateArea(3);
      using place = reserved(3);
      memory.fill(1);
      using watcher = track(memory, follows ? UFFD_FEATURE_EVENT_REMAP : 0n);
      using scan = PagemapScan.open(kernel);
      expect(scan.protect(memory.address, memory.bytes)).toBe(0);
      memory.set(1, 9);
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
      const bytes = memory.bytes;
      const moving = actors[0]!.syscall(SYS_MREMAP, memory.address, bytes, bytes, flags, place.address);
      if (follows) watcher.take();
      expect(moving.result()).toBe(place.address);
      expect(written(scan, place)).toEqual(follows ? [[1, 1]] : [[0, 3]]);
      expect(scan.protect(place.address, bytes)).toBe(follows ? 0 : -EPERM);
      // The old place has no page and no mark.
      expect(written(scan, memory)).toEqual([[0, 3]]);
      expect(scan.protect(memory.address, bytes)).toBe(0);
      expect(written(scan, memory)).toEqual([]);
    });
  }
});

describe('wrong arguments', () => {
  /** The request with every word in the caller's hand; the defaults are right. */
  function raw(memory: Area, change: Record<number, number>): number {
    const vector = new BigUint64Array(3 * 4);
    const words = [96, 0, memory.address, memory.address + memory.bytes, 0, addressOf(vector), 4, 0, 0];
    words.push(PAGE_IS_WRITTEN, 0, PAGE_IS_WRITTEN);
    for (const [index, value] of Object.entries(change)) words[Number(index)] = value;
    const fd = kernel.openDevice('/proc/self/pagemap', O_CLOEXEC);
    const result = kernel.ioctl(fd, PAGEMAP_SCAN, BigUint64Array.from(words, BigInt));
    kernel.close(fd);
    return result;
  }

  conformance('size, flags, address, vector, categories: EINVAL or EFAULT', scanning, () => {
    using memory = privateArea(2);
    memory.fill(1);
    expect(raw(memory, {})).toBe(1);
    expect(raw(memory, { 0: 8 })).toBe(-EINVAL);
    expect(raw(memory, { 1: 8 })).toBe(-EINVAL);
    expect(raw(memory, { 2: memory.address + 8 })).toBe(-EINVAL);
    expect(raw(memory, { 5: 8 * PAGE })).toBe(-EFAULT);
    expect(raw(memory, { 5: 0 })).toBe(-EINVAL);
    for (const word of [8, 9, 10, 11]) expect(raw(memory, { [word]: 2 ** 20 })).toBe(-EINVAL);
  });

  conformance('a closed scanner is EBADF; a capacity of none is refused', scanning, () => {
    const scan = PagemapScan.open(kernel);
    scan.close();
    scan.close();
    expect(scan.scan(PAGE, PAGE)).toBe(-EBADF);
    expect(scan.protect(PAGE, PAGE)).toBe(-EBADF);
    expect(() => PagemapScan.open(kernel, 0)).toThrow(TospaceError);
  });
});
