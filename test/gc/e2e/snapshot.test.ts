// heap.snapshot(): what is in a graph, who retains what, paths, the file that Chrome DevTools reads (by its own code, from npm), and what
// happens around it. A failure names its seed.
import { describe, expect, test } from 'vitest';
import { batch, pool, run, SEED, succeed, SOAK } from './support.ts';

const MIB = 1024 * 1024;

const COLLECTORS = {
  concurrent: {},
  'stop-the-world': { collector: 'stop-the-world' },
  none: { collector: 'none' },
} as const;
const each = Object.entries(COLLECTORS);

describe.each(each)('collector %s', (_, options) => {
  const snapshot = batch('snapshot', {
    known: ['known', { options }],
    tables: ['tables', { options }],
    ids: ['ids', { options }],
    misuse: ['misuse', { options }],
  });

  test('a graph whose answers are known, and its file', async () => {
    await snapshot('known');
  });

  test('weak maps, intern tables, queues of finalizable objects; a file through a stream', async () => {
    await snapshot('tables');
  });

  test('ids in files: pinned and hashed objects keep theirs', async () => {
    await snapshot('ids');
  });

  test('a thread that does not stop is named by ERR_TIMEOUT', async () => {
    const result = await run('snapshot', 'timeout', { options });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stderr).toMatch(
      /"stubborn" \(thread id \d+\) has not reached .* and a heap snapshot waits for it/,
    );
  });

  test('what is refused', async () => {
    await snapshot('misuse');
  });

  test('a thread that is terminated while it looks holds nobody up', async () => {
    await succeed('snapshot', 'terminated', { options });
  });

  test('closing the heap ends a look at it', async () => {
    await succeed('snapshot', 'closing', { options });
  });
});

test(`random heaps agree with a naive model: seed ${SEED}`, async () => {
  const found = await pool([
    () =>
      succeed<{ objects: number }>('snapshot', 'random', {
        options: {},
        rounds: SOAK ? 100 : 30,
        seed: SEED,
      }),
    () =>
      succeed<{ objects: number }>('snapshot', 'random', {
        options: { verify: 'full' },
        rounds: SOAK ? 20 : 8,
        seed: SEED + 1,
      }),
  ]);
  expect(found[0]!.objects).toBeGreaterThan(SOAK ? 500 : 150);
});

test('while threads mutate and cycles run, every snapshot is consistent', async () => {
  const results = await pool<{ cycles: number }>([
    () => succeed('snapshot', 'mutators', { options: {}, snapshots: 4 }),
    () => succeed('snapshot', 'mutators', { options: COLLECTORS['stop-the-world'], snapshots: 3 }),
    () => succeed('snapshot', 'mutators', { options: { collector: 'none', heap: 64 * MIB }, snapshots: 3 }),
    () => succeed('snapshot', 'mutators', { options: { verify: 'full' }, snapshots: 2 }),
  ]);
  expect(results[0]!.cycles).toBeGreaterThan(0);
});

test('many objects take no JavaScript object each', async () => {
  const { grown } = await succeed<{ grown: number }>(
    'snapshot',
    'many',
    { options: {}, count: 300_000 },
    { nodeArgs: ['--expose-gc'] },
  );
  expect(grown).toBeLessThan(5 * MIB);
});
