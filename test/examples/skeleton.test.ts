// The skeleton as people run it. What the kit finds is tested in test/conformance.
import { expect, test } from 'vitest';
import type { SkeletonReport } from '#examples/skeleton/main.js';
import { runProgram } from '#examples/skeleton/program.js';
import { example } from './run.ts';

test('the machine keeps what its program keeps, while collections run', async () => {
  const { text, allocatedBytes, cycles } = await runProgram();
  expect(text).toBe('objects move and the program runs');
  expect(allocatedBytes).toBeGreaterThan(4e6);
  expect(cycles).toBeGreaterThan(0);
});

test('a planted mistake is named, and the status is 0 because that is true', async () => {
  const { status, stdout, stderr } = await example('skeleton', '--mistake', 'lying-size', '--seed', '7');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^Planted, and named: lying-size\.$/m);
  expect(stdout).toMatch(/lying-size: type string \(seed 7\)/);
});

test('as JSON', async () => {
  const { status, stdout } = await example('skeleton', '--mistake', 'wrong-map', '--json');
  const report = JSON.parse(stdout) as SkeletonReport;
  expect({ status, planted: report.planted, found: report.conformance.mistakes }).toEqual({
    status: 0,
    planted: 'wrong-map',
    found: ['wrong-map'],
  });
});

test('wrong arguments are named, and the status is 2', async () => {
  for (const args of [['--mistake', 'laziness'], ['--seed', '1.5'], ['--effort', '0'], ['--what']]) {
    const { status, stdout, stderr } = await example('skeleton', ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(args[0]);
  }
});
