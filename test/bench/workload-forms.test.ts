// Every form of a workload reads the same: on the managed heap under each collector, on V8's objects, and as bench/workloads/README.md
// says.
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Operations } from '#bench/workloads/operations.js';
import { combine } from '#bench/workloads/workload.js';
import { V8_WORKLOADS } from '#bench/v8/index.js';
import { runCommand } from '../support/child.js';
import { report } from './cli.js';

const V8_MAIN = fileURLToPath(new URL('../../dist/bench/v8/main.js', import.meta.url));
const SPECIFICATION = new URL('../../bench/workloads/README.md', import.meta.url);
const SEED = 7;
const TIMEOUT_MS = 120_000;

interface Expected {
  readonly name: string;
  readonly scale: number;
  readonly threads: number;
  readonly operations: number;
  readonly checksum: number;
}

/** The rows of the specification's table of results. */
const TABLE: readonly Expected[] = [
  ...readFileSync(SPECIFICATION, 'utf8').matchAll(
    /^\| ([\w-]+) +\| ([\d.]+) +\| (\d+) +\| (\d+) +\| (\d+) +\|$/gm,
  ),
].map(([, name, scale, threads, operations, checksum]) => ({
  name: name!,
  scale: Number(scale),
  threads: Number(threads),
  operations: Number(operations),
  checksum: Number(checksum),
}));

/** New here, or threaded: what workloads.test.ts does not run under each collector. Allocations between collections that are forced. */
const COLLECTED: Readonly<Record<string, number>> = {
  splay: 100_000,
  quads: 100_000,
  hyperalloc: 40_000,
  'pointer-chase': 10_000,
  references: 15_000,
  'gcbench-mt': 100_000,
};

async function runOnV8({ name, scale, threads }: Expected, seed: number) {
  const workload = V8_WORKLOADS.find((one) => one.name === name)!;
  const checksums: number[] = [];
  let logged = 0;
  for (let thread = 0; thread < threads; thread++) {
    const operations = new Operations();
    operations.start();
    checksums.push(await workload.run({ seed, scale, threads, thread, operations, progress: () => {} }));
    logged += operations.count;
  }
  return { checksum: combine(workload, checksums), operations: logged };
}

it('the table has every workload on V8', () => {
  expect(TABLE.map(({ name }) => name).sort()).toEqual(V8_WORKLOADS.map(({ name }) => name).sort());
});

describe.each(TABLE)('$name', (expected) => {
  const { name, scale, threads, checksum, operations } = expected;

  it(
    'reads on V8 what the specification says, in as many operations',
    async () => {
      expect(await runOnV8(expected, SEED)).toEqual({ checksum, operations });
    },
    TIMEOUT_MS,
  );

  it(
    'reads the same on the managed heap',
    async () => {
      const run = (...args: string[]) => {
        const team = threads > 1 ? ['--threads', `${threads}`] : [];
        return report(name, '--scale', `${scale}`, '--seed', `${SEED}`, ...team, ...args);
      };
      expect((await run('--heap', '256MiB', '--collector', 'none')).checksum).toBe(checksum);
      const collectEveryAllocation = COLLECTED[name];
      if (collectEveryAllocation === undefined) return;
      const stress = ['--stress', `collectEveryAllocation=${collectEveryAllocation}`, '--heap', '64MiB'];
      for (const other of [
        await run('--collector', 'stop-the-world', ...stress),
        await run('--collector', 'concurrent', '--verify', 'full', ...stress),
      ]) {
        expect(other.cycles).toBeGreaterThanOrEqual(1);
        expect(other.checksum).toBe(checksum);
      }
    },
    TIMEOUT_MS,
  );
});

it('pointer-chase is answered when it asks for cycles', async () => {
  // A heap that its garbage alone does not fill.
  expect(
    (await report('pointer-chase', '--scale', '0.01', '--heap', '256MiB')).cycles,
  ).toBeGreaterThanOrEqual(1);
});

it.each(['lru-cache', 'splay', 'hyperalloc', 'pointer-chase', 'references'])(
  '%s depends on the seed',
  async (name) => {
    const expected = TABLE.find((row) => row.name === name)!;
    expect((await runOnV8(expected, SEED + 1)).checksum).not.toBe(expected.checksum);
  },
);

describe("the program on V8's objects", () => {
  const file = join(tmpdir(), `tospace-v8-${process.pid}`);
  const run = (...args: string[]) => runCommand(process.execPath, [V8_MAIN, ...args], TIMEOUT_MS);

  it('prints one line of JSON and writes the log', async () => {
    const { scale, threads, checksum, operations } = TABLE.find(({ name }) => name === 'gcbench-mt')!;
    const options = ['--scale', `${scale}`, '--seed', `${SEED}`, '--threads', `${threads}`, '--ops', file];
    try {
      const { status, stdout, stderr } = await run('gcbench-mt', ...options);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^\{.*\}\n$/);
      const result = JSON.parse(stdout) as Record<string, number>;
      expect(result).toEqual({
        checksum,
        operations,
        wallMs: expect.any(Number),
        cpuMs: expect.any(Number),
        peakRssBytes: expect.any(Number),
      });
      for (const name of ['wallMs', 'cpuMs', 'peakRssBytes']) expect(result[name]).toBeGreaterThan(0);
      expect(readFileSync(file).byteLength).toBe(operations * 16);
    } finally {
      rmSync(file, { force: true });
    }
  });

  it.each([
    [['sleep', '--ops', file], /^name one workload, of gcbench, /],
    [['splay', '--ops', file, '--threads', '2'], /^--threads: splay runs in one thread\n$/],
    [['splay', '--ops', file, '--scale', '0'], /^--scale: "0" is out of range\n$/],
    [['splay'], /^--ops: name the file/],
  ])('%j is a mistake', async (args, message) => {
    const { status, stdout, stderr } = await run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
