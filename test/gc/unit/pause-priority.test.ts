// Who runs under which scheduling policy around a pause, as a kernel in the way sees it.
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { World } from '#src/gc/cycle.js';
import { PausePriority, tryPriority } from '#src/gc/pause-priority.js';
import {
  CTL_PAUSE_PRIORITY,
  PAUSE_FLIP,
  T_STATE,
  T_TID,
  THREAD_RUNNING,
  THREAD_SAFE,
} from '#src/heap/layout.js';
import {
  createLibcKernel,
  EPERM,
  ESRCH,
  type Kernel,
  SCHED_FIFO,
  SCHED_OTHER,
  SCHED_RESET_ON_FORK,
} from '#src/uffd/index.js';
import { ArenaHarness } from '../../support/arena-harness.ts';

const SELF = 1000;
const BATCH = 3;
const options = {
  pausePriority: 'auto',
  verify: 'off',
  stress: {},
  safepointWarnMs: 1000,
  safepointTimeoutMs: 60,
};

/** Policy and priority of every thread; calls on a thread in `refused` fail with the errno. */
const policies = new Map<number, readonly [policy: number, priority: number]>();
const refused = new Map<number, number>();
const order: string[] = [];
/** Threads with SCHED_RESET_ON_FORK, and whether, without CAP_SYS_NICE, they cannot lose it. */
const flagged = new Set<number>();
let flagStays = false;
const POLICY_BITS = 0xff;

const kernel: Kernel = {
  ...createLibcKernel(),
  gettid: () => SELF,
  tgkill: () => 0,
  schedGetScheduler: (given) => {
    const tid = given || SELF;
    const policy = policies.get(tid)?.[0];
    return policy === undefined ? -ESRCH : flagged.has(tid) ? policy | SCHED_RESET_ON_FORK : policy;
  },
  schedSetScheduler: (given, policy, priority) => {
    const tid = given || SELF;
    if (refused.has(tid)) return -refused.get(tid)!;
    if (!policies.has(tid)) return -ESRCH;
    const flag = (policy & SCHED_RESET_ON_FORK) !== 0;
    if (flagStays && flagged.has(tid) && !flag) return -EPERM;
    if (flag) flagged.add(tid);
    else flagged.delete(tid);
    policies.set(tid, [policy & POLICY_BITS, priority]);
    order.push(`${tid} ${policy & POLICY_BITS}`);
    return 0;
  },
};
const h = new ArenaHarness({}, kernel);
afterAll(() => h.close());

function thread(index: number, tid: number, state: number, policy: number = SCHED_OTHER): void {
  h.tables.threads[index]![T_TID] = tid;
  h.tables.threads[index]![T_STATE] = state;
  policies.set(tid, [policy, 0]);
}

const NORMAL = [SCHED_OTHER, 0];

beforeEach(() => {
  h.reset();
  for (const record of h.tables.threads) {
    record[T_STATE] = 0;
    record[T_TID] = 0;
  }
  policies.clear();
  refused.clear();
  flagged.clear();
  flagStays = false;
  policies.set(SELF, [SCHED_OTHER, 0]);
  thread(0, 1, THREAD_RUNNING);
  thread(1, 2, THREAD_SAFE);
  thread(5, 3, THREAD_RUNNING, BATCH);
  thread(63, 4, THREAD_RUNNING);
});

const create = (given: object = {}): PausePriority => {
  const priority = new PausePriority(h.context({ options: { ...options, ...given }, workers: 0 }));
  order.length = 0;
  return priority;
};

describe('the threads of a pause', () => {
  test('are the running ones under the default policy, below the collector, and it is the last to go back', () => {
    const priority = create();
    expect(policies.get(SELF)).toEqual(NORMAL);
    priority.raise();
    // Whoever is raised before the collector may take its CPU.
    expect(order[0]).toBe(`${SELF} ${SCHED_FIFO}`);
    const [policy, above] = policies.get(SELF)!;
    expect(policy).toBe(SCHED_FIFO);
    for (const tid of [1, 4]) expect(policies.get(tid)).toEqual([SCHED_FIFO, above - 1]);
    expect([policies.get(2), policies.get(3)]).toEqual([NORMAL, [BATCH, 0]]);
    priority.restore();
    expect([1, 2, 4, SELF].map((tid) => policies.get(tid))).toEqual([NORMAL, NORMAL, NORMAL, NORMAL]);
    expect(policies.get(3)).toEqual([BATCH, 0]);
    expect(order.at(-1)).toBe(`${SELF} ${SCHED_OTHER}`);
    order.length = 0;
    priority.restore();
    expect(order).toEqual([]);
  });

  test('one that ends meanwhile is forgotten, one that cannot be lowered is lowered at the next chance', () => {
    const priority = create();
    priority.raise();
    policies.delete(1);
    refused.set(4, EPERM);
    priority.restore();
    expect([policies.get(4)![0], policies.get(SELF)]).toEqual([SCHED_FIFO, NORMAL]);
    refused.clear();
    policies.set(1, [SCHED_FIFO, 7]);
    priority.restore();
    expect([policies.get(4), policies.get(1)]).toEqual([NORMAL, [SCHED_FIFO, 7]]);
  });
});

test('who loses CAP_SYS_NICE in a pause cannot take the flag away, but everybody is lowered', () => {
  const priority = create();
  priority.raise();
  flagStays = true;
  priority.restore();
  expect([1, 4, SELF].map((tid) => policies.get(tid))).toEqual([NORMAL, NORMAL, NORMAL]);
  order.length = 0;
  priority.restore();
  expect(order).toEqual([]);
});

test('a collector under a policy of its own keeps it, and raises nobody', () => {
  policies.set(SELF, [BATCH, 0]);
  const priority = create();
  priority.raise();
  priority.restore();
  expect([1, 4, SELF].map((tid) => policies.get(tid))).toEqual([NORMAL, NORMAL, [BATCH, 0]]);
  expect(h.control[CTL_PAUSE_PRIORITY]).toBe(0);
});

describe('trying it out', () => {
  test('tells whether it works, why not, or the policy that is kept', () => {
    expect(tryPriority(kernel)).toBe(0);
    policies.set(SELF, [BATCH, 0]);
    expect(tryPriority(kernel)).toBe(BATCH);
    expect(policies.get(SELF)).toEqual([BATCH, 0]);
    policies.delete(SELF);
    expect(tryPriority(kernel)).toBe(-ESRCH);
  });

  test('is refused the second time as well where the first left the flag', () => {
    flagStays = true;
    for (let time = 1; time <= 2; time++) {
      expect(tryPriority(kernel)).toBe(-EPERM);
      expect(policies.get(SELF)).toEqual(NORMAL);
    }
  });

  test('does not take away the flag of who had it', () => {
    flagged.add(SELF);
    expect(tryPriority(kernel)).toBe(0);
    expect([policies.get(SELF), flagged.has(SELF)]).toEqual([NORMAL, true]);
  });
});

test.each([
  ['the kernel refuses', () => refused.set(SELF, EPERM), {}, -EPERM],
  ['RLIMIT_RTPRIO allows what cannot be taken back whole', () => (flagStays = true), {}, -EPERM],
  ['it is not wanted', () => {}, { pausePriority: 'keep' }, 0],
  ['a verifier makes pauses long', () => {}, { verify: 'full' }, 0],
])('nothing is raised where %s', (_, prepare, given, told) => {
  prepare();
  const priority = create(given);
  refused.clear();
  priority.raise();
  expect([1, 4, SELF].map((tid) => policies.get(tid))).toEqual([NORMAL, NORMAL, NORMAL]);
  expect(h.control[CTL_PAUSE_PRIORITY]).toBe(told);
});

test('the collector of a heap that does not verify is raised while a brief pause lasts, one that does is not', () => {
  for (const record of h.tables.threads) record[T_STATE] = THREAD_SAFE;
  const during = (given: object): unknown => {
    const world = new World(h.context({ options: { ...options, ...given }, workers: 0 }));
    return world.pausedBriefly(PAUSE_FLIP, () => policies.get(SELF)![0]);
  };
  expect([during({}), during({ verify: 'phase' })]).toEqual([SCHED_FIFO, SCHED_OTHER]);
  expect(policies.get(SELF)).toEqual(NORMAL);
});

test('a thread that does not come to its safepoint loses its priority before anybody gives it up', () => {
  thread(63, 4, THREAD_SAFE);
  const world = new World(h.context({ options, workers: 0 }));
  const seen: unknown[] = [];
  const get = kernel.tgkill;
  // Asked when patience is lost, for the thread that is waited for.
  kernel.tgkill = (_, tid) => {
    seen.push([tid, policies.get(1), policies.get(SELF)]);
    return 0;
  };
  try {
    expect(() => world.pausedBriefly(PAUSE_FLIP, () => expect.fail('it never stopped'))).toThrow(
      expect.objectContaining({ code: 'ERR_TIMEOUT' }),
    );
  } finally {
    kernel.tgkill = get;
  }
  expect(order).toContain(`1 ${SCHED_FIFO}`);
  expect(seen.length).toBeGreaterThan(0);
  for (const one of seen) expect(one).toEqual([1, NORMAL, NORMAL]);
});
