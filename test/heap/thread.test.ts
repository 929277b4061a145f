// A thread's standing with the collector where another thread's close() comes in between: at any step of the way back from a safe region.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TospaceError } from '#src/errors.js';
import {
  CTL_HEAP_STATE,
  HEAP_CLOSED,
  HEAP_OPEN,
  T_CURSOR,
  T_LIMIT,
  T_STATE,
  THREAD_RUNNING,
  THREAD_SAFE,
} from '#src/heap/layout.js';
import { assertStackRoom } from '#src/heap/stack-room.js';
import { MutatorThread } from '#src/heap/thread.js';
import { withThreadAtRest } from '#src/heap/thread-mutators.js';
import { ArenaHarness } from '../support/arena-harness.ts';

const TID = 1234;
const host = { tid: TID, currentCpu: () => 0, assertCollectorAlive() {} };

let h: ArenaHarness;
let threads: MutatorThread[];

beforeEach(() => {
  h = new ArenaHarness();
  threads = [];
});
afterEach(() => {
  vi.restoreAllMocks();
  h.control[CTL_HEAP_STATE] = HEAP_CLOSED;
  for (const thread of threads) {
    while (thread.record[T_STATE] === THREAD_RUNNING) thread.leave();
    try {
      thread.detach(() => {});
    } catch {}
  }
  h.close();
});

/** A mutator with a buffer. */
function attach(): MutatorThread {
  const thread = new MutatorThread(h.tables, host, () => {});
  thread.enter();
  thread.record[T_CURSOR] = h.heap;
  thread.record[T_LIMIT] = h.heap + 4096;
  thread.leave();
  threads.push(thread);
  return thread;
}

const stateOf = (thread: MutatorThread): number => thread.record[T_STATE]!;
const closeNow = (): void => {
  h.control[CTL_HEAP_STATE] = HEAP_CLOSED;
};
const openNow = (): void => {
  h.control[CTL_HEAP_STATE] = HEAP_OPEN;
};

/** Does `actions[n]` behind the n-th look at the heap's state from now on: what another thread may do there. */
function between(...actions: (() => void)[]): void {
  const load = Atomics.load.bind(Atomics);
  vi.spyOn(Atomics, 'load').mockImplementation(((words: Int32Array, index: number) => {
    const value = load(words, index);
    if (words === h.control && index === CTL_HEAP_STATE) actions.shift()?.();
    return value;
  }) as typeof Atomics.load);
}

const nothing = (): void => {};

/** Runs, or not: never takes itself to run while the collector takes it to be stopped. @returns whether it runs */
function attempt(thread: MutatorThread, body: () => void): boolean {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(TospaceError);
    expect((error as TospaceError).code).toBe('ERR_STATE');
    expect([stateOf(thread), thread.record[T_LIMIT]]).toEqual([THREAD_SAFE, 0]);
    return false;
  }
  expect([stateOf(thread), thread.record[T_LIMIT]]).toEqual([THREAD_RUNNING, h.heap + 4096]);
  return true;
}

describe('a close() that is refused while a thread', () => {
  // The heap is found open at first; then it closes, and opens again behind the n-th look that finds it closed.
  const looks = (n: number): (() => void)[] => [...new Array<() => void>(n).fill(nothing), openNow];

  test.each([0, 1])('enters (open again behind look %i)', (n) => {
    const thread = attach();
    between(closeNow, ...looks(n));
    expect(attempt(thread, () => thread.enter())).toBe(n === 0);
    openNow();
    if (n === 0) thread.leave();
    else expect(attempt(thread, () => thread.enter())).toBe(true);
  });

  test('comes back from blocking(), with another mutator', () => {
    const [thread, other] = [attach(), attach()];
    thread.enter();
    other.enter();
    thread.blocking(() => {
      closeNow();
      between(openNow);
    });
    expect([stateOf(thread), stateOf(other)]).toEqual([THREAD_RUNNING, THREAD_RUNNING]);
    expect([thread.record[T_LIMIT], other.record[T_LIMIT]]).toEqual([h.heap + 4096, h.heap + 4096]);
    other.leave();
    thread.leave();
  });

  test('has looked at the heap from outside of its mutators', () => {
    const thread = attach();
    thread.enter();
    expect(
      attempt(thread, () =>
        withThreadAtRest(h.tables, TID, nothing, () => {
          closeNow();
          between(openNow);
        }),
      ),
    ).toBe(true);
  });
});

test('a heap that is closed while a mutator enters inside run() of another: neither runs', () => {
  const [outer, inner] = [attach(), attach()];
  outer.enter();
  between(closeNow);
  expect(attempt(inner, () => inner.enter())).toBe(false);
  // Its buffer is out of reach too, whatever the program does with the error.
  expect([stateOf(outer), outer.record[T_LIMIT]]).toEqual([THREAD_SAFE, 0]);
  outer.leave();
});

describe('enter() and leave() that do not nest with blocking()', () => {
  test('a mutator that was taken along is not left: it would come back with nobody to leave it', () => {
    const [waiting, other] = [attach(), attach()];
    waiting.enter();
    other.enter();
    waiting.blocking(() => {
      expect(() => other.leave()).toThrow('while another mutator of this thread waits');
    });
    expect(stateOf(other)).toBe(THREAD_RUNNING);
    other.leave();
    waiting.leave();
    expect([stateOf(waiting), stateOf(other)]).toEqual([THREAD_SAFE, THREAD_SAFE]);
  });

  test('one that entered within, took another buffer and did not leave keeps the limit of that one', () => {
    const thread = attach();
    thread.enter();
    thread.blocking(() => {
      thread.enter();
      thread.record[T_CURSOR] = h.heap + 65536;
      thread.record[T_LIMIT] = h.heap + 65536 + 512;
    });
    expect(thread.record[T_LIMIT]).toBe(h.heap + 65536 + 512);
    thread.leave();
    expect(stateOf(thread)).toBe(THREAD_SAFE);
  });
});

test('a mutator that meets the end of the stack while it detaches stays in a safe region', () => {
  const thread = attach();
  const deep = (calls: number): number => (calls === 0 ? 0 : 1 + deep(calls - 1));
  let overflowed = 0;
  let running = 0;
  const down = (): void => {
    try {
      down();
    } catch {
      try {
        thread.detach(() => deep(20));
      } catch (error) {
        // No calls here, for which there may be no room.
        overflowed++;
        if (thread.record[T_STATE] === THREAD_RUNNING) running++;
        throw error;
      }
    }
  };
  down();
  expect(overflowed).toBeGreaterThan(0);
  expect(running).toBe(0);
});

test('who asked for room may call what V8 has not compiled: it needs more stack for that than for any call', () => {
  let asked = false;
  let error: unknown;
  const body = 'for (let i = 0; i < n; i++) if (i > 7) return i; return Atomics.load(new Int32Array(4), 0);';
  // Compiled when it is called, and not before.
  const cold = new Function(`function cold(n) { ${body} } return cold;`)() as (n: number) => number;
  const down = (): void => {
    try {
      down();
    } catch {
      if (asked) return;
      assertStackRoom();
      asked = true;
      try {
        cold(3);
      } catch (thrown) {
        error = thrown;
      }
    }
  };
  assertStackRoom();
  down();
  expect([asked, error]).toEqual([true, undefined]);
});
