// How much of a heap is live: what the suite `scaling` asks hyperalloc for, and that this is what a collector then finds.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { groupChecksums } from '#bench/harness/checksums.js';
import { type Planned, planSuite } from '#bench/harness/plan.js';
import type { BenchDocument, Configuration, Measurement } from '#bench/harness/schema.js';
import { SUITES } from '#bench/harness/suites.js';
import { hyperalloc } from '#bench/v8/hyperalloc.js';
import { drawWords, slotsOf } from '#bench/workloads/hyperalloc-plan.js';
import { Operations } from '#bench/workloads/operations.js';
import { Random } from '#bench/workloads/random.js';
import { tospace } from '../cli.js';

const MIB = 2 ** 20;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tospace-live-ratio-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const scaling = SUITES.find(({ name }) => name === 'scaling')!;
const plan = (suite = scaling) =>
  planSuite(suite, {
    seed: 1,
    peers: [{ name: 'go', workloads: ['gcbench', 'hyperalloc'] }],
    hasForm: () => true,
  });
const varied = ({ planned }: { planned: Planned[] }): Configuration[] =>
  planned.map(({ configuration }) => configuration).filter(({ liveRatio }) => liveRatio !== null);

describe('live ratios in a plan', () => {
  it('are in the name, on the axis, and the same bytes for everybody', () => {
    const all = varied(plan());
    expect(new Set(all.map(({ workload }) => workload))).toEqual(new Set(['hyperalloc']));
    for (const { id, form, liveRatio, liveBytes, heapBytes, scale, series } of all) {
      expect(id).toContain(`/live${liveRatio}/`);
      expect(series).toMatchObject([{ axis: 'liveRatio', x: liveRatio }]);
      expect(series[0]!.name).not.toContain('live');
      expect(liveBytes).toBe(Math.round(liveRatio! * 128 * MIB));
      // V8's items are larger; its limit too.
      if (form === 'v8') expect(heapBytes).toBeGreaterThan(2 * 128 * MIB);
      else expect(heapBytes).toBe(128 * MIB);
      // So that what differs is the collector's work.
      expect(scale).toBe(all[0]!.scale);
    }
    const ratios = [...new Set(all.map(({ liveRatio }) => liveRatio!))];
    expect(Math.max(...ratios)).toBeGreaterThanOrEqual(0.7);
    expect(all).toHaveLength(ratios.length * 5);
  });

  it('are not for peers, and the plan says so', () => {
    const found = plan();
    expect(varied(found).some(({ form }) => form === 'peer')).toBe(false);
    expect(found.skipped).toEqual([
      { what: 'hyperalloc/go by live ratio', reason: expect.stringMatching(/cannot be told how much/) },
    ]);
  });

  it('are null where nobody asked', () => {
    for (const suite of SUITES.filter((one) => one !== scaling)) expect(varied(plan(suite))).toEqual([]);
  });
});

it('results are compared where the live data are equal, and not where they differ', () => {
  const all = varied(plan()).filter(({ liveRatio }) => liveRatio === 0.1 || liveRatio === 0.4);
  const result = (of: Configuration, checksum: number) =>
    ({ id: `${of.id}#1`, configuration: of.id, facts: { checksum } }) as unknown as Measurement;
  const right = all.map((of) => result(of, of.liveBytes!));
  expect(groupChecksums(all, right)).toMatchObject([{ equal: true }, { equal: true }]);
  const wrong = all.map((of) => result(of, of.form === 'guest' ? 1 : of.liveBytes!));
  expect(groupChecksums(all, wrong)).toMatchObject([{ equal: false }, { equal: false }]);
});

it('hyperalloc has as many slots as take the bytes that it is told to keep', () => {
  const random = new Random(3);
  const liveBytes = 16 * MIB;
  const slots = slotsOf(1, liveBytes);
  let bytes = 0;
  // A reference, the item, and its data: a header, words, and what aligns them.
  for (let i = 0; i < slots; i++) bytes += 4 + 16 + 8 + Math.ceil(drawWords(random) / 2) * 8;
  expect(Math.abs(bytes / liveBytes - 1)).toBeLessThan(0.05);
  expect(slotsOf(0.001, liveBytes)).toBe(slots);
});

it('collectors find as much alive as was asked for, in every form the same', {
  timeout: 60_000,
}, async () => {
  const file = join(dir, 'live.json');
  const only = ['/stop-the-world/128MiB/live0.1/', '/guest:stop-the-world/128MiB/live0.4/'];
  const { status, stdout } = await tospace(
    ...['bench', 'scaling', `--only=${only.map((one) => `hyperalloc${one}`).join()}`],
    ...['--runs=1', '--scale=0.085', '--no-pretouch', `--json=${file}`],
  );
  expect(status, stdout).toBe(0);
  const { measurements, configurations, checksums, analysis } = JSON.parse(
    readFileSync(file, 'utf8'),
  ) as BenchDocument;
  expect(checksums).toMatchObject([{ equal: true }, { equal: true }]);
  expect(checksums[0]!.checksum).not.toBe(checksums[1]!.checksum);
  expect(analysis.lbo.map(({ rows }) => rows.length)).toEqual([1, 1]);
  expect(measurements).toHaveLength(2);
  for (const { configuration: id, facts } of measurements) {
    const { heapBytes, liveRatio, liveBytes, scale, seed } = configurations.find((one) => one.id === id)!;
    // Garbage and live data are more than the heap: the last cycle comes after all live data are there.
    const found = facts!.heap!.cycles.at(-1)!.liveBytes;
    expect(Math.abs(found / heapBytes! / liveRatio! - 1), id).toBeLessThan(0.1);
    expect(facts!.operations!.count).toBe(1393);
    const operations = new Operations();
    operations.start();
    const context = { seed, scale, threads: 1, thread: 0, operations, progress: () => {} };
    expect(await hyperalloc.run({ ...context, liveBytes: liveBytes! }), id).toBe(facts!.checksum);
  }
});
