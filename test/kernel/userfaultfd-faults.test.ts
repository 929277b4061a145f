// userfaultfd: which accesses are reported, how, and what lets the thread go. Origin: "userfaultfd-unit-tests" means
// uffd-unit-tests.c of the kernel's selftests (mm); the others are this project's own.
//
//   a missing page: read and write, COPY                                     userfaultfd-unit-tests (zeropage, sigbus families)
//   MISSING against MINOR on shared memory: hole, cached page                userfaultfd-unit-tests (minor)
//   a page becomes a hole, or unmapped, again                                own
//   DONTWAKE and WAKE; several threads; a fault resolved before it is read   own
//   THREAD_ID, EXACT_ADDRESS                                                 own
//   a signal to a thread that is blocked in a fault                          own
//   UNREGISTER and close with blocked threads; a close that is deferred      own
//   faults that the kernel takes: COPY from a missing page, a pending signal own
import { describe, expect } from 'vitest';
import {
  addressOf,
  EAGAIN,
  EEXIST,
  EFAULT,
  EINVAL,
  MADV_DONTNEED,
  MADV_REMOVE,
  O_CLOEXEC,
  POLLIN,
  PROT_NONE,
  PROT_READ,
  SIGUSR2,
  SYS_GETTID,
  SYS_IOCTL,
  SYS_POLL,
  SYS_READ,
  SYS_WRITE,
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_THREAD_ID,
  UFFD_MSG_BYTES,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WRITE,
  UFFDIO_COPY,
  UFFDIO_MODE_DONTWAKE,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  VM_FLAG_UFFD_MINOR,
  VM_FLAG_UFFD_MISSING,
} from '#src/uffd/index.js';
import { sleep, useActors, waitFor } from './support/actors.ts';
import { conformance } from './support/conformance.ts';
import { kernel, PAGE } from './support/memory.ts';
import { handleSignal, NativeChild, NativeCode } from './support/native.ts';
import { mappingAt } from './support/proc.ts';
import { executableMemory, fullUserfaultfd, userfaultfd } from './support/requirements.ts';
import { privateArea, sharedArea } from './support/scratch.ts';
import { source, Watcher } from './support/watcher.ts';

const MISSING = UFFDIO_REGISTER_MODE_MISSING;
const MINOR = UFFDIO_REGISTER_MODE_MINOR;
const BOTH = UFFDIO_REGISTER_MODE_MISSING_MINOR;
const WRITE_FLAG = UFFD_PAGEFAULT_FLAG_WRITE;
const MINOR_FLAG = UFFD_PAGEFAULT_FLAG_MINOR;

const watching = { requires: userfaultfd };
const full = { requires: fullUserfaultfd };
const native = { requires: [userfaultfd, executableMemory] };
const actors = useActors(3);

/** A window of a memory file with one userfaultfd over all of it. */
function watched(pages: number, mode: number, features: bigint = 0n, flags?: number) {
  const memory = sharedArea(pages);
  const watcher = Watcher.open(features, flags);
  const { window, alias, file } = memory;
  expect(watcher.register(window.address, window.bytes, mode)).toBeGreaterThan(0);
  return {
    window,
    alias,
    file,
    watcher,
    uffd: watcher.uffd,
    [Symbol.dispose]() {
      // In this order: nobody is blocked any more when the memory goes.
      watcher.close();
      memory[Symbol.dispose]();
    },
  };
}

describe('a missing page', () => {
  conformance('read: no flag, COPY lets the thread go, and other mappings see the page', watching, () => {
    using c = watched(2, MISSING);
    const read = actors[0]!.load(c.window.page(1) + 8);
    expect(c.watcher.takeFault()).toEqual({
      event: 'pagefault',
      flags: 0,
      address: c.window.page(1),
      threadId: 0,
    });
    expect(read.isBlocked()).toBe(true);
    const page = source(0);
    page.view[2] = 42;
    expect(c.uffd.copy(c.window.page(1), page.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(42);
    expect(c.alias.words[PAGE / 4 + 2]).toBe(42);
  });

  conformance('write: the write flag, and the store is not lost', watching, () => {
    using c = watched(1, MISSING);
    const written = actors[0]!.store(c.window.address + 4, 9);
    expect(c.watcher.takeFault().flags).toBe(WRITE_FLAG);
    expect(c.uffd.copy(c.window.address, source(42).address, PAGE)).toBe(PAGE);
    written.result();
    expect([...c.alias.words.subarray(0, 2)]).toEqual([42, 9]);
  });

  conformance('private memory: the same', watching, () => {
    using memory = privateArea(2);
    using watcher = Watcher.open();
    expect(watcher.register(memory.address, memory.bytes, MISSING)).toBeGreaterThan(0);
    const read = actors[0]!.load(memory.address);
    expect(watcher.takeFault().flags).toBe(0);
    expect(watcher.uffd.copy(memory.address, source(42).address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(42);
    const written = actors[0]!.store(memory.page(1), 9);
    expect(watcher.takeFault().flags).toBe(WRITE_FLAG);
    expect(watcher.uffd.zeropage(memory.page(1), PAGE)).toBe(PAGE);
    expect(written.result()).toBe(9);
    expect(memory.get(1)).toBe(9);
  });

  conformance('memory that may not be accessed is a signal or EFAULT, and is not reported', watching, () => {
    using c = watched(1, MISSING);
    using other = sharedArea(1);
    expect(kernel.mprotect(c.window.address, PAGE, PROT_NONE)).toBe(0);
    // By a system call, which says so instead of ending the process.
    expect(actors[0]!.syscall(SYS_WRITE, other.file.fd, c.window.address, 8).result()).toBe(-EFAULT);
    expect(c.watcher.read()).toBe(-EAGAIN);
    // The pages may be installed all the same.
    expect(c.uffd.copy(c.window.address, source(42).address, PAGE)).toBe(PAGE);
    expect(kernel.mprotect(c.window.address, PAGE, PROT_READ)).toBe(0);
    expect(c.window.get(0)).toBe(42);
  });
});

describe('MISSING against MINOR on shared memory', () => {
  conformance('MISSING alone: a page of the page cache is mapped silently', watching, () => {
    using c = watched(2, MISSING);
    c.alias.set(0, 77);
    expect(actors[0]!.load(c.window.address).result()).toBe(77);
    expect(c.watcher.read()).toBe(-EAGAIN);
  });

  conformance('MINOR alone: a hole is filled with zeroes silently', watching, () => {
    using c = watched(2, MINOR);
    expect(actors[0]!.load(c.window.address).result()).toBe(0);
    expect(c.watcher.read()).toBe(-EAGAIN);
    expect(c.file.allocatedBytes()).toBe(PAGE);
  });

  for (const [name, mode] of [
    ['MINOR', MINOR],
    ['MISSING and MINOR', BOTH],
  ] as const) {
    conformance(
      `${name}: a page of the page cache is reported as minor, and read as edited meanwhile`,
      watching,
      () => {
        using c = watched(2, mode);
        c.alias.fill(77);
        const read = actors[0]!.load(c.window.address);
        expect(c.watcher.takeFault()).toMatchObject({ flags: MINOR_FLAG, address: c.window.address });
        c.alias.set(0, 78);
        expect(c.uffd.continue(c.window.address, PAGE)).toBe(PAGE);
        expect(read.result()).toBe(78);

        const written = actors[0]!.store(c.window.page(1) + 4, 9);
        expect(c.watcher.takeFault()).toMatchObject({
          flags: MINOR_FLAG | WRITE_FLAG,
          address: c.window.page(1),
        });
        c.alias.set(1, 79);
        expect(c.uffd.continue(c.window.page(1), PAGE)).toBe(PAGE);
        expect(written.result()).toBe(9);
        expect([...c.alias.words.subarray(PAGE / 4, PAGE / 4 + 2)]).toEqual([79, 9]);
        // One page each: a fault does not map its neighbours along.
        expect(c.watcher.read()).toBe(-EAGAIN);
      },
    );
  }

  conformance('neighbours of a minor fault are not mapped along', watching, () => {
    using c = watched(16, BOTH);
    c.alias.fill(100);
    for (const page of [3, 4, 2]) {
      const read = actors[0]!.load(c.window.page(page));
      expect(c.watcher.takeFault()).toMatchObject({ flags: MINOR_FLAG, address: c.window.page(page) });
      expect(c.uffd.continue(c.window.page(page), PAGE)).toBe(PAGE);
      expect(read.result()).toBe(100 + page);
    }
  });

  conformance(
    'a punched hole is missing again; filled while a thread waits, COPY is EEXIST and CONTINUE right',
    watching,
    () => {
      using c = watched(1, BOTH);
      c.alias.set(0, 1);
      expect(c.uffd.continue(c.window.address, PAGE)).toBe(PAGE);
      c.file.punch(0, PAGE);
      const read = actors[0]!.load(c.window.address);
      expect(c.watcher.takeFault().flags).toBe(0);
      c.alias.set(0, 2);
      expect(c.uffd.copy(c.window.address, source(3).address, PAGE)).toBe(-EEXIST);
      expect(read.isBlocked()).toBe(true);
      expect(c.uffd.continue(c.window.address, PAGE)).toBe(PAGE);
      expect(read.result()).toBe(2);
    },
  );

  conformance('MADV_DONTNEED only unmaps: a minor fault again; MADV_REMOVE makes a hole', watching, () => {
    using c = watched(1, BOTH);
    c.alias.set(0, 5);
    expect(c.uffd.continue(c.window.address, PAGE)).toBe(PAGE);
    expect(kernel.madvise(c.window.address, PAGE, MADV_DONTNEED)).toBe(0);
    let read = actors[0]!.load(c.window.address);
    expect(c.watcher.takeFault().flags).toBe(MINOR_FLAG);
    expect(c.uffd.continue(c.window.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(5);
    expect(kernel.madvise(c.window.address, PAGE, MADV_REMOVE)).toBe(0);
    read = actors[0]!.load(c.window.address);
    expect(c.watcher.takeFault().flags).toBe(0);
    expect(c.uffd.zeropage(c.window.address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(0);
  });
});

describe('waking', () => {
  conformance('installed with DONTWAKE, the thread sleeps until WAKE', watching, () => {
    using c = watched(1, BOTH);
    const read = actors[0]!.load(c.window.address);
    c.watcher.takeFault();
    expect(c.uffd.copy(c.window.address, source(6).address, PAGE, UFFDIO_MODE_DONTWAKE)).toBe(PAGE);
    expect(read.isBlocked()).toBe(true);
    // Who finds it there wakes nobody either.
    expect(c.uffd.copy(c.window.address, source(6).address, PAGE)).toBe(-EEXIST);
    expect(read.isBlocked()).toBe(true);
    expect(c.uffd.wake(c.window.address, PAGE)).toBe(0);
    expect(read.result()).toBe(6);
  });

  conformance(
    'WAKE where nothing was installed: the thread tries again and is reported again',
    watching,
    () => {
      using c = watched(1, BOTH);
      const read = actors[0]!.load(c.window.address);
      c.watcher.takeFault();
      expect(c.uffd.wake(c.window.address, PAGE)).toBe(0);
      expect(c.watcher.takeFault().address).toBe(c.window.address);
      expect(read.isBlocked()).toBe(true);
      expect(c.uffd.zeropage(c.window.address, PAGE)).toBe(PAGE);
      expect(read.result()).toBe(0);
      expect(c.uffd.wake(c.window.address, PAGE)).toBe(0);
      expect(c.uffd.wake(c.window.address, 0)).toBe(-EINVAL);
    },
  );

  conformance(
    'three threads on two pages: three messages in one read, and one COPY wakes exactly its two',
    watching,
    () => {
      using c = watched(2, BOTH);
      const reads = [0, 0, 1].map((page, i) => actors[i]!.load(c.window.page(page)));
      expect(waitFor(() => c.watcher.unread === 3)).toBe(true);
      const messages = c.watcher.read();
      expect(messages).toHaveLength(3);
      expect((messages as { address: number }[]).map(({ address }) => address).sort()).toEqual([
        c.window.page(0),
        c.window.page(0),
        c.window.page(1),
      ]);
      expect(c.uffd.copy(c.window.page(0), source(8).address, PAGE)).toBe(PAGE);
      expect([reads[0]!.result(), reads[1]!.result()]).toEqual([8, 8]);
      expect(reads[2]!.isBlocked()).toBe(true);
      expect(c.watcher.waiting).toBe(1);
      expect(c.uffd.copy(c.window.page(1), source(9).address, PAGE)).toBe(PAGE);
      expect(reads[2]!.result()).toBe(9);
    },
  );

  conformance('a fault that is resolved before it is read is withdrawn', watching, () => {
    using c = watched(1, BOTH);
    const read = actors[0]!.load(c.window.address);
    expect(c.watcher.hasMessage()).toBe(true);
    expect(c.uffd.copy(c.window.address, source(8).address, PAGE)).toBe(PAGE);
    expect(read.result()).toBe(8);
    expect(c.watcher.hasMessage(0)).toBe(false);
    expect(c.watcher.read()).toBe(-EAGAIN);
  });
});

describe('what a message says', () => {
  conformance('THREAD_ID: who waits', watching, () => {
    using c = watched(2, BOTH, UFFD_FEATURE_THREAD_ID);
    for (const [page, actor] of [actors[0]!, actors[1]!].entries()) {
      const read = actor.load(c.window.page(page));
      expect(c.watcher.takeFault().threadId).toBe(actor.tid);
      expect(c.uffd.zeropage(c.window.page(page), PAGE)).toBe(PAGE);
      read.result();
    }
  });

  conformance('EXACT_ADDRESS: the byte that was touched, instead of its page', watching, () => {
    using c = watched(1, BOTH, UFFD_FEATURE_EXACT_ADDRESS);
    const read = actors[0]!.load(c.window.address + 0x12c);
    expect(c.watcher.takeFault().address).toBe(c.window.address + 0x12c);
    expect(c.uffd.zeropage(c.window.address, PAGE)).toBe(PAGE);
    read.result();
  });
});

describe('a signal to a thread that waits for a page', () => {
  for (const isRead of [true, false]) {
    const name = isRead
      ? 'its handler runs, the access is tried again and reported a second time'
      : 'whose message nobody has read: the message is replaced, not doubled';
    conformance(name, native, () => {
      using c = watched(1, BOTH);
      using code = new NativeCode();
      using handler = handleSignal(SIGUSR2, code, (h) => h.syscall(SYS_GETTID));
      const read = actors[0]!.load(c.window.address);
      expect(c.watcher.hasMessage()).toBe(true);
      if (isRead) c.watcher.takeFault();
      // Interruptible: that is why a signal gets through.
      expect(actors[0]!.becomes('S')).toBe(true);
      kernel.tgkill(kernel.getpid(), actors[0]!.tid, SIGUSR2);
      expect(waitFor(() => code.read(handler.slots) === actors[0]!.tid)).toBe(true);
      expect(waitFor(() => c.watcher.unread === 1)).toBe(true);
      expect(c.watcher.read()).toHaveLength(1);
      expect(read.isBlocked()).toBe(true);
      expect(c.watcher.read()).toBe(-EAGAIN);
      expect(c.uffd.copy(c.window.address, source(4).address, PAGE)).toBe(PAGE);
      expect(read.result()).toBe(4);
    });
  }
});

describe('the end of the watch', () => {
  for (const how of ['UNREGISTER', 'close'] as const) {
    for (const kind of ['hole', 'cached page'] as const) {
      conformance(
        `${how} lets a thread go that waits for a ${kind}, with what the kernel has there`,
        watching,
        () => {
          using c = watched(1, BOTH);
          if (kind === 'cached page') c.alias.set(0, 31);
          const read = actors[0]!.load(c.window.address);
          c.watcher.takeFault();
          if (how === 'close') c.watcher.close();
          else expect(c.uffd.unregister(c.window.address, PAGE)).toBe(0);
          expect(read.result()).toBe(kind === 'cached page' ? 31 : 0);
          const { flags } = mappingAt(c.window.address)!;
          expect([flags.has(VM_FLAG_UFFD_MISSING), flags.has(VM_FLAG_UFFD_MINOR)]).toEqual([false, false]);
        },
      );
    }
  }

  conformance(
    'UNREGISTER of what is watched for MINOR alone: WAKE is what surely lets a thread go',
    watching,
    async (it) => {
      using c = watched(1, MINOR);
      c.alias.set(0, 32);
      const read = actors[0]!.load(c.window.address);
      c.watcher.takeFault();
      expect(c.uffd.unregister(c.window.address, PAGE)).toBe(0);
      await it.saw(read.isBlocked() ? 'the thread still asleep' : 'the thread awake');
      expect(c.uffd.wake(c.window.address, PAGE)).toBe(0);
      expect(read.result()).toBe(32);
    },
  );

  for (const [call, number] of [
    ['poll', SYS_POLL],
    ['read', SYS_READ],
  ] as const) {
    conformance(
      `close is deferred as long as another thread is in ${call} of the descriptor`,
      watching,
      () => {
        // A read waits only without O_NONBLOCK, a poll only with it.
        using c = watched(1, BOTH, 0n, call === 'read' ? O_CLOEXEC : undefined);
        const server = actors[0]!;
        const buffer = new Uint8Array(UFFD_MSG_BYTES);
        const fds = new Int32Array([c.watcher.fd, POLLIN]);
        const served =
          call === 'read'
            ? server.syscall(SYS_READ, c.watcher.fd, addressOf(buffer), UFFD_MSG_BYTES)
            : server.syscall(SYS_POLL, addressOf(fds), 1, 20_000);
        expect(server.entersSyscall(number)).toBe(true);
        expect(server.becomes('S')).toBe(true);
        c.watcher.close();
        expect(mappingAt(c.window.address)!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(true);
        // A fault ends the call that held the descriptor, then the watch is over and the thread goes with zeroes.
        const read = actors[1]!.load(c.window.address);
        expect(served.result()).toBe(call === 'read' ? UFFD_MSG_BYTES : 1);
        expect(read.result()).toBe(0);
        expect(mappingAt(c.window.address)!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(false);
      },
    );
  }

  conformance('close is deferred as long as a forked child has the descriptor', native, () => {
    using c = watched(1, BOTH);
    using code = new NativeCode();
    const forever = kernel.eventfd(0, O_CLOEXEC);
    using child = NativeChild.fork((p) => {
      p.waitFor(forever);
      p.exit();
    }, code);
    kernel.close(forever);
    c.watcher.close();
    expect(mappingAt(c.window.address)!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(true);
    const read = actors[0]!.load(c.window.address);
    expect(read.isBlocked()).toBe(true);
    child.kill();
    expect(read.result()).toBe(0);
    expect(mappingAt(c.window.address)!.flags.has(VM_FLAG_UFFD_MISSING)).toBe(false);
  });
});

describe('faults that the kernel takes', () => {
  conformance('write(2) from a missing page waits until the page is there', full, () => {
    using c = watched(1, BOTH, UFFD_FEATURE_THREAD_ID);
    using other = sharedArea(1);
    const written = actors[0]!.syscall(SYS_WRITE, other.file.fd, c.window.address, 4);
    expect(c.watcher.takeFault()).toMatchObject({ flags: 0, threadId: actors[0]!.tid });
    expect(written.isBlocked()).toBe(true);
    expect(c.uffd.copy(c.window.address, source(51).address, PAGE)).toBe(PAGE);
    expect(written.result()).toBe(4);
    expect(other.alias.get(0)).toBe(51);
  });

  conformance(
    'COPY from a missing page: its caller waits for a page itself, and needs another thread to serve it',
    full,
    () => {
      using c = watched(2, BOTH, UFFD_FEATURE_THREAD_ID);
      const [target, from] = [c.window.page(0), c.window.page(1)];
      const args = new BigInt64Array([BigInt(target), BigInt(from), BigInt(PAGE), 0n, 0n]);
      const copied = actors[0]!.syscall(SYS_IOCTL, c.watcher.fd, UFFDIO_COPY, addressOf(args));
      expect(c.watcher.takeFault()).toMatchObject({ address: from, threadId: actors[0]!.tid });
      expect(copied.isBlocked()).toBe(true);
      expect(c.uffd.copy(from, source(52).address, PAGE)).toBe(PAGE);
      expect(copied.result()).toBe(0);
      expect(args[4]).toBe(BigInt(PAGE));
      expect(c.alias.get(0)).toBe(52);
    },
  );

  conformance(
    'a signal that comes during write(2) from a missing page is handled when the page is there',
    { requires: [fullUserfaultfd, executableMemory] },
    async (it) => {
      using c = watched(1, BOTH);
      using other = sharedArea(1);
      using code = new NativeCode();
      using handler = handleSignal(SIGUSR2, code, (h) => h.syscall(SYS_GETTID));
      const written = actors[0]!.syscall(SYS_WRITE, other.file.fd, c.window.address, 4);
      c.watcher.takeFault();
      kernel.tgkill(kernel.getpid(), actors[0]!.tid, SIGUSR2);
      let running = 0;
      for (let i = 0; i < 20; i++) {
        if (actors[0]!.threadState === 'R') running++;
        sleep(1);
      }
      const isHandled = code.read(handler.slots) !== 0;
      await it.saw(
        `the thread in state R in ${running} of 20 looks, the handler ${isHandled ? 'run' : 'not run'} before the page came`,
      );
      expect(written.isBlocked()).toBe(true);
      expect(c.uffd.copy(c.window.address, source(53).address, PAGE)).toBe(PAGE);
      expect(written.result()).toBe(4);
      expect(other.alias.get(0)).toBe(53);
      expect(waitFor(() => code.read(handler.slots) === actors[0]!.tid)).toBe(true);
    },
  );
});
