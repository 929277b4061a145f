// userfaultfd: what the requests that install pages do, and their errors. Origin: "userfaultfd-unit-tests" means
// uffd-unit-tests.c of the kernel's selftests (mm); the others are this project's own.
//
//   COPY, ZEROPAGE and CONTINUE on what is there; partial success            userfaultfd-unit-tests (zeropage, minor), own
//   COPY: every wrong argument                                               own
//   POISON                                                                   userfaultfd-unit-tests (poison)
//   MOVE: pages, a huge page, errors, after a fork                           userfaultfd-unit-tests (move, move-pmd), own
//   DONTUNMAP and MOVE: a page comes back without a copy                     own
//   SIGBUS instead of messages                                               userfaultfd-unit-tests (sigbus)
import { describe, expect } from 'vitest';
import {
  addressOf,
  BUS_ADRERR,
  BUS_MCEERR_AR,
  check,
  EAGAIN,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  SIGBUS,
  SYS_IOCTL,
  SYS_READ,
  SYS_WRITE,
  UFFD_FEATURE_MOVE,
  UFFD_FEATURE_POISON,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_MOVE,
  UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES,
  UFFDIO_POISON,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
} from '#src/uffd/index.js';
import { runCommand } from '../support/child.ts';
import { useActors } from './support/actors.ts';
import { conformance } from './support/conformance.ts';
import { kernel, PAGE } from './support/memory.ts';
import { handleSignal, NativeChild, NativeCode } from './support/native.ts';
import { mappingAt } from './support/proc.ts';
import { executableMemory, feature, userfaultfd } from './support/requirements.ts';
import { type Area, HUGE_PAGE, mapAnonymous, privateArea, reserved, sharedArea } from './support/scratch.ts';
import { source, Watcher } from './support/watcher.ts';

const MISSING = UFFDIO_REGISTER_MODE_MISSING;
const BOTH = UFFDIO_REGISTER_MODE_MISSING_MINOR;
// Not EFAULT-proof by chance: the first page of the address space is never mapped.
const UNMAPPED = 8 * PAGE;

const watching = { requires: userfaultfd };
const moving = { requires: [userfaultfd, feature(UFFD_FEATURE_MOVE, 'MOVE')] };
const actors = useActors(1);

/** Registers areas with a new userfaultfd. */
function watch(mode: number, ...areas: readonly Area[]): Watcher {
  const watcher = Watcher.open();
  for (const { address, bytes } of areas) expect(watcher.register(address, bytes, mode)).toBeGreaterThan(0);
  return watcher;
}

describe('pages that are there', () => {
  conformance('COPY and ZEROPAGE over a page of the mapping are EEXIST, and leave it alone', watching, () => {
    using memory = privateArea(2);
    using file = sharedArea(2);
    for (const area of [memory, file.window]) {
      using watcher = watch(MISSING, area);
      expect(watcher.uffd.copy(area.address, source(5).address, PAGE)).toBe(PAGE);
      expect(watcher.uffd.copy(area.address, source(6).address, PAGE)).toBe(-EEXIST);
      expect(watcher.uffd.zeropage(area.address, PAGE)).toBe(-EEXIST);
      expect(area.get(0)).toBe(5);
    }
  });

  conformance('ZEROPAGE installs zeroes that can be written to', watching, () => {
    using memory = privateArea(2);
    using file = sharedArea(2);
    for (const area of [memory, file.window]) {
      using watcher = watch(MISSING, area);
      expect(watcher.uffd.zeropage(area.address, 2 * PAGE)).toBe(2 * PAGE);
      expect(area.words.every((word) => word === 0)).toBe(true);
      area.set(1, 3);
      expect([area.get(0), area.get(1)]).toEqual([0, 3]);
    }
  });

  conformance(
    'COPY and ZEROPAGE over a page of the page cache that is not mapped are EEXIST too',
    watching,
    () => {
      using file = sharedArea(1);
      file.alias.set(0, 5);
      using watcher = watch(BOTH, file.window);
      expect(watcher.uffd.copy(file.window.address, source(6).address, PAGE)).toBe(-EEXIST);
      expect(watcher.uffd.zeropage(file.window.address, PAGE)).toBe(-EEXIST);
      expect(file.alias.get(0)).toBe(5);
    },
  );

  conformance(
    'COPY up to a page that is there: EAGAIN with the bytes done, EEXIST from there',
    watching,
    () => {
      using memory = privateArea(3);
      using watcher = watch(MISSING, memory);
      const from = source(1, 3);
      expect(watcher.uffd.copy(memory.page(1), from.address, PAGE)).toBe(PAGE);
      expect(watcher.request(UFFDIO_COPY, memory.address, from.address, 3 * PAGE, 0)).toEqual({
        result: -EAGAIN,
        done: PAGE,
      });
      const rest = watcher.request(UFFDIO_COPY, memory.page(1), from.address, 2 * PAGE, 0);
      expect(rest).toEqual({ result: -EEXIST, done: -EEXIST });
      expect(watcher.uffd.copy(memory.page(2), from.address + 2 * PAGE, PAGE)).toBe(PAGE);
      expect([0, 1, 2].map((page) => memory.get(page))).toEqual([1, 1, 3]);
    },
  );

  conformance(
    'CONTINUE up to a hole: EAGAIN with the bytes done, EFAULT at the hole, EEXIST on what it did',
    watching,
    () => {
      using file = sharedArea(8);
      file.alias.fill(100, 6);
      using watcher = watch(BOTH, file.window);
      const { address } = file.window;
      expect(watcher.request(UFFDIO_CONTINUE, address, 8 * PAGE, 0)).toEqual({
        result: -EAGAIN,
        done: 6 * PAGE,
      });
      expect(watcher.request(UFFDIO_CONTINUE, address + 6 * PAGE, 2 * PAGE, 0)).toEqual({
        result: -EFAULT,
        done: -EFAULT,
      });
      expect(watcher.uffd.continue(address, 6 * PAGE)).toBe(-EEXIST);
      expect([0, 1, 2, 3, 4, 5].map((page) => file.window.get(page))).toEqual([100, 101, 102, 103, 104, 105]);
    },
  );

  conformance('each kind of installing also works under the registration of the other', watching, () => {
    using file = sharedArea(2);
    const { window, alias } = file;
    using watcher = watch(UFFDIO_REGISTER_MODE_MINOR, window);
    expect(watcher.uffd.copy(window.address, source(5).address, PAGE)).toBe(PAGE);
    expect(watcher.register(window.address, window.bytes, MISSING)).toBeGreaterThan(0);
    alias.set(1, 6);
    expect(watcher.uffd.continue(window.page(1), PAGE)).toBe(PAGE);
    expect([window.get(0), window.get(1)]).toEqual([5, 6]);
  });
});

describe('wrong arguments', () => {
  conformance('COPY: unaligned, empty, an unknown mode: EINVAL', watching, () => {
    using memory = privateArea(1);
    using watcher = watch(MISSING, memory);
    const { uffd } = watcher;
    const from = source(1, 2);
    expect(uffd.copy(memory.address + 8, from.address, PAGE)).toBe(-EINVAL);
    expect(uffd.copy(memory.address, from.address, PAGE - 8)).toBe(-EINVAL);
    expect(uffd.copy(memory.address, from.address, 0)).toBe(-EINVAL);
    expect(uffd.copy(memory.address, from.address, PAGE, 4)).toBe(-EINVAL);
    // MODE_WP without such a registration.
    expect(uffd.copy(memory.address, from.address, PAGE, 2)).toBe(-EINVAL);
    // The source may be unaligned.
    expect(uffd.copy(memory.address, from.address + 4, PAGE)).toBe(PAGE);
    expect(memory.words[PAGE / 4 - 1]).toBe(2);
  });

  conformance('COPY: beyond the mapping, and where nothing is registered: ENOENT', watching, () => {
    using memory = privateArea(2);
    using other = privateArea(1);
    using watcher = watch(MISSING, memory);
    const from = source(1, 3);
    expect(watcher.uffd.copy(memory.address, from.address, 3 * PAGE)).toBe(-ENOENT);
    expect(watcher.uffd.copy(other.address, from.address, PAGE)).toBe(-ENOENT);
    expect(watcher.uffd.continue(other.address, PAGE)).toBe(-ENOENT);
    expect(watcher.uffd.zeropage(other.address, PAGE)).toBe(-ENOENT);
    // Nothing was done in part.
    expect(watcher.uffd.copy(memory.address, from.address, 2 * PAGE)).toBe(2 * PAGE);
  });

  conformance(
    'COPY: a source that is not mapped, and a target beyond the end of the file: EFAULT',
    watching,
    () => {
      using memory = privateArea(1);
      using file = sharedArea(2, 1);
      using watcher = watch(MISSING, memory, file.window);
      expect(watcher.uffd.copy(memory.address, UNMAPPED, PAGE)).toBe(-EFAULT);
      expect(watcher.uffd.copy(file.window.page(1), source(1).address, PAGE)).toBe(-EFAULT);
      expect(watcher.uffd.continue(file.window.page(1), PAGE)).toBe(-EINVAL);
      expect(watcher.uffd.copy(file.window.page(0), source(1).address, PAGE)).toBe(PAGE);
    },
  );

  conformance('CONTINUE in private memory is EINVAL', watching, () => {
    using memory = privateArea(1);
    using watcher = watch(MISSING, memory);
    expect(watcher.uffd.continue(memory.address, PAGE)).toBe(-EINVAL);
  });

  conformance(
    'COPY reads its source before it writes: a source that ends early installs what was whole',
    watching,
    () => {
      using memory = privateArea(2);
      using from = privateArea(2);
      from.fill(7);
      expect(kernel.munmap(from.page(1), PAGE)).toBe(0);
      using watcher = watch(MISSING, memory);
      expect(watcher.uffd.copy(memory.address, from.address, 2 * PAGE)).toBe(PAGE);
      expect(watcher.uffd.copy(memory.page(1), from.page(1), PAGE)).toBe(-EFAULT);
      expect(memory.get(0)).toBe(7);
    },
  );
});

describe('POISON', () => {
  const poisoning = { requires: [userfaultfd, executableMemory, feature(UFFD_FEATURE_POISON, 'POISON')] };

  conformance('an access is SIGBUS at its address, until COPY puts a page there', poisoning, async (it) => {
    using memory = privateArea(2);
    using watcher = watch(MISSING, memory);
    expect(watcher.uffd.poison(memory.address, 2 * PAGE)).toBe(2 * PAGE);
    using code = new NativeCode();
    const page = source(0);
    page.view[0x48 / 4] = 44;
    const args = new BigInt64Array([memory.address, page.address, PAGE, 0, 0].map(BigInt));
    using handler = handleSignal(SIGBUS, code, (h) => {
      const slots = h.saveSignal();
      h.syscall(SYS_IOCTL, watcher.fd, UFFDIO_COPY, addressOf(args));
      h.exitIfFailed(71);
      return slots;
    });
    expect(actors[0]!.load(memory.address + 0x48).result()).toBe(44);
    const { code: siCode, address } = handler.slots;
    expect(code.read(address)).toBe(memory.address + 0x48);
    expect([BUS_ADRERR, BUS_MCEERR_AR]).toContain(code.read(siCode));
    await it.saw(code.read(siCode) === BUS_ADRERR ? 'BUS_ADRERR' : 'BUS_MCEERR_AR');
    // A poisoned page is not reported.
    expect(watcher.read()).toBe(-EAGAIN);
  });

  conformance(
    'a system call is EFAULT, a second POISON EEXIST, and COPY puts a page there',
    poisoning,
    () => {
      using memory = privateArea(3);
      using sink = sharedArea(1);
      using watcher = watch(MISSING, memory);
      const { uffd } = watcher;
      expect(uffd.poison(memory.address, PAGE)).toBe(PAGE);
      expect(actors[0]!.syscall(SYS_WRITE, sink.file.fd, memory.address, 4).result()).toBe(-EFAULT);
      expect(actors[0]!.syscall(SYS_READ, sink.file.fd, memory.address, 4).result()).toBe(-EFAULT);
      expect(uffd.poison(memory.address, PAGE)).toBe(-EEXIST);
      expect(uffd.copy(memory.address, source(4).address, PAGE)).toBe(PAGE);
      expect(memory.get(0)).toBe(4);
      // A page that is there is not poisoned; pages before it are.
      expect(uffd.copy(memory.page(2), source(5).address, PAGE)).toBe(PAGE);
      expect(watcher.request(UFFDIO_POISON, memory.page(1), 2 * PAGE, 0)).toEqual({
        result: -EAGAIN,
        done: PAGE,
      });
      expect(uffd.poison(memory.page(2), PAGE)).toBe(-EEXIST);
      expect(memory.get(2)).toBe(5);
    },
  );

  conformance(
    'ZEROPAGE over it: EEXIST in private memory, a page of zeroes in shared memory',
    poisoning,
    () => {
      using memory = privateArea(1);
      using file = sharedArea(1);
      using watcher = watch(MISSING, memory, file.window);
      const { uffd } = watcher;
      expect(uffd.poison(memory.address, PAGE)).toBe(PAGE);
      expect(uffd.poison(file.window.address, PAGE)).toBe(PAGE);
      expect(uffd.zeropage(memory.address, PAGE)).toBe(-EEXIST);
      expect(uffd.zeropage(file.window.address, PAGE)).toBe(PAGE);
      expect(file.window.get(0)).toBe(0);
    },
  );

  conformance('it lasts until MADV_DONTNEED: then the page is missing', poisoning, () => {
    using memory = privateArea(1);
    using watcher = watch(MISSING, memory);
    expect(watcher.uffd.poison(memory.address, PAGE)).toBe(PAGE);
    expect(kernel.madvise(memory.address, PAGE, MADV_DONTNEED)).toBe(0);
    const read = actors[0]!.load(memory.address);
    expect(watcher.takeFault().address).toBe(memory.address);
    expect(watcher.uffd.zeropage(memory.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(0);
  });

  conformance(
    'it is of one mapping: other mappings of the file go on, and CONTINUE lifts it',
    poisoning,
    () => {
      using file = sharedArea(1);
      using watcher = watch(BOTH, file.window);
      expect(watcher.uffd.poison(file.window.address, PAGE)).toBe(PAGE);
      file.alias.set(0, 6);
      using sink = sharedArea(1);
      expect(actors[0]!.syscall(SYS_WRITE, sink.file.fd, file.window.address, 4).result()).toBe(-EFAULT);
      expect(watcher.uffd.continue(file.window.address, PAGE)).toBe(PAGE);
      expect(file.window.get(0)).toBe(6);
    },
  );
});

describe('MOVE', () => {
  for (const pages of [1, 16]) {
    conformance(`${pages} page(s): the bytes are at the target, and missing at the source`, moving, () => {
      using from = privateArea(pages);
      using to = privateArea(pages);
      using watcher = watch(MISSING, from, to);
      for (let p = 0; p < pages; p++)
        expect(watcher.uffd.copy(from.page(p), source(50 + p).address, PAGE)).toBe(PAGE);
      expect(mappingAt(from.address)!.bytesOf('Rss')).toBe(pages * PAGE);
      expect(watcher.uffd.move(to.address, from.address, pages * PAGE)).toBe(pages * PAGE);
      expect(mappingAt(from.address)!.bytesOf('Rss')).toBe(0);
      expect(mappingAt(to.address)!.bytesOf('Rss')).toBe(pages * PAGE);
      for (let p = 0; p < pages; p++) expect(to.get(p)).toBe(50 + p);
      const read = actors[0]!.load(from.address);
      expect(watcher.takeFault().flags).toBe(0);
      expect(watcher.uffd.zeropage(from.address, PAGE)).toBe(PAGE);
      expect(read.result()).toBe(0);
    });
  }

  conformance('it wakes who waits at the target', moving, () => {
    using from = privateArea(1);
    using to = privateArea(1);
    from.set(0, 61);
    using watcher = watch(MISSING, to);
    const read = actors[0]!.load(to.address);
    watcher.takeFault();
    expect(watcher.uffd.move(to.address, from.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(61);
    // The source is not registered: it reads as zero.
    expect(from.get(0)).toBe(0);
  });

  conformance('a huge page moves whole, and stays huge', moving, (it) => {
    using from = hugeArea();
    using to = hugeArea();
    from.set(0, 1);
    if (mappingAt(from.address)!.bytesOf('AnonHugePages') !== HUGE_PAGE)
      it.skip('the kernel gives no huge page for private memory at the moment');
    from.fill(1);
    using watcher = watch(MISSING, to);
    expect(watcher.uffd.move(to.address, from.address, HUGE_PAGE)).toBe(HUGE_PAGE);
    expect(mappingAt(to.address)!.bytesOf('AnonHugePages')).toBe(HUGE_PAGE);
    expect(mappingAt(from.address)!.bytesOf('Rss')).toBe(0);
    for (let p = 0; p < HUGE_PAGE / PAGE; p++) expect(to.get(p)).toBe(1 + p);
  });

  conformance('one small page of a huge page moves too', moving, (it) => {
    using from = hugeArea();
    using to = privateArea(1);
    from.set(0, 1);
    if (mappingAt(from.address)!.bytesOf('AnonHugePages') !== HUGE_PAGE)
      it.skip('the kernel gives no huge page for private memory at the moment');
    from.fill(1);
    using watcher = watch(MISSING, to);
    expect(watcher.uffd.move(to.address, from.page(3), PAGE)).toBe(PAGE);
    expect([to.get(0), from.get(2), from.get(3), from.get(4)]).toEqual([4, 3, 0, 5]);
  });

  conformance('a source page that is missing is ENOENT, or passed over if that is allowed', moving, () => {
    using from = privateArea(3);
    using to = privateArea(3);
    from.set(0, 1);
    from.set(2, 3);
    using watcher = watch(MISSING, to);
    expect(watcher.uffd.move(to.page(1), from.page(1), PAGE)).toBe(-ENOENT);
    expect(watcher.request(UFFDIO_MOVE, to.address, from.address, 3 * PAGE, 0)).toEqual({
      result: -EAGAIN,
      done: PAGE,
    });
    const mode = UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES;
    expect(watcher.uffd.move(to.page(1), from.page(1), 2 * PAGE, mode)).toBe(2 * PAGE);
    expect([to.get(0), to.get(2)]).toEqual([1, 3]);
    // What was passed over is missing at the target.
    expect(watcher.uffd.zeropage(to.page(1), PAGE)).toBe(PAGE);
  });

  conformance('a target page that is there is EEXIST', moving, () => {
    using from = privateArea(1);
    using to = privateArea(1);
    from.set(0, 1);
    to.set(0, 2);
    using watcher = watch(MISSING, to);
    expect(watcher.uffd.move(to.address, from.address, PAGE)).toBe(-EEXIST);
    expect([from.get(0), to.get(0)]).toEqual([1, 2]);
  });

  conformance(
    'shared memory, other protection, other locking, a target that is not registered: EINVAL',
    moving,
    () => {
      using from = privateArea(2);
      using to = privateArea(3);
      using file = sharedArea(1);
      from.fill(1);
      file.alias.set(0, 1);
      using watcher = watch(MISSING, to, file.window);
      const { uffd } = watcher;
      expect(uffd.move(to.address, file.alias.address, PAGE)).toBe(-EINVAL);
      expect(uffd.move(file.window.address, from.address, PAGE)).toBe(-EINVAL);
      expect(kernel.mprotect(from.address, PAGE, PROT_READ)).toBe(0);
      expect(uffd.move(to.address, from.address, PAGE)).toBe(-EINVAL);
      expect(kernel.mlock(from.page(1), PAGE)).toBe(0);
      expect(uffd.move(to.address, from.page(1), PAGE)).toBe(-EINVAL);
      expect(kernel.munlock(from.page(1), PAGE)).toBe(0);
      expect(uffd.move(to.address, from.page(1), PAGE)).toBe(PAGE);
      expect(uffd.move(to.page(2), from.page(0), PAGE)).toBe(-EINVAL);
    },
  );

  conformance(
    'ranges that overlap are moved page by page from the front, unless that is refused',
    moving,
    async (it) => {
      using memory = privateArea(3);
      memory.set(1, 21);
      memory.set(2, 22);
      using watcher = watch(MISSING, memory);
      const result = watcher.uffd.move(memory.page(0), memory.page(1), 2 * PAGE);
      await it.saw(result < 0 ? 'a refusal' : 'a slide');
      if (result < 0) {
        expect(result).toBe(-EINVAL);
        return;
      }
      expect(result).toBe(2 * PAGE);
      expect([memory.get(0), memory.get(1)]).toEqual([21, 22]);
      // The other way the first page is moved again by the second step, where its own target then is the source.
      expect(watcher.uffd.move(memory.page(2), memory.page(1), PAGE)).toBe(PAGE);
      expect(kernel.madvise(memory.page(2), PAGE, MADV_DONTNEED)).toBe(0);
      expect(watcher.uffd.move(memory.page(1), memory.page(0), 2 * PAGE)).toBe(2 * PAGE);
      expect(memory.get(2)).toBe(21);
      expect(mappingAt(memory.address)!.bytesOf('Rss')).toBe(PAGE);
    },
  );

  conformance(
    'after a fork EBUSY, even when the child has ended, until the page is written',
    {
      requires: [...moving.requires, executableMemory],
    },
    () => {
      using from = privateArea(3);
      using to = privateArea(3);
      from.fill(1);
      expect(kernel.madvise(from.page(2), PAGE, MADV_DONTFORK)).toBe(0);
      using watcher = watch(MISSING, to);
      using code = new NativeCode();
      using child = NativeChild.fork((c) => c.exit(), code);
      expect(child.exitStatus()).toBe(0);
      expect(watcher.uffd.move(to.page(0), from.page(0), PAGE)).toBe(-EBUSY);
      from.set(0, 10);
      expect(watcher.uffd.move(to.page(0), from.page(0), PAGE)).toBe(PAGE);
      expect(watcher.uffd.move(to.page(1), from.page(1), PAGE)).toBe(-EBUSY);
      // What the child did not get is not shared.
      expect(watcher.uffd.move(to.page(2), from.page(2), PAGE)).toBe(PAGE);
      expect([to.get(0), to.get(2)]).toEqual([10, 3]);
    },
  );

  conformance(
    'DONTUNMAP, watch the emptied range, MOVE the pages back on demand: nothing is copied',
    moving,
    () => {
      using memory = privateArea(4);
      using shadow = reserved(4);
      memory.fill(70);
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
      expect(kernel.mremap(memory.address, memory.bytes, memory.bytes, flags, shadow.address)).toBe(
        shadow.address,
      );
      using watcher = watch(MISSING, memory);
      for (const page of [2, 0, 3, 1]) {
        const read = actors[0]!.load(memory.page(page));
        expect(watcher.takeFault().address).toBe(memory.page(page));
        expect(watcher.uffd.move(memory.page(page), shadow.page(page), PAGE)).toBe(PAGE);
        expect(read.result()).toBe(70 + page);
      }
      expect(mappingAt(shadow.address)!.bytesOf('Rss')).toBe(0);
    },
  );
});

/** Private memory of one huge page. */
function hugeArea(): Area {
  const area = reserved(HUGE_PAGE / PAGE);
  mapAnonymous(area.address, HUGE_PAGE);
  check(kernel.madvise(area.address, HUGE_PAGE, MADV_HUGEPAGE), 'madvise', 'asking for huge pages');
  return area;
}

describe('SIGBUS instead of messages', () => {
  const signalling = {
    requires: [userfaultfd, executableMemory, feature(UFFD_FEATURE_SIGBUS, 'SIGBUS')],
  };

  for (const [name, request] of [
    ['a missing page', UFFDIO_COPY],
    ['a page that is only not mapped', UFFDIO_CONTINUE],
  ] as const) {
    conformance(
      `${name}: the thread gets SIGBUS at the address it touched, and can serve itself`,
      signalling,
      () => {
        using file = sharedArea(1);
        if (request === UFFDIO_CONTINUE) file.alias.words[0x84 / 4] = 81;
        using watcher = Watcher.open(UFFD_FEATURE_SIGBUS);
        expect(watcher.register(file.window.address, PAGE, BOTH)).toBeGreaterThan(0);
        using code = new NativeCode();
        const page = source(0);
        page.view[0x84 / 4] = 81;
        const words =
          request === UFFDIO_COPY
            ? [file.window.address, page.address, PAGE, 0, 0]
            : [file.window.address, PAGE, 0, 0];
        const args = new BigInt64Array(words.map(BigInt));
        using handler = handleSignal(SIGBUS, code, (h) => {
          const slots = h.saveSignal();
          h.syscall(SYS_IOCTL, watcher.fd, request, addressOf(args));
          h.exitIfFailed(72);
          return slots;
        });
        expect(actors[0]!.load(file.window.address + 0x84).result()).toBe(81);
        expect(code.read(handler.slots.code)).toBe(BUS_ADRERR);
        expect(code.read(handler.slots.address)).toBe(file.window.address + 0x84);
        expect(watcher.hasMessage(0)).toBe(false);
        expect(watcher.read()).toBe(-EAGAIN);
      },
    );
  }

  conformance('a system call on a missing page is EFAULT', signalling, () => {
    using file = sharedArea(1);
    using sink = sharedArea(1);
    using watcher = Watcher.open(UFFD_FEATURE_SIGBUS);
    expect(watcher.register(file.window.address, PAGE, BOTH)).toBeGreaterThan(0);
    expect(actors[0]!.syscall(SYS_WRITE, sink.file.fd, file.window.address, 4).result()).toBe(-EFAULT);
    expect(watcher.read()).toBe(-EAGAIN);
  });

  conformance('without a handler for it, the access ends the process', signalling, async () => {
    const script = new URL('./support/sigbus.mjs', import.meta.url).pathname;
    const { status, signal, stdout } = await runCommand(process.execPath, [script]);
    expect({ status, signal, stdout }).toEqual({ status: null, signal: 'SIGBUS', stdout: 'watching\n' });
  });
});
