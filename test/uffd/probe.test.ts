import { describe, expect, test } from 'vitest';
import {
  type Capabilities,
  createLibcKernel,
  EACCES,
  EAGAIN,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSYS,
  EPERM,
  type InjectionRule,
  injectFaults,
  probe,
  type Support,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_REGISTER,
} from '#src/uffd/index.js';
import { accountMappings, openDescriptors } from '../support/resources.ts';

const kernel = createLibcKernel();
const always = (rule: Omit<InjectionRule, 'nth' | 'every'>): InjectionRule => ({
  ...rule,
  nth: 1,
  every: true,
});
const probeWith = (...rules: InjectionRule[]): Capabilities => probe(injectFaults(kernel, rules));
const failing = (reason: string | RegExp) => ({ ok: false, reason: expect.stringMatching(reason) });

/** Every finding, by name. */
function supports(c: Capabilities): [string, Support][] {
  const { platform, kernelVersion, pageBytes, cpus, userfaultfd, ...rest } = c;
  return [...Object.entries(rest), ...Object.entries(userfaultfd)];
}

test('this machine can do everything that the tests need', () => {
  const found = probe();
  expect(found.platform).toBe('linux-x64');
  expect(found.pageBytes).toBe(4096);
  expect(found.cpus).toBeGreaterThanOrEqual(1);
  expect(found.kernelVersion).toMatch(/^\d+\.\d+/);
  expect(found.concurrent).toEqual({
    ok: true,
    reason: expect.stringMatching('concurrent compaction works'),
  });
  // The result is plain data: it is echoed into reports.
  expect(JSON.parse(JSON.stringify(found))).toEqual(found);
});

test('nothing is left behind', () => {
  const before = openDescriptors();
  const account = accountMappings(kernel);
  probe(account.kernel);
  expect(openDescriptors()).toBe(before);
  expect(account.mappedBytes()).toBe(0);
});

describe('what is missing is said, with what to do', () => {
  test('userfaultfd refused (seccomp, sysctl)', () => {
    const found = probeWith(
      always({ call: 'userfaultfd', errno: EPERM }),
      always({ call: 'openDevice', errno: ENOENT }),
    );
    expect(found.userfaultfd.full).toEqual(failing(/EPERM.*CAP_SYS_PTRACE.*vm\.unprivileged_userfaultfd/));
    expect(found.userfaultfd.userModeOnly).toEqual(failing(/EPERM.*seccomp/));
    expect(found.userfaultfd.device).toEqual(failing(/ENOENT.*6\.1.*--device/));
    expect(found.concurrent).toEqual(failing(/seccomp/));
    expect(found.memfd.ok).toBe(true);
    expect(found.dontunmapShmem.ok).toBe(true);
    expect(found.continue.ok).toBe(false);
  });

  test('no userfaultfd in the kernel', () => {
    const found = probeWith(
      always({ call: 'userfaultfd', errno: ENOSYS }),
      always({ call: 'openDevice', errno: ENOENT }),
    );
    expect(found.userfaultfd.full).toEqual(failing(/ENOSYS.*CONFIG_USERFAULTFD/));
    expect(found.concurrent).toEqual(failing(/CONFIG_USERFAULTFD/));
  });

  test('only the user-mode-only kind: it works, with its caveat', () => {
    const found = probeWith(
      { call: 'userfaultfd', nth: 1, errno: EPERM },
      always({ call: 'openDevice', errno: EACCES }),
    );
    expect(found.userfaultfd.full.ok).toBe(false);
    expect(found.userfaultfd.device).toEqual(failing('EACCES'));
    expect(found.userfaultfd.userModeOnly.ok).toBe(true);
    expect(found.concurrent).toEqual({ ok: true, reason: expect.stringMatching(/user-mode-only.*EFAULT/) });
  });

  test('no user-mode-only kind (before Linux 5.11)', () => {
    const found = probeWith({ call: 'userfaultfd', nth: 2, errno: EINVAL });
    expect(found.userfaultfd.userModeOnly).toEqual(failing(/EINVAL.*5\.11/));
  });

  test('no memory files', () => {
    const found = probeWith(always({ call: 'memfdCreate', errno: ENOMEM }));
    expect(found.memfd).toEqual(failing(/memfd_create failed with ENOMEM.*memory limit/));
    // One cause, one reason.
    for (const part of [
      'dontunmapShmem',
      'missingShmem',
      'minorShmem',
      'continue',
      'copy',
      'concurrent',
    ] as const) {
      expect(found[part].reason).toMatch(/memfd_create/);
    }
    expect(found.dontunmapAnon.ok).toBe(true);
  });

  test('no MREMAP_DONTUNMAP', () => {
    const found = probeWith(always({ call: 'mremap', errno: EINVAL }));
    expect(found.dontunmapAnon).toEqual(failing(/5\.7/));
    expect(found.dontunmapShmem).toEqual(failing(/5\.13/));
    expect(found.concurrent).toEqual(failing(/MREMAP_DONTUNMAP/));
    expect(found.copy.ok).toBe(true);
  });

  test('no minor faults on shared memory', () => {
    // MISSING is registered first, MINOR second.
    const found = probeWith({ call: 'ioctl', request: UFFDIO_REGISTER, nth: 2, errno: EINVAL });
    expect(found.missingShmem.ok).toBe(true);
    expect(found.minorShmem).toEqual(failing(/5\.14/));
    expect(found.concurrent.ok).toBe(false);
  });

  test('CONTINUE or COPY that do not do their work', () => {
    expect(probeWith(always({ call: 'ioctl', request: UFFDIO_CONTINUE, errno: EINVAL }))).toMatchObject({
      continue: failing(/UFFDIO_CONTINUE failed with EINVAL/),
      copy: { ok: true },
      concurrent: { ok: false },
    });
    expect(probeWith({ call: 'ioctl', request: UFFDIO_COPY, nth: 2, errno: EAGAIN })).toMatchObject({
      copy: failing(/a second UFFDIO_COPY/),
      continue: { ok: true },
      concurrent: { ok: false },
    });
  });
});

test('whichever call fails, probe reports instead of throwing, and leaves no descriptor', () => {
  const before = openDescriptors();
  const counting = injectFaults(kernel, []);
  probe(counting);
  const total = [...counting.calls.values()].reduce((a, b) => a + b);
  for (let nth = 1; nth <= total; nth++) {
    const found = probeWith({ call: '*', nth, errno: ENOMEM });
    for (const [name, support] of supports(found)) expect(support.reason, name).not.toBe('');
    if (!found.concurrent.ok) expect(found.concurrent.reason).toMatch(/ENOMEM/);
    expect(openDescriptors()).toBe(before);
  }
});
