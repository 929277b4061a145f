// The protocol of the swap example: every interleaving of an eviction and a touch, one exact step after the other.
import { describe, expect, test } from 'vitest';
import { runScenario } from '../support/child.ts';

const run = <T>(...args: [scenario: string, ...string[]]): Promise<T> =>
  runScenario<T>('swap-pager.mjs', ...args);
const REGION_BYTES = 65536;

describe.concurrent.each([
  ['anon', 'move'],
  ['anon', 'copy'],
  ['shmem', 'continue'],
])('%s, brought back by %s', (kind, how) => {
  test('a region goes to the file and comes back, again and again', async () => {
    const result = await run<{
      answers: unknown[];
      intact: boolean;
      usedBefore: number;
      used: number;
      end: number;
    }>('round-trip', kind, how);
    // The memory of a memfd is less by one region while it is away.
    const held = kind === 'shmem' ? [3 * REGION_BYTES] : [];
    const once = [true, 'IN_FILE', ...held, 'loaded', 'RESIDENT', 'stale'];
    expect(result.answers).toEqual([...once, ...once]);
    expect(result).toMatchObject({ intact: true, used: 0 });
    // The second time it went where the first slot had been.
    expect(result.end).toBe(result.usedBefore);
  });

  test('a touch before the write brings it home, and the eviction ends there', async () => {
    expect(await run('touched-before-write', kind, how)).toEqual({
      answer: 'rescued',
      written: 0,
      state: 'RESIDENT',
      intact: true,
      used: 0,
    });
  });

  test('a touch before the release does, too, and what was written is thrown away', async () => {
    const result = await run<{ written: number }>('touched-before-commit', kind, how);
    expect(result).toMatchObject({
      answer: 'rescued',
      committed: false,
      state: 'RESIDENT',
      intact: true,
      used: 0,
    });
    expect(result.written).toBeGreaterThan(0);
  });

  test('what cannot be evicted is brought back', async () => {
    expect(await run('brought-back', kind, how)).toEqual({
      first: ['RESIDENT', true],
      state: 'RESIDENT',
      intact: true,
      used: 0,
    });
  });

  test('a stale message is answered by the state of the region', async () => {
    expect(await run('stale', kind, how)).toEqual({
      resident: ['stale', 'stale', 'RESIDENT'],
      answer: 'rescued',
      state: 'RESIDENT',
      intact: true,
    });
  });
});

test.concurrent('shmem whose page tables the kernel dropped is mapped again', async () => {
  expect(await run('page-tables-dropped', 'shmem')).toEqual({
    answers: ['stale'],
    state: 'RESIDENT',
    intact: true,
  });
});

test.concurrent.each([
  ['truncated', /too early/],
  ['overwritten', /checksum/],
])(
  'a slot that is %s is an error that names the region, and the fault stays unanswered',
  async (how, message) => {
    const { error, state } = await run<{ error: { code: string; message: string }; state: string }>(
      'damaged',
      'anon',
      how,
    );
    expect(error.code).toBe('ERR_VERIFY');
    expect(error.message).toMatch(/^region 2 \(anon, 0x/);
    expect(error.message).toMatch(message);
    expect(state).toBe('LOADING');
  },
);

test.concurrent('a region that the kernel would not move is resident as before', async () => {
  const result = await run<{ error: { code: string } }>('move-fails', 'anon');
  expect(result).toMatchObject({ error: { code: 'ERR_OUT_OF_MEMORY' }, state: 'RESIDENT', intact: true });
});

test.concurrent('a region that finds no room in the file waits in the shadow to be brought back', async () => {
  const result = await run<{ error: { code: string; message: string } }>('file-full', 'shmem');
  expect(result).toMatchObject({ between: 'EVICTING', state: 'RESIDENT', intact: true });
  expect(result.error).toMatchObject({
    code: 'ERR_OUT_OF_MEMORY',
    message: expect.stringMatching(/no room/),
  });
});
