import { afterEach, describe, expect, test } from 'vitest';
import { bindLocks, withLock, withRepairableLock } from '#src/heap/lock.js';
import { waitWhile } from '#src/heap/spin.js';
import { createLibcKernel } from '#src/uffd/index.js';
import { endThreads, startThread } from '../support/threads.ts';

const LINE = 8;
afterEach(endThreads);
const sharedWords = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(1024));

describe('withLock', () => {
  test('returns what its body returns, and is free afterwards, also when the body throws', () => {
    const words = sharedWords();
    expect(withLock(words, 3, () => words[3])).not.toBe(0);
    expect(() =>
      withLock(words, 3, () => {
        throw new Error('body');
      }),
    ).toThrow('body');
    expect(words[3]).toBe(0);
  });

  test('three threads that add to a word without atomics lose nothing', { timeout: 90_000 }, async () => {
    const count = 200_000;
    const shared = sharedWords();
    const threads = [0, 1, 2].map((index) =>
      startThread('lock', undefined, { shared, index, count }, 60_000),
    );
    await Promise.all(threads.map((thread) => thread.ready));
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    await Promise.all(threads.map((thread) => thread.result));
    expect([shared[2], shared[3], shared[4]]).toEqual([0, 3 * count, 3 * count]);
  });
});

describe('a thread that is terminated while it holds the lock', () => {
  const kernel = createLibcKernel();
  const bind = (): void =>
    bindLocks({
      tid: kernel.gettid(),
      threadExists: (tid) => kernel.tgkill(kernel.getpid(), tid, 0) === 0,
      holderDied: (tid) => {
        throw new Error(`thread ${tid} died`);
      },
    });

  test.each([
    ['stops the process', 0],
    ['is succeeded where its section is repairable', 1],
  ])('%s', async (_, repairable) => {
    bind();
    const shared = sharedWords();
    const holder = startThread('lockForever', undefined, { shared, count: repairable });
    await holder.ready;
    const held = shared[2]!;
    const tid = held & 0xfffffff;
    expect(tid).not.toBe(kernel.gettid());
    await holder.terminate();
    expect(shared[LINE]).toBe(1);
    // Whoever waits decides by what the dead thread did, not by what it does itself.
    if (repairable === 0) {
      expect(() => withRepairableLock(shared, 2, () => 5)).toThrow(`thread ${tid} died`);
      return;
    }
    expect(withLock(shared, 2, () => 5)).toBe(5);
    expect(shared[2]).toBe(0);
  });

  test('is not taken for a later thread with the same id, which would wait for itself', () => {
    bind();
    const shared = sharedWords();
    const tid = kernel.gettid();
    withRepairableLock(shared, 2, () => {
      shared[3] = shared[2]!;
    });
    shared[2] = shared[3]!;
    expect(withLock(shared, 2, () => 5)).toBe(5);
    shared[2] = tid;
    expect(() => withLock(shared, 2, () => 5)).toThrow(`thread ${tid} died`);
  });

  test('a thread that would wait for itself is told so, and the lock is free in the end', () => {
    bind();
    const shared = sharedWords();
    const again = (): number => withLock(shared, 2, () => 5);
    expect(() => withLock(shared, 2, again)).toThrow(expect.objectContaining({ code: 'ERR_STATE' }));
    expect(withLock(shared, 3, again)).toBe(5);
    expect([shared[2], shared[3]]).toEqual([0, 0]);
  });
});

describe('waitWhile', () => {
  test('does not wait when the word has changed already', () => {
    const words = sharedWords();
    const start = performance.now();
    expect(waitWhile(words, 0, 1, 10_000)).toBe(true);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('gives up after its time, not before', () => {
    const start = performance.now();
    expect(waitWhile(sharedWords(), 0, 0, 50)).toBe(false);
    expect(performance.now() - start).toBeGreaterThanOrEqual(49);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test.each([0, 30])('sees a change after %i ms, by another thread', async (delay) => {
    const shared = sharedWords();
    const waiter = startThread('waitWhile', undefined, { shared, count: 10_000 });
    const storer = startThread('storeLater', undefined, { shared, count: delay });
    await Promise.all([waiter.ready, storer.ready]);
    Atomics.store(shared, 0, 1);
    Atomics.notify(shared, 0);
    expect(await waiter.result).toBe(true);
    await storer.result;
  });

  test('a wake-up without a change is not taken for one', async () => {
    const shared = sharedWords();
    const waiter = startThread('waitWhile', undefined, { shared, count: 10_000 });
    await waiter.ready;
    let done = false;
    void waiter.result.then(() => {
      done = true;
    });
    for (let i = 0; i < 20; i++) {
      Atomics.notify(shared, LINE);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(done).toBe(false);
    Atomics.store(shared, LINE, 7);
    Atomics.notify(shared, LINE);
    expect(await waiter.result).toBe(true);
  });
});
