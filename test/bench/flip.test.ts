// tospace bench flip, in small sizes: that every configuration is there, and that moves differ by orders of magnitude where they must.
import { release as osRelease } from 'node:os';
import { expect, test } from 'vitest';
import { drawPlot } from '#bench/cli/plot.js';
import { fitSizes, groups, SIZES_BYTES, VARIANTS } from '#bench/flip/configurations.js';
import {
  describeFlip,
  distribution,
  type FlipPoint,
  type FlipReport,
  findRegimes,
} from '#bench/flip/report.js';
import { residentBytes } from '#bench/flip/resident.js';
import { tospace } from './cli.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const [MAJOR = 0, MINOR = 0] = osRelease().split('.').map(Number);
/** From then on a registration without EVENT_REMAP switches the moves of whole tables off. */
const WALKS_WATCHED_PAGES = MAJOR > 6 || (MAJOR === 6 && MINOR >= 13);

async function report(...args: string[]): Promise<FlipReport> {
  const { status, stdout, stderr } = await tospace('bench', 'flip', '--json', ...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as FlipReport;
}

test('every combination is measured, with its spread', async () => {
  const { points, regimes, options, callUs, cut, machine } = await report(
    '--sizes',
    '4MiB,1MiB',
    '--rounds',
    '5',
  );
  expect({ options, cut }).toEqual({ options: { sizesBytes: [MIB, 4 * MIB], rounds: 5 }, cut: [] });
  expect(machine).toEqual({
    cpu: expect.any(String),
    cpus: expect.any(Number),
    linux: expect.stringMatching(/^\d+\.\d+/),
    node: process.version,
  });
  const keys = points.map(
    ({ memory, sizeBytes, populated, congruence, registered }) =>
      `${memory} ${sizeBytes} ${populated} ${congruence} ${registered}`,
  );
  const expected = ['anonymous', 'shmem'].flatMap((memory) =>
    [MIB, 4 * MIB].flatMap((sizeBytes) =>
      [0, 1 / 16, 1].flatMap((populated) =>
        ['gib', 'mib2', 'kib4'].flatMap((congruence) =>
          [true, false].map(
            (registered) => `${memory} ${sizeBytes} ${populated} ${congruence} ${registered}`,
          ),
        ),
      ),
    ),
  );
  expect([...keys].sort()).toEqual(expected.sort());
  for (const { rounds, medianUs, p10Us, p90Us } of points) {
    expect(rounds).toBe(5);
    expect(p10Us).toBeGreaterThan(0);
    expect(p10Us).toBeLessThanOrEqual(medianUs);
    expect(medianUs).toBeLessThanOrEqual(p90Us);
  }
  expect(callUs.medianUs).toBeGreaterThan(0);
  // Below 1 GiB the first two regimes are one: nothing to judge, but the figures are there.
  expect(regimes).toEqual({
    memory: 'shmem',
    sizeBytes: 4 * MIB,
    gib: expect.any(Number),
    mib2: expect.any(Number),
    kib4: expect.any(Number),
    ratios: { mib2ToGib: expect.any(Number), kib4ToMib2: expect.any(Number) },
    apart: null,
  });
});

test('page by page takes more than three times as long as by whole tables, and since 6.13 so does a watched move', {
  retry: 3,
}, async () => {
  const { points, regimes } = await report('--sizes', '64MiB', '--rounds', '9');
  expect(regimes.kib4).toBeGreaterThan(3 * regimes.gib);
  expect(regimes.kib4).toBeGreaterThan(3 * regimes.mib2);
  for (const memory of ['anonymous', 'shmem']) {
    const us = (congruence: string, registered: boolean): number =>
      points.find(
        (point) =>
          point.memory === memory &&
          point.populated === 1 &&
          point.congruence === congruence &&
          point.registered === registered,
      )!.medianUs;
    expect(us('kib4', false)).toBeGreaterThan(3 * us('gib', false));
    if (WALKS_WATCHED_PAGES) expect(us('gib', true)).toBeGreaterThan(3 * us('gib', false));
  }
});

test('the table, the plot and why nothing is judged below 1 GiB', async () => {
  const { status, stdout, stderr } = await tospace('bench', 'flip', '--sizes', '1MiB', '--rounds', '1');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^anonymous +1\/16 +1 MiB( +[\d.]+ \([\d.]+–[\d.]+\)){6}$/m);
  expect(stdout).toMatch(/^ +1 MiB$/m);
  expect(stdout).toMatch(/apart: not checked/);
});

test('wrong arguments are named, and the status is 2', async () => {
  for (const args of [
    ['--sizes', '2GiB'],
    ['--sizes', '1MiB,'],
    ['--sizes', '4KiB'],
    ['--rounds', '0'],
    ['--what'],
  ]) {
    const { status, stdout, stderr } = await tospace('bench', 'flip', ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(args[0]);
  }
  expect(await tospace('bench', 'flip', '--help')).toMatchObject({ status: 0, stderr: '' });
});

test('sizes that memory has no room for are left out, with the reason', () => {
  const all = fitSizes(SIZES_BYTES, 8 * GIB);
  expect(all).toEqual({ sizesBytes: SIZES_BYTES, cut: [] });
  const some = fitSizes(SIZES_BYTES, 500 * MIB);
  expect(some.sizesBytes.at(-1)).toBe(256 * MIB);
  expect(some.cut).toEqual([{ sizeBytes: GIB, reason: 'needs 1344 MiB of memory, 500 MiB are available' }]);
  expect(fitSizes(SIZES_BYTES, MIB).sizesBytes).toEqual([]);
});

/** A point of every combination, whose median is what `us` says. */
function reportOf(sizeBytes: number, us: Readonly<Record<string, number>>): FlipReport {
  const points: FlipPoint[] = groups([sizeBytes]).flatMap((group) =>
    VARIANTS.map((variant) => {
      const medianUs = us[variant.congruence]!;
      return { ...group, ...variant, rounds: 1, medianUs, p10Us: medianUs, p90Us: medianUs };
    }),
  );
  return {
    benchmark: 'flip',
    machine: { cpu: 'any', cpus: 1, linux: '6.18', node: 'v20' },
    options: { sizesBytes: [sizeBytes], rounds: 1 },
    state: 'moved back after every move, rehearsed once',
    callUs: distribution([0.2]),
    cut: [{ sizeBytes: 4 * GIB, reason: 'is too much' }],
    points,
    regimes: findRegimes(points, [sizeBytes]),
  };
}

test('three regimes are apart, or the report says that they are not, and what was left out', () => {
  const apart = reportOf(GIB, { gib: 3, mib2: 180, kib4: 2900 });
  expect(apart.regimes).toMatchObject({ gib: 3, mib2: 180, kib4: 2900, apart: true });
  expect(apart.regimes.ratios).toEqual({ mib2ToGib: 60, kib4ToMib2: 16.11 });
  const text = describeFlip(apart);
  expect(text).toContain('apart: yes');
  expect(text).toContain('Left out: 4 GiB is too much.');
  const close = reportOf(GIB, { gib: 30, mib2: 180, kib4: 2900 });
  expect(close.regimes.apart).toBe(false);
  expect(describeFlip(close)).toContain('apart: NO');
});

test('percentiles', () => {
  const values = Array.from({ length: 11 }, (_, i) => i);
  expect(distribution(values)).toEqual({ medianUs: 5, p10Us: 1, p90Us: 9 });
});

test('a plot has a mark for every value, at its height', () => {
  const plot = drawPlot({
    title: 'a title',
    places: ['a', 'b'],
    series: [
      { mark: 'x', label: 'one', values: [1, 100] },
      { mark: 'o', label: 'two', values: [10, null] },
    ],
  });
  const lines = plot.split('\n');
  const line = (tick: string): string => lines.find((text) => text.trim().startsWith(`${tick} │`))!;
  expect(line('1')).toMatch(/│x···/);
  expect(line('10')).toMatch(/│·o··/);
  expect(line('100')).toMatch(/│····x/);
  expect(plot.match(/^ +[xo] {2}(one|two)$/gm)).toHaveLength(2);
  expect(
    drawPlot({ title: 't', places: ['a'], series: [{ mark: 'x', label: 'l', values: [null] }] }),
  ).toContain('no values');
});

test('what smaps says of a mapping', () => {
  const smaps = `7f0000001000-7f0000002000 rw-p 00000000 00:00 0\nSize: 4 kB\nRss:                   4 kB\n
7f0000002000-7f0000003000 rw-p 00000000 00:00 0\nSize: 4 kB\nRss:                   8 kB\n`;
  expect(residentBytes(0x7f0000002000, smaps)).toBe(8192);
  expect(residentBytes(0x7f0000003000, smaps)).toBeNaN();
});
