// The one interface that every system call of this package goes through. Small, so that a test can put a failing or slow
// kernel in its place (injection.ts), and another way of calling C could take the place of libc.ts.

/** Memory that a system call reads or writes: any typed array, also over shared or WebAssembly memory. */
export type KernelBuffer = ArrayBufferView;

/**
 * Linux, as numbers. Every method returns its result (0 or more) or **-errno**; none throws. Addresses, lengths and offsets
 * are bytes, as Numbers: user addresses lie below 2^47, so they are exact, and greater than 0, so they differ from -errno.
 * Masks and flags are those of abi.ts. A method may be called from any thread, on the thread's own `Kernel` object.
 */
export interface Kernel {
  /** memfd_create(2), Linux 3.17. Returns a descriptor. */
  memfdCreate(name: string, flags: number): number;
  /** ftruncate(2): sets the size of a file, in bytes. */
  ftruncate(fd: number, bytes: number): number;
  /** mmap(2). `fd` is -1 for anonymous memory. Returns the address. */
  mmap(addr: number, length: number, prot: number, flags: number, fd: number, offset: number): number;
  /** munmap(2). */
  munmap(addr: number, length: number): number;
  /** mremap(2). Returns the new address. Since Linux 6.17 a FIXED length that is too long moves the neighbours too. */
  mremap(oldAddr: number, oldLength: number, newLength: number, flags: number, newAddr: number): number;
  /** madvise(2). */
  madvise(addr: number, length: number, advice: number): number;
  /** mprotect(2). */
  mprotect(addr: number, length: number, prot: number): number;
  /** mlock(2). Goes through the userfaultfd on a registered range, and then blocks. */
  mlock(addr: number, length: number): number;
  /** munlock(2). */
  munlock(addr: number, length: number): number;
  /** fallocate(2). */
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  /** close(2). The descriptor is gone even when an error comes back: never call it twice. */
  close(fd: number): number;
  /** eventfd(2). Returns a descriptor. */
  eventfd(initial: number, flags: number): number;
  /** userfaultfd(2), Linux 4.3. Returns a descriptor. */
  userfaultfd(flags: number): number;
  /** open(2) of an existing device or file. Returns a descriptor. */
  openDevice(path: string, flags: number): number;
  /**
   * ioctl(2). `arg` is the structure, as the 64-bit words it is made of; or the third argument itself, as a number, for
   * requests that take no structure; or null.
   */
  ioctl(fd: number, request: number, arg: BigUint64Array | number | null): number;
  /**
   * poll(2). `fds` holds `count` structures of 8 bytes: [fd, events | revents << 16] as Int32 pairs.
   * `timeoutMs` -1 waits for ever. Blocks the thread, which then cannot be terminated.
   */
  poll(fds: Int32Array, count: number, timeoutMs: number): number;
  /** read(2) of at most `bytes` into the start of `buffer`. Returns the bytes read. */
  read(fd: number, buffer: KernelBuffer, bytes: number): number;
  /** write(2) of `bytes` from the start of `buffer`. Returns the bytes written. */
  write(fd: number, buffer: KernelBuffer, bytes: number): number;
  /** **Bytes** of storage allocated to the file (st_blocks x 512): for a memfd, the memory that it holds. Allocates. */
  fileBlocks(fd: number): number;
  /** gettid(2): the kernel's id of the calling thread. Cannot fail. */
  gettid(): number;
  /** getpid(2). Cannot fail. */
  getpid(): number;
  /** clock_gettime(2) of CLOCK_THREAD_CPUTIME_ID: **nanoseconds** that the calling thread ran, in user space and kernel. Cannot fail. */
  threadCpuNs(): number;
  /** sched_getcpu(3): the CPU that the calling thread runs on at this moment. */
  getcpu(): number;
  /** sched_getaffinity(2) of thread `tid` (0: the caller) into a bit mask, CPU 0 lowest. Returns 0. */
  schedGetAffinity(tid: number, mask: BigUint64Array): number;
  /** sched_setaffinity(2). CPUs that do not exist or are not allowed are ignored; EINVAL if none is left. */
  schedSetAffinity(tid: number, mask: BigUint64Array): number;
  /** sched_getscheduler(2): the policy of thread `tid` (0: the caller), SCHED_…, with SCHED_RESET_ON_FORK or-ed where that is set. */
  schedGetScheduler(tid: number): number;
  /** sched_setscheduler(2): policy, with SCHED_RESET_ON_FORK or-ed if wanted, and static priority: 0, or 1 to 99 for SCHED_FIFO. EPERM without CAP_SYS_NICE. */
  schedSetScheduler(tid: number, policy: number, priority: number): number;
  /** tgkill(2): sends a signal to one thread. Signal 0 only asks whether it exists (ESRCH). */
  tgkill(pid: number, tid: number, signal: number): number;
  /**
   * exit_group(2) through `_exit`: ends every thread at once, also those blocked in a fault or a system call. Runs no
   * JavaScript hooks and flushes nothing. Does not return.
   */
  exitGroup(status: number): number;
  /**
   * syscall(2): any other call, by its x86-64 number, for probes, tests and systems of their own. Six arguments at most; what is
   * a pointer to the kernel is the address of a view that the caller keeps.
   */
  syscall(number: number, ...args: readonly number[]): number;
  /** The page size in bytes (4096 on x86-64). Cannot fail. */
  getpagesize(): number;
}
