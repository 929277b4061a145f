// What stands in the way of a heap, and which limits there are: on machines made of files, under filters, users and limits of our own.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  createLibcKernel,
  ENOENT,
  ENOMEM,
  ENOSYS,
  EPERM,
  injectFaults,
  type Kernel,
  type ProbeHost,
  type ProbeReport,
  type ProbeRow,
  probe,
} from '#src/uffd/index.js';
import { systemHost } from '#src/uffd/probe/host.js';
import { runCommand, supportScript } from '../support/child.ts';
import { isRoot, runUnprivileged, unprivilegedObstacle } from '../support/unprivileged.ts';

const kernel = createLibcKernel();
const USER_MODE_ONLY = 1;
const KNOWN_FLAGS = 0o2000000 | 0o4000 | USER_MODE_ONLY;

const row = (report: ProbeReport, id: string): ProbeRow => report.rows.find((found) => found.id === id)!;

/** This machine, with some files of our own; `undefined` takes one away. */
function machine(files: Readonly<Record<string, string | undefined>>, access: number = -ENOENT): ProbeHost {
  return {
    ...systemHost(),
    read: (path) => (Object.hasOwn(files, path) ? files[path] : systemHost().read(path)),
    access: () => access,
  };
}

/** A kernel that answers userfaultfd(2) with an errno (0: really), by whether the full kind is asked for; and has no device. */
function refusing(full: number, userModeOnly: number, malformed: number | undefined): Kernel {
  return injectFaults(
    {
      ...kernel,
      userfaultfd(flags) {
        if ((flags & ~KNOWN_FLAGS) !== 0)
          return malformed === undefined ? kernel.userfaultfd(flags) : -malformed;
        const errno = (flags & USER_MODE_ONLY) === 0 ? full : userModeOnly;
        return errno === 0 ? kernel.userfaultfd(flags) : -errno;
      },
    },
    [{ call: 'openDevice', nth: 1, every: true, errno: ENOENT }],
  );
}

const status = (capEff: string, seccomp: number) =>
  `Name:\tnode\nCapEff:\t${capEff}\nNoNewPrivs:\t0\nSeccomp:\t${seccomp}\n`;
const NONE = '0000000000000000';
const PTRACE = '0000000000080000';
const INITIAL = '         0          0 4294967295\n';

/** What the row says of a process with these settings. */
function accessRow(
  k: Kernel,
  settings: { capEff: string; seccomp: number; sysctl: string | undefined; uidMap?: string },
): ProbeRow {
  const host = machine({
    '/proc/thread-self/status': status(settings.capEff, settings.seccomp),
    '/proc/sys/vm/unprivileged_userfaultfd': settings.sysctl,
    '/proc/self/uid_map': settings.uidMap ?? INITIAL,
  });
  return row(probe({ kernel: k, host }), 'uffd-access');
}

describe('who refuses a userfaultfd', () => {
  test('the kernel, for want of privilege', () => {
    const found = accessRow(refusing(EPERM, 0, undefined), { capEff: NONE, seccomp: 0, sysctl: '0\n' });
    expect(found).toMatchObject({
      status: 'limited',
      values: { obstacle: 'privilege', sysctl: 0, capSysPtrace: false, kind: 'user-mode-only' },
      repair: 'sudo sysctl -w vm.unprivileged_userfaultfd=1',
    });
    expect(found.found).toMatch(/vm\.unprivileged_userfaultfd is 0, and CAP_SYS_PTRACE is not effective/);
  });
  test('the kernel, in a user namespace where capabilities do not count', () => {
    const settings = { capEff: PTRACE, seccomp: 0, sysctl: '0\n', uidMap: '0 100000 65536\n' };
    const found = accessRow(refusing(EPERM, 0, undefined), settings);
    expect(found.values.obstacle).toBe('user namespace');
    expect(found.repair).toMatch(/sysctl.*on the host/);
  });
  test('a seccomp filter', () => {
    const found = accessRow(refusing(EPERM, EPERM, EPERM), { capEff: PTRACE, seccomp: 2, sysctl: '1\n' });
    expect(found).toMatchObject({
      status: 'missing',
      values: { obstacle: 'seccomp', callReachesKernel: false },
    });
    expect(found.repair).toMatch(/--security-opt seccomp=unconfined/);
  });
  test('a security module behind the kernel', () => {
    const found = accessRow(refusing(EPERM, EPERM, undefined), { capEff: PTRACE, seccomp: 0, sysctl: '1\n' });
    expect(found).toMatchObject({
      status: 'missing',
      values: { obstacle: 'security module', callReachesKernel: true },
    });
  });
  test('a sandbox that shows no filter', () => {
    const found = accessRow(refusing(EPERM, EPERM, EPERM), { capEff: PTRACE, seccomp: 0, sysctl: '1\n' });
    expect(found.values.obstacle).toBe('sandbox');
  });
  test('a filter that answers ENOSYS, where the kernel has the call', () => {
    const found = accessRow(refusing(ENOSYS, ENOSYS, ENOSYS), { capEff: NONE, seccomp: 2, sysctl: '0\n' });
    expect(found.values.obstacle).toBe('seccomp');
  });
  test('nobody: the kernel, or what emulates it, has none', () => {
    const found = accessRow(refusing(ENOSYS, ENOSYS, ENOSYS), {
      capEff: NONE,
      seccomp: 0,
      sysctl: undefined,
    });
    expect(found).toMatchObject({ status: 'missing', values: { obstacle: 'kernel', sysctl: null } });
    expect(found.found).toMatch(/gVisor/);
    expect(found.repair).toMatch(/CONFIG_USERFAULTFD/);
  });
});

describe('under a real seccomp filter', () => {
  const script = supportScript('seccomp.mjs');
  test.each([
    ['EPERM', EPERM],
    ['ENOSYS', ENOSYS],
  ])('that answers %s', async (name, errno) => {
    // As the user that runs the tests, so that privileges do not matter; root loses the device by the filter too.
    const { status, stdout, stderr } = await runCommand(process.execPath, [
      script,
      String(errno),
      'all',
      '--json',
    ]);
    expect(stderr).toBe('');
    expect(status).toBe(1);
    const report = JSON.parse(stdout) as ProbeReport;
    expect(report.verdict).toMatchObject({ concurrent: false, userfaultfd: null });
    expect(report.verdict.reason).toMatch(
      new RegExp(`refused with ${name} by a seccomp filter \\(Seccomp: 2`),
    );
    expect(report.verdict.repair).toMatch(/seccomp=unconfined/);
    expect(row(report, 'uffd-access').values).toMatchObject({
      seccompMode: 2,
      noNewPrivs: true,
      callReachesKernel: false,
    });
    expect(row(report, 'dontunmap-shmem').status).toBe('ok');
  });

  test('in words, and without privileges', async (context) => {
    const obstacle = await unprivilegedObstacle();
    if (obstacle !== undefined) context.skip(obstacle);
    const { status, stdout, stderr } = await runUnprivileged(process.execPath, script, String(EPERM), 'all');
    expect(stderr).toBe('');
    expect(status).toBe(1);
    const words = stdout.replace(/\s+/g, ' ');
    expect(words).toMatch(
      /Verdict: the concurrent collector cannot run: uffd-access: .* by a seccomp filter/,
    );
    expect(words).toMatch(/Repair: docker run --security-opt seccomp=unconfined/);
  });

  test('that forgets the device, a user who may open it has a way in', async (context) => {
    if (!isRoot || systemHost().access('/dev/userfaultfd') !== 0)
      context.skip('this user may not open /dev/userfaultfd');
    const { status, stdout } = await runCommand(process.execPath, [script, String(EPERM), 'call', '--json']);
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as ProbeReport;
    expect(row(report, 'uffd-access')).toMatchObject({
      status: 'ok',
      values: { kind: 'full', way: '/dev/userfaultfd' },
    });
    expect(row(report, 'uffd-full')).toMatchObject({
      status: 'missing',
      found: expect.stringMatching(/seccomp/),
    });
  });
});

describe('control groups', () => {
  const GIB = 2 ** 30;
  const MEMINFO = `MemTotal:       ${(16 * GIB) / 1024} kB\n`;
  const ceiling = (files: Record<string, string>): ProbeRow =>
    row(probe({ kernel, host: machine({ '/proc/meminfo': MEMINFO, ...files }) }), 'memory-ceiling');

  test('version 2: the lowest limit on the way up counts', () => {
    const found = ceiling({
      '/proc/self/mountinfo': '30 23 0:26 / /cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n',
      '/proc/self/cgroup': '0::/outer/inner\n',
      '/cg/outer/inner/memory.max': 'max\n',
      '/cg/outer/inner/memory.high': `${3 * GIB}\n`,
      '/cg/outer/memory.max': `${2 * GIB}\n`,
      '/cg/outer/memory.current': `${GIB / 2}\n`,
    });
    expect(found).toMatchObject({
      status: 'limited',
      values: { limitBytes: 2 * GIB, usedBytes: GIB / 2, limitFile: '/cg/outer/memory.max', filesRead: 3 },
      repair: expect.stringMatching(/^echo max \| sudo tee \/cg\/outer\/memory\.max/),
    });
    expect(found.found).toMatch(/2 GiB .*512 MiB of it in use.*at most 768 MiB/);
  });

  test('version 1, in a container that sees only its own part', () => {
    const found = ceiling({
      '/proc/self/mountinfo':
        '35 31 0:32 /docker/abc /cg/memory ro - cgroup cgroup rw,memory\n32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n',
      '/proc/self/cgroup': '4:memory:/docker/abc/job\n1:cpu:/\n',
      '/cg/memory/job/memory.limit_in_bytes': '9223372036854771712\n',
      '/cg/memory/memory.limit_in_bytes': `${GIB}\n`,
      '/cg/memory/memory.usage_in_bytes': '0\n',
    });
    expect(found).toMatchObject({
      status: 'limited',
      values: { limitBytes: GIB, limitFile: '/cg/memory/memory.limit_in_bytes', filesRead: 2 },
    });
  });

  test('with little room, nothing big is tried', () => {
    const files = {
      '/proc/meminfo': MEMINFO,
      '/proc/self/mountinfo': '30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n',
      '/proc/self/cgroup': '0::/\n',
      '/cg/memory.max': `${GIB / 4}\n`,
      '/cg/memory.current': `${GIB / 8}\n`,
    };
    const report = probe({ kernel, host: machine(files) });
    expect(row(report, 'move-granularity')).toMatchObject({
      status: 'info',
      found: expect.stringMatching(/128 MiB/),
    });
  });

  test('no limit', () => {
    const found = ceiling({
      '/proc/self/mountinfo': '30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n',
      '/proc/self/cgroup': '0::/a\n',
      '/cg/a/memory.max': 'max\n',
    });
    expect(found).toMatchObject({ status: 'ok', values: { limitBytes: null, physicalBytes: 16 * GIB } });
  });

  test('CPU time', () => {
    const quota = (files: Record<string, string>): ProbeRow =>
      row(probe({ kernel, host: machine(files) }), 'cpu-quota');
    const two = {
      '/proc/self/mountinfo': '30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n',
      '/proc/self/cgroup': '0::/a\n',
    };
    expect(quota({ ...two, '/cg/a/cpu.max': '150000 100000\n' })).toMatchObject({
      status: 'limited',
      values: { cpus: 1.5 },
    });
    expect(quota({ ...two, '/cg/a/cpu.max': 'max 100000\n' }).status).toBe('info');
    const one = {
      '/proc/self/mountinfo': '32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n',
      '/proc/self/cgroup': '1:cpu:/b\n',
      '/cg/cpu/b/cpu.cfs_period_us': '100000\n',
    };
    expect(quota({ ...one, '/cg/cpu/b/cpu.cfs_quota_us': '50000\n' })).toMatchObject({
      values: { cpus: 0.5 },
    });
    expect(quota({ ...one, '/cg/cpu/b/cpu.cfs_quota_us': '-1\n' }).status).toBe('info');
  });
});

describe('limits', () => {
  test('memory that counts when it is reserved', () => {
    const host = machine({
      '/proc/sys/vm/overcommit_memory': '2\n',
      '/proc/meminfo': 'CommitLimit:     8388608 kB\nCommitted_AS:    6291456 kB\n',
    });
    expect(row(probe({ kernel, host }), 'limit-overcommit')).toMatchObject({
      status: 'limited',
      found: expect.stringMatching(/2 GiB are left/),
      repair: 'sudo sysctl -w vm.overcommit_memory=0',
    });
    // Such a kernel refuses to make 4 GiB writable.
    const strict: Kernel = {
      ...kernel,
      mprotect: (addr, length, prot) => (length >= 2 ** 32 ? -ENOMEM : kernel.mprotect(addr, length, prot)),
    };
    const report = probe({ kernel: strict, host });
    expect(row(report, 'limit-address-space')).toMatchObject({
      status: 'missing',
      found: expect.stringMatching(/is 2/),
    });
    expect(report.verdict.concurrent).toBe(false);
  });

  test('mappings', () => {
    const host = machine({ '/proc/sys/vm/max_map_count': '600\n' });
    expect(row(probe({ kernel, host }), 'limit-mappings')).toMatchObject({
      status: 'limited',
      values: { limit: 600 },
      repair: expect.stringMatching(/vm\.max_map_count/),
    });
  });
});

test('where no setting can be read, what can be tried still is', () => {
  const host: ProbeHost = {
    ...systemHost(),
    read: () => undefined,
    count: () => undefined,
    access: () => -ENOENT,
  };
  const report = probe({ kernel, host });
  expect(report.verdict.concurrent).toBe(true);
  // Only what the kernel tells by such a file is not known.
  expect(report.rows.filter((found) => found.required && found.status === 'missing')).toEqual([]);
  expect(row(report, 'limit-overcommit').status).toBe('info');
  expect(row(report, 'limit-mappings').status).toBe('info');
  expect(row(report, 'ioctl-move').status).toBe(row(probe(), 'ioctl-move').status);
});

test('docs/doctor.md explains every row, and nothing else', () => {
  const text = readFileSync(fileURLToPath(new URL('../../docs/doctor.md', import.meta.url)), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z-]+)`/gm)].map((match) => match[1]!);
  expect(documented.sort()).toEqual(
    probe()
      .rows.map(({ id }) => id)
      .sort(),
  );
});
