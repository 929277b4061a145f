import { describe, expect, test } from 'vitest';
import { createLibcKernel, ENOMEM, injectFaults, Memfd, Reservation } from '#src/uffd/index.js';
import { accountMappings, isMapped } from '../support/resources.ts';

const kernel = createLibcKernel();
const PAGE = kernel.getpagesize();
const GIB = 2 ** 30;

describe('placement', () => {
  test.each([
    [GIB, GIB, 0],
    [2 * GIB, GIB, 0x7f12_3456_7000],
    [3 * PAGE, GIB, 5 * GIB + PAGE],
    [PAGE, PAGE, 3 * PAGE],
    [5 * PAGE, 2 ** 21, 2 ** 21 - PAGE],
  ])('%i bytes, modulo %i, congruent to %i', (bytes, alignBytes, congruentTo) => {
    const account = accountMappings(kernel);
    const place = Reservation.reserve(account.kernel, bytes, { alignBytes, congruentTo });
    try {
      expect(place.address % alignBytes).toBe(congruentTo % alignBytes);
      expect(place.bytes).toBe(bytes);
      expect(isMapped(place.address, bytes, /^---p/)).toBe(true);
      expect(account.mappedBytes()).toBe(bytes);
    } finally {
      place.close();
    }
    expect(account.mappedBytes()).toBe(0);
  });
});

test('reset puts emptiness over a mapping and keeps the place', () => {
  const place = Reservation.reserve(kernel, 8 * PAGE);
  const file = Memfd.create(kernel, 'reset', 8 * PAGE);
  file.map(place.address, 8 * PAGE);
  expect(isMapped(place.address, 8 * PAGE, /^rw-s/)).toBe(true);
  place.reset(place.address + PAGE, PAGE);
  expect(isMapped(place.address + PAGE, PAGE, /^---p/)).toBe(true);
  expect(isMapped(place.address + 2 * PAGE, 6 * PAGE, /^rw-s/)).toBe(true);
  place.reset(place.address + 4 * PAGE);
  expect(isMapped(place.address + 4 * PAGE, 4 * PAGE, /^---p/)).toBe(true);
  place.reset();
  expect(isMapped(place.address, 8 * PAGE, /^---p/)).toBe(true);
  file.close();
  place.close();
});

test('a reset outside is refused, and nothing is replaced', () => {
  const place = Reservation.reserve(kernel, 2 * PAGE);
  const { address } = place;
  for (const [addr, length] of [
    [address - PAGE, PAGE],
    [address + PAGE, 2 * PAGE],
    [address + 2 * PAGE, PAGE],
    [address, 0],
  ] as const) {
    expect(() => place.reset(addr, length)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
  }
  place.close();
});

test('close is idempotent: the second one must not unmap what came there since', () => {
  const place = Reservation.reserve(kernel, 4 * PAGE);
  place.close();
  const calls = injectFaults(kernel, []);
  const again = Reservation.reserve(calls, 4 * PAGE);
  const trims = calls.calls.get('munmap') ?? 0;
  again.close();
  again.close();
  again[Symbol.dispose]();
  expect(calls.calls.get('munmap')).toBe(trims + 1);
  expect(() => again.reset()).toThrow(expect.objectContaining({ code: 'ERR_STATE' }));
});

test.each([
  ['bytes', 0, {}],
  ['bytes', PAGE + 1, {}],
  ['bytes', Number.NaN, {}],
  ['alignBytes', PAGE, { alignBytes: 3 * PAGE }],
  ['alignBytes', PAGE, { alignBytes: 1 }],
  ['congruentTo', PAGE, { congruentTo: 1 }],
  ['congruentTo', PAGE, { congruentTo: -PAGE }],
])('a bad %s is named', (key, bytes, options) => {
  expect(() => Reservation.reserve(kernel, bytes, options)).toThrow(
    expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringContaining(key) }),
  );
});

test('whichever call fails, nothing stays mapped', () => {
  let nth = 1;
  for (; ; nth++) {
    const account = accountMappings(kernel);
    const failing = injectFaults(account.kernel, [{ call: '*', nth, errno: ENOMEM }]);
    try {
      // This address makes a trim at both ends as good as certain.
      const place = Reservation.reserve(failing, 2 * PAGE, { alignBytes: GIB, congruentTo: 77 * PAGE });
      expect(account.mappedBytes()).toBe(2 * PAGE);
      account.kernel.munmap(place.address, place.bytes);
      break;
    } catch (e) {
      expect(e).toMatchObject({ code: 'ERR_OUT_OF_MEMORY' });
      expect(account.mappedBytes()).toBe(0);
    }
  }
  // mmap and the two trims can fail.
  expect(nth).toBe(4);
});
