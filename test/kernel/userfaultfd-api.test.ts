// userfaultfd: opening, the handshake, registration. Origin: "userfaultfd-unit-tests" means uffd-unit-tests.c of the kernel's
// selftests (mm); the others are this project's own.
//
//   the handshake: version, unknown features, twice, the mask of features    userfaultfd-unit-tests (userfaultfd_open, register)
//   nothing works before the handshake                                       own
//   registration: every mode on private and on shared memory                 userfaultfd-unit-tests (register-ioctls)
//   what cannot be registered, and what replaces a registration              own
//   poll and read without anything to read                                   own
//   who may open which kind                                                  own
//   the user-mode-only kind: instructions are reported, system calls fail    own
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  EACCES,
  EAGAIN,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  EPERM,
  MADV_DONTNEED,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  POLLERR,
  POLLIN,
  PROT_READ,
  PROT_WRITE,
  SYS_OPEN,
  SYS_SETGROUPS,
  SYS_SETRESUID,
  SYS_USERFAULTFD,
  UFFD_FEATURE_MINOR_SHMEM,
  UFFD_FEATURE_MISSING_SHMEM,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_MSG_BYTES,
  UFFD_USER_MODE_ONLY,
  UFFDIO_IOCTL_CONTINUE,
  UFFDIO_IOCTL_COPY,
  UFFDIO_IOCTL_WAKE,
  UFFDIO_IOCTL_WRITEPROTECT,
  UFFDIO_REGISTER,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  UFFDIO_REGISTER_MODE_WP,
  VM_FLAG_UFFD_MINOR,
  VM_FLAG_UFFD_MISSING,
  VM_FLAG_UFFD_WP,
} from '#src/uffd/index.js';
import { useActors } from './support/actors.ts';
import { conformance } from './support/conformance.ts';
import { kernel, PAGE } from './support/memory.ts';
import { NativeChild, NativeCode } from './support/native.ts';
import { mappingAt } from './support/proc.ts';
import { executableMemory, feature, userfaultfd } from './support/requirements.ts';
import { mapped, privateArea, reserved, sharedArea } from './support/scratch.ts';
import { handshake, source, Watcher } from './support/watcher.ts';

const [MISSING, WP, MINOR] = [
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_REGISTER_MODE_MINOR,
];
const watching = { requires: userfaultfd };
const actors = useActors(1);

/** Runs with a descriptor that no handshake was made on. */
function withFresh(use: (fd: number) => void): void {
  const fd = kernel.userfaultfd(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  expect(fd).toBeGreaterThanOrEqual(0);
  try {
    use(fd);
  } finally {
    kernel.close(fd);
  }
}

describe('the handshake', () => {
  conformance('another version of the interface is EINVAL', () => {
    withFresh((fd) => expect(handshake(fd, 0n, 0xab).result).toBe(-EINVAL));
  });

  conformance('an unknown feature is EINVAL', () => {
    withFresh((fd) => expect(handshake(fd, 1n << 63n).result).toBe(-EINVAL));
  });

  conformance('no feature asked for: the mask of all is reported', () => {
    withFresh((fd) => {
      const { result, features, ioctls } = handshake(fd, 0n);
      expect(result).toBe(0);
      const needed = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
      expect(features & needed).toBe(needed);
      // _UFFDIO_REGISTER, _UFFDIO_UNREGISTER, _UFFDIO_API.
      expect(ioctls & 0x8000_0000_0000_0003n).toBe(0x8000_0000_0000_0003n);
    });
  });

  conformance('it is made once: a second one is EINVAL', () => {
    withFresh((fd) => {
      expect(handshake(fd, 0n).result).toBe(0);
      expect(handshake(fd, 0n).result).toBe(-EINVAL);
    });
  });

  conformance('before it, registering and reading are EINVAL, and poll reports an error', () => {
    using memory = privateArea(1);
    withFresh((fd) => {
      const watcher = Watcher.of(fd);
      expect(watcher.register(memory.address, PAGE, MISSING)).toBe(-EINVAL);
      expect(watcher.read()).toBe(-EINVAL);
      const fds = new Int32Array([fd, POLLIN]);
      expect(kernel.poll(fds, 1, 0)).toBe(1);
      expect(fds[1]! >>> 16).toBe(POLLERR);
    });
  });
});

describe('registration', () => {
  for (const kind of ['private', 'shared'] as const) {
    for (let mode = 0; mode < 8; mode++) {
      const names = [mode & MISSING && 'MISSING', mode & WP && 'WP', mode & MINOR && 'MINOR'].filter(Boolean);
      const isRefused = mode === 0 || (kind === 'private' && (mode & MINOR) !== 0);
      const name = `${kind} memory, mode ${names.join('|') || 'none'}: ${isRefused ? 'EINVAL' : 'its requests are listed'}`;
      conformance(name, watching, () => {
        using area = kind === 'private' ? privateArea(2) : undefined;
        using file = kind === 'shared' ? sharedArea(2) : undefined;
        using watcher = Watcher.open();
        const { address, bytes } = area ?? file!.window;
        const ioctls = watcher.register(address, bytes, mode);
        if (isRefused) {
          expect(ioctls).toBe(-EINVAL);
          return;
        }
        const always = UFFDIO_IOCTL_WAKE | UFFDIO_IOCTL_COPY;
        expect(ioctls & always).toBe(always);
        expect((ioctls & UFFDIO_IOCTL_WRITEPROTECT) !== 0).toBe((mode & WP) !== 0);
        expect((ioctls & UFFDIO_IOCTL_CONTINUE) !== 0).toBe((mode & MINOR) !== 0);
        // What /proc shows: um, uw, ui.
        const { flags } = mappingAt(address)!;
        expect([
          flags.has(VM_FLAG_UFFD_MISSING),
          flags.has(VM_FLAG_UFFD_WP),
          flags.has(VM_FLAG_UFFD_MINOR),
        ]).toEqual([(mode & MISSING) !== 0, (mode & WP) !== 0, (mode & MINOR) !== 0]);
      });
    }
  }

  conformance('an unknown mode, an unaligned or empty range, and nothing mapped are EINVAL', watching, () => {
    using memory = privateArea(2);
    using hole = reserved(1);
    kernel.munmap(hole.address, PAGE);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, PAGE, 8)).toBe(-EINVAL);
    expect(watcher.register(memory.address + 1, PAGE, MISSING)).toBe(-EINVAL);
    expect(watcher.register(memory.address, PAGE - 1, MISSING)).toBe(-EINVAL);
    expect(watcher.register(memory.address, 0, MISSING)).toBe(-EINVAL);
    expect(watcher.register(hole.address, PAGE, MISSING)).toBe(-EINVAL);
    expect(mappingAt(memory.address)!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(false);
  });

  conformance('a mapping of an ordinary file is EINVAL', watching, () => {
    const folder = mkdtempSync(join(tmpdir(), 'kernel-case-'));
    const path = join(folder, 'file');
    writeFileSync(path, new Uint8Array(PAGE));
    const fd = kernel.openDevice(path, O_RDWR | O_CLOEXEC);
    rmSync(folder, { recursive: true });
    using place = reserved(1);
    using watcher = Watcher.open();
    const results = [MAP_SHARED, MAP_PRIVATE].map((kind) => {
      const flags = kind | MAP_FIXED;
      expect(kernel.mmap(place.address, PAGE, PROT_READ | PROT_WRITE, flags, fd, 0)).toBe(place.address);
      return watcher.register(place.address, PAGE, MISSING);
    });
    kernel.close(fd);
    // Where the folder for temporary files is itself shared memory, the shared mapping is as good as a memfd's.
    expect(results[1]).toBe(-EINVAL);
    if (results[0]! >= 0) expect(mappingAt(place.address)!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(true);
    else expect(results[0]).toBe(-EINVAL);
  });

  conformance(
    'with WP_ASYNC alone even a file mapping may be write-protected',
    {
      requires: [userfaultfd, feature(UFFD_FEATURE_WP_ASYNC, 'WP_ASYNC')],
    },
    () => {
      const fd = kernel.openDevice(process.execPath, O_CLOEXEC);
      using place = reserved(1);
      const flags = MAP_PRIVATE | MAP_FIXED;
      expect(kernel.mmap(place.address, PAGE, PROT_READ | PROT_WRITE, flags, fd, 0)).toBe(place.address);
      kernel.close(fd);
      using asynchronous = Watcher.open(UFFD_FEATURE_WP_ASYNC);
      using synchronous = Watcher.open();
      expect(synchronous.register(place.address, PAGE, WP)).toBe(-EINVAL);
      expect(asynchronous.register(place.address, PAGE, WP | MISSING)).toBe(-EINVAL);
      expect(asynchronous.register(place.address, PAGE, WP)).toBeGreaterThan(0);
    },
  );

  conformance('a mapping that can never become writable is EPERM', watching, () => {
    using memory = sharedArea(1);
    const fd = kernel.openDevice(`/proc/self/fd/${memory.file.fd}`, O_CLOEXEC);
    expect(fd).toBeGreaterThanOrEqual(0);
    using place = reserved(1);
    const flags = MAP_SHARED | MAP_FIXED;
    expect(kernel.mmap(place.address, PAGE, PROT_READ, flags, fd, 0)).toBe(place.address);
    kernel.close(fd);
    using watcher = Watcher.open();
    expect(watcher.register(place.address, PAGE, UFFDIO_REGISTER_MODE_MISSING_MINOR)).toBe(-EPERM);
    // Only read at the moment, but of a descriptor that may write: that can be registered.
    using readable = mapped(memory.file, 1, PROT_READ);
    expect(watcher.register(readable.address, PAGE, MISSING)).toBeGreaterThan(0);
  });

  conformance('what another userfaultfd watches, if only one page of it, is EBUSY', watching, () => {
    using memory = privateArea(3);
    using first = Watcher.open();
    using second = Watcher.open();
    expect(first.register(memory.page(1), PAGE, MISSING)).toBeGreaterThan(0);
    expect(second.register(memory.address, memory.bytes, MISSING)).toBe(-EBUSY);
    expect(second.register(memory.page(2), PAGE, MISSING)).toBeGreaterThan(0);
    first.close();
    expect(second.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
  });

  conformance('the same userfaultfd again: the new modes replace the old ones', watching, () => {
    using memory = sharedArea(1);
    const { window } = memory;
    using watcher = Watcher.open();
    expect(watcher.register(window.address, PAGE, MISSING)).toBeGreaterThan(0);
    expect(watcher.register(window.address, PAGE, MINOR)).toBeGreaterThan(0);
    const { flags } = mappingAt(window.address)!;
    expect([flags.has(VM_FLAG_UFFD_MISSING), flags.has(VM_FLAG_UFFD_MINOR)]).toEqual([false, true]);
  });

  conformance('a hole in the range is passed over', watching, () => {
    using memory = privateArea(3);
    kernel.munmap(memory.page(1), PAGE);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
    expect([0, 2].map((page) => mappingAt(memory.page(page))!.flags.has(VM_FLAG_UFFD_MISSING))).toEqual([
      true,
      true,
    ]);
  });

  conformance('mapping something else over the range drops it', watching, () => {
    using memory = sharedArea(3);
    const { file, window } = memory;
    using watcher = Watcher.open();
    expect(
      watcher.register(window.address, window.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR),
    ).toBeGreaterThan(0);
    file.map(window.page(1), PAGE, { offset: PAGE });
    const watched = [0, 1, 2].map((page) => {
      const { flags } = mappingAt(window.page(page))!;
      return flags.has(VM_FLAG_UFFD_MISSING) && flags.has(VM_FLAG_UFFD_MINOR);
    });
    expect(watched).toEqual([true, false, true]);
    expect(mappingAt(window.page(1))!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(false);
    expect(watcher.uffd.copy(window.page(1), source(1).address, PAGE)).toBe(-ENOENT);
    expect(window.get(1)).toBe(0);
  });
});

describe('poll and read', () => {
  conformance(
    'poll of a blocking descriptor reports an error at once, so that nobody relies on it',
    watching,
    () => {
      using watcher = Watcher.open(0n, O_CLOEXEC);
      const fds = new Int32Array([watcher.fd, POLLIN]);
      expect(kernel.poll(fds, 1, 10_000)).toBe(1);
      expect(fds[1]! >>> 16).toBe(POLLERR);
    },
  );

  conformance('nothing to read: poll finds nothing, read is EAGAIN', watching, () => {
    using watcher = Watcher.open();
    expect(watcher.hasMessage(0)).toBe(false);
    expect(watcher.read()).toBe(-EAGAIN);
  });

  conformance('a buffer that is shorter than a message is EINVAL, and the message stays', watching, () => {
    using memory = privateArea(1);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, PAGE, MISSING)).toBeGreaterThan(0);
    const read = actors[0]!.load(memory.address);
    expect(watcher.hasMessage()).toBe(true);
    const buffer = new Uint8Array(UFFD_MSG_BYTES);
    expect(kernel.read(watcher.fd, buffer, UFFD_MSG_BYTES - 1)).toBe(-EINVAL);
    // Whole messages only, as many as fit.
    expect(kernel.read(watcher.fd, new Uint8Array(2 * UFFD_MSG_BYTES - 1), 2 * UFFD_MSG_BYTES - 1)).toBe(
      UFFD_MSG_BYTES,
    );
    expect(watcher.uffd.zeropage(memory.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(0);
  });
});

describe('who may open which kind', () => {
  conformance(
    'without privileges only the user-mode-only kind, unless the system administrator allows more',
    {
      requires: executableMemory,
    },
    async (it) => {
      using code = new NativeCode();
      const NOBODY = 65_534;
      const isRoot = process.getuid!() === 0;
      let slots: number[] = [];
      using child = NativeChild.fork((c) => {
        if (isRoot) {
          c.syscall(SYS_SETGROUPS, 0, 0);
          c.exitIfFailed(1);
          c.syscall(SYS_SETRESUID, NOBODY, NOBODY, NOBODY);
          c.exitIfFailed(2);
        }
        slots = [
          c.syscall(SYS_USERFAULTFD, O_CLOEXEC),
          c.syscall(SYS_USERFAULTFD, O_CLOEXEC | UFFD_USER_MODE_ONLY),
          c.syscall(SYS_OPEN, c.text('/dev/userfaultfd'), O_RDWR | O_CLOEXEC),
        ];
        c.exit();
      }, code);
      expect(child.exitStatus()).toBe(0);
      const [byCall, userModeOnly, byDevice] = slots.map((slot) => code.read(slot));
      expect(userModeOnly).toBeGreaterThanOrEqual(0);
      const allowed = readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim() === '1';
      if (allowed) expect(byCall).toBeGreaterThanOrEqual(0);
      else expect(byCall).toBe(-EPERM);
      if (byDevice! >= 0) await it.saw('/dev/userfaultfd may be opened by all');
      else expect([-EACCES, -ENOENT, -EPERM]).toContain(byDevice);
    },
  );
});

describe('the user-mode-only kind', () => {
  conformance(
    'a system call on a missing page is EFAULT and not reported, an instruction is reported',
    () => {
      using memory = sharedArea(2);
      const { window, alias } = memory;
      using watcher = Watcher.open(0n, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
      expect(
        watcher.register(window.address, window.bytes, UFFDIO_REGISTER_MODE_MISSING_MINOR),
      ).toBeGreaterThan(0);
      using other = sharedArea(1);
      other.alias.set(0, 5);
      // write(2) reads the page, read(2) writes it: a hole, and then a page of the page cache that is not mapped.
      for (const fill of [false, true]) {
        if (fill) alias.fill(7);
        expect(kernel.write(other.file.fd, window.words, 4)).toBe(-EFAULT);
        expect(kernel.read(other.file.fd, window.words.subarray(1), 4)).toBe(-EFAULT);
      }
      expect(watcher.read()).toBe(-EAGAIN);
      const read = actors[0]!.load(window.address);
      expect(watcher.takeFault().address).toBe(window.address);
      expect(read.isBlocked()).toBe(true);
      expect(watcher.uffd.continue(window.address, PAGE)).toBe(PAGE);
      expect(read.result()).toBe(7);
      expect(kernel.write(other.file.fd, window.words, 4)).toBe(4);
      expect(kernel.madvise(window.address, PAGE, MADV_DONTNEED)).toBe(0);
      expect(kernel.write(other.file.fd, window.words, 4)).toBe(-EFAULT);
    },
  );
});

conformance('a request that the kernel does not know is EINVAL', watching, () => {
  using watcher = Watcher.open();
  expect(watcher.request(UFFDIO_REGISTER + 0x1f, 0, 0, 0).result).toBe(-EINVAL);
});
