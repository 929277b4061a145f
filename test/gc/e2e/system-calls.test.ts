// Every system call that the heap makes fails once, at its first, second, … time, until a whole life of a heap no longer meets the
// failure. Whatever happens is one of: success with right data; a typed error, after which the heap is as it was; a fail stop.

import { describe, expect, test } from 'vitest';
import {
  EACCES,
  EAGAIN,
  EBADF,
  EFAULT,
  EINTR,
  EINVAL,
  EIO,
  EMFILE,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOSYS,
  EPERM,
  type InjectionRule,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
  UFFDIO_REGISTER,
  UFFDIO_UNREGISTER,
  UFFDIO_WAKE,
} from '#src/uffd/index.js';
import { describeEnd, pool, run, succeed } from './support.ts';

interface Life {
  readonly outcome: 'create' | 'abandoned' | 'success';
}

/** Ends of a program that are not defects; returns which it was. */
async function outcome(options: object, rules: readonly InjectionRule[]): Promise<string> {
  const config = { options: { ...options, stress: { injection: rules } } };
  const result = await run('deaths', 'life', config);
  const where = () => `${JSON.stringify(config)}: ${describeEnd(result)}`;
  expect(result.stdout, where()).not.toContain('WRONG');
  if (result.status === 70) {
    expect(result.stderr, where()).toContain('process is stopped');
    return 'fail stop';
  }
  expect(result.status, where()).toBe(0);
  return (JSON.parse(result.stdout.trim().split('\n').at(-1)!) as Life).outcome;
}

type Failure = Pick<InjectionRule, 'call' | 'request'> & {
  readonly name: string;
  readonly errnos: readonly number[];
  readonly upTo: number;
};

const COLLECTOR: readonly Failure[] = [
  { name: 'mremap', call: 'mremap', errnos: [ENOMEM], upTo: 9 },
  { name: 'mmap', call: 'mmap', errnos: [ENOMEM], upTo: 13 },
  { name: 'register', call: 'ioctl', request: UFFDIO_REGISTER, errnos: [ENOMEM, EINVAL], upTo: 4 },
  { name: 'unregister', call: 'ioctl', request: UFFDIO_UNREGISTER, errnos: [ENOMEM], upTo: 3 },
  { name: 'continue', call: 'ioctl', request: UFFDIO_CONTINUE, errnos: [EAGAIN, ENOMEM, ENOENT], upTo: 3 },
  { name: 'madvise', call: 'madvise', errnos: [ENOMEM, EAGAIN], upTo: 9 },
  { name: 'fallocate', call: 'fallocate', errnos: [ENOSPC, EINTR], upTo: 9 },
  { name: 'fstat', call: 'fileBlocks', errnos: [EIO], upTo: 13 },
  { name: 'sched_setaffinity', call: 'schedSetAffinity', errnos: [EINVAL, EPERM], upTo: 3 },
  { name: 'sched_getaffinity', call: 'schedGetAffinity', errnos: [ENOSYS, EINVAL], upTo: 2 },
  { name: 'sched_getscheduler', call: 'schedGetScheduler', errnos: [EINVAL], upTo: 3 },
  { name: 'sched_setscheduler', call: 'schedSetScheduler', errnos: [EPERM], upTo: 5 },
  { name: 'tgkill', call: 'tgkill', errnos: [EPERM], upTo: 3 },
];

const SERVER: readonly Failure[] = [
  { name: 'poll', call: 'poll', errnos: [EINTR, ENOMEM], upTo: 3 },
  { name: 'read', call: 'read', errnos: [EINTR, EAGAIN, EIO], upTo: 2 },
  { name: 'continue', call: 'ioctl', request: UFFDIO_CONTINUE, errnos: [EAGAIN, ENOMEM], upTo: 2 },
  { name: 'wake', call: 'ioctl', request: UFFDIO_WAKE, errnos: [ENOENT], upTo: 1 },
  { name: 'tgkill', call: 'tgkill', errnos: [EPERM], upTo: 1 },
];

/** All of them in a soak; here those that lie further and further apart, and the last one. */
function callsUpTo(last: number): number[] {
  const all = Array.from({ length: last }, (_, i) => i + 1);
  return process.env.SOAK_MINUTES === undefined
    ? all.filter((nth) => [1, 2, 3, 5, 8, 13, last].includes(nth))
    : all;
}

function plans(
  thread: string,
  failures: readonly Failure[],
): (readonly [string, readonly InjectionRule[]])[] {
  return failures.flatMap(({ name, errnos, upTo, ...rule }) =>
    errnos.flatMap((errno) =>
      callsUpTo(upTo).map((nth) => [`${name} ${errno} #${nth}`, [{ ...rule, nth, errno, thread }]] as const),
    ),
  );
}

// Modes differ in few of the calls: the others are tried once.
const MODES = {
  recycle: { options: {}, calls: COLLECTOR.map(({ name }) => name) },
  release: { options: { retention: 'release' }, calls: ['mremap', 'mmap', 'unregister', 'fallocate'] },
  'stop-the-world': {
    options: { collector: 'stop-the-world' },
    calls: ['mremap', 'mmap', 'madvise', 'fallocate', 'fstat'],
  },
};

describe.each(Object.entries(MODES))('the collector, %s', (_, { options, calls }) => {
  test.each(COLLECTOR.filter(({ name }) => calls.includes(name)))('$name fails', async (failure) => {
    const ends = await pool(
      plans('collector', [failure]).map(
        ([, rules]) =>
          () =>
            outcome(options, rules),
      ),
    );
    expect(ends.length).toBeGreaterThan(0);
  });
});

test('the collector: UFFDIO_COPY fails', async () => {
  const copies: Failure = {
    name: 'copy',
    call: 'ioctl',
    request: UFFDIO_COPY,
    errnos: [EAGAIN, ENOMEM, EFAULT],
    upTo: 2,
  };
  await pool(
    plans('collector', [copies]).map(
      ([, rules]) =>
        () =>
          outcome({ fill: 'copy' }, rules),
    ),
  );
});

test('the collector under verification: mprotect fails', async () => {
  const protects: Failure = { name: 'mprotect', call: 'mprotect', errnos: [ENOMEM], upTo: 12 };
  await pool(
    plans('collector', [protects]).map(
      ([, rules]) =>
        () =>
          outcome({ verify: 'full' }, rules),
    ),
  );
});

test('an abandoned cycle leaves a heap that verifies', async () => {
  const steps: Failure[] = COLLECTOR.filter(({ name }) => ['mremap', 'register'].includes(name)).map(
    (step) => ({ ...step, upTo: step.name === 'mremap' ? 7 : 3 }),
  );
  await pool(
    plans('collector', steps).map(
      ([, rules]) =>
        () =>
          outcome({ verify: 'full' }, rules),
    ),
  );
});

test.each(SERVER)('a server: $name fails', async (failure) => {
  await pool(
    plans('server', [failure]).map(
      ([, rules]) =>
        () =>
          outcome({ stress: {} }, rules),
    ),
  );
});

test('a collector that cannot start fails createHeap, and not the process, while other workers still load', async () => {
  const rules: readonly InjectionRule[] = [{ call: 'mremap', nth: 1, errno: ENOMEM, thread: 'collector' }];
  const ends = await pool(
    Array.from({ length: 12 }, () => () => outcome({ servers: 8 }, rules)),
    3,
  );
  expect(ends.every((end) => end === 'create' || end === 'success')).toBe(true);
});

test('two failures: the flip cannot be undone either, and nobody reads the wrong file', async () => {
  const jobs = [5, 6, 7].flatMap((nth) =>
    [nth + 1, nth + 2].map(
      (undo) => () =>
        outcome({}, [
          { call: 'ioctl', request: UFFDIO_REGISTER, nth, errno: ENOMEM, thread: 'collector' },
          { call: 'mremap', nth: undo, errno: ENOMEM, thread: 'collector' },
        ]),
    ),
  );
  await pool(jobs);
});

describe('the creator', () => {
  const errnos: Readonly<Record<string, readonly number[]>> = {
    memfdCreate: [EMFILE, ENOMEM],
    ftruncate: [ENOMEM],
    mmap: [ENOMEM],
    munmap: [ENOMEM],
    close: [EIO],
    eventfd: [EMFILE],
    userfaultfd: [EPERM, ENOSYS],
    openDevice: [EACCES],
    ioctl: [EINVAL, EBADF],
    write: [EIO],
    getcpu: [ENOSYS],
    tgkill: [EPERM],
    schedGetAffinity: [EINVAL],
  };

  test.each(Object.keys(errnos))(
    '%s fails: a typed error or a heap that works, and nothing is left behind',
    async (call) => {
      await succeed('resources', 'creations', { call, errnos: errnos[call] });
    },
  );

  test('calls that keep failing leave nothing behind either', () => succeed('resources', 'keepFailing', {}));
});

test.each(['collector', 'server', 'creator'])('calls of the %s are slow now and then', async (thread) => {
  for (const options of [{}, { fill: 'copy', servers: 2 }, { retention: 'release' }]) {
    expect(await outcome(options, [{ call: '*', nth: 9, every: true, delayMs: 2, thread }])).toBe('success');
  }
});
