// The numbers of the Linux x86-64 system-call interface that this package uses, in one place.
// Other architectures differ in O_*, MAP_* and the system-call numbers: see the platform check in libc.ts.

// --- mmap(2), mprotect(2) -----------------------------------------------------------------------------------
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
/** Replaces whatever is mapped there. Only ever aimed at a place that we hold already. */
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
/** Charges no commit: an address reservation must not count as memory. */
export const MAP_NORESERVE = 0x4000;
/** Pages of the pool of huge pages: ENOMEM where none is reserved. */
export const MAP_HUGETLB = 0x40000;
/** Linux 4.17: EEXIST instead of replacing. */
export const MAP_FIXED_NOREPLACE = 0x100000;

// --- mremap(2) ----------------------------------------------------------------------------------------------
export const MREMAP_MAYMOVE = 1;
export const MREMAP_FIXED = 2;
/** Linux 5.7 for private anonymous memory, 5.13 for shmem: the old VMA stays, without page tables. */
export const MREMAP_DONTUNMAP = 4;

// --- mlock2(2), prlimit(2) ----------------------------------------------------------------------------------
/** Locks pages as they are touched, instead of touching them all. */
export const MLOCK_ONFAULT = 1;
/** The resources of prlimit(2). struct rlimit is two u64: the limit, and how far it may be raised again. */
/** Holds for memory files too: EFBIG (and SIGXFSZ, which Node ignores). */
export const RLIMIT_FSIZE = 1;
export const RLIMIT_NOFILE = 7;
export const RLIMIT_MEMLOCK = 8;
export const RLIMIT_AS = 9;
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

// --- sched_setscheduler(2) ----------------------------------------------------------------------------------
export const SCHED_OTHER = 0;
export const SCHED_FIFO = 1;
/** Or-ed to a policy: children begin with the default one. Linux 2.6.32. */
export const SCHED_RESET_ON_FORK = 0x40000000;

// --- madvise(2) ---------------------------------------------------------------------------------------------
/** On shmem this drops page tables only: the pages stay in the page cache. */
export const MADV_DONTNEED = 4;
/** Frees the pages of a shared mapping, as FALLOC_FL_PUNCH_HOLE does through the descriptor. */
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
/** Linux 5.14. On a registered range these go through the userfaultfd and block. */
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
/** Linux 6.1. */
export const MADV_COLLAPSE = 25;

// --- memfd_create(2), fallocate(2), eventfd(2), open(2) -----------------------------------------------------
export const MFD_CLOEXEC = 1;

export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;

export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

export const EFD_NONBLOCK: number = O_NONBLOCK;
export const EFD_CLOEXEC: number = O_CLOEXEC;

// --- poll(2) ------------------------------------------------------------------------------------------------
// struct pollfd, 8 bytes: s32 fd; s16 events; s16 revents. As two Int32: [fd, events | revents << 16].
export const POLLIN = 0x001;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;

// --- signal(7), rt_sigaction(2) -----------------------------------------------------------------------------
export const SIGBUS = 7;
export const SIGKILL = 9;
export const SIGUSR2 = 12;
export const SIGCHLD = 17;

// struct sigaction as the kernel has it, 32 bytes: u64 handler, flags, restorer, mask.
/** The handler is told more: a pointer to siginfo (s32 si_code at byte 8, u64 si_addr at byte 16). */
export const SA_SIGINFO = 4;
/** The `restorer` is where the handler returns to; required on x86-64. */
export const SA_RESTORER = 0x0400_0000;
/** si_code of SIGBUS: there is no such page. */
export const BUS_ADRERR = 2;
/** si_code of SIGBUS: the page is broken. */
export const BUS_MCEERR_AR = 4;

// --- wait4(2), prctl(2) -------------------------------------------------------------------------------------
export const WNOHANG = 1;
/** A signal for the caller when its parent ends. */
export const PR_SET_PDEATHSIG = 1;
export const PR_SET_DUMPABLE = 4;

// --- numbers of system calls that are made by number (x86-64) -----------------------------------------------
export const SYS_READ = 0;
export const SYS_WRITE = 1;
export const SYS_OPEN = 2;
export const SYS_POLL = 7;
export const SYS_MUNMAP = 11;
export const SYS_RT_SIGACTION = 13;
export const SYS_RT_SIGRETURN = 15;
export const SYS_IOCTL = 16;
export const SYS_PREAD64 = 17;
export const SYS_PWRITE64 = 18;
export const SYS_MREMAP = 25;
export const SYS_MADVISE = 28;
export const SYS_CLONE = 56;
export const SYS_EXECVE = 59;
export const SYS_WAIT4 = 61;
export const SYS_KILL = 62;
export const SYS_SETGROUPS = 116;
export const SYS_SETRESUID = 117;
export const SYS_PRCTL = 157;
export const SYS_GETTID = 186;
export const SYS_EXIT_GROUP = 231;
export const SYS_TGKILL = 234;
export const SYS_FALLOCATE = 285;
export const SYS_PRLIMIT64 = 302;
export const SYS_USERFAULTFD = 323;
/** Linux 4.4. */
export const SYS_MLOCK2 = 325;
/** Linux 6.10. */
export const SYS_MSEAL = 462;

// --- clock_gettime(2) ----------------------------------------------

export const CLOCK_THREAD_CPUTIME_ID = 3;

// --- userfaultfd(2), linux/userfaultfd.h --------------------------------------------------------------------
/** Linux 5.11: needs no privilege; a fault taken inside the kernel is EFAULT instead of an event. */
export const UFFD_USER_MODE_ONLY = 1;
export const UFFD_API = 0xaa;

/** Linux 6.1: on /dev/userfaultfd; the argument is the flags word of userfaultfd(2). */
export const USERFAULTFD_IOC_NEW = 0xaa00;

/** struct uffdio_api, 24 bytes: u64 api, features, ioctls. */
export const UFFDIO_API = 0xc018aa3f;
/** struct uffdio_register, 32 bytes: u64 start, len, mode, ioctls. */
export const UFFDIO_REGISTER = 0xc020aa00;
/** struct uffdio_range, 16 bytes: u64 start, len. */
export const UFFDIO_UNREGISTER = 0x8010aa01;
/** struct uffdio_range. */
export const UFFDIO_WAKE = 0x8010aa02;
/** struct uffdio_copy, 40 bytes: u64 dst, src, len, mode; s64 copy. */
export const UFFDIO_COPY = 0xc028aa03;
/** struct uffdio_zeropage, 32 bytes: u64 start, len, mode; s64 zeropage. */
export const UFFDIO_ZEROPAGE = 0xc020aa04;
/** Linux 6.8. struct uffdio_move, 40 bytes: u64 dst, src, len, mode; s64 move. Private anonymous memory only, else EINVAL. */
export const UFFDIO_MOVE = 0xc028aa05;
/** Linux 5.7, shmem 5.19. struct uffdio_writeprotect, 24 bytes: u64 start, len, mode. */
export const UFFDIO_WRITEPROTECT = 0xc018aa06;
/** Linux 5.13, shmem 5.14. struct uffdio_continue, 32 bytes: u64 start, len, mode; s64 mapped. */
export const UFFDIO_CONTINUE = 0xc020aa07;
/** Linux 6.6. struct uffdio_poison, 32 bytes: u64 start, len, mode; s64 updated. */
export const UFFDIO_POISON = 0xc020aa08;

export const UFFDIO_REGISTER_MODE_MISSING = 1;
export const UFFDIO_REGISTER_MODE_WP = 2;
export const UFFDIO_REGISTER_MODE_MINOR = 4;
/** What a window of shmem always needs: MINOR alone zero-fills holes silently, MISSING alone maps cached pages silently. */
export const UFFDIO_REGISTER_MODE_MISSING_MINOR = 5;

/** The same bit in the mode word of COPY, ZEROPAGE, CONTINUE, MOVE and POISON: install, but leave waiting threads asleep. */
export const UFFDIO_MODE_DONTWAKE = 1;
/** The same bit in the mode word of COPY and CONTINUE: install write-protected. Needs a registration with MODE_WP. */
export const UFFDIO_MODE_WP = 2;
/** In the mode word of MOVE: a source page that is missing is passed over instead of ENOENT. */
export const UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES = 2;
/** In the mode word of WRITEPROTECT: protect. Without it the range becomes writable again. */
export const UFFDIO_WRITEPROTECT_MODE_WP = 1;
/** Another bit than that of the installing requests; only valid when un-protecting. */
export const UFFDIO_WRITEPROTECT_MODE_DONTWAKE = 2;

// What UFFDIO_REGISTER returns: a bit for each request that the range takes, numbered by the low byte of the request.
// Not a test of capability: the MOVE bit is set on shmem too, where MOVE is always EINVAL.
export const UFFDIO_IOCTL_WAKE = 0x4;
export const UFFDIO_IOCTL_COPY = 0x8;
export const UFFDIO_IOCTL_ZEROPAGE = 0x10;
export const UFFDIO_IOCTL_WRITEPROTECT = 0x40;
export const UFFDIO_IOCTL_CONTINUE = 0x80;

export const UFFD_FEATURE_PAGEFAULT_FLAG_WP = 0x1n;
export const UFFD_FEATURE_EVENT_FORK = 0x2n;
export const UFFD_FEATURE_EVENT_REMAP = 0x4n;
export const UFFD_FEATURE_EVENT_REMOVE = 0x8n;
export const UFFD_FEATURE_MISSING_HUGETLBFS = 0x10n;
export const UFFD_FEATURE_MISSING_SHMEM = 0x20n;
export const UFFD_FEATURE_EVENT_UNMAP = 0x40n;
export const UFFD_FEATURE_SIGBUS = 0x80n;
export const UFFD_FEATURE_THREAD_ID = 0x100n;
export const UFFD_FEATURE_MINOR_HUGETLBFS = 0x200n;
export const UFFD_FEATURE_MINOR_SHMEM = 0x400n;
export const UFFD_FEATURE_EXACT_ADDRESS = 0x800n;
export const UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 0x1000n;
export const UFFD_FEATURE_WP_UNPOPULATED = 0x2000n;
export const UFFD_FEATURE_POISON = 0x4000n;
export const UFFD_FEATURE_WP_ASYNC = 0x8000n;
export const UFFD_FEATURE_MOVE = 0x10000n;
/**
 * Never requested: with these, mremap, munmap and madvise of a registered range block until somebody reads the event, and
 * COPY and CONTINUE fail with EAGAIN meanwhile. A collector that moves its own mappings would wait for itself.
 */
export const UFFD_FEATURES_EVENT: bigint =
  UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;

// struct uffd_msg, 32 bytes:
//   byte 0   u8  event
//   byte 8   u64 pagefault.flags
//   byte 16  u64 pagefault.address
//   byte 24  u32 pagefault.feat.ptid (with UFFD_FEATURE_THREAD_ID, else 0)
// and with the EVENT_* features, from byte 8 on: FORK u32 fd; REMAP u64 from, to, len; REMOVE and UNMAP u64 start, end.
export const UFFD_MSG_BYTES = 32;
export const UFFD_EVENT_PAGEFAULT = 0x12;
export const UFFD_EVENT_FORK = 0x13;
export const UFFD_EVENT_REMAP = 0x14;
export const UFFD_EVENT_REMOVE = 0x15;
export const UFFD_EVENT_UNMAP = 0x16;
export const UFFD_PAGEFAULT_FLAG_WRITE = 1;
export const UFFD_PAGEFAULT_FLAG_WP = 2;
export const UFFD_PAGEFAULT_FLAG_MINOR = 4;

/** Every feature bit, by the name behind UFFD_FEATURE_. */
export const UFFD_FEATURES: Readonly<Record<string, bigint>> = {
  PAGEFAULT_FLAG_WP: UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  EVENT_FORK: UFFD_FEATURE_EVENT_FORK,
  EVENT_REMAP: UFFD_FEATURE_EVENT_REMAP,
  EVENT_REMOVE: UFFD_FEATURE_EVENT_REMOVE,
  MISSING_HUGETLBFS: UFFD_FEATURE_MISSING_HUGETLBFS,
  MISSING_SHMEM: UFFD_FEATURE_MISSING_SHMEM,
  EVENT_UNMAP: UFFD_FEATURE_EVENT_UNMAP,
  SIGBUS: UFFD_FEATURE_SIGBUS,
  THREAD_ID: UFFD_FEATURE_THREAD_ID,
  MINOR_HUGETLBFS: UFFD_FEATURE_MINOR_HUGETLBFS,
  MINOR_SHMEM: UFFD_FEATURE_MINOR_SHMEM,
  EXACT_ADDRESS: UFFD_FEATURE_EXACT_ADDRESS,
  WP_HUGETLBFS_SHMEM: UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  WP_UNPOPULATED: UFFD_FEATURE_WP_UNPOPULATED,
  POISON: UFFD_FEATURE_POISON,
  WP_ASYNC: UFFD_FEATURE_WP_ASYNC,
  MOVE: UFFD_FEATURE_MOVE,
};

// --- /proc/self/pagemap, linux/fs.h -------------------------------------------------------------------------
/**
 * Linux 6.7. struct pm_scan_arg, 12 u64: size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
 * category_mask, category_anyof_mask, return_mask. Fills `vec` with struct page_region, 3 u64 each: start, end, categories.
 */
export const PAGEMAP_SCAN = 0xc0606610;
export const PM_SCAN_ARG_WORDS = 12;
/** Write-protects the pages that are reported: the next store to one makes it WRITTEN again. */
export const PM_SCAN_WP_MATCHING = 1;
/** EPERM for memory that is not watched for asynchronous write-protection faults, instead of skipping it. */
export const PM_SCAN_CHECK_WPASYNC = 2;

/** The mapping can be write-protected asynchronously. */
export const PAGE_IS_WPALLOWED = 0x1;
/** Not write-protected: stored to since it was, or never protected. */
export const PAGE_IS_WRITTEN = 0x2;
export const PAGE_IS_FILE = 0x4;
export const PAGE_IS_PRESENT = 0x8;
export const PAGE_IS_SWAPPED = 0x10;
export const PAGE_IS_PFNZERO = 0x20;
export const PAGE_IS_HUGE = 0x40;
export const PAGE_IS_SOFT_DIRTY = 0x80;

// --- the VmFlags line of /proc/PID/smaps --------------------------------------------------------------------
export const VM_FLAG_LOCKED = 'lo';
export const VM_FLAG_LOCKONFAULT = 'lf';
/** Charged to the commit limit. */
export const VM_FLAG_ACCOUNT = 'ac';
/** May not grow by mremap: special mappings and huge pages. */
export const VM_FLAG_DONTEXPAND = 'de';
export const VM_FLAG_HUGETLB = 'ht';
export const VM_FLAG_SEALED = 'sl';
export const VM_FLAG_UFFD_MISSING = 'um';
export const VM_FLAG_UFFD_MINOR = 'ui';
export const VM_FLAG_UFFD_WP = 'uw';
