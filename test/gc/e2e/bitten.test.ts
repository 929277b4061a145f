// What has bitten others (docs/architecture.md): each point that shows from outside, by its number in that list.

import { describe, expect, test } from 'vitest';
import { EAGAIN, EEXIST } from '#src/uffd/index.js';
import { succeed } from './support.ts';

const MODES = {
  continue: { fill: 'continue' },
  'continue, release': { fill: 'continue', retention: 'release' },
  copy: { fill: 'copy' },
} as const;

describe.each(Object.entries(MODES))('%s', (_, options) => {
  test('1, 15: the attic is empty between cycles and no neighbouring mapping is touched', () =>
    succeed('bitten', 'mappings', { options }));

  test('2: a fault that is read late is never served from released memory', async () => {
    await succeed('bitten', 'lateFaults', { options: { ...options, servers: 2 } });
  });

  test('3: signals during faults leave nobody asleep', async () => {
    const outcome = await succeed<{ faults: number }>('bitten', 'signals', { options });
    expect(outcome.faults).toBeGreaterThan(0);
  });

  test('4: allocation after the flip starts on a fresh page', () =>
    succeed('bitten', 'freshPage', { options }));

  test('5: pages beyond the compacted end, new or used before, are zero', async () => {
    expect(await succeed<number>('bitten', 'zeroes', { options })).toBeGreaterThan(5);
  });

  test('7: cycles that many threads ask for at once run one after the other', () =>
    succeed('bitten', 'manyRequests', { options }));

  test('8: objects of all sizes allocated between remark and flip', async () => {
    const outcome = await succeed<{ blackBytes: number }>('bitten', 'black', {
      options: { ...options, verify: 'full' },
    });
    expect(outcome.blackBytes).toBeGreaterThan(0);
  });

  test('8: the heap fills up between remark and flip', async () => {
    const outcome = await succeed<{ blackBytes: number; stalls: number }>('bitten', 'black', {
      options,
      fill: true,
    });
    expect(outcome.blackBytes).toBeGreaterThan(0);
    expect(outcome.stalls).toBeGreaterThan(0);
  });

  test('11: no reference that is hidden and moved while the marker runs is lost', () =>
    succeed('bitten', 'hide', { options, holders: 16_384, cycles: 4 }));
});

test('11: the same under verification', () =>
  succeed('bitten', 'hide', { options: { verify: 'full' }, holders: 1000, cycles: 3 }));

test.each([
  ['EEXIST', EEXIST, 'server'],
  ['EEXIST', EEXIST, 'collector'],
  ['EAGAIN', EAGAIN, 'server'],
  ['EAGAIN', EAGAIN, 'collector'],
])('3: %s from the kernel (%i, in the %s) leaves nobody asleep', (_, errno, thread) =>
  succeed('bitten', 'refusals', { errno, thread, nth: 5 }),
);

test('17: the kernels carry no data segments', () => succeed('bitten', 'noData'));

test('18: errors of the collector arrive whole', () => succeed('bitten', 'errors'));
