import { expect, test } from 'vitest';
import { growOnce, METHODS } from '#examples/realloc/grow.js';
import type { ReallocReport } from '#examples/realloc/main.js';
import { Pattern } from '#examples/realloc/pattern.js';
import { createLibcKernel, ENOMEM, injectFaults, type Kernel } from '#src/uffd/index.js';
import { example, exampleReport } from './run.ts';

const MIB = 1024 * 1024;
const aSpread = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };
const kernel = createLibcKernel();
const pattern = new Pattern();

test('every size up to the largest is grown in three ways, and everything is verified', async () => {
  const { sizes, cut, rounds } = await exampleReport<ReallocReport>(
    'realloc',
    '--max',
    '4MiB',
    '--rounds',
    '3',
  );
  expect({ rounds, cut }).toEqual({ rounds: 3, cut: [] });
  expect(sizes.map(({ bytes }) => bytes)).toEqual([MIB, 4 * MIB]);
  for (const size of sizes) {
    expect(size.us).toEqual({ move: aSpread, copy: aSpread, copyWarm: aSpread });
    expect(size.verified).toEqual({ arrived: true, grown: true, sourceZero: true });
    expect(size.us.move.min).toBeGreaterThan(0);
    expect(size.ratios.copy).toBeCloseTo(size.us.copy.median / size.us.move.median, 0);
  }
});

test('from 64 MiB on moving is at least ten times as fast as copying into fresh memory', {
  retry: 3,
}, async () => {
  const { sizes } = await exampleReport<ReallocReport>('realloc', '--max', '64MiB', '--rounds', '3');
  expect(sizes.at(-1)?.bytes).toBe(64 * MIB);
  expect(sizes.at(-1)?.ratios.copy).toBeGreaterThan(10);
});

test('when the time is over, one round each is left, and the report says so', async () => {
  const { sizes, rounds } = await exampleReport<ReallocReport>(
    'realloc',
    '--max',
    '4MiB',
    '--rounds',
    '50',
    '--seconds',
    '0',
  );
  expect(rounds).toBe(50);
  expect(sizes.map((size) => size.rounds)).toEqual([1, 1]);
});

test('the table, the plot and the claims', async () => {
  const { status, stdout, stderr } = await example('realloc', '--max', '1MiB', '--rounds', '1');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^1 MiB +1 +[\d.]+ [µm]s \(/m);
  expect(stdout).toMatch(/^ +copy +▇+ [\d.]+ [µm]s$/m);
  expect(stdout.match(/: yes$/gm)).toHaveLength(3);
});

test('wrong arguments are named, and the status is 2', async () => {
  for (const args of [
    ['--max', '2GiB'],
    ['--max', 'much'],
    ['--rounds', '0'],
    ['--seconds', '-1s'],
    ['--what'],
  ]) {
    const { status, stdout, stderr } = await example('realloc', ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(args[0]);
  }
  expect(await example('realloc', '--help')).toMatchObject({ status: 0, stderr: '' });
});

test.each(METHODS)('%s: the block is whole at its new place, and zeroes are where it was', (method) => {
  expect(growOnce(kernel, pattern, method, 2 * MIB)).toEqual({
    us: expect.any(Number),
    arrived: true,
    grown: true,
    sourceZero: true,
  });
});

test('a move that did not happen, and one that left a page behind, are found', () => {
  // A kernel that says yes and does nothing.
  const lazy: Kernel = { ...kernel, mremap: (_from, _length, _newLength, _flags, target) => target };
  expect(growOnce(lazy, pattern, 'move', MIB)).toMatchObject({ arrived: false, sourceZero: false });
  // A kernel that keeps the last page back.
  const short: Kernel = {
    ...kernel,
    mremap: (from, length, newLength, flags, target) =>
      kernel.mremap(from, length - 4096, newLength - 4096, flags, target),
  };
  expect(growOnce(short, pattern, 'move', MIB)).toMatchObject({ arrived: false, sourceZero: false });
});

test('a step that the kernel refuses is an error that names it', () => {
  for (const [call, method] of [
    ['mremap', 'move'],
    ['madvise', 'copy'],
    ['madvise', 'copyWarm'],
    ['mprotect', 'move'],
  ] as const) {
    const refusing = injectFaults(kernel, [{ call, nth: 1, errno: ENOMEM }]);
    expect(() => growOnce(refusing, pattern, method, MIB)).toThrow(
      expect.objectContaining({ code: 'ERR_OUT_OF_MEMORY', syscall: call }),
    );
  }
});

test('the pattern tells a byte, a page and a zero', () => {
  const memory = Buffer.alloc(2 * MIB);
  expect(pattern.isZero(memory)).toBe(true);
  pattern.write(memory);
  expect(pattern.isIn(memory)).toBe(true);
  memory[MIB + 5000]! ^= 1;
  expect(pattern.isIn(memory)).toBe(false);
  memory[MIB + 5000]! ^= 1;
  // The same page of the other MiB differs in its number.
  memory.copyWithin(0, MIB, MIB + 4096);
  expect(pattern.isIn(memory)).toBe(false);
  memory.fill(0);
  memory[2 * MIB - 1] = 1;
  expect(pattern.isZero(memory)).toBe(false);
});
