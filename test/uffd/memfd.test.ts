import { afterEach, expect, test } from 'vitest';
import {
  createLibcKernel,
  EINVAL,
  ENOMEM,
  errnoName,
  injectFaults,
  MADV_DONTNEED,
  MADV_REMOVE,
  Memfd,
  PROT_READ,
} from '#src/uffd/index.js';
import { createArena } from '../support/arena.mjs';
import { isMapped, openDescriptors } from '../support/resources.ts';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const BYTES = 16 * PAGE;
const files: Memfd[] = [];
const create = (): Memfd => {
  const file = Memfd.create(kernel, 'memfd-test', BYTES);
  files.push(file);
  return file;
};
afterEach(() => {
  for (const file of files.splice(0)) file.close();
});

test('a new file is sparse; two mappings of it show the same bytes, at their offsets', () => {
  const file = create();
  expect(file.allocatedBytes()).toBe(0);
  const arena = createArena(4);
  file.map(arena.address, BYTES);
  file.map(arena.address + BYTES, PAGE, { offset: 2 * PAGE });
  arena.words[(2 * PAGE) / 4] = 42;
  expect(arena.words[BYTES / 4]).toBe(42);
  expect(file.allocatedBytes()).toBe(PAGE);
});

test('MADV_DONTNEED frees nothing; punching a hole and MADV_REMOVE do', () => {
  const file = create();
  const arena = createArena(4);
  file.map(arena.address, BYTES);
  arena.bytes.fill(1, 0, BYTES);
  expect(file.allocatedBytes()).toBe(BYTES);
  expect(kernel.madvise(arena.address, BYTES, MADV_DONTNEED)).toBe(0);
  expect(file.allocatedBytes()).toBe(BYTES);
  expect(arena.bytes[0]).toBe(1);
  file.punch(0, BYTES / 2);
  expect(file.allocatedBytes()).toBe(BYTES / 2);
  expect([arena.bytes[0], arena.bytes[BYTES / 2]]).toEqual([0, 1]);
  // The read of the hole above has allocated one page again.
  expect(file.allocatedBytes()).toBe(BYTES / 2 + PAGE);
  expect(kernel.madvise(arena.address, BYTES, MADV_REMOVE)).toBe(0);
  expect(file.allocatedBytes()).toBe(0);
});

test('the protection is the one asked for', () => {
  const file = create();
  const arena = createArena(4);
  file.map(arena.address, BYTES, { prot: PROT_READ });
  expect(isMapped(arena.address, BYTES, /^r--s/)).toBe(true);
});

test('errors name the file and what was tried', () => {
  const file = create();
  expect(() => file.map(0, BYTES)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
  const arena = createArena(4);
  expect(() => file.map(arena.address, BYTES, { offset: 1 })).toThrow(
    expect.objectContaining({
      code: 'ERR_SYSCALL',
      errnoName: 'EINVAL',
      message: expect.stringContaining('memfd-test'),
    }),
  );
  expect(() => file.punch(0, 0)).toThrow(expect.objectContaining({ errno: EINVAL, syscall: 'fallocate' }));
});

test('close is idempotent; afterwards the object says that it is closed', () => {
  const before = openDescriptors();
  const file = create();
  expect(openDescriptors()).toBe(before + 1);
  file.close();
  file.close();
  file[Symbol.dispose]();
  expect(openDescriptors()).toBe(before);
  expect(file.fd).toBe(-1);
  const closed = expect.objectContaining({
    code: 'ERR_STATE',
    message: expect.stringContaining('memfd-test'),
  });
  expect(() => file.allocatedBytes()).toThrow(closed);
  expect(() => file.punch(0, PAGE)).toThrow(closed);
  expect(() => file.map(PAGE, PAGE)).toThrow(closed);
});

test('an adopted file leaves the descriptor to its owner', () => {
  const file = create();
  const adopted = Memfd.adopt(kernel, 'memfd-test', file.fd, BYTES);
  adopted.close();
  expect(file.allocatedBytes()).toBe(0);
});

test('whichever call of the creation fails, no descriptor is left', () => {
  const before = openDescriptors();
  let nth = 1;
  for (; ; nth++) {
    const failing = injectFaults(kernel, [{ call: '*', nth, errno: ENOMEM }]);
    try {
      Memfd.create(failing, 'failing', BYTES).close();
    } catch (e) {
      expect(e).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', errnoName: errnoName(ENOMEM) });
      expect(openDescriptors()).toBe(before);
      continue;
    }
    break;
  }
  // memfd_create and ftruncate can fail; a failing close at the end is of no consequence.
  expect(nth).toBe(3);
  expect(openDescriptors()).toBe(before);
});
