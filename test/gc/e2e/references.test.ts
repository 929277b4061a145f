// Weak records, ephemerons, guards, weak maps and intern tables, under both collectors and both fills, and with the collector held up
// where readers can race with it. Random ones print their seed; SEED=<n> replays it.

import { describe, expect, test } from 'vitest';
import type { HeapOptions } from '#src/index.js';
import { SEED, succeed } from './support.ts';

const CONFIGURATIONS: Readonly<Record<string, HeapOptions>> = {
  'continue, verified': { verify: 'full' },
  'copy, verified': { fill: 'copy', verify: 'full' },
  'stop-the-world, verified': { collector: 'stop-the-world', verify: 'full' },
  'held up while it plans': { stress: { delayMs: { plan: 30, mark: 5 } } },
};

interface Counts {
  readonly cycles: number;
  readonly weakCleared: number;
  readonly ephemeronsCleared: number;
  readonly finalizable: number;
}

const references = <T>(scenario: string, options: object): Promise<T> =>
  succeed<T>('references', scenario, options);

describe.each(Object.entries(CONFIGURATIONS))('%s', (_, options) => {
  const concurrent = options.collector !== 'stop-the-world';

  test('a weak record loses its object when nothing else refers to it, and keeps its other fields', async () => {
    expect((await references<Counts>('weakRecords', options)).weakCleared).toBe(4);
  });

  test('an ephemeron keeps its value while its key lives, through chains, and loses both together', async () => {
    expect((await references<Counts>('ephemerons', options)).ephemeronsCleared).toBe(252);
  });

  test('a guarded object comes back once it is dead, with what it reaches, in order, once for each guard', async () => {
    expect((await references<Counts>('guards', options)).finalizable).toBe(7);
  });

  test('what is allocated and stored between remark and flip', async () => {
    const { inWindow } = await references<{ inWindow: number }>('black', options);
    if (options.stress !== undefined) expect(inWindow).toBe(1);
  });

  test('readers are answered while dead weak fields are not cleared yet', async () => {
    const { reads } = await references<{ reads: number }>('readers', options);
    if (options.stress !== undefined) expect(reads).toBeGreaterThan(1000);
    if (!concurrent) expect(reads).toBe(0);
  });

  test('ephemerons whose keys change while the collector looks for them', async () => {
    await references('strays', options);
  });

  test('identity hashes are for life', async () => {
    await references('identity', options);
  });

  test('guards of several threads at once', async () => {
    expect(await references('manyThreads', { ...options, objects: 1000 })).toEqual({ objects: 3000 });
  });

  test(`a weak map agrees with a plain one (seed ${SEED})`, async () => {
    await succeed('weak-tables', 'weakMap', { ...options, seed: SEED, steps: 6000 });
  });

  test(`an intern table has one object for each content (seed ${SEED})`, async () => {
    await succeed('weak-tables', 'internTable', { ...options, seed: SEED, steps: 6000 });
    await succeed('weak-tables', 'internTable', {
      ...options,
      seed: SEED,
      steps: 3000,
      contents: 50,
      weakHash: true,
    });
  });

  test('entries of an intern table are used again', async () => {
    const { sizes } = await succeed<{ sizes: number[] }>('weak-tables', 'entryReuse', options);
    expect(sizes).toEqual([30, 30, 30, 30, 30, 30]);
  });

  test(`threads share a weak map and an intern table (seed ${SEED})`, async () => {
    const { checked } = await succeed<{ checked: number }>('weak-tables', 'shared', {
      ...options,
      seed: SEED,
      rounds: 100,
    });
    expect(checked).toBeGreaterThan(50);
  });
});

test.each([
  ['verified', { verify: 'full', stress: { collectEveryAllocation: 7, markStackEntries: 8 } }],
  ['copy', { fill: 'copy', stress: { collectEveryAllocation: 7, markStackEntries: 8 } }],
])('a collection at every seventh allocation and a mark stack of 8 entries, %s', async (_, options) => {
  for (const scenario of ['weakRecords', 'ephemerons', 'guards', 'identity'])
    await references(scenario, options);
});

test('what the checked mutator refuses', async () => {
  await references('refused', { verify: 'full' });
});
