import { describe, expect, test } from 'vitest';
import { TospaceError } from '#src/errors.js';
import { DEFAULT_OPTIONS, type HeapOptions, markStackEntries, resolveOptions } from '#src/gc/options.js';
import { formatOptions, HEAP_OPTIONS, parseOptions } from '#src/gc/options/text.js';
import { GIB, KIB, MIB } from '#src/heap/geometry.js';
import { EAGAIN, ENOMEM } from '#src/uffd/index.js';

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
  heap: [...NOT_INTEGERS, 0, 256 * KIB - 4096, 256 * KIB + 1, 256 * KIB + 2048, 1.25 * GIB + 4096],
  nonMoving: [...NOT_INTEGERS, 0, 60 * KIB, 64 * KIB + 1, GIB + 4096],
  largeObject: [...NOT_INTEGERS, 0, 4095, 2 ** 31 + 1],
  collector: ['', 'generational', null, 1, ['concurrent'], Symbol('x')],
  fill: ['zero', 'CONTINUE', null, false],
  retention: ['keep', null, 0],
  servers: [...NOT_INTEGERS, 0, 16],
  log: ['all', true],
  placement: ['cpu', null, 3],
  minHeap: [...NOT_INTEGERS, 0, 256 * KIB - 4096, 256 * KIB + 1, 256 * MIB + 4096],
  targetUtilisation: [0, 0.09, 0.96, 1, Number.NaN, '0.5', null, 1n],
  idleCollectMs: [...NOT_INTEGERS, 2 ** 31 + 1],
  trigger: ['soon', 'AUTO', 0, 0.04, 0.96, 1, Number.NaN, '0.5', null, 1n],
  verify: [0, 1, true, 'on', null],
  userfaultfd: ['none', null, {}],
  persistentSlots: [...NOT_INTEGERS, 0, 2 ** 24],
  typeMaps: [...NOT_INTEGERS, 0, 4095, 4097, 64 * MIB + 4096],
  safepointWarnMs: [...NOT_INTEGERS, 0, 2 ** 31 + 1],
  safepointTimeoutMs: [...NOT_INTEGERS, -1, 2 ** 31 + 1],
  pausePriority: ['high', null, 1],
  faultSamples: [...NOT_INTEGERS, 65],
  stress: [null, 1, 'all', true],
};

test('every option has bad values here', () => {
  expect(Object.keys(BAD).sort()).toEqual(Object.keys(DEFAULT_OPTIONS).sort());
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
  ['delayMs', [1]],
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

test.each([
  ['heap=64MiB', 'parseOptions'],
  [null, 'createHeap'],
  [[], 'createHeap'],
  [64, 'createHeap'],
])('options that are %j are refused, with what to write instead', (options, cure) => {
  const error = refusal(options);
  expect(error.code).toBe('ERR_OPTION');
  expect(error.hint).toContain(cure);
});

test('an option string that is none is refused', () => {
  expect(() => parseOptions(undefined as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
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
  const error = refusal({ heapBytes: MIB });
  expect([error.code, error.message.includes('heapBytes'), error.hint.includes('minHeap')]).toEqual([
    'ERR_OPTION',
    true,
    true,
  ]);
  expect(refusal({ stress: { delay: 1 } }).message).toContain('stress.delay');
});

test('the limits themselves are allowed', () => {
  for (const heap of [256 * KIB, 256 * KIB + 4096, GIB, 1.25 * GIB])
    expect(resolveOptions({ heap }).heap).toBe(heap);
  for (const servers of [1, 15]) expect(resolveOptions({ servers }).servers).toBe(servers);
  for (const minHeap of [256 * KIB, 256 * MIB]) expect(resolveOptions({ minHeap }).minHeap).toBe(minHeap);
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
  const given = { heap: MIB };
  const options = resolveOptions(given);
  expect(Object.isFrozen(options)).toBe(true);
  expect(Object.isFrozen(DEFAULT_OPTIONS)).toBe(true);
  expect(Object.isFrozen(given)).toBe(false);
  expect(given).toEqual({ heap: MIB });
});

test('the mark stack grows with the heap between its limits', () => {
  expect(markStackEntries(resolveOptions({ heap: 256 * KIB }))).toBe(16 * KIB);
  expect(markStackEntries(resolveOptions({ heap: 128 * MIB }))).toBe(2 * MIB);
  expect(markStackEntries(resolveOptions({ heap: GIB }))).toBe(4 * MIB);
  expect(markStackEntries(resolveOptions({ stress: { markStackEntries: 8 } }))).toBe(8);
});

test('the least size is 32 MiB, or a small heap', () => {
  expect(resolveOptions({ heap: GIB }).minHeap).toBe(32 * MIB);
  expect(resolveOptions({ heap: MIB }).minHeap).toBe(MIB);
  expect(refusal({ heap: MIB, minHeap: 2 * MIB }).hint).toContain('minHeap');
});

describe('the option string', () => {
  const refusedText = (text: string): TospaceError => {
    try {
      resolveOptions({}, text);
    } catch (error) {
      return error as TospaceError;
    }
    return expect.fail(`accepted ${text}`);
  };

  test('has the keys of the object, and units', () => {
    expect(parseOptions('collector=concurrent,heap=256MiB,verify=phase')).toEqual({
      collector: 'concurrent',
      heap: 256 * MIB,
      verify: 'phase',
    });
    expect(
      parseOptions(
        ' heap = 1.25GiB , minHeap=262144, idleCollectMs=2s,safepointWarnMs=50 ,trigger=0.3,\n servers=auto ',
      ),
    ).toEqual({
      heap: 1.25 * GIB,
      minHeap: 256 * KIB,
      idleCollectMs: 2000,
      safepointWarnMs: 50,
      trigger: 0.3,
      servers: resolveOptions().servers,
    });
    expect(parseOptions('')).toEqual({});
  });

  test('has the members of stress by their paths', () => {
    expect(
      parseOptions(
        'stress.collectEveryAllocation=100,stress.delayMs.flip=2,stress.delayMs.mark=0.5ms,stress.crash=server@fault:exit,' +
          'stress.injection=collector/mremap@2:ENOMEM+ioctl#c018aa3f@every3:11:5ms+*@1:5ms',
      ),
    ).toEqual({
      stress: {
        collectEveryAllocation: 100,
        delayMs: { flip: 2, mark: 0.5 },
        crash: { worker: 'server', at: 'fault', how: 'exit' },
        injection: [
          { thread: 'collector', call: 'mremap', nth: 2, errno: ENOMEM },
          { call: 'ioctl', request: 0xc018aa3f, nth: 3, every: true, errno: EAGAIN, delayMs: 5 },
          { call: '*', nth: 1, delayMs: 5 },
        ],
      },
    });
  });

  test.each([
    ['heap=banana', 'TOSPACE: heap=banana is not allowed', 'heap must be a size from 256KiB to 1.25GiB'],
    ['heap=64MB', 'TOSPACE: heap=64MB', 'heap must be a size'],
    ['heap=', 'TOSPACE: heap= is not', 'heap must be a size'],
    ['servers=', 'TOSPACE: servers= is not', "'auto' or an integer"],
    ['heapp=1MiB', 'TOSPACE: there is no option heapp', 'collector, heap, minHeap'],
    ['heap', 'TOSPACE: "heap" is no KEY=VALUE', 'collector=concurrent'],
    ['heap=1MiB,', 'TOSPACE: "" is no KEY=VALUE', 'collector=concurrent'],
    ['heap=1MiB,heap=2MiB', 'TOSPACE: heap is there twice', 'once'],
    ['verify=true', 'TOSPACE: verify=true', 'verify must be one of off, phase, full'],
    ['safepointWarnMs=1.5', 'TOSPACE: safepointWarnMs=1.5', 'a duration from 1ms'],
    ['minHeap=512MiB', 'TOSPACE: minHeap=512MiB', 'at most as large as heap, which is 256MiB'],
    ['fill=copy,retention=recycle', 'TOSPACE: retention=recycle', 'UFFDIO_COPY'],
    ['stress=1', 'TOSPACE: there is no option stress', 'stress.crash'],
    ['stress.delayMs.sweep=1', 'TOSPACE: there is no option stress.delayMs.sweep', 'stress.delayMs.mark'],
    ['stress.crash=server', 'TOSPACE: stress.crash=server', 'WORKER@POINT:HOW'],
    ['stress.injection=mremap@2:EWHAT', 'TOSPACE: stress.injection=mremap@2:EWHAT', 'ERRNO'],
  ])('%s: the error names the variable, the key and what is allowed', (text, message, hint) => {
    const error = refusedText(text);
    expect(error.code).toBe('ERR_OPTION');
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  test('code goes before the environment, the environment before the defaults, key by key', () => {
    const outside =
      'heap=64MiB,verify=phase,stress.delayMs.mark=1,stress.delayMs.flip=2,stress.markStackEntries=8';
    const options = resolveOptions(
      { heap: '32MiB', servers: undefined as never, stress: { delayMs: { flip: 5 } } },
      outside,
    );
    expect(options).toMatchObject({
      heap: 32 * MIB,
      minHeap: 32 * MIB,
      verify: 'phase',
      collector: 'concurrent',
    });
    expect(options.stress).toEqual({ delayMs: { mark: 1, flip: 5 }, markStackEntries: 8 });
    expect(options.servers).toBe(DEFAULT_OPTIONS.servers);
  });

  test('who made a conflict is named: the code, where it gave the value', () => {
    expect(refusal({ heap: '1MiB', minHeap: '2MiB' }).message).toBe('option minHeap: 2097152 is not allowed');
    try {
      resolveOptions({ heap: '1MiB' }, 'minHeap=2MiB');
      expect.fail('accepted');
    } catch (error) {
      expect((error as Error).message).toBe('TOSPACE: minHeap=2MiB is not allowed');
    }
  });

  test.each([
    {},
    { heap: 300 * KIB, fill: 'copy', verify: 'full', servers: 3, trigger: 0.3 },
    { heap: '1.25GiB', largeObject: 4097, safepointTimeoutMs: 0, idleCollectMs: 1234, collector: 'auto' },
    {
      stress: {
        collectEverySafepoint: 7,
        delayMs: { batch: 0.5, close: 2 },
        crash: { worker: 'collector', at: 'plan', how: 'throw' },
        injection: [
          { thread: 'server', call: '*', nth: 3, every: true, errno: ENOMEM, delayMs: 1.5 },
          { call: 'ioctl', request: 0xaa00, nth: 1, errno: 95 },
          { call: 'madvise', nth: 1, errno: 131 },
        ],
      },
    },
  ] as HeapOptions[])('what formatOptions prints reads back: %j', (given) => {
    const options = resolveOptions(given);
    expect(resolveOptions(parseOptions(formatOptions(options)))).toEqual(options);
  });

  test('the list has every key of the object, and every description is whole', () => {
    const plain = HEAP_OPTIONS.map(({ key }) => key).filter((key) => !key.startsWith('stress.'));
    expect([...plain, 'stress'].sort()).toEqual(Object.keys(DEFAULT_OPTIONS).sort());
    for (const { key, doc, rule, notation, byDefault } of HEAP_OPTIONS) {
      for (const text of [doc, rule, notation, byDefault]) expect(text, key).toMatch(/\S/);
      expect(doc, key).toMatch(/\.$/);
    }
  });
});
