import { expect, test } from 'vitest';
import type { WasmGuestReport } from '#examples/wasm-guest/main.js';
import { example, exampleReport } from './run.ts';

const SMALL = ['--scale', '0.02', '--cycles', '10', '--rounds', '1'];

test('the guest computes the same while it is collected', async () => {
  const { busy, speed } = await exampleReport<WasmGuestReport>('wasm-guest', ...SMALL);
  expect(busy).toMatchObject({ verify: false, equal: true });
  expect(busy.cycles).toBeGreaterThanOrEqual(10);
  expect(busy.faults).toBeGreaterThan(0);
  expect(Object.keys(busy.checksums)).toEqual(['trees', 'map', 'list']);
  for (const { plain, managed } of Object.values(busy.checksums)) {
    expect(managed.length).toBeGreaterThan(0);
    expect(new Set(managed)).toEqual(new Set([plain]));
  }
  expect(speed!.map(({ program }) => program)).toEqual(['trees', 'map', 'list']);
  for (const { ratio } of speed!) expect(ratio.median).toBeGreaterThan(0);
});

test('so does the checked one', async () => {
  const { busy, speed } = await exampleReport<WasmGuestReport>(
    'wasm-guest',
    '--verify',
    '--scale=0.01',
    '--cycles=2',
  );
  expect(busy).toMatchObject({ verify: true, equal: true });
  expect(speed).toBeUndefined();
});

test('tables are printed', async () => {
  const { status, stdout, stderr } = await example('wasm-guest', ...SMALL);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^All checksums are equal\.$/m);
  expect(stdout).toMatch(/^list +50 reversals of 500 nodes/m);
});

test.each([['--scale', '2'], ['--cycles', '0'], ['--rounds', 'x'], ['--no-such']])(
  '%s %s is refused',
  async (...args) => {
    const { status, stderr } = await example('wasm-guest', ...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^wasm-guest: ERR_OPTION: /);
  },
);
