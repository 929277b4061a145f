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
import { batch, describeEnd, pool, run, SOAK } from './support.ts';

interface Life {
  readonly outcome: 'create' | 'abandoned' | 'success';
}

type Plan = readonly InjectionRule[];

/** Lives under these plans, one after the other in one process, and in a new one behind a fail stop. Returns how each ended. */
async function lives(options: object, plans: readonly Plan[]): Promise<string[]> {
  const ends: string[] = [];
  while (ends.length < plans.length) {
    const configs = plans
      .slice(ends.length)
      .map((injection) => ({ options: { ...options, stress: { injection } } }));
    const result = await run('deaths', 'lives', configs);
    const done = result.stdout.split('\n').filter((line) => line.startsWith('{"outcome"'));
    const where = () => `${JSON.stringify(configs[done.length])}: ${describeEnd(result)}`;
    expect(result.stdout, where()).not.toContain('WRONG');
    ends.push(...done.map((line) => (JSON.parse(line) as Life).outcome));
    if (result.status === 70) {
      expect(result.stderr, where()).toContain('process is stopped');
      ends.push('fail stop');
    } else {
      expect(result.status, where()).toBe(0);
      expect(ends.length, where()).toBe(plans.length);
    }
  }
  return ends;
}

/** The same for many plans, in two lanes. */
async function outcomes(options: object, plans: readonly Plan[]): Promise<string[]> {
  const half = Math.ceil(plans.length / 2);
  const lanes = [plans.slice(0, half), plans.slice(half)];
  const ends = await pool(lanes.map((lane) => () => lives(options, lane)));
  expect(ends.flat().length).toBe(plans.length);
  return ends.flat();
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
function callsUpTo(last: number, near: readonly number[]): number[] {
  const all = Array.from({ length: last }, (_, i) => i + 1);
  return SOAK ? all : all.filter((nth) => near.includes(nth) || nth === last);
}

/** Every error at some of the calls; the first, which stands for all that are not retried or tolerated, at more of them. */
function plans(
  thread: string,
  failures: readonly Failure[],
  near: readonly number[] = [1, 2, 3, 5, 8, 13],
): Plan[] {
  return failures.flatMap(({ name: _, errnos, upTo, ...rule }) =>
    errnos.flatMap((errno, i) =>
      callsUpTo(upTo, i === 0 ? near : [1]).map((nth) => [{ ...rule, nth, errno, thread }]),
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

describe.each(Object.entries(MODES))('the collector, %s', (mode, { options, calls }) => {
  test.each(COLLECTOR.filter(({ name }) => calls.includes(name)))('$name fails', async (failure) => {
    await outcomes(options, plans('collector', [failure], mode === 'recycle' ? undefined : [1, 3, 8]));
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
  await outcomes({ fill: 'copy' }, plans('collector', [copies]));
});

test('the collector under verification: mprotect fails', async () => {
  const protects: Failure = { name: 'mprotect', call: 'mprotect', errnos: [ENOMEM], upTo: 12 };
  await outcomes({ verify: 'full' }, plans('collector', [protects]));
});

test('an abandoned cycle leaves a heap that verifies', async () => {
  const steps: Failure[] = COLLECTOR.filter(({ name }) => ['mremap', 'register'].includes(name)).map(
    (step) => ({ ...step, upTo: step.name === 'mremap' ? 7 : 3 }),
  );
  await outcomes({ verify: 'full' }, plans('collector', steps));
});

test.each(SERVER)('a server: $name fails', async (failure) => {
  await outcomes({}, plans('server', [failure]));
});

test('a collector that cannot start fails createHeap, and not the process, while other workers still load', async () => {
  const rules: readonly InjectionRule[] = [{ call: 'mremap', nth: 1, errno: ENOMEM, thread: 'collector' }];
  const ends = await pool(
    Array.from({ length: SOAK ? 12 : 4 }, () => async () => (await lives({ servers: 8 }, [rules]))[0]),
    3,
  );
  expect(ends.every((end) => end === 'create' || end === 'success')).toBe(true);
});

test('two failures: the flip cannot be undone either, and nobody reads the wrong file', async () => {
  const both = [5, 6, 7].flatMap((nth) =>
    [nth + 1, nth + 2].map(
      (undo): Plan => [
        { call: 'ioctl', request: UFFDIO_REGISTER, nth, errno: ENOMEM, thread: 'collector' },
        { call: 'mremap', nth: undo, errno: ENOMEM, thread: 'collector' },
      ],
    ),
  );
  await outcomes({}, both);
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

  const cases = {
    ...Object.fromEntries(
      Object.entries(errnos).map(([call, of]) => [
        `${call} fails: a typed error or a heap that works, and nothing is left behind`,
        ['creations', { call, errnos: of, upTo: SOAK ? 50 : 9, later: SOAK ? 50 : 2 }] as const,
      ]),
    ),
    ...Object.fromEntries(
      ['schedGetScheduler', 'schedSetScheduler'].map((call) => [
        `${call} fails: the priority that was asked for is refused, and nothing is left behind`,
        ['creations', { call, errnos: [EPERM], upTo: 3, options: { pausePriority: 'raise' } }] as const,
      ]),
    ),
    'calls that keep failing leave nothing behind either': ['keepFailing'] as const,
  };
  const result = batch<unknown>('resources', cases);
  test.each(Object.keys(cases))('%s', async (name) => {
    await result(name);
  });
});

test.each(['collector', 'server', 'creator'])('calls of the %s are slow now and then', async (thread) => {
  for (const options of [{}, { fill: 'copy', servers: 2 }, { retention: 'release' }]) {
    expect(await lives(options, [[{ call: '*', nth: 9, every: true, delayMs: 2, thread }]])).toEqual([
      'success',
    ]);
  }
});
