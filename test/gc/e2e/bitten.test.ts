// What has bitten others (docs/architecture.md): each point that shows from outside, by its number in that list.

import { describe, expect, test } from 'vitest';
import { EAGAIN, EEXIST } from '#src/uffd/index.js';
import { batch, SOAK, succeed } from './support.ts';

const MODES = {
  continue: { fill: 'continue' },
  'continue, release': { fill: 'continue', retention: 'release' },
  copy: { fill: 'copy' },
} as const;

/** How many cycles, and how much, a scenario goes through: [here, in a soak]. */
const of = (here: number, inSoak: number): number => (SOAK ? inSoak : here);

describe.each(Object.entries(MODES))('%s', (_, options) => {
  const cases = {
    '1, 15: the attic is empty between cycles and no neighbouring mapping is touched': [
      'mappings',
      { options },
    ],
    '2: a fault that is read late is never served from released memory': [
      'lateFaults',
      { options: { ...options, servers: 2 }, cycles: of(8, 25) },
    ],
    '3: signals during faults leave nobody asleep': ['signals', { options, cycles: of(5, 12) }],
    '4: allocation after the flip starts on a fresh page': ['freshPage', { options }],
    '5: pages beyond the compacted end, new or used before, are zero': ['zeroes', { options }],
    '7: cycles that many threads ask for at once run one after the other': [
      'manyRequests',
      { options, collections: of(4, 8) },
    ],
    '8: objects of all sizes allocated between remark and flip': [
      'black',
      { options: { ...options, verify: 'full' }, cycles: of(5, 12) },
    ],
    '8: the heap fills up between remark and flip': ['black', { options, fill: true, cycles: of(3, 8) }],
    '11: no reference that is hidden and moved while the marker runs is lost': [
      'hide',
      { options, holders: of(4096, 16_384), cycles: of(3, 4) },
    ],
  } as const;
  const result = batch<never>('bitten', cases);

  test.each(Object.keys(cases))('%s', async (name) => {
    const outcome: { faults?: number; blackBytes?: number; stalls?: number } | number | null =
      await result(name);
    if (name.startsWith('3:')) expect(outcome).toMatchObject({ faults: expect.toSatisfy(positive) });
    if (name.startsWith('5:')) expect(outcome).toBeGreaterThan(5);
    if (name.startsWith('8:')) expect(outcome).toMatchObject({ blackBytes: expect.toSatisfy(positive) });
    if (name.includes('fills up')) expect(outcome).toMatchObject({ stalls: expect.toSatisfy(positive) });
  });
});

function positive(n: number): boolean {
  return n > 0;
}

// Small, so that a cycle comes after few of these costly allocations.
test('11: the same under verification', () =>
  succeed('bitten', 'hide', {
    options: { verify: 'full', heap: of(4, 16) * 1024 * 1024 },
    holders: 1000,
    cycles: 3,
  }));

describe('3: what the kernel answers leaves nobody asleep', () => {
  const cases = Object.fromEntries(
    ['server', 'collector'].flatMap((thread) =>
      Object.entries({ EEXIST, EAGAIN }).map(
        ([name, errno]) =>
          [`${name}, in the ${thread}`, ['refusals', { errno, thread, nth: 5, cycles: of(6, 15) }]] as const,
      ),
    ),
  );
  test.each(Object.keys(cases))('%s', batch('bitten', cases));
});

test('17: the kernels carry no data segments', () => succeed('bitten', 'noData'));

test('18: errors of the collector arrive whole', () => succeed('bitten', 'errors'));
