// Weak records, ephemerons, guards, weak maps and intern tables, under both collectors and both fills, and with the collector held up
// where readers can race with it. Random ones print their seed; SEED=<n> replays it.

import { describe, expect, test } from 'vitest';
import type { HeapOptions } from '#src/index.js';
import { batch, SEED, succeed, SOAK } from './support.ts';

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

describe.each(Object.entries(CONFIGURATIONS))('%s', (_, options) => {
  const concurrent = options.collector !== 'stop-the-world';
  // Who fills the pages is nothing to a table: without a verifier they are copied.
  const fill = options.verify === undefined && !SOAK ? 'copy' : options.fill;
  const heap = { ...options, ...(fill === undefined ? {} : { fill }) };
  const tables = { ...heap, seed: SEED };
  const references = batch('references', {
    weakRecords: ['weakRecords', options],
    ephemerons: ['ephemerons', options],
    guards: ['guards', options],
    black: ['black', options],
    readers: ['readers', options],
    strays: ['strays', options],
    identity: ['identity', options],
    manyThreads: ['manyThreads', { ...options, objects: 400 }],
  });
  const weakTables = batch('weak-tables', {
    weakMap: ['weakMap', { ...tables, steps: 3000, keys: 1000 }],
    internTable: ['internTable', { ...tables, steps: 4000 }],
    internTableOfWeakHashes: ['internTable', { ...tables, steps: 3000, contents: 50, weakHash: true }],
    entryReuse: ['entryReuse', heap],
    shared: ['shared', { ...tables, rounds: 40 }],
  });

  test('a weak record loses its object when nothing else refers to it, and keeps its other fields', async () => {
    expect((await references<Counts>('weakRecords')).weakCleared).toBe(4);
  });

  test('an ephemeron keeps its value while its key lives, through chains, and loses both together', async () => {
    expect((await references<Counts>('ephemerons')).ephemeronsCleared).toBe(252);
  });

  test('a guarded object comes back once it is dead, with what it reaches, in order, once for each guard', async () => {
    expect((await references<Counts>('guards')).finalizable).toBe(7);
  });

  test('what is allocated and stored between remark and flip', async () => {
    const { inWindow } = await references<{ inWindow: number }>('black');
    if (options.stress !== undefined) expect(inWindow).toBe(1);
  });

  test('readers are answered while dead weak fields are not cleared yet', async () => {
    const { reads } = await references<{ reads: number }>('readers');
    if (options.stress !== undefined) expect(reads).toBeGreaterThan(1000);
    if (!concurrent) expect(reads).toBe(0);
  });

  test('ephemerons whose keys change while the collector looks for them', async () => {
    await references('strays');
  });

  test('identity hashes are for life', async () => {
    await references('identity');
  });

  test('guards of several threads at once', async () => {
    expect(await references('manyThreads')).toEqual({ objects: 1200 });
  });

  if (options.fill === 'copy' && !SOAK) return;

  test(`a weak map agrees with a plain one (seed ${SEED})`, async () => {
    await weakTables('weakMap');
  });

  test(`an intern table has one object for each content (seed ${SEED})`, async () => {
    await weakTables('internTable');
    await weakTables('internTableOfWeakHashes');
  });

  test('entries of an intern table are used again', async () => {
    const { sizes } = await weakTables<{ sizes: number[] }>('entryReuse');
    expect(sizes).toEqual([30, 30, 30, 30, 30, 30]);
  });

  test(`threads share a weak map and an intern table (seed ${SEED})`, async () => {
    const { checked } = await weakTables<{ checked: number }>('shared');
    expect(checked).toBeGreaterThan(50);
  });
});

describe.each([
  ['verified', { verify: 'full', stress: { collectEveryAllocation: 7, markStackEntries: 8 } }],
  ['copy', { fill: 'copy', stress: { collectEveryAllocation: 7, markStackEntries: 8 } }],
])('a collection at every seventh allocation and a mark stack of 8 entries, %s', (_, options) => {
  const cases = {
    weakRecords: ['weakRecords', options],
    ephemerons: ['ephemerons', options],
    guards: ['guards', options],
    identity: ['identity', { ...options, objects: 250 }],
  } as const;
  test.each(Object.keys(cases))('%s', batch('references', cases));
});

test('what the checked mutator refuses', async () => {
  await succeed('references', 'refused', { verify: 'full' });
});
