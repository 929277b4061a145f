// Memory files, what the kernel tells about pages, and huge pages.
import {
  MADV_COLLAPSE,
  MADV_HUGEPAGE,
  MADV_POPULATE_WRITE,
  PAGE_IS_PRESENT,
  PAGE_IS_WRITTEN,
  PM_SCAN_CHECK_WPASYNC,
  PM_SCAN_WP_MATCHING,
  UFFD_FEATURE_WP_ASYNC,
  UFFDIO_REGISTER,
  UFFDIO_REGISTER_MODE_WP,
} from '../abi.ts';
import { check } from '../check.ts';
import { errnoName } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { Memfd } from '../memfd.ts';
import { PagemapScan } from '../pagemap-scan.ts';
import { Reservation } from '../reservation.ts';
import { cgroupMemory } from './cgroups.ts';
import {
  contradiction,
  type ExperimentGroup,
  type Finding,
  type Lab,
  limited,
  missing,
  ok,
} from './experiment.ts';
import { hugeBytesAt, size } from './host.ts';
import { expectWord, PATTERN, Pad, request, useFeatures, useScratch } from './scratch.ts';

/** How many the experiments with page tables have. */
const PAGES = 4;
const HUGE_BYTES = 2 * 2 ** 20;
/** The heap's own pages come from here: shmem. */
const SHMEM_ENABLED = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';

function memfd(lab: Lab): Finding {
  return useScratch(lab.kernel, ({ file, window, bytes }) => {
    using pad = new Pad(lab.kernel);
    pad.poke(window, PATTERN);
    expectWord(pad, window, PATTERN, 'a page of a memory file');
    const held = file.allocatedBytes();
    if (held <= 0 || held > bytes)
      throw contradiction(`a memory file of which one page was written holds ${held} bytes`);
    file.punch(0, bytes);
    expectWord(pad, window, 0, 'a page that was given back');
    return ok('memory files can be created, sized, mapped, filled and emptied');
  });
}

interface Region {
  readonly start: number;
  readonly end: number;
}

/** PAGEMAP_SCAN of a range for one category. */
function scan(kernel: Kernel, start: number, bytes: number, category: number, flags: number): Region[] {
  using pages = PagemapScan.open(kernel, PAGES);
  const count = check(
    pages.scan(start, bytes, { flags, mask: category }),
    'PAGEMAP_SCAN',
    'scanning the pages of scratch memory',
  );
  return Array.from({ length: count }, (_, i) => ({ start: pages.start(i), end: pages.end(i) }));
}

/** Fails unless exactly one page was reported. */
function expectOnly(regions: readonly Region[], page: number, pageBytes: number, what: string): void {
  const [first] = regions;
  if (regions.length !== 1 || first!.start !== page || first!.end !== page + pageBytes) {
    throw contradiction(
      `PAGEMAP_SCAN reported ${JSON.stringify(regions)} where one page was ${what}, at ${page}`,
    );
  }
}

function pagemapScan(lab: Lab): Finding {
  return useScratch(
    lab.kernel,
    ({ window, bytes, pageBytes }) => {
      using pad = new Pad(lab.kernel);
      pad.poke(window + 2 * pageBytes, PATTERN);
      expectOnly(
        scan(lab.kernel, window, bytes, PAGE_IS_PRESENT, 0),
        window + 2 * pageBytes,
        pageBytes,
        'present',
      );
      return ok('PAGEMAP_SCAN finds the one page of four that is present');
    },
    PAGES,
  );
}

function writeTracking(lab: Lab): Finding {
  const { kernel } = lab;
  return useScratch(
    kernel,
    ({ window, bytes, pageBytes }) =>
      useFeatures(kernel, UFFD_FEATURE_WP_ASYNC, (fd) => {
        using pad = new Pad(kernel);
        for (let page = 0; page < PAGES; page++) pad.poke(window + page * pageBytes, PATTERN);
        const words = [window, bytes, UFFDIO_REGISTER_MODE_WP, 0];
        check(
          request(kernel, fd, UFFDIO_REGISTER, words),
          'UFFDIO_REGISTER',
          'watching writes to scratch memory',
        );
        const written = (): Region[] =>
          scan(kernel, window, bytes, PAGE_IS_WRITTEN, PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC);
        written();
        const before = written();
        if (before.length !== 0) throw contradiction('pages are reported as written that nobody wrote to');
        pad.poke(window + pageBytes, PATTERN + 1);
        expectOnly(written(), window + pageBytes, pageBytes, 'written');
        return ok('writes are tracked without faults: the one page of four that was written is found');
      }),
    PAGES,
  );
}

function hugePages(lab: Lab): Finding {
  const { kernel, host } = lab;
  using file = Memfd.create(kernel, 'tospace-huge', HUGE_BYTES);
  using place = Reservation.reserve(kernel, HUGE_BYTES, { alignBytes: HUGE_BYTES });
  file.map(place.address, HUGE_BYTES);
  const setting = host.read(SHMEM_ENABLED)?.match(/\[(\w+)\]/)?.[1] ?? 'unknown';
  const repair = `echo advise | sudo tee ${SHMEM_ENABLED}`;
  const advised = kernel.madvise(place.address, HUGE_BYTES, MADV_HUGEPAGE);
  check(kernel.madvise(place.address, HUGE_BYTES, MADV_POPULATE_WRITE), 'madvise', 'populating 2 MiB');
  const faulted = hugeBytesAt(host, place.address);
  if (faulted === undefined)
    throw contradiction('/proc/self/smaps does not tell how 2 MiB of scratch memory are mapped');
  const values = { shmemEnabled: setting, madviseHugepage: advised < 0 ? errnoName(advised) : 'ok' };
  if (faulted === HUGE_BYTES) {
    return ok('pages of memory files come huge where MADV_HUGEPAGE asks for it', {
      ...values,
      faulted: true,
      collapse: null,
    });
  }
  const result = kernel.madvise(place.address, HUGE_BYTES, MADV_COLLAPSE);
  const collapsed = result >= 0 && hugeBytesAt(host, place.address) === HUGE_BYTES;
  const more = {
    ...values,
    faulted: false,
    collapse: collapsed ? 'ok' : result < 0 ? errnoName(result) : 'no effect',
  };
  if (collapsed) {
    return limited(
      `pages of memory files come small (shmem_enabled is ${setting}); MADV_COLLAPSE makes 2 MiB of them one huge page, seen in smaps`,
      repair,
      more,
    );
  }
  return missing(
    `neither MADV_HUGEPAGE nor MADV_COLLAPSE (${more.collapse}) made a huge page of a memory file`,
    repair,
    more,
  );
}

function ceiling(lab: Lab): Finding {
  const { ceilings, physicalBytes, files } = cgroupMemory(lab.host);
  const lowest = ceilings[0];
  const physical = physicalBytes === undefined ? 'unknown' : size(physicalBytes);
  const values = {
    physicalBytes: physicalBytes ?? null,
    limitBytes: lowest?.limitBytes ?? null,
    usedBytes: lowest?.usedBytes ?? null,
    limitFile: lowest?.file ?? null,
    filesRead: files,
  };
  if (lowest === undefined) {
    return ok(
      `no limit in the ${files} levels of control groups above this process; the machine has ${physical}`,
      values,
    );
  }
  // Pages of memory files count towards the limit of the group that touches them, and recycling keeps two for each of the heap.
  const half = size(Math.max(0, lowest.limitBytes - (lowest.usedBytes ?? 0)) / 2);
  return limited(
    `the control group may use ${size(lowest.limitBytes)} (${lowest.file}), ${size(lowest.usedBytes ?? 0)} of it in use; ` +
      `a heap of at most ${half} fits with retention: "recycle"`,
    lowest.repair,
    values,
  );
}

export const MEMORY: ExperimentGroup = {
  group: 'memory',
  experiments: [
    {
      id: 'memfd',
      gives: 'the storage of the heap, which several mappings and all threads share',
      without: 'every heap',
      required: true,
      since: 'Linux 3.17',
      run: memfd,
    },
    {
      id: 'pagemap-scan',
      gives: 'which pages are present or were written, without touching them',
      without: 'page-granular tracking of writes; the heap marks cards in software',
      since: 'Linux 6.7',
      needs: ['memfd'],
      run: pagemapScan,
    },
    {
      id: 'wp-async',
      gives: 'a list of the pages that were written since the last look, without a fault for each',
      without: 'page-granular tracking of writes; the heap marks cards in software',
      since: 'Linux 6.7',
      needs: ['memfd', 'uffd-access', 'uffd-api', 'pagemap-scan'],
      run: writeTracking,
    },
    {
      id: 'huge-pages',
      gives: 'fewer TLB misses, and a populated heap in a tenth of the time',
      without: 'nothing that the heap relies on: it works in pages of 4 KiB',
      since: 'Linux 6.1',
      needs: ['memfd'],
      run: hugePages,
    },
    {
      id: 'memory-ceiling',
      gives: 'room for a heap: up to twice its size with retention: "recycle", once with "release"',
      without: 'the process is killed when heap and program together exceed the limit',
      run: ceiling,
    },
  ],
};
