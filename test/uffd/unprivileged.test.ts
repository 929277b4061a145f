import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ProbeReport } from '#src/uffd/index.js';
import { supportScript } from '../support/child.ts';
import { runUnprivileged, unprivilegedObstacle } from '../support/unprivileged.ts';

// The package promises to work without privileges.
const report = async (script: string, ...args: string[]) => {
  const { status, stdout, stderr } = await runUnprivileged(process.execPath, supportScript(script), ...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout);
};

let obstacle: string | undefined;
beforeAll(async () => {
  obstacle = await unprivilegedObstacle();
});

describe('as an unprivileged user', () => {
  test('the kind is the one that the sysctl allows, and concurrent compaction is possible', async (context) => {
    if (obstacle !== undefined) context.skip(obstacle);
    const { uid, kind, probed } = await report('unprivileged.mjs');
    expect(uid).not.toBe(0);
    const row = (id: string) => (probed as ProbeReport).rows.find((found) => found.id === id)!;
    const allowed = readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim() === '1';
    const full = allowed || row('uffd-device').status === 'ok';
    expect(kind).toBe(full ? 'full' : 'user-mode-only');
    expect(probed.verdict).toMatchObject({ concurrent: true, userfaultfd: kind });
    expect(row('uffd-user-mode-only')).toMatchObject({
      status: 'ok',
      values: { systemCallOnMissingPage: 'EFAULT' },
    });
    if (full) return;
    // The limits of this kind, who sets them, and how they are lifted.
    expect(row('uffd-access')).toMatchObject({
      status: 'limited',
      found: expect.stringMatching(
        /user-mode-only.*EFAULT.*vm\.unprivileged_userfaultfd is 0.*CAP_SYS_PTRACE/,
      ),
      repair: 'sudo sysctl -w vm.unprivileged_userfaultfd=1',
      values: {
        sysctl: 0,
        capSysPtrace: false,
        obstacle: 'privilege',
        device: expect.stringMatching(/EACCES|ENOENT/),
      },
    });
    expect(row('uffd-full')).toMatchObject({ status: 'missing', values: { errno: 'EPERM' } });
    expect(row('feature-event-fork')).toMatchObject({ status: 'missing', values: { errno: 'EPERM' } });
    expect(probed.verdict.reason).toMatch(/user-mode-only.*EFAULT/);
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
