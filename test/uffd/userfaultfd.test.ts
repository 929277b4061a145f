import { GCProfiler } from 'node:v8';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  addressOf,
  createLibcKernel,
  EAGAIN,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  EMFILE,
  ENOENT,
  ENOSYS,
  EPERM,
  injectFaults,
  type Kernel,
  Memfd,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_MINOR_SHMEM,
  UFFD_FEATURE_SIGBUS,
  UFFDIO_API,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_REGISTER_MODE_MISSING_MINOR,
  USERFAULTFD_IOC_NEW,
  Userfaultfd,
} from '#src/uffd/index.js';
import { type Arena, createArena } from '../support/arena.mjs';
import { openDescriptors } from '../support/resources.ts';

// Everything here resolves pages that nobody faults on: no call can block.
const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const PAGES = 16;
const BYTES = PAGES * PAGE;

describe('opening', () => {
  const openedKind = (k: Kernel): string => {
    const uffd = Userfaultfd.open(k);
    uffd.close();
    return uffd.kind;
  };

  test('says what the kernel supports without requesting it', () => {
    const uffd = Userfaultfd.open(kernel);
    expect(uffd.features & UFFD_FEATURE_MINOR_SHMEM).toBe(UFFD_FEATURE_MINOR_SHMEM);
    uffd.close();
  });

  test('auto falls back from the system call to the device to the user-mode-only kind', () => {
    const noFull = { call: 'userfaultfd', nth: 1, errno: EPERM } as const;
    const noDevice = { call: 'openDevice', nth: 1, errno: ENOENT } as const;
    const device = injectFaults(kernel, [noFull, { call: 'ioctl', nth: 1, request: USERFAULTFD_IOC_NEW }]);
    const before = openDescriptors();
    const kind = openedKind(device);
    expect(device.calls.get('openDevice')).toBe(1);
    // Whether the device may be opened depends on who runs the tests.
    expect(kind).toBe(device.calls.get('userfaultfd') === 1 ? 'full' : 'user-mode-only');
    expect(openedKind(injectFaults(kernel, [noFull, noDevice]))).toBe('user-mode-only');
    expect(openDescriptors()).toBe(before);
  });

  test('a kind that was asked for is that kind or an error with every way that was tried', () => {
    const uffd = Userfaultfd.open(kernel, { kind: 'user-mode-only' });
    expect(uffd.kind).toBe('user-mode-only');
    uffd.close();
    const refusing = injectFaults(kernel, [
      { call: 'userfaultfd', nth: 1, every: true, errno: EPERM },
      { call: 'openDevice', nth: 1, every: true, errno: ENOENT },
    ]);
    expect(() => Userfaultfd.open(refusing, { kind: 'full' })).toThrow(
      expect.objectContaining({
        code: 'ERR_PERMISSION',
        message: expect.stringMatching(/userfaultfd\(2\) EPERM, \/dev\/userfaultfd ENOENT/),
        hint: expect.stringContaining('vm.unprivileged_userfaultfd'),
      }),
    );
    expect(() => Userfaultfd.open(refusing)).toThrow(/UFFD_USER_MODE_ONLY EPERM/);
  });

  test('EVENT features are refused before anything is opened', () => {
    const watched = injectFaults(kernel, []);
    expect(() => Userfaultfd.open(watched, { features: UFFD_FEATURE_EVENT_REMAP })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
    expect(watched.calls.size).toBe(0);
  });

  test('SIGBUS is refused too: whoever waits for messages would wait for ever', () => {
    const watched = injectFaults(kernel, []);
    expect(() => Userfaultfd.open(watched, { features: UFFD_FEATURE_SIGBUS })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringContaining('SIGBUS') }),
    );
    expect(watched.calls.size).toBe(0);
  });

  test('an unknown feature is refused by the kernel, and explained', () => {
    const before = openDescriptors();
    expect(() => Userfaultfd.open(kernel, { features: 1n << 62n })).toThrow(
      expect.objectContaining({
        errno: EINVAL,
        syscall: 'UFFDIO_API',
        hint: expect.stringContaining('features'),
      }),
    );
    expect(openDescriptors()).toBe(before);
  });

  test('a failing handshake leaves no descriptor', () => {
    const before = openDescriptors();
    const failing = injectFaults(kernel, [{ call: 'ioctl', request: UFFDIO_API, nth: 1, errno: EFAULT }]);
    expect(() => Userfaultfd.open(failing)).toThrow(expect.objectContaining({ errno: EFAULT }));
    expect(openDescriptors()).toBe(before);
  });

  test('other errors of the system call', () => {
    const fail = (errno: number) =>
      injectFaults(kernel, [
        { call: 'userfaultfd', nth: 1, every: true, errno },
        { call: 'openDevice', nth: 1, every: true, errno },
      ]);
    expect(() => Userfaultfd.open(fail(ENOSYS))).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED' }),
    );
    expect(() => Userfaultfd.open(fail(EMFILE))).toThrow(
      expect.objectContaining({ code: 'ERR_SYSCALL', hint: expect.stringContaining('ulimit -n') }),
    );
  });
});

describe('installing pages', () => {
  let arena: Arena;
  let file: Memfd;
  let uffd: Userfaultfd;
  let window: number;
  let source: Int32Array;
  const aliasWord = (page: number): number => (BYTES + page * PAGE) / 4;
  const windowWord = (page: number): number => (page * PAGE) / 4;

  beforeEach(() => {
    arena = createArena(4);
    file = Memfd.create(kernel, 'uffd-test', BYTES);
    window = arena.address;
    file.map(window, BYTES);
    file.map(window + BYTES, BYTES);
    uffd = Userfaultfd.open(kernel);
    uffd.register(window, BYTES, UFFDIO_REGISTER_MODE_MISSING_MINOR);
    source = new Int32Array((PAGES * PAGE) / 4);
  });
  afterEach(() => {
    uffd.close();
    file.close();
  });

  test('COPY: all bytes, then EEXIST', () => {
    source[0] = 11;
    expect(uffd.copy(window, addressOf(source), 2 * PAGE)).toBe(2 * PAGE);
    expect([arena.words[windowWord(0)], arena.words[aliasWord(0)]]).toEqual([11, 11]);
    expect(uffd.copy(window, addressOf(source), 2 * PAGE)).toBe(-EEXIST);
  });

  test('COPY over a page that only the page cache has: EEXIST, and CONTINUE installs it', () => {
    arena.words[aliasWord(0)] = 5;
    expect(uffd.copy(window, addressOf(source), PAGE)).toBe(-EEXIST);
    expect(uffd.continue(window, PAGE)).toBe(PAGE);
    expect(arena.words[windowWord(0)]).toBe(5);
  });

  test('COPY whose source is an alias of the target allocates the target by reading it: EEXIST', () => {
    expect(uffd.copy(window, window + BYTES, PAGE)).toBe(-EEXIST);
  });

  test('COPY up to a page that is there: what was done, then EEXIST at that page', () => {
    arena.words[aliasWord(3)] = 1;
    expect(uffd.copy(window, addressOf(source), 8 * PAGE)).toBe(3 * PAGE);
    expect(uffd.copy(window + 3 * PAGE, addressOf(source), PAGE)).toBe(-EEXIST);
  });

  test('CONTINUE: all bytes, then EEXIST', () => {
    for (let p = 0; p < PAGES; p++) arena.words[aliasWord(p)] = 100 + p;
    expect(uffd.continue(window, BYTES)).toBe(BYTES);
    for (let p = 0; p < PAGES; p++) expect(arena.words[windowWord(p)]).toBe(100 + p);
    expect(uffd.continue(window, BYTES)).toBe(-EEXIST);
  });

  test('CONTINUE over a hole: EFAULT if it is the first page, the mapped part if it comes later', () => {
    expect(uffd.continue(window, BYTES)).toBe(-EFAULT);
    for (let p = 0; p < 6; p++) arena.words[aliasWord(p)] = 1;
    expect(uffd.continue(window, BYTES)).toBe(6 * PAGE);
    expect(uffd.continue(window + 6 * PAGE, PAGE)).toBe(-EFAULT);
  });

  test('ZEROPAGE: zeroes, then EEXIST', () => {
    expect(uffd.zeropage(window, PAGE)).toBe(PAGE);
    expect(arena.words[windowWord(0)]).toBe(0);
    expect(uffd.zeropage(window, PAGE)).toBe(-EEXIST);
  });

  test('after unregister: ENOENT', () => {
    arena.words[aliasWord(0)] = 1;
    expect(uffd.unregister(window, BYTES)).toBe(0);
    expect(uffd.copy(window, addressOf(source), PAGE)).toBe(-ENOENT);
    expect(uffd.continue(window, PAGE)).toBe(-ENOENT);
    // Unregistering what is not registered is no error.
    expect(uffd.unregister(window, BYTES)).toBe(0);
  });

  test('mapping something else over the window drops the registration', () => {
    file.map(window, BYTES);
    expect(uffd.copy(window, addressOf(source), PAGE)).toBe(-ENOENT);
  });

  test('unaligned, empty and unmapped requests', () => {
    expect(uffd.copy(window + 8, addressOf(source), PAGE)).toBe(-EINVAL);
    expect(uffd.copy(window, addressOf(source), 0)).toBe(-EINVAL);
    expect(uffd.copy(window, 8 * PAGE, PAGE)).toBe(-EFAULT);
    expect(uffd.wake(window, 0)).toBe(-EINVAL);
    expect(uffd.wake(window, BYTES)).toBe(0);
    expect(uffd.unregister(window, 0)).toBe(-EINVAL);
  });

  test('an EAGAIN that did nothing is not mistaken for the progress of the call before', () => {
    for (const request of [UFFDIO_CONTINUE, UFFDIO_COPY]) {
      const flaky = injectFaults(kernel, [{ call: 'ioctl', request, nth: 2, errno: EAGAIN }]);
      const other = Userfaultfd.adopt(flaky, uffd.fd, uffd.kind);
      const base = request === UFFDIO_COPY ? window + 8 * PAGE : window;
      if (request === UFFDIO_CONTINUE) arena.words[aliasWord(0)] = 1;
      const install = (at: number): number =>
        request === UFFDIO_COPY ? other.copy(at, addressOf(source), PAGE) : other.continue(at, PAGE);
      expect(install(base)).toBe(PAGE);
      expect(install(base + PAGE)).toBe(-EAGAIN);
    }
  });

  test('one that was adopted works on the same ranges and leaves the descriptor to its owner', () => {
    const other = Userfaultfd.adopt(kernel, uffd.fd, uffd.kind, uffd.features);
    expect(other.copy(window, addressOf(source), PAGE)).toBe(PAGE);
    other.close();
    expect(other.copy(window + PAGE, addressOf(source), PAGE)).toBe(-EBADF);
    expect(uffd.copy(window + PAGE, addressOf(source), PAGE)).toBe(PAGE);
  });

  test('register explains what it refuses', () => {
    const other = Userfaultfd.open(kernel);
    const register = (addr: number, length: number, mode: number) => () => other.register(addr, length, mode);
    expect(register(window, BYTES, UFFDIO_REGISTER_MODE_MISSING_MINOR)).toThrow(
      expect.objectContaining({ errnoName: 'EBUSY', hint: expect.stringContaining('Another userfaultfd') }),
    );
    // The arena's memory behind the two mappings is private: no minor faults there.
    expect(register(window + 2 * BYTES, PAGE, UFFDIO_REGISTER_MODE_MINOR)).toThrow(
      expect.objectContaining({ errnoName: 'EINVAL', syscall: 'UFFDIO_REGISTER' }),
    );
    expect(register(window + 1, PAGE, UFFDIO_REGISTER_MODE_MINOR)).toThrow(
      expect.objectContaining({ errnoName: 'EINVAL' }),
    );
    other.close();
    expect(register(window, PAGE, UFFDIO_REGISTER_MODE_MINOR)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE' }),
    );
  });

  test('close is idempotent, and later calls report EBADF', () => {
    const before = openDescriptors();
    uffd.close();
    uffd.close();
    expect(openDescriptors()).toBe(before - 1);
    expect(uffd.fd).toBe(-1);
    expect(uffd.copy(window, addressOf(source), PAGE)).toBe(-EBADF);
    expect(uffd.continue(window, PAGE)).toBe(-EBADF);
    expect(uffd.zeropage(window, PAGE)).toBe(-EBADF);
    expect(uffd.move(window, window + BYTES, PAGE)).toBe(-EBADF);
    expect(uffd.poison(window, PAGE)).toBe(-EBADF);
    expect(uffd.writeProtect(window, PAGE, 1)).toBe(-EBADF);
    expect(uffd.wake(window, PAGE)).toBe(-EBADF);
    expect(uffd.unregister(window, PAGE)).toBe(-EBADF);
  });

  test('the hot calls leave next to no garbage', () => {
    const from = addressOf(source);
    uffd.copy(window, from, PAGE);
    const CALLS = 20_000;
    const run = (): void => {
      for (let i = 0; i < CALLS; i++) uffd.copy(window, from, PAGE);
    };
    run();
    // The smallest of several runs: other things in this process allocate too, and the compiler, which takes its time on a thread of its
    // own, may not have come to these calls yet. A run in which something was collected does not count.
    let least = Number.POSITIVE_INFINITY;
    const deadline = performance.now() + 10_000;
    // Measured 0.5 bytes a call; one BigInt for each of the five words would be 120.
    const BYTES_MAX = 24;
    while (least >= BYTES_MAX && performance.now() < deadline) {
      const profiler = new GCProfiler();
      profiler.start();
      const before = process.memoryUsage().heapUsed;
      run();
      const grown = process.memoryUsage().heapUsed - before;
      if (profiler.stop().statistics.length === 0) least = Math.min(least, grown / CALLS);
    }
    expect(least).toBeLessThan(BYTES_MAX);
  });
});
