import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  CTL_POLL,
  CTL_STOP,
  PAUSE_FLIP,
  PAUSE_NONE,
  PAUSE_REMARK,
  T_STATE,
  THREAD_FREE,
  THREAD_RUNNING,
  THREAD_SAFE,
  THREAD_STOPPED,
} from '#src/heap/layout.js';
import { Safepoints } from '#src/heap/safepoint.js';
import { ArenaHarness } from '../support/arena-harness.ts';
import { endThreads, startThread, type TestThread } from '../support/threads.ts';

const GO = 0;
const QUIT = 1;
const line = (index: number): number => 8 + index * 16;
/** The collector's side gives up by itself: the test's own thread can never hang. */
const PATIENCE_MS = 5000;

let h: ArenaHarness;
let shared: Int32Array<SharedArrayBuffer>;
let safepoints: Safepoints;
let impatient: number[];

beforeEach(() => {
  h = new ArenaHarness();
  shared = new Int32Array(new SharedArrayBuffer(4096));
  impatient = [];
  safepoints = new Safepoints(h.control, h.tables.threads, (thread, waitedMs) => {
    impatient.push(thread);
    return waitedMs < PATIENCE_MS;
  });
});
afterEach(async () => {
  Atomics.store(shared, QUIT, 1);
  Atomics.store(shared, GO, 1);
  safepoints.resume();
  await endThreads();
  h.close();
});

const start = (task: string, index: number, count = 0, timeoutMs?: number): TestThread =>
  startThread(task, h.tables, { shared, index, count }, timeoutMs);
/** For threads that spin all the time, among as many of other tests: limits against hangs only. */
const SPINNING_MS = 60_000;
const spinning = { timeout: 90_000 };
const go = (): void => {
  Atomics.store(shared, GO, 1);
  Atomics.notify(shared, GO);
};
const quit = (): void => {
  Atomics.store(shared, QUIT, 1);
};
const states = (): number[] =>
  h.tables.threads.map((thread) => Atomics.load(thread, T_STATE)).filter((state) => state !== THREAD_FREE);
/** Waits until a word has left a value; nobody notifies it. The test's thread sleeps, so the others run. */
const until = (index: number, not: number): void => {
  const end = performance.now() + PATIENCE_MS;
  while (Atomics.load(shared, index) === not) {
    if (performance.now() > end) throw new Error(`word ${index} stayed ${not}`);
    pass(1);
  }
};
/** Lets other threads run for a while. */
const pass = (ms: number): void => {
  Atomics.wait(shared, 2, 0, ms);
};

describe('stop', () => {
  test('waits for all running threads; none of them moves until resume', async () => {
    const threads = [start('poller', 0), start('poller', 1), start('poller', 2)];
    await Promise.all(threads.map((thread) => thread.ready));
    for (const i of [0, 1, 2]) until(line(i), 0);
    for (let round = 0; round < 20; round++) {
      expect(safepoints.stop(round % 2 === 0 ? PAUSE_REMARK : PAUSE_FLIP)).toBe(true);
      expect(states()).toEqual([THREAD_STOPPED, THREAD_STOPPED, THREAD_STOPPED]);
      const before = [0, 1, 2].map((i) => shared[line(i)]!);
      pass(2);
      expect([0, 1, 2].map((i) => shared[line(i)]!)).toEqual(before);
      safepoints.resume();
      for (const [i, count] of before.entries()) until(line(i), count);
    }
    quit();
    await Promise.all(threads.map((thread) => thread.result));
    expect(states()).toEqual([]);
  });

  test('without threads is immediate, and leaves no trace after resume', () => {
    expect(safepoints.stop(PAUSE_REMARK)).toBe(true);
    expect([h.control[CTL_STOP], h.control[CTL_POLL]]).toEqual([PAUSE_REMARK, 1]);
    safepoints.resume();
    expect([h.control[CTL_STOP], h.control[CTL_POLL]]).toEqual([PAUSE_NONE, 0]);
  });

  test('does not wait for a thread in a safe region, which on its way out waits for the end of the pause', async () => {
    const thread = start('safe', 0);
    await thread.ready;
    const began = performance.now();
    expect(safepoints.stop(PAUSE_FLIP)).toBe(true);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(impatient).toEqual([]);
    go();
    until(line(0), 0);
    pass(50);
    // It wants to run, and does not.
    expect([shared[line(0)], ...states()]).toEqual([1, THREAD_SAFE]);
    safepoints.resume();
    until(line(0), 1);
    expect(await thread.result).toBe(PAUSE_NONE);
  });

  test('a thread that attaches in the middle of a pause waits for its end', async () => {
    const threads = [start('poller', 1), start('late', 0)];
    await Promise.all(threads.map((thread) => thread.ready));
    expect(safepoints.stop(PAUSE_REMARK)).toBe(true);
    go();
    until(line(0), 0);
    pass(50);
    expect(shared[line(0)]).toBe(1);
    expect(states().filter((state) => state === THREAD_RUNNING)).toEqual([]);
    safepoints.resume();
    until(line(0), 1);
    quit();
    await Promise.all(threads.map((thread) => thread.result));
  });

  test('gives up when patience does; then all run again', async () => {
    // One after the other: the records are given in this order.
    const poller = start('poller', 0);
    await poller.ready;
    const stubborn = start('stubborn', 1);
    await stubborn.ready;
    const threads = [poller, stubborn];
    const records = h.tables.threads.flatMap((thread, i) => (thread[T_STATE] === THREAD_FREE ? [] : [i]));
    expect(records.length).toBe(2);
    // Patience with the thread that does not answer ends at the third call; the other one may be slow.
    let ignored = 0;
    const hasty = new Safepoints(h.control, h.tables.threads, (thread, waitedMs) => {
      if (thread === records[1]) ignored++;
      return ignored < 3 && waitedMs < PATIENCE_MS;
    });
    expect(hasty.stop(PAUSE_REMARK)).toBe(false);
    expect(ignored).toBe(3);
    expect([h.control[CTL_STOP], h.control[CTL_POLL]]).toEqual([PAUSE_NONE, 0]);
    const before = shared[line(0)]!;
    until(line(0), before);
    // Once it polls, the next stop succeeds.
    Atomics.store(shared, line(4), 1);
    expect(safepoints.stop(PAUSE_REMARK)).toBe(true);
    safepoints.resume();
    quit();
    await Promise.all(threads.map((thread) => thread.result));
  });

  test(
    '1 000 stops against more than 200 000 entries: nobody is inside during a pause, and nothing changes',
    spinning,
    async () => {
      const threads = [0, 1].map((index) => start('enterLeave', index, 100_000, SPINNING_MS));
      await Promise.all(threads.map((thread) => thread.ready));
      go();
      let inside = 0;
      let changed = 0;
      for (let i = 0; i < 1000; i++) {
        if (!safepoints.stop(PAUSE_REMARK)) throw new Error('a thread did not stop');
        const before = [shared[line(0)]!, shared[line(1)]!];
        // A thread that sits at its safepoint inside is at an odd count; what counts is that none goes on.
        for (let spin = 0; spin < 2000; spin++)
          inside += Number(shared[line(0)] !== before[0] || shared[line(1)] !== before[1]);
        if (i % 50 === 0) pass(1);
        changed += Number(shared[line(0)] !== before[0]) + Number(shared[line(1)] !== before[1]);
        safepoints.resume();
      }
      quit();
      const rounds = (await Promise.all(threads.map((thread) => thread.result))) as number[];
      expect([inside, changed]).toEqual([0, 0]);
      expect(Math.min(...rounds)).toBeGreaterThanOrEqual(100_000);
      expect([shared[line(0)], shared[line(1)]]).toEqual(rounds.map((count) => 2 * count));
    },
  );
});

describe('handshake', () => {
  test('without threads, or with threads in safe regions only, is immediate', async () => {
    expect(safepoints.handshake()).toBe(true);
    const thread = start('safe', 0);
    await thread.ready;
    const began = performance.now();
    expect(safepoints.handshake()).toBe(true);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(h.control[CTL_POLL]).toBe(0);
    go();
    await thread.result;
  });

  test(
    'on return every thread has passed a safepoint since the call, and all its stores before that are visible',
    spinning,
    async () => {
      const threads = [0, 1].map((index) => start('stores', index, 0, SPINNING_MS));
      await Promise.all(threads.map((thread) => thread.ready));
      for (const i of [0, 1]) until(line(i) + 8, 0);
      for (let round = 0; round < 500; round++) {
        const begun = [0, 1].map((i) => Atomics.load(shared, line(i)));
        if (!safepoints.handshake()) throw new Error('a thread did not answer');
        // Whatever a thread had begun before the call it has finished: the second store has followed the first.
        for (const i of [0, 1]) {
          const finished = shared[line(i) + 8]!;
          if (((finished - begun[i]!) | 0) < 0)
            expect.fail(`round ${round}: ${finished} finished of ${begun[i]} begun`);
        }
      }
      quit();
      await Promise.all(threads.map((thread) => thread.result));
    },
  );

  test('waits for a thread that does not poll, until it does', async () => {
    const thread = start('stubborn', 0);
    await thread.ready;
    const hasty = new Safepoints(h.control, h.tables.threads, (_, waitedMs) => waitedMs < 250);
    expect(hasty.handshake()).toBe(false);
    expect(h.control[CTL_POLL]).toBe(0);
    const release = start('storeLater', 4, 200);
    await release.ready;
    go();
    expect(safepoints.handshake()).toBe(true);
    // Not before the thread had been released, which is why it polled.
    expect(Atomics.load(shared, line(4))).toBe(1);
    await Promise.all([thread.result, release.result]);
  });
});
