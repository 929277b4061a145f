// tospace bench floor, in tiny sizes: what it prints, and that both languages computed the same. Nothing about speed.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findCompiler } from '#bench/floor/compiler.js';
import { median, quantile, ratios, spread } from '#bench/floor/spread.js';
import type { FloorReport } from '#bench/floor.js';
import * as layout from '#src/heap/layout.js';

const TIMEOUT_MS = 120_000;
const hasCompiler = findCompiler() !== undefined;

const CALL = `import { floor } from ${JSON.stringify(new URL('../../dist/bench/floor.js', import.meta.url).href)};
process.exitCode = await floor(process.argv.slice(1));`;

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function floor(args: readonly string[], env: NodeJS.ProcessEnv = {}): Result {
  return spawnSync(process.execPath, ['--input-type=module', '-e', CALL, '--', ...args], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    env: { ...process.env, ...env },
  });
}

function report(args: readonly string[], env: NodeJS.ProcessEnv = {}): FloorReport {
  const { status, stdout, stderr } = floor(['--quick', '--json', ...args], env);
  expect({ status, stderr: env.PATH === undefined ? stderr : '' }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as FloorReport;
}

const aSpread = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };

test.skipIf(!hasCompiler)(
  'every piece has a ratio, and both languages computed the same heap',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'floor-test-'));
    try {
      const { flip, fault, kernels, compiler } = report([], { TMPDIR: folder });
      expect(compiler?.flags).toContain('-O3');

      expect(flip?.ratio).toBeGreaterThan(0);
      expect(flip?.sizes).toHaveLength(1);
      const steps = { moveUs: aSpread, mapUs: aSpread, registerUs: aSpread, totalUs: aSpread };
      expect(flip?.sizes[0]).toEqual({ usedMib: 2, tospace: steps, c: steps, ratio: aSpread });

      for (const fill of [fault?.copy, fault?.continue]) {
        expect(fill?.ratio).toBeGreaterThan(0);
        const side = { p50Us: aSpread, p99Us: aSpread, clockUs: aSpread };
        expect(fill).toMatchObject({ tospace: side, c: side, ratioSpread: aSpread });
        // On a machine with one CPU there is no elsewhere, and the report says so.
        const elsewhere = fill?.elsewhere;
        if (elsewhere !== undefined && 'skipped' in elsewhere) expect(elsewhere.skipped).toMatch(/one CPU/);
        else expect(elsewhere).toMatchObject({ tospace: side, c: side, ratioSpread: aSpread });
      }

      for (const graph of ['local', 'scattered'] as const) {
        expect(kernels?.checksum[graph]?.equal).toBe(true);
        expect(kernels?.checksum[graph]?.tospace).not.toBe(0);
        for (const phase of ['mark', 'plan', 'compact'] as const) {
          const figures = kernels?.[phase][graph];
          if (phase === 'plan') {
            // A plan of so few objects is shorter than C's clock can tell; there is no ratio then.
            expect(figures).toMatchObject({ tospaceMs: aSpread });
            continue;
          }
          expect(kernels?.[phase].ratio).toBeGreaterThan(0);
          expect(figures).toEqual({ tospaceMs: aSpread, cMs: aSpread, ratio: aSpread });
        }
      }
      expect(kernels?.checksum.local.tospace).not.toBe(kernels?.checksum.scattered.tospace);
      // What was compiled is gone.
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  TIMEOUT_MS,
);

test(
  'without a C compiler it says so, and measures the TypeScript side alone',
  () => {
    const noCompiler = { PATH: '/nonexistent' };
    const { stderr } = floor(['--quick', '--only', 'flip'], noCompiler);
    expect(stderr).toMatch(/No C compiler/);
    const { compiler, flip, fault, kernels } = report([], noCompiler);
    expect(compiler).toBeNull();
    expect(flip).toMatchObject({
      ratio: null,
      sizes: [{ c: null, ratio: null, tospace: { totalUs: aSpread } }],
    });
    expect(fault?.copy).toMatchObject({ ratio: null, c: null, tospace: { p50Us: aSpread } });
    expect(fault?.continue).toMatchObject({ ratio: null, c: null });
    expect(kernels?.mark).toMatchObject({
      ratio: null,
      local: { tospaceMs: aSpread, cMs: null, ratio: null },
    });
    expect(kernels?.checksum.local).toMatchObject({ c: null, equal: null });
  },
  TIMEOUT_MS,
);

test(
  'with one CPU allowed there is no other CPU to measure on',
  (context) => {
    try {
      execFileSync('taskset', ['-V']);
    } catch {
      context.skip('taskset is not installed');
    }
    const args = [
      '-c',
      '0',
      process.execPath,
      '--input-type=module',
      '-e',
      CALL,
      '--',
      '--quick',
      '--json',
      '--only',
      'fault',
    ];
    const { status, stdout } = spawnSync('taskset', args, {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    expect(status).toBe(0);
    const { fault } = JSON.parse(stdout) as FloorReport;
    expect(fault?.copy.elsewhere).toEqual({ skipped: 'only one CPU is allowed' });
  },
  TIMEOUT_MS,
);

test(
  '--only measures what it names, and the table has its rows',
  () => {
    const { status, stdout } = floor(['--quick', '--only', 'fault']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/fault, COPY/);
    expect(stdout).not.toMatch(/flip|mark/);
  },
  TIMEOUT_MS,
);

test('wrong arguments are named, and the status is 2', () => {
  for (const args of [['--rounds', '0'], ['--only', 'nothing'], ['--what']]) {
    const { status, stdout, stderr } = floor(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(args[0]);
  }
  expect(floor(['--help'])).toMatchObject({ status: 0, stderr: '' });
});

test('medians, quantiles and ratios', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.5)).toBe(6);
  expect(spread([2, 1, 4])).toEqual({ median: 2, min: 1, max: 4 });
  // Pair by pair: not the ratio of the medians.
  expect(ratios([2, 40, 9], [1, 10, 3])).toEqual({ median: 3, min: 2, max: 4 });
});

test('the C kernels have the constants of the real ones', () => {
  const source = readFileSync(new URL('../../bench/floor/kernels.c', import.meta.url), 'utf8');
  const defined = [...source.matchAll(/^#define (\w+) (0x[0-9a-f]+|\d+)u?$/gm)].map(
    ([, name, value]) => [name!, Number(value)] as const,
  );
  const shared = defined.filter(([name]) => name in layout);
  expect(shared.length).toBeGreaterThanOrEqual(9);
  const expected: Record<string, number> = Object.fromEntries(Object.entries(layout));
  expect(Object.fromEntries(shared)).toEqual(
    Object.fromEntries(shared.map(([name]) => [name, expected[name]])),
  );
});
