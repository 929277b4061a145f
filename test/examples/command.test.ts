// What the command lines of all examples have in common.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readSize, writeSize } from '#examples/support/sizes.js';
import { fitSizes } from '#examples/support/memory.js';
import { runCommand } from '../support/child.ts';
import { exampleUnread } from './run.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const NAMES = readdirSync(examples).filter((name) => existsSync(join(examples, name, 'main.ts')));

const script = fileURLToPath(new URL('../../scripts/example.mjs', import.meta.url));

test.each([
  ['swap', '--seconds=0.2', '--anon=4MiB', '--shmem=4MiB', '--resident=1MiB', '--json'],
  ['realloc', '--max=1MiB', '--rounds=1', '--json'],
  ['mirror', '--max=64KiB', '--pass=64KiB', '--rounds=1'],
  ['mirror', '--help'],
])('%s ends well when nobody reads what it says', async (name, ...args) => {
  expect(await exampleUnread(name, ...args)).toMatchObject({ status: 0, signal: null });
});

test.each([[], ['no-such-example'], ['support'], ['..']])(
  'an example that is none (%s) is status 2, and all are named',
  async (...args) => {
    const { status, stderr } = await runCommand(process.execPath, [script, ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(new RegExp(`one of: ${NAMES.join(', ')}$`, 'm'));
  },
);

test('sizes', () => {
  expect(['4096', '1.5MiB', '64 KiB', '0'].map((text) => readSize('--max', text))).toEqual([
    4096, 1_572_864, 65_536, 0,
  ]);
  for (const text of ['', '-1', '64MB', '1.0001KiB', 'NaN', '99999999999GiB'])
    expect(() => readSize('--max', text)).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION',
        message: expect.stringMatching(/^--max: ".*" is not a size/),
      }),
    );
  expect([0, 1023, 1536, 2 ** 30].map(writeSize)).toEqual(['0 B', '1023 B', '1.5 KiB', '1 GiB']);
});

test('what there is no memory for is left out, with the reason', () => {
  const { fit, cut } = fitSizes([2 ** 20, 2 ** 50], 1);
  expect(fit).toEqual([2 ** 20]);
  expect(cut).toEqual([
    { bytes: 2 ** 50, reason: expect.stringMatching(/^needs \d+\.?\d* GiB, .* are available$/) },
  ]);
});
