// Fault servers that do not wait for each other.

import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { resolveOptions } from '#src/gc/options.js';
import { batch, succeed } from './support.ts';

describe.each(['continue', 'copy'])('%s: while one page takes long', (fill) => {
  const outcome = batch<{ first: string }>('servers', {
    1: ['slowPage', { options: { fill, servers: 1 } }],
    2: ['slowPage', { options: { fill, servers: 2 } }],
    4: ['slowPage', { options: { fill, servers: 4 } }],
  });

  // A lone server has no choice: shows that the other test can fail.
  test.each([
    [1, 'slow'],
    [2, 'fast'],
    [4, 'fast'],
  ])('with %i server(s) the %s fault is served first', async (servers, first) => {
    expect((await outcome(`${servers}`)).first).toBe(first);
  });
});

test('no window opens while a server is busy with a message of the last one', async () => {
  await succeed('servers', 'busyServer');
});

test('auto leaves a CPU to the mutators, and starts at least one and at most four', () => {
  const { servers } = resolveOptions({ servers: 'auto' });
  expect(servers).toBe(resolveOptions().servers);
  expect(servers).toBe(Math.min(4, Math.max(1, availableParallelism() - 1)));
});
