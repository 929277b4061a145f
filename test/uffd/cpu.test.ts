import { afterAll, expect, test } from 'vitest';
import { allowedCpus, createLibcKernel, currentCpu, pin } from '#src/uffd/index.js';

const kernel = createLibcKernel();
const allowed = allowedCpus(kernel);
afterAll(() => pin(kernel, 0, allowed));

test('the current CPU is one of the allowed ones, in ascending order', () => {
  expect(allowed).toContain(currentCpu(kernel));
  expect(allowed).toEqual([...new Set(allowed)].sort((a, b) => a - b));
});

test('a pinned thread runs where it was pinned, at once', () => {
  for (const cpu of allowed) {
    pin(kernel, 0, [cpu]);
    expect(currentCpu(kernel)).toBe(cpu);
    expect(allowedCpus(kernel)).toEqual([cpu]);
  }
  pin(kernel, kernel.gettid(), allowed);
  expect(allowedCpus(kernel, kernel.gettid())).toEqual(allowed);
});

test('what cannot be', () => {
  expect(() => pin(kernel, 0, [])).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
  expect(() => pin(kernel, 0, [-1])).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
  expect(() => pin(kernel, 0, [8192])).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
  // A CPU that no machine of the tests has.
  expect(() => pin(kernel, 0, [8191])).toThrow(expect.objectContaining({ errnoName: 'EINVAL' }));
  // Larger than any thread id the kernel gives out (2^22).
  expect(() => allowedCpus(kernel, 0x7fff_ffff)).toThrow(expect.objectContaining({ errnoName: 'ESRCH' }));
});
