// probe(): every row answers on a good kernel, and says the right thing on a bad one.
import { describe, expect, test } from 'vitest';
import {
  createLibcKernel,
  EACCES,
  EAGAIN,
  EFAULT,
  EINTR,
  EINVAL,
  EMFILE,
  ENOENT,
  ENOMEM,
  ENOSYS,
  EPERM,
  type InjectionRule,
  injectFaults,
  type Kernel,
  type ProbeReport,
  type ProbeRow,
  probe,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_MOVE,
  UFFDIO_POISON,
  UFFDIO_REGISTER,
  UFFDIO_REGISTER_MODE_MINOR,
  UFFDIO_WAKE,
} from '#src/uffd/index.js';
import { systemHost } from '#src/uffd/probe/host.js';
import { accountMappings, openDescriptors } from '../support/resources.ts';

const kernel = createLibcKernel();
const always = (rule: Omit<InjectionRule, 'nth' | 'every'>): InjectionRule => ({
  ...rule,
  nth: 1,
  every: true,
});
const probeWith = (...rules: InjectionRule[]): ProbeReport => probe({ kernel: injectFaults(kernel, rules) });
const row = (report: ProbeReport, id: string): ProbeRow => {
  const found = report.rows.find((candidate) => candidate.id === id);
  if (found === undefined) throw new Error(`the report has no row "${id}"`);
  return found;
};
const status = (report: ProbeReport, id: string): string => row(report, id).status;
const missing = (found: RegExp) => ({ status: 'missing', found: expect.stringMatching(found) });

describe('this machine', () => {
  const report = probe();

  test('can do everything that the tests need', () => {
    expect(report).toMatchObject({
      format: 1,
      platform: 'linux-x64',
      node: process.version,
      pageBytes: 4096,
      quick: false,
    });
    expect(report.kernelVersion).toMatch(/^\d+\.\d+/);
    expect(report.cpus).toBeGreaterThanOrEqual(1);
    expect(report.verdict).toMatchObject({ concurrent: true, missing: [], repair: null });
    for (const { id, required, status, found } of report.rows)
      if (required) expect(status, `${id}: ${found}`).not.toBe('missing');
  });

  test('answers every row, as plain data', () => {
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(new Set(report.rows.map(({ id }) => id)).size).toBe(report.rows.length);
    for (const { id, status, found, gives, without } of report.rows) {
      expect(id).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(['ok', 'limited', 'missing', 'info']).toContain(status);
      for (const text of [found, gives, without]) expect(text.length, id).toBeGreaterThan(5);
    }
  });

  test('asks about every request, feature and way', () => {
    const ids = new Set(report.rows.map(({ id }) => id));
    for (const id of [
      ...['uffd-full', 'uffd-device', 'uffd-user-mode-only', 'uffd-api'],
      ...['missing', 'minor', 'wp'].flatMap((mode) => [`register-${mode}-shmem`, `register-${mode}-anon`]),
      ...['copy', 'continue', 'zeropage', 'move', 'poison', 'wake', 'unregister', 'writeprotect'].map(
        (name) => `ioctl-${name}`,
      ),
      ...[
        'memfd',
        'dontunmap-shmem',
        'dontunmap-anon',
        'move-granularity',
        'pagemap-scan',
        'wp-async',
        'huge-pages',
      ],
      ...[
        'memory-ceiling',
        'limit-address-space',
        'limit-locked-memory',
        'limit-descriptors',
        'limit-file-size',
        'limit-mappings',
      ],
      ...['limit-overcommit', 'cpu-affinity', 'cpu-quota'],
    ]) {
      expect(ids, id).toContain(id);
    }
    expect(report.rows.filter(({ group }) => group === 'features')).toHaveLength(17);
  });

  test('a quick probe has the required rows, and says the same of them', () => {
    const quick = probe({ quick: true });
    const { verdict } = quick;
    expect(quick.quick).toBe(true);
    expect(verdict).toEqual(report.verdict);
    const brief = ({ rows }: ProbeReport) =>
      rows.filter(({ required }) => required).map(({ id, status, found }) => ({ id, status, found }));
    expect(quick.rows.every(({ required }) => required)).toBe(true);
    expect(brief(quick)).toEqual(brief(report));
    // The times of many of them: one may be interrupted.
    const times = Array.from({ length: 50 }, () => probe({ quick: true }).elapsedMs);
    expect(Math.min(...times)).toBeLessThan(5);
  });

  test('is left as it was found', () => {
    const descriptors = openDescriptors();
    const account = accountMappings(kernel);
    probe({ kernel: account.kernel });
    expect(openDescriptors()).toBe(descriptors);
    expect(account.mappedBytes()).toBe(0);
  });
});

test('a signal that comes while a file is filled makes nothing missing', () => {
  let attempts = 0;
  const signalled: Kernel = {
    ...kernel,
    // Mode 0 fills: every other time.
    fallocate: (fd, mode, offset, length) =>
      mode === 0 && attempts++ % 2 === 0 ? -EINTR : kernel.fallocate(fd, mode, offset, length),
  };
  const report = probe({ kernel: signalled, quick: true });
  expect(attempts).toBeGreaterThan(0);
  expect(report.verdict).toMatchObject({ concurrent: true, missing: [] });
});

describe('what is missing is said, with what to do', () => {
  test('no userfaultfd(2), while everything else works', () => {
    const report = probeWith(
      always({ call: 'userfaultfd', errno: EPERM }),
      always({ call: 'openDevice', errno: ENOENT }),
    );
    expect(row(report, 'uffd-access')).toMatchObject(missing(/no way to a userfaultfd.*EPERM.*ENOENT/));
    expect(report.verdict).toMatchObject({
      concurrent: false,
      userfaultfd: null,
      reason: expect.stringMatching(/uffd-access/),
    });
    for (const id of ['memfd', 'dontunmap-shmem', 'dontunmap-anon', 'move-granularity'])
      expect(status(report, id), id).not.toBe('missing');
    // One cause, one reason.
    expect(row(report, 'ioctl-continue').found).toMatch(/^not tried, because uffd-access is missing/);
    expect(row(report, 'wp-async').found).toMatch(/^not tried, because uffd-access is missing/);
  });

  test('only the user-mode-only kind: it works, with its limit', () => {
    // The flags word tells the kinds apart; a kernel refuses the full one with EPERM.
    const unprivileged: Kernel = {
      ...kernel,
      userfaultfd: (flags) => ((flags & 1) === 0 ? -EPERM : kernel.userfaultfd(flags)),
    };
    const report = probe({
      kernel: injectFaults(unprivileged, [{ call: 'openDevice', nth: 1, every: true, errno: EACCES }]),
    });
    expect(status(report, 'uffd-access')).toBe('limited');
    expect(status(report, 'uffd-full')).toBe('missing');
    expect(row(report, 'uffd-device')).toMatchObject({ status: 'missing', values: { errno: 'EACCES' } });
    expect(status(report, 'uffd-user-mode-only')).toBe('ok');
    expect(report.verdict).toMatchObject({
      concurrent: true,
      userfaultfd: 'user-mode-only',
      reason: expect.stringMatching(/EFAULT/),
    });
  });

  test('no user-mode-only kind', () => {
    const old: Kernel = {
      ...kernel,
      userfaultfd: (flags) => ((flags & 1) !== 0 ? -EINVAL : kernel.userfaultfd(flags)),
    };
    const report = probe({ kernel: old });
    expect(row(report, 'uffd-user-mode-only')).toMatchObject(missing(/UFFD_USER_MODE_ONLY \(EINVAL\)/));
    if (process.getuid?.() === 0)
      expect(report.verdict).toMatchObject({ concurrent: true, userfaultfd: 'full' });
  });

  test('no memory files', () => {
    const report = probeWith(always({ call: 'memfdCreate', errno: ENOSYS }));
    expect(row(report, 'memfd')).toMatchObject({
      ...missing(/memfd_create failed with ENOSYS/),
      repair: 'boot Linux 3.17 or later',
    });
    for (const id of [
      'dontunmap-shmem',
      'move-granularity',
      'register-missing-shmem',
      'ioctl-copy',
      'huge-pages',
    ])
      expect(row(report, id)).toMatchObject(missing(/because memfd is missing: .*ENOSYS/));
    expect(report.verdict).toMatchObject({
      concurrent: false,
      reason: expect.stringMatching(/memfd: .*ENOSYS/),
      repair: 'boot Linux 3.17 or later',
    });
    expect(report.verdict.missing).toContain('memfd');
  });

  test('no MREMAP_DONTUNMAP on shared memory', () => {
    // Shared memory is tried first.
    const report = probeWith({ call: 'mremap', nth: 1, errno: EINVAL });
    expect(row(report, 'dontunmap-shmem')).toMatchObject({
      ...missing(/EINVAL/),
      repair: 'boot Linux 5.13 or later',
    });
    expect(status(report, 'dontunmap-anon')).toBe('ok');
    expect(row(report, 'move-granularity')).toMatchObject(missing(/because dontunmap-shmem is missing/));
    expect(status(report, 'ioctl-continue')).toBe('ok');
    expect(report.verdict).toMatchObject({
      concurrent: false,
      reason: expect.stringMatching(/dontunmap-shmem: .*EINVAL/),
      missing: ['dontunmap-shmem'],
    });
  });

  test('an MREMAP_DONTUNMAP that unmaps', () => {
    // Flag 4, forgotten: the old place is gone.
    const forgetful: Kernel = {
      ...kernel,
      mremap: (oldAddr, oldLength, newLength, flags, newAddr) =>
        kernel.mremap(oldAddr, oldLength, newLength, flags & ~4, newAddr),
    };
    const report = probe({ kernel: forgetful });
    expect(row(report, 'dontunmap-shmem')).toMatchObject(missing(/EFAULT/));
    // Without a place of ours and without the flag, nothing moves at all.
    expect(row(report, 'dontunmap-anon')).toMatchObject(missing(/the old place holds/));
    expect(report.verdict.concurrent).toBe(false);
  });

  test('no minor faults', () => {
    const old: Kernel = {
      ...kernel,
      ioctl: (fd, request, arg) =>
        request === UFFDIO_REGISTER && (Number((arg as BigUint64Array)[2]) & UFFDIO_REGISTER_MODE_MINOR) !== 0
          ? -EINVAL
          : kernel.ioctl(fd, request, arg),
    };
    const report = probe({ kernel: injectFaults(old, []) });
    expect(status(report, 'register-missing-shmem')).toBe('ok');
    expect(row(report, 'register-minor-shmem')).toMatchObject({
      ...missing(/EINVAL/),
      repair: 'boot Linux 5.14 or later',
    });
    expect(status(report, 'ioctl-continue')).toBe('missing');
    expect(report.verdict).toMatchObject({
      concurrent: false,
      reason: expect.stringMatching(/register-minor-shmem/),
    });
  });

  test('minor faults that are accepted but not delivered', () => {
    // A kernel that takes the mode and ignores it.
    const liar: Kernel = {
      ...kernel,
      ioctl(fd, request, arg) {
        if (request !== UFFDIO_REGISTER || (arg as BigUint64Array)[2] !== BigInt(UFFDIO_REGISTER_MODE_MINOR))
          return kernel.ioctl(fd, request, arg);
        (arg as BigUint64Array)[2] = 1n;
        return kernel.ioctl(fd, request, arg);
      },
    };
    expect(row(probe({ kernel: liar }), 'register-minor-shmem')).toMatchObject(
      missing(/ended with success: the page is not watched/),
    );
  });

  test.each([
    ['ioctl-continue', UFFDIO_CONTINUE, true],
    ['ioctl-copy', UFFDIO_COPY, true],
    ['ioctl-wake', UFFDIO_WAKE, true],
    ['ioctl-move', UFFDIO_MOVE, false],
    ['ioctl-poison', UFFDIO_POISON, false],
  ])('no %s', (id, request, required) => {
    const report = probeWith(always({ call: 'ioctl', request, errno: EINVAL }));
    expect(row(report, id)).toMatchObject(missing(/EINVAL/));
    // Whether there is a huge page is up to the machine at that moment.
    const missed = report.rows.filter((found) => found.status === 'missing' && found.id !== 'huge-pages');
    expect(missed.map((found) => found.id)).toEqual([id]);
    expect(report.verdict.concurrent).toBe(!required);
  });

  test('a page that is installed twice', () => {
    const report = probeWith({ call: 'ioctl', request: UFFDIO_COPY, nth: 2, errno: EAGAIN });
    expect(row(report, 'ioctl-copy')).toMatchObject(missing(/a second UFFDIO_COPY ended with EAGAIN/));
  });

  test('a request that claims to have worked', () => {
    const idle: Kernel = {
      ...kernel,
      ioctl: (fd, request, arg) => (request === UFFDIO_MOVE ? 0 : kernel.ioctl(fd, request, arg)),
      mremap: (oldAddr, _oldLength, _newLength, _flags, newAddr) => (newAddr === 0 ? oldAddr : newAddr),
    };
    const report = probe({ kernel: idle });
    expect(row(report, 'ioctl-move')).toMatchObject(missing(/a moved page holds 0x0/));
    expect(row(report, 'dontunmap-shmem')).toMatchObject(missing(/reading from 0x.*EFAULT/));
  });

  test('a user-mode-only kind that lets system calls pass', () => {
    // They are told that they have read what they could not read.
    const porous: Kernel = {
      ...kernel,
      syscall(number, ...args) {
        const result = kernel.syscall(number, ...args);
        return result === -EFAULT ? 4 : result;
      },
    };
    expect(row(probe({ kernel: porous }), 'uffd-user-mode-only')).toMatchObject(
      missing(/a system call read 4 bytes of a missing page/),
    );
  });

  test('no descriptors', () => {
    const report = probeWith(
      always({ call: 'userfaultfd', errno: EMFILE }),
      always({ call: 'openDevice', errno: EMFILE }),
    );
    expect(row(report, 'uffd-access')).toMatchObject({ ...missing(/EMFILE/), repair: 'ulimit -n 4096' });
  });
});

describe('the granularity of moves is what was measured', () => {
  const GIB = 2 ** 30;
  const MIB = 2 ** 20;
  /** A kernel that takes longer where addresses agree less, by a clock of its own. */
  function slowed(delayMs: (distance: number) => number): ProbeReport {
    let nowMs = 0;
    const slow: Kernel = {
      ...kernel,
      mremap(oldAddr, oldLength, newLength, flags, newAddr) {
        nowMs += delayMs(Math.abs(newAddr - oldAddr));
        return kernel.mremap(oldAddr, oldLength, newLength, flags, newAddr);
      },
    };
    return probe({ kernel: slow, host: { ...systemHost(), now: () => nowMs } });
  }
  test.each([
    ['1 GiB', 'ok', (distance: number) => (distance % GIB === 0 ? 0.003 : 0.015)],
    ['2 MiB', 'limited', (distance: number) => (distance % (2 * MIB) === 0 ? 0.015 : 0.18)],
    ['4 KiB', 'limited', () => 0.18],
  ] as const)('%s', (regime, expected, delayMs) => {
    const { status, values, found } = row(slowed(delayMs), 'move-granularity');
    expect(values.regime, found).toBe(regime);
    expect(status).toBe(expected);
  });
});

test('whichever call fails, probe reports instead of throwing, and leaves no descriptor', () => {
  const before = openDescriptors();
  const calls = (quick: boolean): number => {
    const counting = injectFaults(kernel, []);
    probe({ kernel: counting, quick });
    return [...counting.calls.values()].reduce((a, b) => a + b);
  };
  const failNth = (nth: number, quick: boolean): void => {
    const report = probe({ kernel: injectFaults(kernel, [{ call: '*', nth, errno: ENOMEM }]), quick });
    for (const { id, found } of report.rows) expect(found, id).not.toBe('');
    if (!report.verdict.concurrent) expect(report.verdict.reason).toMatch(/ENOMEM/);
    expect(openDescriptors()).toBe(before);
  };
  for (let nth = calls(true); nth >= 1; nth--) failNth(nth, true);
  // All rows take longer: a sample, evenly spread.
  const total = calls(false);
  for (let i = 1; i <= 30; i++) failNth(Math.ceil((i / 31) * total), false);
});
