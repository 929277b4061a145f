import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  createLibcKernel,
  EAGAIN,
  EBUSY,
  ENOMEM,
  ENOSPC,
  type InjectionPlan,
  injectFaults,
  UFFDIO_CONTINUE,
  UFFDIO_COPY,
} from '#src/uffd/index.js';
import { supportScript } from '../support/child.ts';
import { openDescriptors } from '../support/resources.ts';

const real = createLibcKernel();
/** The results of so many calls of munmap on a page where nothing is ever mapped: 0 from the real kernel. */
const unmaps = (plan: InjectionPlan, count: number, thread?: string): number[] => {
  const kernel = injectFaults(real, plan, thread);
  return Array.from({ length: count }, () => kernel.munmap(4096, 4096));
};
const F = -ENOMEM;

describe('which call fails', () => {
  test('the nth, and only that', () => {
    expect(unmaps([{ call: 'munmap', nth: 2, errno: ENOMEM }], 4)).toEqual([0, F, 0, 0]);
  });
  test('every nth', () => {
    expect(unmaps([{ call: 'munmap', nth: 2, every: true, errno: ENOMEM }], 5)).toEqual([0, F, 0, F, 0]);
    expect(unmaps([{ call: 'munmap', nth: 1, every: true, errno: ENOMEM }], 3)).toEqual([F, F, F]);
  });
  test('of one thread', () => {
    const plan: InjectionPlan = [{ call: 'munmap', nth: 1, thread: 'server', errno: ENOMEM }];
    expect(unmaps(plan, 1, 'server')).toEqual([F]);
    expect(unmaps(plan, 1, 'collector')).toEqual([0]);
    expect(unmaps(plan, 1)).toEqual([0]);
  });
  test('of any method, but not of those that cannot fail', () => {
    const kernel = injectFaults(real, [{ call: '*', nth: 2, errno: ENOMEM }]);
    expect(kernel.munmap(4096, 4096)).toBe(0);
    expect(kernel.getpid()).toBe(process.pid);
    expect(kernel.getpagesize()).toBeGreaterThan(0);
    expect(kernel.madvise(4096, 4096, 4)).toBe(F);
    expect(kernel.munmap(4096, 4096)).toBe(0);
  });
  test('of another method: never', () => {
    expect(unmaps([{ call: 'mmap', nth: 1, every: true, errno: ENOMEM }], 2)).toEqual([0, 0]);
  });
  test('of one ioctl request', () => {
    const kernel = injectFaults(real, [{ call: 'ioctl', request: UFFDIO_CONTINUE, nth: 1, errno: EAGAIN }]);
    // EBADF is the real kernel's answer to descriptor -1.
    expect(kernel.ioctl(-1, UFFDIO_COPY, null)).toBe(-9);
    expect(kernel.ioctl(-1, UFFDIO_CONTINUE, null)).toBe(-EAGAIN);
    expect(kernel.ioctl(-1, UFFDIO_CONTINUE, null)).toBe(-9);
  });
  test('several rules count on their own, and the first errno wins', () => {
    const plan: InjectionPlan = [
      { call: 'munmap', nth: 2, errno: EBUSY },
      { call: '*', nth: 1, every: true, errno: ENOSPC },
    ];
    expect(unmaps(plan, 3)).toEqual([-ENOSPC, -EBUSY, -ENOSPC]);
  });
});

test('a failing call is not made, except close', () => {
  const before = openDescriptors();
  const kernel = injectFaults(real, [
    { call: 'eventfd', nth: 1, errno: ENOMEM },
    { call: 'close', nth: 1, errno: EAGAIN },
  ]);
  expect(kernel.eventfd(0, 0)).toBe(F);
  expect(openDescriptors()).toBe(before);
  const fd = kernel.eventfd(0, 0);
  expect(openDescriptors()).toBe(before + 1);
  expect(kernel.close(fd)).toBe(-EAGAIN);
  expect(openDescriptors()).toBe(before);
});

test('a delay blocks, and then the call is made', () => {
  // What a call without a delay must not do; the time that it takes says nothing, because any thread can lose its CPU.
  const waits = vi.spyOn(Atomics, 'wait');
  onTestFinished(() => waits.mockRestore());
  const kernel = injectFaults(real, [{ call: 'getpid', nth: 1, delayMs: 200 }]);
  const started = performance.now();
  expect(kernel.getpid()).toBe(process.pid);
  expect(performance.now() - started).toBeGreaterThanOrEqual(199);
  expect(waits).toHaveBeenCalledTimes(1);
  expect(kernel.getpid()).toBe(process.pid);
  expect(waits).toHaveBeenCalledTimes(1);
});

test('calls are counted by name, through two wrappers too', () => {
  const inner = injectFaults(real, []);
  const outer = injectFaults(inner, [{ call: 'munmap', nth: 1, errno: ENOMEM }]);
  outer.munmap(4096, 4096);
  outer.munmap(4096, 4096);
  outer.gettid();
  expect([...outer.calls]).toEqual([
    ['munmap', 2],
    ['gettid', 1],
  ]);
  expect(inner.calls.get('munmap')).toBe(1);
});

test('an nth that can never strike is refused', () => {
  for (const nth of [0, -1, 1.5]) {
    expect(() => injectFaults(real, [{ call: 'mmap', nth }])).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
  }
});

test('a plan can be posted to another thread, which counts for itself', async () => {
  const plan: InjectionPlan = [
    { call: 'munmap', nth: 1, thread: 'main', errno: EBUSY },
    { call: 'munmap', nth: 2, thread: 'worker', errno: ENOMEM },
  ];
  const worker = new Worker(supportScript('injection-worker.mjs'), { workerData: plan });
  const [results] = await once(worker, 'message');
  expect(results).toEqual([0, F, 0]);
  expect(unmaps(plan, 2, 'main')).toEqual([-EBUSY, 0]);
});
