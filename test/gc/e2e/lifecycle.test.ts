// Beginnings and ends of heaps, mutators, threads and the process.

import { describe, expect, test } from 'vitest';
import { describeEnd, run, succeed } from './support.ts';

const PHASES = { mark: 1, remark: 2, plan: 3, flip: 4, compact: 5, close: 6 };

describe('closing a heap', () => {
  test.each(Object.entries(PHASES))('while a cycle is in its phase %s (%i)', (_, phase) =>
    succeed('lifecycle', 'closeInPhase', { phase }),
  );
  test('twice, and with copy', () =>
    succeed('lifecycle', 'closeInPhase', { phase: PHASES.compact, options: { fill: 'copy' } }));
  test('under a thread that waits for a collection', () => succeed('lifecycle', 'closeUnderWaiting'));
  test.each([{}, { fill: 'copy' }, { collector: 'stop-the-world' }])(
    'thirty in a row leave nothing behind: %j',
    (options) => succeed('resources', 'thirty', { options }),
  );
  test('several live beside each other', () => succeed('resources', 'several'));
});

test('states: a running mutator forbids close, a safe region forbids use, a detached mutator forbids everything', () =>
  succeed('lifecycle', 'states'));

test('a verifying heap finds stale references and handles', () => succeed('lifecycle', 'stale'));

describe('process.exit', { concurrent: true }, () => {
  const points = ['run', 'PHASE_MARK', 'PHASE_PLAN', 'PHASE_COMPACT'];
  const modes = [{}, { fill: 'copy', servers: 2 }, { collector: 'stop-the-world' }];
  const cases = points.flatMap((at) => modes.map((options) => ({ at, options })));
  test.each(cases)('from the main thread at $at, $options', async ({ at, options }) => {
    // Another thread goes on mutating, and is perhaps in a fault.
    const result = await run('lifecycle', 'exitMain', { at, options, code: 5 });
    expect(result.status, describeEnd(result)).toBe(5);
  });

  test('an uncaught error within run() ends the process as it should', async () => {
    const result = await run('lifecycle', 'exitMain', { at: 'throw' });
    expect(result.status, describeEnd(result)).toBe(1);
    expect(result.stderr).toContain('on purpose');
  });

  test.each(Object.entries(PHASES))('of a mutator thread in phase %s (%i) ends the thread only', (_, phase) =>
    succeed('lifecycle', 'exitThread', { phase }),
  );

  test('a heap that nobody closes keeps the process alive: the crew are running threads', async () => {
    const result = await run('lifecycle', 'neverClosed', {}, { timeoutMs: 3000 });
    // Documents what is: SIGKILL is the timer's. Should the crew be unreferenced one day, 0 is as good.
    expect(result.signal === 'SIGKILL' || result.status === 0, describeEnd(result)).toBe(true);
  });

  // Nobody is left who could notice: its servers are ended with it, without running a line. Make heaps on a thread that stays.
  test.todo(
    'a thread that made a heap is terminated while another thread is in an open window: that thread waits for ever',
  );

  test.each(['exit', 'terminate'])('a thread that made a heap ends by %s', (how) =>
    succeed('lifecycle', 'creatorThread', { how }),
  );
});

describe('threads', () => {
  test.each([
    [2, {}],
    [4, {}],
    [4, { fill: 'copy', servers: 2 }],
    [4, { collector: 'stop-the-world' }],
  ])('%i mutate at a time under verification, %j', async (count, options) => {
    const outcome = await succeed<{ cycles: number }>('lifecycle', 'threads', { count, options });
    expect(outcome.cycles).toBeGreaterThan(0);
  });

  test.each(['safepoints', 'rest', 'churn'])(
    'terminated threads (%s) block neither cycles nor close, and keep nothing alive',
    async (job) => {
      const outcome = await succeed<{ usedBytes: number }>('lifecycle', 'terminate', { job, rounds: 8 });
      expect(outcome.usedBytes).toBe(0);
    },
  );

  test('more threads than the table holds can be terminated one after the other', { timeout: 240_000 }, () =>
    succeed('lifecycle', 'terminate', { job: 'rest', rounds: 70 }, { timeoutMs: 200_000 }),
  );

  test.each([{}, { fill: 'copy' }, { collector: 'stop-the-world' }])(
    'four threads of garbage never run out of memory, %j',
    (options) => succeed('lifecycle', 'thrash', { options }),
  );
});
