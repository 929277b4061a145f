import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { decodeError, encodeError, invariant, TospaceError } from '#src/uffd/index.js';
import { supportScript } from '../support/child.ts';

const full = () =>
  new TospaceError('ERR_OUT_OF_MEMORY', 'mapping failed', {
    hint: 'raise vm.max_map_count',
    syscall: 'mremap',
    errno: 12,
    errnoName: 'ENOMEM',
    cause: new RangeError('too much', { cause: 'a string' }),
  });

test('an error has a code, a hint for every code, and what the kernel said', () => {
  const error = full();
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'TospaceError',
    code: 'ERR_OUT_OF_MEMORY',
    syscall: 'mremap',
    errno: 12,
  });
  expect(error.hint).toBe('raise vm.max_map_count');
  expect(new TospaceError('ERR_STATE', 'closed').hint).not.toBe('');
});

test('a broken invariant is named', () => {
  expect(() => invariant(1 > 0, 'never')).not.toThrow();
  expect(() => invariant(false, 'pages are built once')).toThrow(
    expect.objectContaining({
      code: 'ERR_INVARIANT',
      message: expect.stringContaining('pages are built once'),
    }),
  );
});

test('the codec keeps everything, through JSON too', () => {
  const error = full();
  const back = decodeError(JSON.parse(JSON.stringify(encodeError(error)))) as TospaceError;
  expect(back).toBeInstanceOf(TospaceError);
  expect({ ...back }).toEqual({ ...error });
  expect(back.message).toBe(error.message);
  expect(back.stack).toBe(error.stack);
  expect(back.cause).toBeInstanceOf(RangeError);
  expect((back.cause as Error).cause).toMatchObject({ message: 'a string' });
});

test('encoding twice is the same as once, and an Error needs no decoding', () => {
  const once = encodeError(full());
  expect(encodeError(once)).toBe(once);
  const error = new Error('plain');
  expect(decodeError(error)).toBe(error);
});

test('things that are no errors, and errors of others', () => {
  expect(decodeError(encodeError('text')).message).toBe('text');
  expect(decodeError(encodeError(undefined)).message).toBe('undefined');
  const hostile = Object.create(null);
  expect(decodeError(encodeError(hostile))).toBeInstanceOf(Error);
  const enoent = decodeError(encodeError(Object.assign(new Error('no file'), { code: 'ENOENT', errno: -2 })));
  expect(enoent).not.toBeInstanceOf(TospaceError);
  expect(enoent).toMatchObject({ code: 'ENOENT', errno: -2 });
});

test('a cycle of causes ends', () => {
  const error = new Error('loop');
  error.cause = error;
  let depth = 0;
  for (let e: unknown = decodeError(encodeError(error)); e !== undefined; e = (e as Error).cause) depth++;
  expect(depth).toBeGreaterThan(1);
  expect(depth).toBeLessThan(100);
});

test('an error survives the way out of a real worker; without the codec it does not', async () => {
  const worker = new Worker(supportScript('error-worker.mjs'));
  const [{ encoded, bare }] = await once(worker, 'message');
  expect(bare).not.toBeInstanceOf(TospaceError);
  const error = decodeError(encoded);
  expect(error).toBeInstanceOf(TospaceError);
  expect(error).toMatchObject({ code: 'ERR_SYSCALL', errnoName: 'EBADF', syscall: 'fallocate' });
  expect(error.stack).toContain('error-worker.mjs');
});
