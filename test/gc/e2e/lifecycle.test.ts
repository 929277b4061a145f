// Beginnings and ends of heaps, mutators, threads and the process.

import { describe, expect, test } from 'vitest';
import { batch, describeEnd, run, SOAK, succeed } from './support.ts';

const PHASES = { mark: 1, remark: 2, plan: 3, flip: 4, compact: 5, close: 6 };

const MODES = { continue: {}, copy: { fill: 'copy' }, 'stop-the-world': { collector: 'stop-the-world' } };

describe('closing a heap', () => {
  const phases = Object.entries(PHASES).map(
    ([name, phase]) => [`while a cycle is in its phase ${name}`, ['closeInPhase', { phase }]] as const,
  );
  const cases = {
    ...Object.fromEntries(phases),
    'twice, and with copy': ['closeInPhase', { phase: PHASES.compact, options: { fill: 'copy' } }],
    'under a thread that waits for a collection': ['closeUnderWaiting'],
    'states: a running mutator forbids close, a safe region forbids use, a detached mutator forbids everything':
      ['states'],
    'a verifying heap finds stale references and handles': ['stale'],
  } as const;
  test.each(Object.keys(cases))('%s', batch('lifecycle', cases));
});

describe('heaps beside and after each other', () => {
  const modes = Object.entries(MODES).map(
    ([name, options]) =>
      [`many in a row leave nothing behind: ${name}`, ['inARow', { options, heaps: SOAK ? 30 : 8 }]] as const,
  );
  const cases = { ...Object.fromEntries(modes), 'several live beside each other': ['several'] } as const;
  test.each(Object.keys(cases))('%s', batch('resources', cases));
});

describe('process.exit', { concurrent: true }, () => {
  const points = ['run', 'PHASE_MARK', 'PHASE_PLAN', 'PHASE_COMPACT'];
  // Where a mode makes a difference; a soak tries all.
  const modes = [
    { options: {}, where: points },
    { options: { fill: 'copy', servers: 2 }, where: ['run', 'PHASE_COMPACT'] },
    { options: { collector: 'stop-the-world' }, where: ['run', 'PHASE_PLAN'] },
  ];
  const cases = modes.flatMap(({ options, where }) => (SOAK ? points : where).map((at) => ({ at, options })));
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

  // A worker that is terminated while it loads a native module takes the process with it: one run in twenty hit that before exit waited.
  test('while a heap is created', async () => {
    const runs = Array.from({ length: SOAK ? 40 : 5 }, (_, i) =>
      run('lifecycle', 'exitBeforeCreated', { afterMs: 40 + (i % 5) * 60, code: 7 }),
    );
    for (const result of await Promise.all(runs)) {
      expect(result.status, describeEnd(result)).toBe(7);
      expect(result.stderr).toBe('');
    }
  });

  const threads = Object.fromEntries(
    Object.entries(PHASES).map(([name, phase]) => [
      `of a mutator thread in phase ${name} ends the thread only`,
      ['exitThread', { phase, rounds: SOAK ? 3 : 2 }] as const,
    ]),
  );
  test.each(Object.keys(threads))('%s', batch('lifecycle', threads));

  test('a heap that nobody closes keeps the process alive: the crew are running threads', async () => {
    const result = await run('lifecycle', 'neverClosed', {}, { timeoutMs: 3000 });
    // Documents what is: SIGKILL is the timer's. Should the crew be unreferenced one day, 0 is as good.
    expect(result.signal === 'SIGKILL' || result.status === 0, describeEnd(result)).toBe(true);
  });

  test.each([
    { asleep: true, where: 'sleeps in a fault' },
    { asleep: false, where: 'is outside of run()' },
  ])(
    'a thread that made a heap is terminated while another one, that uses it, $where',
    async ({ asleep }) => {
      // The heap's workers end with it, all at once and without running a line.
      const result = await run('lifecycle', 'creatorLost', { asleep });
      expect(result.status, describeEnd(result)).toBe(70);
      expect(result.stderr).toContain('the thread that created a heap has ended, and its workers with it');
      expect(result.stderr).toContain('Create heaps on a thread that outlives their users');
    },
  );

  test('whoever attaches to a heap of another thread may exit at once', async () => {
    // The watch over the heap is a thread that starts then, and must not be hurt by being ended while it does.
    for (let delayMs = 0; delayMs < 60; delayMs += SOAK ? 1 : 20) {
      const result = await run('lifecycle', 'exitBesideCreator', { delayMs });
      expect(result.status, describeEnd(result)).toBe(6);
    }
  });

  test('a thread that made a heap, and closed it, may be terminated: those who used it go on', () =>
    succeed('lifecycle', 'creatorClosed'));

  test("a watch over another thread's heap that cannot start ends nothing", () =>
    succeed('lifecycle', 'watchFails'));

  test('the exit of a process with a heap that a worker thread made has its own status', async () => {
    const result = await run('lifecycle', 'exitBesideCreator');
    expect(result.status, describeEnd(result)).toBe(6);
  });

  test.each(['exit', 'terminate'])('a thread that made a heap ends by %s', (how) =>
    succeed('lifecycle', 'creatorThread', { how }),
  );

  const ends = ['concurrent', 'stop-the-world', 'none'].flatMap((collector) =>
    ['exit', 'throw'].map(
      (how) =>
        [
          `threads that made a heap (${collector}) and end by ${how} leave nothing of it open`,
          ['creatorsLeave', { options: { collector }, how, rounds: 2 }],
        ] as const,
    ),
  );
  test.each(ends.map(([name]) => name))('%s', batch('lifecycle', Object.fromEntries(ends)));
});

describe('threads', () => {
  const verified = Object.fromEntries(
    [
      { count: 2, options: {} },
      { count: 4, options: {} },
      { count: 4, options: { fill: 'copy', servers: 2 } },
      { count: 4, options: { collector: 'stop-the-world' } },
    ].map((config) => [
      `${config.count} mutate at a time under verification, ${JSON.stringify(config.options)}`,
      ['threads', config] as const,
    ]),
  );
  const mutating = batch<{ cycles: number }>('lifecycle', verified);
  test.each(Object.keys(verified))('%s', async (name) => {
    expect((await mutating(name)).cycles).toBeGreaterThan(0);
  });

  // A table has room for 64: ten threads of eight each, or seventy.
  const many = SOAK ? { rounds: 70, mutators: 1 } : { rounds: 10, mutators: 8 };
  const ends = {
    ...Object.fromEntries(
      ['safepoints', 'rest', 'churn'].map((job) => [
        `terminated threads (${job}) block neither cycles nor close, and keep nothing alive`,
        ['terminate', { job, rounds: SOAK ? 8 : 5 }] as const,
      ]),
    ),
    'more threads than the table holds can be terminated one after the other': [
      'terminate',
      { job: 'rest', ...many },
    ] as const,
  };
  const terminated = batch<{ usedBytes: number }>('lifecycle', ends);
  test.each(Object.keys(ends))('%s', async (name) => {
    expect((await terminated(name)).usedBytes).toBe(0);
  });

  const garbage = Object.fromEntries(
    Object.entries(MODES).map(([name, options]) => [
      `four threads of garbage never run out of memory, ${name}`,
      ['thrash', { options }] as const,
    ]),
  );
  test.each(Object.keys(garbage))('%s', batch('lifecycle', garbage));
});
