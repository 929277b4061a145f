import { describe, expect, test } from 'vitest';
import { EEXIST, EFAULT, UFFD_PAGEFAULT_FLAG_MINOR, UFFD_PAGEFAULT_FLAG_WRITE } from '#src/uffd/index.js';
import { runScenario } from '../support/child.ts';

interface Served {
  end: string;
  seen: number[];
  alias: number[];
  stored: number[];
  tid: number;
  faults: number;
  wakes: number;
  drains: number;
  flags: number[];
  threads: number[];
  order: string[];
}

const SCRIPT = 'fault-scenarios.mjs';
const built = Array.from({ length: 16 }, (_, page) => 1000 + page);

describe('faults of a worker, served by the thread that started it', () => {
  test.each(['serve-copy', 'serve-continue'])('%s', async (scenario) => {
    const served = await runScenario<Served>(SCRIPT, scenario);
    expect(served.end).toBe('stop');
    expect(served.seen).toEqual(built);
    expect(served.alias).toEqual(built);
    expect(served.faults).toBe(16);
    expect(served.threads).toEqual([served.tid]);
    const minor = scenario === 'serve-continue' ? UFFD_PAGEFAULT_FLAG_MINOR : 0;
    expect(served.flags).toEqual(built.map((_, page) => (page % 2 === 0 ? minor : 0)));
    // The busy flag goes up before every read and down after the faults of that read.
    expect(served.wakes).toBe(served.drains);
    expect(served.order.join(' ')).toMatch(/^(wake (faults )?drained ?)+$/);
  });

  test('stores are not lost', async () => {
    const served = await runScenario<Served>(SCRIPT, 'serve-continue-write');
    expect(served.seen).toEqual(built);
    expect(served.stored).toEqual(built.map((_, page) => 2000 + page));
    for (const flags of served.flags)
      expect(flags & UFFD_PAGEFAULT_FLAG_WRITE).toBe(UFFD_PAGEFAULT_FLAG_WRITE);
  });
});

describe('why a window of shared memory is registered MISSING and MINOR, always both', () => {
  test('MISSING alone maps pages of the page cache silently', async () => {
    expect(await runScenario(SCRIPT, 'missing-only-maps-cached-pages')).toEqual({ read: 77 });
  });
  test('MINOR alone fills holes with zeroes silently', async () => {
    expect(await runScenario(SCRIPT, 'minor-only-fills-holes')).toEqual({ read: 0, allocatedBytes: 4096 });
  });
});

test('unregister lets a blocked thread go with zeroes: never before its page is built', async () => {
  const { pending, seen } = await runScenario<{ pending: number; seen: number[] }>(
    SCRIPT,
    'unregister-releases-with-zeroes',
  );
  expect(pending).toBe(1);
  expect(seen).toEqual(built.map(() => 0));
});

test('EEXIST wakes nobody: the wake is ours to send', async () => {
  expect(await runScenario(SCRIPT, 'wake-after-dontwake')).toEqual({
    installed: 4096,
    stopReady: 0,
    again: -EEXIST,
    stopReadyAfterEexist: 0,
    woken: 0,
    first: 5,
  });
});

test('user-mode-only: a system call on a missing page gets EFAULT and nobody hears of it; on a present one it works', async () => {
  expect(await runScenario(SCRIPT, 'syscall-on-missing-page', 'user-mode-only')).toEqual({
    kind: 'user-mode-only',
    written: -EFAULT,
    events: 0,
    installed: 4096,
    after: 8,
  });
});

test('a fault that is resolved before it is read is withdrawn', async () => {
  expect(await runScenario(SCRIPT, 'resolved-before-read')).toEqual({ before: 1, after: 0, read: 0 });
});
