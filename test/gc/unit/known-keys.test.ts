// Which key was meant by one that there is not.
import { describe, expect, test } from 'vitest';
import { resolveOptions } from '#src/gc/options.js';
import { parseOptions } from '#src/gc/options/text.js';
import { assertKeys, meant } from '#src/known-keys.js';
import * as tospace from '#src/index.js';

const thrownBy = (body: () => unknown): { code: string; message: string; hint: string } => {
  try {
    body();
  } catch (error) {
    return error as never;
  }
  throw new Error('nothing was thrown');
};

describe('the key that was meant', () => {
  const keys = [
    'collector',
    'heap',
    'minHeap',
    'log',
    'safepointWarnMs',
    'safepointTimeoutMs',
    'largeObject',
  ];
  test.each([
    ['haep', 'heap'], // swapped
    ['hap', 'heap'], // left out
    ['heapp', 'heap'], // put in
    ['lag', 'log'], // replaced
    ['HEAP', 'heap'],
    ['min-heap', 'minHeap'],
    ['min_heap', 'minHeap'],
    ['minheap', 'minHeap'],
    ['colector', 'collector'],
    ['safepointTimeout', 'safepointTimeoutMs'],
    ['safePointWarningMs', 'safepointWarnMs'],
    ['largeObjectBytes', 'largeObject'],
  ])('%s: %s', (key, option) => expect(meant(key, keys)).toBe(option));

  test.each(['x', '', 'banana', 'pauseGoal', 'threads', '='])('%s: none', (key) =>
    expect(meant(key, keys)).toBeUndefined(),
  );

  test('the nearest one wins, and among equals the first', () => {
    expect(meant('minHeap', ['maxHeap', 'minHeap'])).toBe('minHeap');
    expect(meant('maxHeap', ['minHeap', 'maxHeep'])).toBe('maxHeep');
    expect(meant('cat', ['bat', 'hat'])).toBe('bat');
  });
});

test.each<[options: object, key: string, option: string]>([
  [{ minheap: 1 }, 'minheap', 'minHeap'],
  [{ strss: {} }, 'strss', 'stress'],
  [{ stress: { collectEveryAlocation: 1 } }, 'stress.collectEveryAlocation', 'stress.collectEveryAllocation'],
  [{ stress: { delaysMs: {} } }, 'stress.delaysMs', 'stress.delayMs'],
  [{ stress: { delayMs: { compakt: 1 } } }, 'stress.delayMs.compakt', 'stress.delayMs.compact'],
])('in the object %j', (options, key, option) => {
  const error = thrownBy(() => resolveOptions(options as never));
  expect(error.code).toBe('ERR_OPTION');
  expect(error.message).toBe(`there is no option ${key}`);
  expect(error.hint).toMatch(new RegExp(`^Did you mean ${option}\\? Options are `));
});

test.each([
  ['minheap=1MiB', 'minheap', 'minHeap'],
  ['stress.delayMs.compakt=1', 'stress.delayMs.compakt', 'stress.delayMs.compact'],
  ['stress.colectEverySafepoint=1', 'stress.colectEverySafepoint', 'stress.collectEverySafepoint'],
])('in the string %s', (text, key, option) => {
  const error = thrownBy(() => parseOptions(text, 'TOSPACE'));
  expect(error.message).toBe(`TOSPACE: there is no option ${key}`);
  expect(error.hint).toMatch(new RegExp(`^Did you mean ${option}\\? Options are collector, `));
});

test('a key that resembles none has no suggestion', () => {
  const { hint } = thrownBy(() => parseOptions('banana=1'));
  expect(hint).toMatch(/^Options are collector, /);
});

describe('objects of options', () => {
  const keys = { name: true } as const;

  test('keys that are undefined, or that all objects have, are not given', () => {
    assertKeys('attach', {}, keys);
    assertKeys('attach', { name: 'main' }, keys);
    assertKeys<{ name?: string }>('attach', { other: undefined } as never, keys);
  });

  test.each([null, 1, 'name', true, []])('%j is none', (options) => {
    const error = thrownBy(() => assertKeys<{ name?: string }>('attach', options as never, keys));
    expect(error).toMatchObject({ code: 'ERR_OPTION', hint: expect.stringContaining('name') });
    expect(error.message).toMatch(/^attach: options must be an object, not /);
  });
});

test('there is one way to each thing: classes that others make are types only', () => {
  expect(Object.keys(tospace).sort()).toEqual([
    'DEFAULT_OPTIONS',
    'GUEST_ABI_VERSION',
    'GUEST_MODULE',
    'HEAP_OPTIONS',
    'HeapObserver',
    'HeapWeakMap',
    'InternTable',
    'NULL',
    'TospaceError',
    'attachHeap',
    'createHeap',
    'formatCycle',
    'formatOptions',
    'parseOptions',
  ]);
});
