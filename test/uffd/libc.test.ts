import { constants } from 'node:buffer';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  addressOf,
  createLibcKernel,
  EAGAIN,
  EBADF,
  EINVAL,
  ENOENT,
  ENOMEM,
  ESRCH,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  Memfd,
  PROT_READ,
  PROT_WRITE,
  Reservation,
  viewOf,
} from '#src/uffd/index.js';
import { runCommand, supportScript } from '../support/child.ts';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();

test('one kernel object per thread', () => {
  expect(createLibcKernel()).toBe(kernel);
});

test('results are numbers, errors are -errno', () => {
  const address = kernel.mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(address).toBeGreaterThan(2 ** 32);
  expect(address % PAGE).toBe(0);
  expect(kernel.mlock(address, PAGE)).toBe(0);
  expect(kernel.munlock(address, PAGE)).toBe(0);
  expect(kernel.mprotect(address, PAGE, PROT_READ)).toBe(0);
  expect(kernel.madvise(address, PAGE, 9999)).toBe(-EINVAL);
  expect(kernel.munmap(address, PAGE)).toBe(0);
  expect(kernel.munmap(address + 1, PAGE)).toBe(-EINVAL);
  expect(kernel.mmap(0, 2 ** 50, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)).toBe(-ENOMEM);
  expect(kernel.mprotect(PAGE, PAGE, PROT_READ)).toBe(-ENOMEM);
  expect(kernel.close(-1)).toBe(-EBADF);
  expect(kernel.ftruncate(-1, 0)).toBe(-EBADF);
  expect(kernel.fallocate(-1, 0, 0, 1)).toBe(-EBADF);
  expect(kernel.fileBlocks(-1)).toBeLessThan(0);
  expect(kernel.openDevice('/nonexistent', 0)).toBe(-ENOENT);
  expect(kernel.memfdCreate('x', 0x4000_0000)).toBe(-EINVAL);
});

test('descriptors: eventfd, poll, read, write', () => {
  const fd = kernel.eventfd(0, 0o4000);
  const word = new BigUint64Array(1);
  const fds = new Int32Array([fd, 1]);
  expect(kernel.poll(fds, 1, 0)).toBe(0);
  expect(kernel.read(fd, word, 8)).toBe(-EAGAIN);
  word[0] = 7n;
  expect(kernel.write(fd, word, 8)).toBe(8);
  expect(kernel.poll(fds, 1, 0)).toBe(1);
  expect(fds[1]! >>> 16).toBe(1);
  word[0] = 0n;
  expect(kernel.read(fd, word, 8)).toBe(8);
  expect(word[0]).toBe(7n);
  expect(kernel.close(fd)).toBe(0);
});

test('bytes allocated to a file', () => {
  const fd = kernel.memfdCreate('blocks', 1);
  kernel.ftruncate(fd, 10 * PAGE);
  expect(kernel.fileBlocks(fd)).toBe(0);
  kernel.fallocate(fd, 0, PAGE, 3 * PAGE);
  expect(kernel.fileBlocks(fd)).toBe(3 * PAGE);
  kernel.close(fd);
});

test('ids and signals', () => {
  expect(kernel.getpid()).toBe(process.pid);
  expect(kernel.tgkill(kernel.getpid(), kernel.gettid(), 0)).toBe(0);
  expect(kernel.tgkill(kernel.getpid(), 0x7fff_ffff, 0)).toBe(-ESRCH);
});

test('the CPU time of a thread grows while it runs, not while it sleeps', () => {
  // In this order: whatever comes between the two lines is time that passed, and not time that it ran.
  const wallMs = performance.now();
  const began = kernel.threadCpuNs();
  while (kernel.threadCpuNs() < began + 2e6);
  // It cannot have run for longer than that took.
  expect(performance.now() - wallMs).toBeGreaterThan(1.5);
  const asleep = kernel.threadCpuNs();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  expect(kernel.threadCpuNs() - asleep).toBeLessThan(100e6);
});

test('the address of a view is that of its first byte, and exact', () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(64));
  const address = addressOf(bytes);
  expect(Number.isSafeInteger(address)).toBe(true);
  expect(addressOf(bytes.subarray(24))).toBe(address + 24);
  expect(addressOf(new BigUint64Array(bytes.buffer, 16, 1))).toBe(address + 16);
});

test('exitGroup ends a process whose thread sits in poll for ever; process.exit cannot', async () => {
  const { status, signal } = await runCommand(process.execPath, [supportScript('exit-group.mjs')], 10_000);
  expect({ status, signal }).toEqual({ status: 7, signal: null });
});

test('any other system call, by number', () => {
  const SYS_GETPPID = 110;
  const SYS_PREAD64 = 17;
  expect(kernel.syscall(SYS_GETPPID)).toBe(process.ppid);
  expect(kernel.syscall(SYS_PREAD64, 1 << 20, 4096, 1, 0)).toBe(-EBADF);
});

test('views of one address in any number see the same bytes', () => {
  using place = Reservation.reserve(kernel, PAGE);
  using file = Memfd.create(kernel, 'view', PAGE);
  file.map(place.address, PAGE);
  const one = new Int32Array(viewOf(place.address, PAGE));
  const other = new Int32Array(viewOf(place.address, PAGE));
  Atomics.store(one, 3, 42);
  expect(Atomics.load(other, 3)).toBe(42);
  expect(addressOf(other)).toBe(place.address);
  expect(() => viewOf(0, PAGE)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
  // More than an array buffer can hold would end the process.
  for (const bytes of [-1, 1.5, Number.NaN, constants.MAX_LENGTH + 1])
    expect(() => viewOf(place.address, bytes)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
});

describe('other platforms', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.resetModules();
  });
  test.each([
    ['darwin', 'x64', /Linux.*darwin/],
    ['linux', 'arm64', /x86-64.*arm64/],
  ])('%s on %s is refused, and probe says why', async (platform, arch, message) => {
    // A fresh copy of the module, which has no kernel cached yet.
    vi.resetModules();
    vi.stubGlobal(
      'process',
      new Proxy(process, {
        get: (target, key) =>
          key === 'platform' ? platform : key === 'arch' ? arch : Reflect.get(target, key),
      }),
    );
    const fresh = await import('#src/uffd/index.js');
    expect(() => fresh.createLibcKernel()).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
    const found = fresh.probe();
    expect(found.verdict).toMatchObject({ concurrent: false, reason: expect.stringMatching(message) });
    expect(new Set(found.rows.map(({ status }) => status))).toEqual(new Set(['missing']));
    expect(found.pageBytes).toBe(0);
  });
});
