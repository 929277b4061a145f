// What a newcomer gets wrong in a call is a typed error, with a hint that helps.
import { expect, test } from 'vitest';
import { describeEnd, run } from './support.ts';

type Errors = Record<string, { code: string; message: string; hint: string }>;

async function misuse<Result = Errors>(scenario: string): Promise<Result> {
  const result = await run('refused', scenario);
  expect(result.status, describeEnd(result)).toBe(0);
  return JSON.parse(result.stdout);
}

test('an option that there is not is refused everywhere, and the hint says which one was meant', async () => {
  const errors = await misuse('keys');
  const meant = {
    maxByte: 'maxBytes',
    nam: 'name',
    realease: 'release',
    entryType: 'entryTypes',
    quik: 'quick',
    knd: 'kind',
    alignByte: 'alignBytes',
    ofset: 'offset',
    maks: 'mask',
    evry: 'every',
  };
  expect(Object.keys(errors)).toEqual(Object.keys(meant));
  for (const [key, option] of Object.entries(meant)) {
    expect(errors[key]!.code, key).toBe('ERR_OPTION');
    expect(errors[key]!.message, key).toMatch(new RegExp(`\\w: there is no option ${key}$`));
    expect(errors[key]!.hint, key).toMatch(
      new RegExp(`^Did you mean ${option}\\? Options are .*\\b${option}\\b`),
    );
  }
});

test('values of such options are checked, and sizes have units', async () => {
  const { errors, small, cycles, graph } = await misuse<{
    errors: Errors;
    small: string;
    cycles: number;
    graph: number;
  }>('values');
  expect(errors).toEqual({
    collect: {
      code: 'ERR_OPTION',
      message: 'collect: options must be an object, not true',
      hint: expect.stringContaining('release'),
    },
    release: {
      code: 'ERR_OPTION',
      message: expect.stringContaining('yes'),
      hint: expect.stringContaining('true'),
    },
    maxBytes: {
      code: 'ERR_OPTION',
      message: expect.stringContaining('1MB'),
      hint: expect.stringContaining('MiB'),
    },
    whileStopped: {
      code: 'ERR_OPTION',
      message: expect.stringContaining('whileStopped'),
      hint: expect.stringContaining('(graph) =>'),
    },
    kind: {
      code: 'ERR_OPTION',
      message: expect.stringContaining('user-mode-only, not user'),
      hint: expect.any(String),
    },
  });
  expect({ small, cycles, graph }).toEqual({
    small: 'ERR_OUT_OF_MEMORY',
    cycles: 0,
    graph: expect.any(Number),
  });
});

test('a call that does not fit the state is no defect of tospace, and changes nothing', async () => {
  const { errors, worked } = await misuse<{ errors: Errors; worked: boolean }>('states');
  for (const [name, error] of Object.entries(errors)) expect(error.code, name).toBe('ERR_STATE');
  expect(errors.leave!.hint).toContain('enter()');
  expect(errors.detachInRun!.message).toContain('run()');
  expect(Object.keys(errors)).toHaveLength(3);
  expect(worked).toBe(true);
});

test('a weak map is no intern table', async () => {
  const { errors, size } = await misuse<{ errors: Errors; size: number }>('tables');
  for (const [name, error] of Object.entries(errors)) expect(error.code, name).toBe('ERR_TYPE');
  expect(errors.mapOfSymbols!.message).toBe('these are not the types of a WeakMap');
  expect(errors.mapOfSymbols!.hint).toContain('heap.defineWeakMap()');
  expect(errors.openedSymbols!.message).toMatch(/^\d+ is no InternTable$/);
  expect(Object.keys(errors)).toHaveLength(6);
  expect(size).toBe(0);
});
