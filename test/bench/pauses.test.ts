// tospace bench pauses in its smallest size: that every figure is there and belongs to what was asked. Nothing about speed.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { allConfigurations, along, capacities, SIZES } from '#bench/pauses/configurations.js';
import { distribution, near, summarise } from '#bench/pauses/result.js';
import type { PauseSamples } from '#bench/pauses/samples.js';
import { describePauses } from '#bench/pauses/text.js';
import type { PausesReport } from '#bench/pauses/report.js';

const TIMEOUT_MS = 240_000;
const MAIN = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function pauses(...args: string[]): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'bench', 'pauses', ...args], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  return { status, stdout, stderr };
}

test(
  'every configuration is measured, with the hiccups of the same run',
  () => {
    const cycles = 6;
    const { status, stdout, stderr } = pauses('--quick', '--json', '--cycles', String(cycles));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const report = JSON.parse(stdout) as PausesReport;
    expect(report).toMatchObject({
      benchmark: 'pauses',
      machine: { cpus: expect.any(Number), node: process.version },
      options: { cycles, minutes: expect.any(Number), rounds: 1, quick: true },
      skipped: [],
    });
    const wanted = allConfigurations(SIZES.quick);
    expect(
      report.configurations.map(({ liveMib, pinnedMib, roots }) => ({ liveMib, pinnedMib, roots })),
    ).toEqual(wanted);
    for (const result of report.configurations) {
      // Fewer on a slow machine, more where the heap began one by itself.
      expect(result.cycles).toBeGreaterThan(0);
      // Every pause of the cycles that were asked for is accounted for.
      expect(result.remarkUs.count + result.flipUs.count + result.untimed + result.unseen).toBe(
        2 * result.cycles,
      );
      for (const { count, p50, p99, max } of [result.remarkUs, result.flipUs]) {
        expect(count).toBeGreaterThan(0);
        expect(p50).toBeGreaterThan(0);
        expect(p99).toBeGreaterThanOrEqual(p50);
        expect(max).toBeGreaterThanOrEqual(p99);
      }
      expect(result.hiccupsUs.max).toBeGreaterThan(0);
      expect(result.long.withHiccup).toBeLessThanOrEqual(result.long.count);
      expect(result.allocationBytesPerSecond).toBeGreaterThan(0);
      expect(result.collector.moveUs).toBeGreaterThan(0);
      // The non-moving space is hidden by a flip only where there is something in it that refers to the moving one.
      if (result.pinnedMib > 0 || result.roots > 0) expect(result.collector.nonMovingUs).toBeGreaterThan(0);
    }
    // Of all: a program that gets no CPU while the window is open finds its pages built.
    expect(Math.max(...report.configurations.map((result) => result.faultsPerCycle))).toBeGreaterThan(0);
    for (const axis of ['live', 'pinned', 'roots'] as const) {
      expect(report.growth[axis].remarkP50).toBeGreaterThan(0);
      expect(report.growth[axis].flipP50).toBeGreaterThan(0);
    }
    const text = describePauses(report);
    for (const axis of ['live', 'pinned', 'roots']) expect(text).toContain(`${axis}, last over first`);
    expect(
      text.split('\n').filter((line) => / \/ .* \/ /.test(line) && !line.includes('p50/p99')),
    ).toHaveLength(6);
  },
  TIMEOUT_MS,
);

test('the axes share their first configuration, and their memory fits a heap', () => {
  const { full } = SIZES;
  expect(allConfigurations(full)).toHaveLength(10);
  expect(along('live', full)[0]).toEqual(along('roots', full)[0]);
  for (const configuration of allConfigurations(full)) {
    const { heapMib, nonMovingMib } = capacities(configuration);
    expect(heapMib).toBeGreaterThanOrEqual(2 * configuration.liveMib);
    expect(heapMib).toBeLessThanOrEqual(1024);
    expect(nonMovingMib).toBeGreaterThan(configuration.pinnedMib);
  }
});

test('long pauses are told from those that the machine made', () => {
  const hiccups = { count: 1, p50: 1, p99: 1, p999: 1, max: 3000 };
  const collector = {
    remarkUs: 1,
    flipUs: 1,
    moveUs: 1,
    mapUs: 1,
    registerUs: 1,
    nonMovingUs: 1,
    remarkCards: 1,
  };
  const run: PauseSamples = {
    pauses: [
      { kind: 'remark', startMs: 100, us: 2000 },
      { kind: 'flip', startMs: 200, us: 2000 },
      { kind: 'flip', startMs: 300, us: 50 },
    ],
    untimed: 0,
    faults: 8,
    allocationRate: 1,
    collector: [collector, collector],
    collectorPauses: [
      { kind: 'remark', startMs: 99.9, us: 2050, stepsUs: { stop: 20, trace: 1980, resume: 50 } },
      // Another kind, and too far away.
      { kind: 'remark', startMs: 200, us: 10, stepsUs: { stop: 10 } },
      { kind: 'flip', startMs: 210, us: 10, stepsUs: { stop: 10 } },
    ],
    hiccups,
    hiccupLog: [
      { startMs: 101, us: 3000 },
      // Too short to explain the second.
      { startMs: 200, us: 300 },
    ],
  };
  const result = summarise({ liveMib: 1, pinnedMib: 0, roots: 0 }, [run]);
  expect(result.long).toEqual({ count: 2, withHiccup: 1 });
  expect(result.longest).toEqual([
    { kind: 'remark', us: 2000, stepsUs: { stop: 20, trace: 1980, resume: 50 }, hiccupUs: 3000 },
    { kind: 'flip', us: 2000, stepsUs: null, hiccupUs: 300 },
    { kind: 'flip', us: 50, stepsUs: null, hiccupUs: 0 },
  ]);
  expect(result).toMatchObject({ cycles: 2, unseen: 1, faultsPerCycle: 4 });
  expect(result.flipUs).toEqual({ count: 2, p50: 1025, p99: 2000, max: 2000 });
  expect(distribution([])).toEqual({ count: 0, p50: 0, p99: 0, max: 0 });
  expect(near({ startMs: 0, us: 1000 }, { startMs: 3, us: 1 })).toBe(false);
});

test('mistakes on the command line are named', () => {
  for (const args of [['--cycles', '0'], ['--cycles', 'x'], ['--what']]) {
    const { status, stdout, stderr } = pauses(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(args[0]);
  }
});
