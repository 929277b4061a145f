// System calls through the C library. The only file that imports koffi.
//
// Rules that keep a call at 0.2 µs and its errno right: signatures are fixed, never variadic (on x86-64 a variadic C function
// takes integer arguments the same way); addresses are uintptr_t and passed as Numbers; structures are typed arrays passed as
// `void *`, never koffi structs (five times slower); koffi.errno() is read before anything else can run.
import { constants } from 'node:buffer';
import { fstatSync } from 'node:fs';
import koffi from 'koffi';
import { TospaceError } from '../errors.ts';
import { CLOCK_THREAD_CPUTIME_ID, SYS_GETTID, SYS_TGKILL, SYS_USERFAULTFD } from './abi.ts';
import { EIO } from './errno.ts';
import type { Kernel, KernelBuffer } from './kernel.ts';

/** A C function whose arguments and result are all numbers, buffers or strings. */
type CFunction = (...args: ReadonlyArray<number | string | ArrayBufferView | null>) => number;

/** What V8 of any version puts into one array buffer, or less where Node says so. */
const VIEW_BYTES_MAX = Math.min(2 ** 33, constants.MAX_LENGTH);

let cached: Kernel | undefined;

/**
 * The kernel that this process runs on. One object per thread (module state is per thread), loaded at the first call.
 * @throws TospaceError `ERR_UNSUPPORTED` on anything but Linux on x86-64 with a C library that has the functions
 */
export function createLibcKernel(): Kernel {
  cached ??= load();
  return cached;
}

/**
 * The address of the first byte of a view. It stays valid as long as the underlying buffer: keep a reference to it.
 * Exact, because user addresses lie below 2^47.
 */
export function addressOf(view: ArrayBufferView): number {
  return Number(koffi.address(view));
}

/**
 * The bytes at an address of this process, as an array buffer. Several views of the same bytes may exist, in several threads;
 * nothing keeps the memory mapped for them: **an access after it was unmapped ends the process** (SIGSEGV).
 * @param addr greater than 0
 * @param bytes an integer, at most what an array buffer can hold: 4 GiB in Node 20
 * @throws TospaceError `ERR_OPTION`
 */
export function viewOf(addr: number, bytes: number): ArrayBuffer {
  if (!(addr > 0)) throw new TospaceError('ERR_OPTION', `addr must be a positive address, not ${addr}`);
  // The engine would end the process.
  if (!Number.isInteger(bytes) || bytes < 0 || bytes > VIEW_BYTES_MAX)
    throw new TospaceError(
      'ERR_OPTION',
      `bytes must be an integer from 0 to ${VIEW_BYTES_MAX}, not ${bytes}`,
    );
  return koffi.view(addr, bytes);
}

function unsupported(message: string, hint: string, cause?: unknown): TospaceError {
  return new TospaceError('ERR_UNSUPPORTED', message, { hint, cause });
}

function openLibrary(): (name: string, result: string, args: string[]) => CFunction {
  if (process.platform !== 'linux') {
    throw unsupported(
      `tospace needs Linux: userfaultfd does not exist on ${process.platform}`,
      'Run in a Linux virtual machine; a container on a Linux host shares the kernel of that host.',
    );
  }
  if (process.arch !== 'x64') {
    throw unsupported(
      `tospace needs x86-64: the system-call numbers and page-table costs it builds on are not those of ${process.arch}`,
      'Run on an x86-64 machine.',
    );
  }
  try {
    const library = koffi.load('libc.so.6');
    return (name, result, args) => library.func(name, result, args) as CFunction;
  } catch (cause) {
    throw unsupported(
      'the GNU C library (libc.so.6) cannot be loaded',
      'Use a glibc-based image (Debian, Ubuntu, Fedora …): musl-based ones such as Alpine do not have it.',
      cause,
    );
  }
}

function load(): Kernel {
  const c = openLibrary();
  try {
    return bind(c);
  } catch (cause) {
    throw unsupported(
      'the C library lacks a function that is needed',
      'glibc 2.27 or later is needed.',
      cause,
    );
  }
}

function bind(c: (name: string, result: string, args: string[]) => CFunction): Kernel {
  const memfdCreate = c('memfd_create', 'int', ['str', 'uint']);
  const ftruncate = c('ftruncate', 'int', ['int', 'int64_t']);
  const mmap = c('mmap', 'intptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
  const munmap = c('munmap', 'int', ['uintptr_t', 'size_t']);
  const mremap = c('mremap', 'intptr_t', ['uintptr_t', 'size_t', 'size_t', 'int', 'uintptr_t']);
  const madvise = c('madvise', 'int', ['uintptr_t', 'size_t', 'int']);
  const mprotect = c('mprotect', 'int', ['uintptr_t', 'size_t', 'int']);
  const mlock = c('mlock', 'int', ['uintptr_t', 'size_t']);
  const munlock = c('munlock', 'int', ['uintptr_t', 'size_t']);
  const fallocate = c('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t']);
  const close = c('close', 'int', ['int']);
  const eventfd = c('eventfd', 'int', ['uint', 'int']);
  const open = c('open', 'int', ['str', 'int', 'uint']);
  const ioctlBuffer = c('ioctl', 'int', ['int', 'ulong', 'void *']);
  const ioctlNumber = c('ioctl', 'int', ['int', 'ulong', 'uintptr_t']);
  const poll = c('poll', 'int', ['void *', 'ulong', 'int']);
  const read = c('read', 'intptr_t', ['int', 'void *', 'size_t']);
  const write = c('write', 'intptr_t', ['int', 'void *', 'size_t']);
  const clockGettime = c('clock_gettime', 'int', ['int', 'void *']);
  // struct timespec, by halves: seconds that a thread ran fit the lower one.
  const timespec = new Uint32Array(4);
  const schedGetcpu = c('sched_getcpu', 'int', []);
  const schedGetaffinity = c('sched_getaffinity', 'int', ['int', 'size_t', 'void *']);
  const schedSetaffinity = c('sched_setaffinity', 'int', ['int', 'size_t', 'void *']);
  const schedGetscheduler = c('sched_getscheduler', 'int', ['int']);
  const schedSetscheduler = c('sched_setscheduler', 'int', ['int', 'int', 'void *']);
  // struct sched_param
  const schedParam = new Int32Array(1);
  const getpid = c('getpid', 'int', []);
  const getpagesize = c('getpagesize', 'int', []);
  const exit = c('_exit', 'void', ['int']);
  // gettid and tgkill got wrappers only in glibc 2.30, userfaultfd never did.
  const syscall = c('syscall', 'long', ['long', 'long', 'long', 'long']);
  const anySyscall = c('syscall', 'long', ['long', 'long', 'long', 'long', 'long', 'long', 'long']);
  // Every function bound here reports failure as -1 with errno; mmap and mremap too, since MAP_FAILED is -1.
  const checked = (result: number): number => (result === -1 ? -koffi.errno() : result);

  return {
    memfdCreate: (name, flags) => checked(memfdCreate(name, flags)),
    ftruncate: (fd, bytes) => checked(ftruncate(fd, bytes)),
    mmap: (addr, length, prot, flags, fd, offset) => checked(mmap(addr, length, prot, flags, fd, offset)),
    munmap: (addr, length) => checked(munmap(addr, length)),
    mremap: (oldAddr, oldLength, newLength, flags, newAddr) =>
      checked(mremap(oldAddr, oldLength, newLength, flags, newAddr)),
    madvise: (addr, length, advice) => checked(madvise(addr, length, advice)),
    mprotect: (addr, length, prot) => checked(mprotect(addr, length, prot)),
    mlock: (addr, length) => checked(mlock(addr, length)),
    munlock: (addr, length) => checked(munlock(addr, length)),
    fallocate: (fd, mode, offset, length) => checked(fallocate(fd, mode, offset, length)),
    close: (fd) => checked(close(fd)),
    eventfd: (initial, flags) => checked(eventfd(initial, flags)),
    userfaultfd: (flags) => checked(syscall(SYS_USERFAULTFD, flags, 0, 0)),
    openDevice: (path, flags) => checked(open(path, flags, 0)),
    ioctl: (fd, request, arg) =>
      checked(typeof arg === 'number' ? ioctlNumber(fd, request, arg) : ioctlBuffer(fd, request, arg)),
    poll: (fds, count, timeoutMs) => checked(poll(fds, count, timeoutMs)),
    read: (fd, buffer: KernelBuffer, bytes) => checked(read(fd, buffer, bytes)),
    write: (fd, buffer: KernelBuffer, bytes) => checked(write(fd, buffer, bytes)),
    fileBlocks,
    gettid: () => syscall(SYS_GETTID, 0, 0, 0),
    getpid: () => getpid(),
    threadCpuNs: () => {
      clockGettime(CLOCK_THREAD_CPUTIME_ID, timespec);
      return timespec[0]! * 1e9 + timespec[2]!;
    },
    getcpu: () => checked(schedGetcpu()),
    schedGetAffinity: (tid, mask) => checked(schedGetaffinity(tid, mask.byteLength, mask)),
    schedSetAffinity: (tid, mask) => checked(schedSetaffinity(tid, mask.byteLength, mask)),
    schedGetScheduler: (tid) => checked(schedGetscheduler(tid)),
    schedSetScheduler: (tid, policy, priority) => {
      schedParam[0] = priority;
      return checked(schedSetscheduler(tid, policy, schedParam));
    },
    tgkill: (pid, tid, signal) => checked(syscall(SYS_TGKILL, pid, tid, signal)),
    exitGroup: (status) => {
      exit(status);
      return 0;
    },
    syscall: (number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) =>
      checked(anySyscall(number, a, b, c, d, e, f)),
    getpagesize: () => getpagesize(),
  };
}

/** Through Node rather than C: struct stat is 144 bytes of layout that would have to be written down for one field. */
function fileBlocks(fd: number): number {
  try {
    return fstatSync(fd).blocks * 512;
  } catch (e) {
    // Node keeps errno negative already.
    const errno = (e as NodeJS.ErrnoException).errno;
    return errno === undefined || errno >= 0 ? -EIO : errno;
  }
}
