import { describe, expect, test } from 'vitest';
import { check, EACCES, EBADF, EINVAL, ENOMEM, ENOSPC, ENOSYS, EPERM, errnoName } from '#src/uffd/index.js';

test('errno names, whatever the sign', () => {
  expect(errnoName(ENOMEM)).toBe('ENOMEM');
  expect(errnoName(-ENOMEM)).toBe('ENOMEM');
  expect(errnoName(4095)).toBe('errno 4095');
});

test('a result passes through', () => {
  expect(check(0, 'munmap', 'x')).toBe(0);
  expect(check(0x7fff_0000_0000, 'mmap', 'x')).toBe(0x7fff_0000_0000);
});

describe('code and hint', () => {
  test.each([
    ['mremap', ENOMEM, 'ERR_OUT_OF_MEMORY', 'vm.max_map_count'],
    ['mmap', ENOMEM, 'ERR_OUT_OF_MEMORY', 'RLIMIT_AS'],
    ['memfd_create', ENOMEM, 'ERR_OUT_OF_MEMORY', 'memory limit'],
    ['fallocate', ENOSPC, 'ERR_OUT_OF_MEMORY', 'memory limit'],
    ['userfaultfd', EPERM, 'ERR_PERMISSION', 'vm.unprivileged_userfaultfd'],
    ['userfaultfd', EPERM, 'ERR_PERMISSION', 'CAP_SYS_PTRACE'],
    ['userfaultfd', EPERM, 'ERR_PERMISSION', 'seccomp'],
    ['userfaultfd', EACCES, 'ERR_PERMISSION', '/dev/userfaultfd'],
    ['userfaultfd', ENOSYS, 'ERR_UNSUPPORTED', 'CONFIG_USERFAULTFD'],
    ['memfd_create', ENOSYS, 'ERR_UNSUPPORTED', 'too old'],
    ['mlock', EPERM, 'ERR_PERMISSION', 'RLIMIT_MEMLOCK'],
    ['mremap', EINVAL, 'ERR_SYSCALL', 'MREMAP_DONTUNMAP'],
    ['UFFDIO_REGISTER', EINVAL, 'ERR_SYSCALL', '5.14'],
    ['ioctl', EBADF, 'ERR_SYSCALL', 'close()'],
    ['poll', 4095, 'ERR_SYSCALL', 'manual page of poll'],
  ])('%s %i', (call, errno, code, hint) => {
    expect(() => check(-errno, call, 'doing it')).toThrow(
      expect.objectContaining({
        code,
        errno,
        syscall: call,
        errnoName: errnoName(errno),
        message: `doing it: ${call} failed with ${errnoName(errno)}`,
        hint: expect.stringContaining(hint),
      }),
    );
  });

  test('a given hint wins', () => {
    expect(() => check(-EPERM, 'mmap', 'x', 'do this')).toThrow(expect.objectContaining({ hint: 'do this' }));
  });
});
