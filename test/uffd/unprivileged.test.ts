import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ChildResult, runCommand, supportScript } from '../support/child.ts';

// The package promises to work without privileges. As root, the tests become nobody to see it; otherwise they are enough of one.
const isRoot = process.getuid?.() === 0;
const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--'];
const run = (command: string, ...args: string[]): Promise<ChildResult> =>
  isRoot ? runCommand('setpriv', [...asNobody, command, ...args]) : runCommand(command, args);
const report = async (script: string, ...args: string[]) => {
  const { status, stdout, stderr } = await run(process.execPath, supportScript(script), ...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout);
};

let obstacle: string | undefined;
beforeAll(async () => {
  // Nobody may be kept out of the working copy, of node, or (without util-linux) never come to be.
  const needed = [
    process.execPath,
    fileURLToPath(import.meta.resolve('koffi')),
    supportScript('unprivileged.mjs'),
  ];
  for (const file of needed) {
    const result = await run('test', '-r', file).catch((e: Error) => e);
    if (result instanceof Error) obstacle = `setpriv cannot be run: ${result.message}`;
    else if (result.status !== 0) obstacle = `an unprivileged user cannot read ${file}: ${result.stderr}`;
  }
});

describe('as an unprivileged user', () => {
  test('the kind is the one that the sysctl allows, and concurrent compaction is possible', async (context) => {
    if (obstacle !== undefined) context.skip(obstacle);
    const { uid, kind, probed } = await report('unprivileged.mjs');
    expect(uid).not.toBe(0);
    const allowed = readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim() === '1';
    expect(kind).toBe(allowed || probed.userfaultfd.device.ok ? 'full' : 'user-mode-only');
    expect(probed.userfaultfd.userModeOnly.ok).toBe(true);
    expect(probed.concurrent.ok).toBe(true);
    if (!allowed) expect(probed.userfaultfd.full.reason).toMatch(/EPERM.*vm\.unprivileged_userfaultfd/);
  });

  for (const scenario of ['serve-copy', 'serve-continue-write']) {
    test(`faults are served: ${scenario}`, async (context) => {
      if (obstacle !== undefined) context.skip(obstacle);
      const { seen, faults } = await report('fault-scenarios.mjs', scenario);
      expect(faults).toBe(16);
      expect(seen).toEqual(Array.from({ length: 16 }, (_, page) => 1000 + page));
    });
  }
});
