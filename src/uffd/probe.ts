// What this machine can do, found out by doing it: versions lie (backports, sandboxes, seccomp profiles), results do not.
// Everything happens in scratch mappings that nobody else touches, on the calling thread, which takes no fault itself.
import { arch, availableParallelism, platform, release } from 'node:os';
import { TospaceError } from '../errors.ts';
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
} from './abi.ts';
import { check, HINT_UFFD_MISSING, HINT_UFFD_PERMISSION, syscallError } from './check.ts';
import { allowedCpus } from './cpu.ts';
import { EACCES, EEXIST, EINVAL, ENOENT, ENOSYS, EPERM, errnoName } from './errno.ts';
import type { Kernel } from './kernel.ts';
import { createLibcKernel } from './libc.ts';
import { Memfd } from './memfd.ts';
import { Reservation } from './reservation.ts';
import { openFullByDevice, openFullBySyscall, openUserModeOnly, Userfaultfd } from './userfaultfd.ts';

/** Whether something works here. */
export interface Support {
  readonly ok: boolean;
  /** In words: what works, or why it does not and what to do about it. */
  readonly reason: string;
}

/** What {@link probe} found. Plain data. */
export interface Capabilities {
  /** For example `linux-x64`. */
  readonly platform: string;
  /** As `uname -r` prints it. For reports: nothing is decided by it. */
  readonly kernelVersion: string;
  /** 0 where no kernel could be asked. */
  readonly pageBytes: number;
  /** How many CPUs this process may use. */
  readonly cpus: number;
  /** A file in memory can be created, sized and filled. */
  readonly memfd: Support;
  /** mremap(MREMAP_DONTUNMAP) of private anonymous memory (Linux 5.7). */
  readonly dontunmapAnon: Support;
  /** mremap(MREMAP_DONTUNMAP) of shared memory (Linux 5.13): what the concurrent collector's flip is made of. */
  readonly dontunmapShmem: Support;
  /** The ways to a userfaultfd; any one suffices. */
  readonly userfaultfd: {
    /** userfaultfd(2): delivers faults that the kernel takes, too. */
    readonly full: Support;
    /** userfaultfd(2) with UFFD_USER_MODE_ONLY (Linux 5.11): needs no privilege. */
    readonly userModeOnly: Support;
    /** /dev/userfaultfd (Linux 6.1): the full kind for whoever may open it. */
    readonly device: Support;
  };
  /** Shared memory can be watched for missing pages (Linux 4.11). */
  readonly missingShmem: Support;
  /** Shared memory can be watched for pages that are only not mapped (Linux 5.14). */
  readonly minorShmem: Support;
  /** UFFDIO_CONTINUE installs a page in shared memory, and refuses to do it twice. */
  readonly continue: Support;
  /** UFFDIO_COPY installs a page in shared memory, and refuses to do it twice. */
  readonly copy: Support;
  /** Everything that concurrent compaction needs. */
  readonly concurrent: Support;
}

/**
 * Tries what this package needs from the kernel. Takes well under a millisecond when warm; never throws; leaves nothing behind.
 * @param kernel default: the real one; where there is none, everything is reported as missing for that reason
 */
export function probe(kernel?: Kernel): Capabilities {
  const host = { platform: `${platform()}-${arch()}`, kernelVersion: release() };
  let k: Kernel;
  try {
    k = kernel ?? createLibcKernel();
  } catch (e) {
    const none = no(describe(e));
    return {
      ...host,
      pageBytes: 0,
      cpus: availableParallelism(),
      memfd: none,
      dontunmapAnon: none,
      dontunmapShmem: none,
      userfaultfd: { full: none, userModeOnly: none, device: none },
      missingShmem: none,
      minorShmem: none,
      continue: none,
      copy: none,
      concurrent: none,
    };
  }
  const memfd = attempt('memory files work', () => useScratch(k, () => {}));
  const dontunmapAnon = attempt('anonymous memory can be moved away from its address', () =>
    moveAnonymous(k),
  );
  const dontunmapShmem = needs([memfd], () =>
    attempt('shared memory can be moved away from its address', () => useScratch(k, (s) => moveShmem(k, s))),
  );
  const userfaultfd = {
    full: opens(k, openFullBySyscall, 'userfaultfd(2)'),
    userModeOnly: opens(k, openUserModeOnly, 'userfaultfd(2) with UFFD_USER_MODE_ONLY'),
    device: opens(k, openFullByDevice, '/dev/userfaultfd'),
  };
  const ways = Object.values(userfaultfd);
  const anyUffd = ways.find((way) => way.ok) ?? no(userfaultfd.userModeOnly.reason);
  /** One experiment with a fresh userfaultfd and scratch memory. */
  const experiment = (works: string, run: (uffd: Userfaultfd, scratch: Scratch) => void): Support =>
    needs([memfd, anyUffd], () =>
      attempt(works, () =>
        useScratch(k, (scratch) => {
          using uffd = Userfaultfd.open(k);
          run(uffd, scratch);
        }),
      ),
    );
  const missingShmem = experiment('missing pages of shared memory are reported', (uffd, s) =>
    uffd.register(s.window, s.bytes, UFFDIO_REGISTER_MODE_MISSING),
  );
  const minorShmem = experiment('unmapped pages of shared memory are reported', (uffd, s) =>
    uffd.register(s.window, s.bytes, UFFDIO_REGISTER_MODE_MINOR),
  );
  const continues = needs([missingShmem, minorShmem], () =>
    experiment('UFFDIO_CONTINUE installs pages', (uffd, s) => {
      uffd.register(s.window, s.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
      // Allocates the pages without mapping them anywhere: the state that a minor fault finds.
      check(k.fallocate(s.file.fd, 0, 0, s.bytes), 'fallocate', 'filling a scratch file');
      installsOnce('UFFDIO_CONTINUE', s.bytes, () => uffd.continue(s.window, s.bytes));
    }),
  );
  const copies = needs([missingShmem, minorShmem], () =>
    experiment('UFFDIO_COPY installs pages', (uffd, s) => {
      uffd.register(s.window, s.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR);
      installsOnce('UFFDIO_COPY', s.bytes, () => uffd.copy(s.window, s.source, s.bytes));
    }),
  );
  const parts = [memfd, dontunmapShmem, missingShmem, minorShmem, continues, copies];
  const kind = userfaultfd.full.ok || userfaultfd.device.ok ? 'full' : 'user-mode-only';
  const caveat =
    kind === 'full'
      ? ''
      : ': a system call that touches a page not yet compacted fails with EFAULT, so touch heap memory before handing it to one';
  const concurrent = needs([anyUffd, ...parts], () =>
    yes(`concurrent compaction works (${kind} userfaultfd)${caveat}`),
  );
  return {
    ...host,
    pageBytes: k.getpagesize(),
    cpus: countCpus(k),
    memfd,
    dontunmapAnon,
    dontunmapShmem,
    userfaultfd,
    missingShmem,
    minorShmem,
    continue: continues,
    copy: copies,
    concurrent,
  };
}

const yes = (reason: string): Support => ({ ok: true, reason });
const no = (reason: string): Support => ({ ok: false, reason });

function describe(e: unknown): string {
  if (e instanceof TospaceError) return `${e.message}. ${e.hint}`;
  return e instanceof Error ? e.message : String(e);
}

function attempt(works: string, run: () => void): Support {
  try {
    run();
    return yes(works);
  } catch (e) {
    return no(describe(e));
  }
}

/** Without the first missing part, its reason is the reason: nobody is helped by five consequences of one cause. */
function needs(parts: readonly Support[], then: () => Support): Support {
  const missing = parts.find((part) => !part.ok);
  return missing === undefined ? then() : no(missing.reason);
}

function countCpus(kernel: Kernel): number {
  try {
    return allowedCpus(kernel).length;
  } catch {
    return availableParallelism();
  }
}

/** A memory file of a few pages, a shared mapping of it, and as much private memory to copy from. */
interface Scratch {
  readonly bytes: number;
  readonly file: Memfd;
  /** Shared mapping of the whole file; no page is present. */
  readonly window: number;
  /** A reservation of the same length. */
  readonly spare: number;
  /** Private memory, reads as zeroes. */
  readonly source: number;
}

function useScratch(kernel: Kernel, use: (scratch: Scratch) => void): void {
  const bytes = 2 * kernel.getpagesize();
  using file = Memfd.create(kernel, 'tospace-probe', bytes);
  using windowPlace = Reservation.reserve(kernel, bytes);
  using sparePlace = Reservation.reserve(kernel, bytes);
  using sourcePlace = Reservation.reserve(kernel, bytes);
  file.map(windowPlace.address, bytes);
  const source = sourcePlace.address;
  check(kernel.mprotect(source, bytes, PROT_READ | PROT_WRITE), 'mprotect', 'opening scratch memory');
  use({ bytes, file, window: windowPlace.address, spare: sparePlace.address, source });
}

const MOVE_FLAGS = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

function moveShmem(kernel: Kernel, scratch: Scratch): void {
  const { bytes, window, spare } = scratch;
  const what = 'moving the page tables of shared memory';
  check(kernel.mremap(window, bytes, bytes, MOVE_FLAGS, spare), 'mremap', what);
}

function moveAnonymous(kernel: Kernel): void {
  const bytes = kernel.getpagesize();
  const prot = PROT_READ | PROT_WRITE;
  const from = check(
    kernel.mmap(0, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
    'mmap',
    'mapping scratch memory',
  );
  // Without FIXED the kernel picks the place.
  const to = kernel.mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  kernel.munmap(from, bytes);
  check(to, 'mremap', 'moving the page tables of anonymous memory');
  kernel.munmap(to, bytes);
}

function opens(kernel: Kernel, open: (kernel: Kernel) => number, way: string): Support {
  const fd = open(kernel);
  if (fd >= 0) {
    kernel.close(fd);
    return yes(`${way} works`);
  }
  const { message } = syscallError(fd, way, 'opening a userfaultfd');
  switch (-fd) {
    case EPERM:
    case EACCES:
      return no(`${message}. ${HINT_UFFD_PERMISSION}`);
    case ENOENT:
      return no(
        `${message}. The device exists since Linux 6.1, and containers must be given it (--device ${way}).`,
      );
    case EINVAL:
      return no(`${message}. The user-mode-only kind needs Linux 5.11 or later.`);
    case ENOSYS:
      return no(`${message}. ${HINT_UFFD_MISSING}`);
    default:
      return no(`${message}. ${syscallError(fd, 'userfaultfd', '').hint}`);
  }
}

/** Runs an installing request twice: it must do everything, then find it done. Proves the pages are there without a fault. */
function installsOnce(request: string, bytes: number, install: () => number): void {
  const first = check(install(), request, 'installing scratch pages');
  if (first !== bytes) {
    throw new TospaceError(
      'ERR_UNSUPPORTED',
      `${request} installed ${first} of ${bytes} bytes in scratch memory`,
      {
        hint: 'Memory may be short; try again.',
      },
    );
  }
  const second = install();
  if (second !== -EEXIST) {
    throw new TospaceError(
      'ERR_UNSUPPORTED',
      `a second ${request} ended with ${second < 0 ? errnoName(second) : 'success'} instead of EEXIST`,
      {
        hint: 'This kernel (or emulation of one) does not keep the rule that a page is installed once.',
      },
    );
  }
}
