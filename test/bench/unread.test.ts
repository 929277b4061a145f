// The command line with an output that nobody reads (`| head`).
import { expect, it } from 'vitest';
import { runUnread } from '../support/child.ts';
import { MAIN } from './cli.ts';

it.each([
  ['doctor', '--json'],
  ['--help'],
  ['bench', 'flip', '--sizes=1MiB', '--rounds=1'],
  ['run', 'gcbench', '--scale=0.05', '--heap=64MiB'],
])('%s ends as if it had been read', async (...args) => {
  const { status, signal, stderr } = await runUnread(process.execPath, [MAIN, ...args]);
  expect({ status, signal }).toEqual({ status: 0, signal: null });
  expect(stderr).not.toContain('EPIPE');
});
