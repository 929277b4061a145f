// A heap says what really runs and why, and a verifying one which safepoint made a reference stale.
import { describe, expect, test } from 'vitest';
import type { HeapMode, ResolvedOptions } from '#src/index.js';
import { run, succeed } from './support.ts';

interface Outcome {
  readonly mode: HeapMode;
  readonly line: string;
  readonly options: ResolvedOptions;
}

const modeOf = (options: object): Promise<Outcome> => succeed<Outcome>('mode', 'mode', { options });
const refusals = (call: string): object => ({ call, nth: 1, every: true, errno: 1 });

describe('heap.mode', () => {
  test('without a userfaultfd: an error, or under auto another collector with the reason', async () => {
    const { mode, options, line } = await succeed<Outcome>('mode', 'refused');
    expect(mode).toMatchObject({
      collector: 'stop-the-world',
      userfaultfd: 'none',
      fill: 'none',
      servers: 0,
      placement: 'none',
    });
    expect(mode.reasons[0]).toMatch(/^collector is stop-the-world, because collector=auto .*EPERM/);
    expect(options.collector).toBe('stop-the-world');
    expect(line).toMatch(/^collector=stop-the-world,heap=4MiB,/);
  });

  test('says that the full kind was refused', async () => {
    // The first call of each asks for the full kind.
    const injection = ['userfaultfd', 'openDevice'].map((call) => ({
      call,
      nth: 1,
      errno: 1,
      thread: 'creator',
    }));
    const { mode } = await modeOf({ stress: { injection } });
    expect(mode.userfaultfd).toBe('user-mode-only');
    expect(mode.reasons[0]).toMatch(
      /^userfaultfd is user-mode-only, because the full kind was refused \(.*EPERM/,
    );
  });

  test('says that servers could not be placed', async () => {
    const { mode } = await modeOf({ stress: { injection: [refusals('schedSetAffinity')] } });
    expect(mode.placement).toBe('any');
    expect(mode.reasons.find((reason) => reason.startsWith('placement'))).toMatch(
      /^placement is any, because (a fault server .*: EPERM|the process may run)/,
    );
  });
});

test('TOSPACE gives options, and code goes before it', async () => {
  const prefix = ['env', 'TOSPACE=heap=8MiB,verify=phase,trigger=0.5,stress.delayMs.mark=1'];
  const { options } = await succeed<Outcome>('mode', 'mode', { options: { trigger: 0.3 } }, { prefix });
  expect(options).toMatchObject({
    heap: 4 * 2 ** 20,
    verify: 'phase',
    trigger: 0.3,
    stress: { delayMs: { mark: 1 } },
  });
  const wrong = await run('mode', 'mode', {}, { prefix: ['env', 'TOSPACE=heap=banana'] });
  expect(wrong.status).not.toBe(0);
  expect(wrong.stdout + wrong.stderr).toContain('TOSPACE: heap=banana is not allowed');
});

test('a reference kept across a safepoint is refused, though nothing moved, and the safepoint is named', async () => {
  const kept = (where: string): string =>
    `ERR_TYPE getI32: the reference N is stale: it was read before the safepoint in ${where}, and not again since`;
  expect(await succeed('mode', 'stale')).toEqual({
    allocate: kept('allocate(Cell)'),
    allocateArray: kept('allocateArray(Bytes)'),
    allocatePinned: kept('allocatePinned(Cell)'),
    safepoint: kept('safepoint'),
    collect: kept('collect'),
    blocking: kept('blocking'),
    three: kept('safepoint and 2 after it'),
  });
});

test.each(['off', 'full'])('fields of every kind hold what they should, verify %s', async (verify) => {
  expect(await succeed('mode', 'fields', { verify })).toEqual([
    -1, 255, -2, 65534, -3, 4294967293, 0.5, 0.1, -5,
  ]);
});
