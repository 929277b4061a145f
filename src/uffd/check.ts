// From -errno to an error that says what the user can do.
import { type ErrorCode, TospaceError } from '../errors.ts';
import {
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EDQUOT,
  EEXIST,
  EFAULT,
  EINVAL,
  EMFILE,
  ENFILE,
  EFBIG,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOSYS,
  EPERM,
  ESRCH,
  errnoName,
} from './errno.ts';

/** Why userfaultfd is refused, and every way to have it allowed. Used by probe() too. */
export const HINT_UFFD_PERMISSION: string =
  'Grant CAP_SYS_PTRACE, or set vm.unprivileged_userfaultfd=1 (sysctl), or give access to /dev/userfaultfd. ' +
  'If even the user-mode-only kind is refused, a seccomp profile blocks it (the default one of Docker does): ' +
  'run with a profile that allows userfaultfd, or --security-opt seccomp=unconfined. ' +
  '`npx tospace doctor` says which of these it is.';

export const HINT_UFFD_MISSING: string =
  'The kernel has no userfaultfd: Linux 5.14 or later with CONFIG_USERFAULTFD=y is needed. ' +
  'Some sandboxes (gVisor, some seccomp profiles) report a call that they do not allow in the same way.';

const HINT_MAPPINGS =
  'Either the process has too many mappings (raise the sysctl vm.max_map_count), or its address space is limited ' +
  '(ulimit -v, RLIMIT_AS), or memory is overcommitted (vm.overcommit_memory=2).';
const HINT_STORAGE =
  'Shared memory ran out: use a smaller heap, or raise the memory limit of the container (shmem counts towards it).';
const HINT_LOCKED = 'Raise the limit of locked memory (ulimit -l, RLIMIT_MEMLOCK).';
const HINT_DESCRIPTORS = 'Too many open files: raise ulimit -n, and close() what is not used any more.';
const HINT_ADDRESS_SPACE_CALLS: ReadonlySet<string> = new Set([
  'mmap',
  'munmap',
  'mremap',
  'mprotect',
  'madvise',
]);
const HINT_STORAGE_CALLS: ReadonlySet<string> = new Set([
  'memfd_create',
  'memfdCreate',
  'ftruncate',
  'fallocate',
]);

function codeOf(errno: number): ErrorCode {
  switch (errno) {
    case EPERM:
    case EACCES:
      return 'ERR_PERMISSION';
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
      return 'ERR_OUT_OF_MEMORY';
    case ENOSYS:
      return 'ERR_UNSUPPORTED';
    default:
      return 'ERR_SYSCALL';
  }
}

/** What the user can do about `errno` from `call`. `call` is the manual-page name or the method name of `Kernel`. */
function hintFor(call: string, errno: number): string {
  const isUffd =
    call.startsWith('userfaultfd') || call.startsWith('UFFDIO') || call.includes('/dev/userfaultfd');
  switch (errno) {
    case ENOMEM:
    case ENOSPC:
      if (HINT_STORAGE_CALLS.has(call)) return HINT_STORAGE;
      if (call === 'mlock') return HINT_LOCKED;
      if (HINT_ADDRESS_SPACE_CALLS.has(call) || isUffd) return HINT_MAPPINGS;
      return 'Memory ran out: use a smaller heap or give the process more memory.';
    case EMFILE:
    case ENFILE:
      return HINT_DESCRIPTORS;
    case EPERM:
    case EACCES:
      if (isUffd) return HINT_UFFD_PERMISSION;
      if (call === 'mlock') return HINT_LOCKED;
      return 'The kernel or a sandbox around the process (seccomp, LSM) refuses the call: allow it there.';
    case ENOSYS:
      if (isUffd) return HINT_UFFD_MISSING;
      return 'The kernel is too old for this call (Linux 5.14 or later is needed), or a seccomp profile hides it.';
    case EINVAL:
      if (isUffd) {
        return 'The kernel does not know this request for this kind of memory: MINOR faults on shmem need Linux 5.14.';
      }
      if (call === 'mremap') return 'MREMAP_DONTUNMAP needs Linux 5.7, and 5.13 for shared memory.';
      return 'An address, length or flag is not what the kernel accepts; see the message for the values.';
    case EBUSY:
      if (isUffd) return 'Another userfaultfd already watches part of this range: close that one first.';
      break;
    case EEXIST:
      if (isUffd) return 'The page is present already: somebody else installed it.';
      break;
    case ENOENT:
      if (isUffd) return 'The range is not registered (any more), or not wholly inside registered mappings.';
      break;
    case EFAULT:
      if (call === 'mremap') return 'The old range is not one mapping of that length.';
      if (isUffd)
        return 'The source is unmapped, the page is not in the page cache, or it lies beyond the end of the file.';
      break;
    case EAGAIN:
      if (call === 'mlock') return HINT_LOCKED;
      return 'The kernel asks to try again; it kept asking.';
    case EBADF:
      return 'The descriptor is closed: something used this object after close().';
    case ESRCH:
      return 'The thread or process does not exist any more.';
    case EFBIG:
      return 'The file may not be so large: raise the limit (ulimit -f, RLIMIT_FSIZE), which holds for memory files too.';
    case ENODEV:
      return 'The device or the kind of memory does not support this call.';
  }
  return `See the manual page of ${call} for ${errnoName(errno)}.`;
}

/**
 * The error for a failed call.
 * @param result -errno
 * @param call the system call or ioctl request, by name
 * @param what what was attempted, with the values that matter
 * @param hint what the user can do; default: a sentence that fits the call and the errno
 */
export function syscallError(result: number, call: string, what: string, hint?: string): TospaceError {
  const errno = -result;
  const name = errnoName(errno);
  return new TospaceError(codeOf(errno), `${what}: ${call} failed with ${name}`, {
    hint: hint ?? hintFor(call, errno),
    syscall: call,
    errno,
    errnoName: name,
  });
}

/**
 * Passes a result of a {@link Kernel} method through, or throws for -errno.
 * @throws TospaceError `ERR_PERMISSION` (EPERM, EACCES), `ERR_OUT_OF_MEMORY` (ENOMEM, ENOSPC, EDQUOT), `ERR_UNSUPPORTED` (ENOSYS),
 *   else `ERR_SYSCALL`
 */
export function check(result: number, call: string, what: string, hint?: string): number {
  if (result < 0) throw syscallError(result, call, what, hint);
  return result;
}

/** An address or length in messages. */
export function hex(n: number): string {
  return `0x${n.toString(16)}`;
}
