import { describe, expect, test } from 'vitest';
import { TospaceError } from '#src/errors.js';
import { DEFAULT_OPTIONS, type HeapOptions, markStackEntries, resolveOptions } from '#src/gc/options.js';
import { GIB, KIB, MIB } from '#src/heap/geometry.js';

function refusal(options: unknown): TospaceError {
  try {
    resolveOptions(options as HeapOptions);
  } catch (error) {
    if (!(error instanceof TospaceError)) throw error;
    return error;
  }
  return expect.fail(`accepted ${String(options)}`);
}

const NOT_INTEGERS = [Number.NaN, Number.POSITIVE_INFINITY, 1.5, -1, '4096', null, 10n, {}, [], true];

const BAD: Record<string, readonly unknown[]> = {
  heapBytes: [...NOT_INTEGERS, 0, 256 * KIB - 4096, 256 * KIB + 1, 256 * KIB + 2048, 1.25 * GIB + 4096],
  nonMovingBytes: [...NOT_INTEGERS, 0, 60 * KIB, 64 * KIB + 1, GIB + 4096],
  largeObjectBytes: [...NOT_INTEGERS, 0, 4095, 2 ** 31 + 1],
  collector: ['', 'generational', null, 1, ['concurrent'], Symbol('x')],
  fill: ['zero', 'CONTINUE', null, false],
  retention: ['keep', null, 0],
  servers: [...NOT_INTEGERS, 0, 16],
  log: ['all', true],
  placement: ['cpu', null, 3],
  minHeapBytes: [...NOT_INTEGERS, 0, 256 * KIB - 4096, 256 * KIB + 1, 256 * MIB + 4096],
  targetUtilisation: [0, 0.09, 0.96, 1, Number.NaN, '0.5', null, 1n],
  idleCollectMs: [...NOT_INTEGERS, 2 ** 31 + 1],
  trigger: ['soon', 'AUTO', 0, 0.04, 0.96, 1, Number.NaN, '0.5', null, 1n],
  verify: [0, 1, 'true', null],
  userfaultfd: ['none', null, {}],
  persistentSlots: [...NOT_INTEGERS, 0, 2 ** 24 + 1],
  typeMapBytes: [...NOT_INTEGERS, 0, 4095, 4097, 64 * MIB + 4096],
  safepointWarnMs: [...NOT_INTEGERS, 0, 2 ** 31 + 1],
  safepointTimeoutMs: [...NOT_INTEGERS, -1, 2 ** 31 + 1],
  stress: [null, 1, 'all', true],
};

test('every option has bad values here', () => {
  expect(Object.keys(BAD).sort()).toEqual(
    [...Object.keys(DEFAULT_OPTIONS), 'retention', 'nonMovingBytes', 'minHeapBytes'].sort(),
  );
});

describe.each(Object.entries(BAD))('%s', (key, values) => {
  test('bad values are refused by an error that names the key and what it may be', () => {
    for (const value of values) {
      const error = refusal({ [key]: value });
      expect(error.code).toBe('ERR_OPTION');
      expect(error.message).toContain(`option ${key}`);
      expect(error.hint).toContain(key);
    }
  });

  test('an explicit undefined means the default', () => {
    expect(resolveOptions({ [key]: undefined })).toEqual(resolveOptions({}));
  });
});

test.each([
  ['collectEveryAllocation', -1],
  ['collectEveryAllocation', '1'],
  ['collectEverySafepoint', 0.5],
  ['markStackEntries', 7],
  ['delayMs', 5],
  ['delayMs', null],
  ['delayMs', { mark: -1 }],
  ['delayMs', { mark: '1' }],
  ['delayMs', { mark: 60_001 }],
  ['delayMs', { sweep: 1 }],
  ['injection', 'mmap'],
  ['crash', { worker: 'mutator', at: 'mark', how: 'throw' }],
  ['crash', { worker: 'server', at: 'nowhere', how: 'throw' }],
  ['crash', { worker: 'server', at: 'fault', how: 'gently' }],
  ['crash', null],
])('stress.%s: %j is refused', (key, value) => {
  const error = refusal({ stress: { [key]: value } });
  expect(error.code).toBe('ERR_OPTION');
  expect(error.message).toContain(key);
});

test('what stress leaves out, or sets to undefined, is off', () => {
  const stress = Object.fromEntries(
    [
      'collectEveryAllocation',
      'collectEverySafepoint',
      'delayMs',
      'markStackEntries',
      'injection',
      'crash',
    ].map((key) => [key, undefined]),
  );
  expect(resolveOptions({ stress }).stress).toEqual(stress);
});

test('unknown keys are refused by name, on both levels', () => {
  const error = refusal({ heapbytes: MIB });
  expect([error.code, error.message.includes('heapbytes'), error.hint.includes('heapBytes')]).toEqual([
    'ERR_OPTION',
    true,
    true,
  ]);
  expect(refusal({ stress: { delay: 1 } }).message).toContain('stress.delay');
});

test('the limits themselves are allowed', () => {
  for (const heapBytes of [256 * KIB, 256 * KIB + 4096, GIB, 1.25 * GIB])
    expect(resolveOptions({ heapBytes }).heapBytes).toBe(heapBytes);
  for (const servers of [1, 15]) expect(resolveOptions({ servers }).servers).toBe(servers);
  for (const minHeapBytes of [256 * KIB, 256 * MIB])
    expect(resolveOptions({ minHeapBytes }).minHeapBytes).toBe(minHeapBytes);
  for (const targetUtilisation of [0.1, 0.95])
    expect(resolveOptions({ targetUtilisation }).targetUtilisation).toBe(targetUtilisation);
  expect(resolveOptions({ trigger: 'auto', idleCollectMs: 0 })).toMatchObject({
    trigger: 'auto',
    idleCollectMs: 0,
  });
  for (const trigger of [0.05, 0.95]) expect(resolveOptions({ trigger }).trigger).toBe(trigger);
});

test('copy releases by default, and refuses to recycle', () => {
  expect(resolveOptions({}).retention).toBe('recycle');
  expect(resolveOptions({ fill: 'copy' }).retention).toBe('release');
  expect(resolveOptions({ fill: 'continue', retention: 'release' }).retention).toBe('release');
  const error = refusal({ fill: 'copy', retention: 'recycle' });
  expect([error.code, error.message.includes('retention'), error.hint.includes('copy')]).toEqual([
    'ERR_OPTION',
    true,
    true,
  ]);
});

test('options and defaults are frozen, and what was given is not changed', () => {
  const given = { heapBytes: MIB };
  const options = resolveOptions(given);
  expect(Object.isFrozen(options)).toBe(true);
  expect(Object.isFrozen(DEFAULT_OPTIONS)).toBe(true);
  expect(Object.isFrozen(given)).toBe(false);
  expect(given).toEqual({ heapBytes: MIB });
});

test('the mark stack grows with the heap between its limits', () => {
  expect(markStackEntries(resolveOptions({ heapBytes: 256 * KIB }))).toBe(16 * KIB);
  expect(markStackEntries(resolveOptions({ heapBytes: 128 * MIB }))).toBe(2 * MIB);
  expect(markStackEntries(resolveOptions({ heapBytes: GIB }))).toBe(4 * MIB);
  expect(markStackEntries(resolveOptions({ stress: { markStackEntries: 8 } }))).toBe(8);
});

test('the least size is 32 MiB, or a small heap', () => {
  expect(resolveOptions({ heapBytes: GIB }).minHeapBytes).toBe(32 * MIB);
  expect(resolveOptions({ heapBytes: MIB }).minHeapBytes).toBe(MIB);
  expect(refusal({ heapBytes: MIB, minHeapBytes: 2 * MIB }).hint).toContain('minHeapBytes');
});
