// A heap manages itself: size, start of cycles, pace, the limit, external memory.

import { describe, expect, test } from 'vitest';
import { PACE_MAX_US } from '#src/gc/policy/pace.js';
import { MIB } from '#src/heap/geometry.js';
import type { SizingReport } from '#src/gc/governor.js';
import { batch, succeed } from './support.ts';

const MODES = {
  'concurrent, recycle': {},
  'concurrent, release': { retention: 'release' },
  'concurrent, copy': { fill: 'copy' },
  'stop-the-world': { collector: 'stop-the-world' },
} as const;

describe.each(Object.entries(MODES))('%s', (_, options) => {
  test('the memory of a peak goes back to the system while the program goes on', async () => {
    const seen = await succeed<{ peak: number; after: number; softLimit: number }>('sizing', 'afterPeak', {
      options,
    });
    expect(seen.peak).toBeGreaterThan(50 * MIB);
    expect(seen.after).toBeLessThanOrEqual(30 * MIB);
    expect(seen.softLimit).toBeLessThanOrEqual(50 * MIB);
  });

  test('the memory of a peak goes back to the system when the program does nothing more', async () => {
    const seen = await succeed<{
      peak: number;
      after: number;
      idleCycles: number;
      idleCyclesLater: number;
    }>('sizing', 'idle', { options });
    expect(seen.peak).toBeGreaterThan(100 * MIB);
    expect(seen.after).toBeLessThan(32 * MIB);
    // Once is enough.
    expect(seen.idleCycles).toBe('collector' in options ? 2 : 1);
    expect(seen.idleCyclesLater).toBe(seen.idleCycles);
  });

  const limit = batch<number>('sizing', {
    fillAll: ['fillAll', { options }],
    atTheLimit: ['atTheLimit', { options }],
  });

  test('the soft limit refuses nothing', async () => {
    expect(await limit('fillAll')).toBe(32 * MIB);
  });

  test('at the limit: NULL or an exception, and a heap that works', async () => {
    expect(await limit('atTheLimit')).toBeGreaterThan(400_000);
  });
});

test('the same under verification', async () => {
  await succeed('sizing', 'idle', { options: { verify: 'full', heap: 32 * MIB }, peakMib: 16 });
  await succeed('sizing', 'atTheLimit', { options: { verify: 'full', heap: 2 * MIB, nonMoving: MIB } });
});

test('a thread that computes is not stopped because it does not allocate', async () => {
  expect(await succeed<number>('sizing', 'busyIsNotIdle')).toBe(0);
});

test('a steady program does not give back and take again', async () => {
  const { warm, later } = await succeed<{ warm: number; later: number }>('sizing', 'steady');
  // Twenty cycles; a machine that stalls may make the program look slow for once.
  expect(later - warm).toBeLessThan(24 * MIB);
});

test('cycles begin by themselves and are predicted', async () => {
  const { sizing, reports } = await succeed<{
    sizing: { allocationBytesPerSecond: number; predictedRoomMs: number; utilisation: number };
    reports: SizingReport[];
  }>('sizing', 'predicts');
  expect(sizing.allocationBytesPerSecond).toBeGreaterThan(1e6);
  expect(sizing.predictedRoomMs).toBeGreaterThan(0);
  expect(sizing.utilisation).toBeGreaterThan(0);
  expect(sizing.utilisation).toBeLessThan(0.7);
  expect(reports[0]!.predictedRoomMs).toBe(0);
  for (const report of reports.slice(1)) {
    expect(report.predictedRoomMs).toBeGreaterThan(0);
    expect(report.roomMs).toBeGreaterThan(0);
    expect(report.idle).toBe(false);
  }
});

test.each([[{}], [{ trigger: 0.9 }]])('allocation is paced while a cycle is slow, %j', async (options) => {
  const seen = await succeed<{
    pacedWaits: number;
    pacedUs: number;
    stalls: number;
    highest: number;
    last: number;
    reported: number;
  }>('sizing', 'paced', { options });
  expect(seen.pacedWaits).toBeGreaterThan(0);
  expect(seen.pacedUs).toBeGreaterThan(0);
  expect(seen.stalls).toBeGreaterThanOrEqual(seen.pacedWaits);
  expect(seen.highest).toBeGreaterThan(0);
  expect(seen.reported).toBeGreaterThan(0);
  expect(seen.reported).toBeLessThanOrEqual(PACE_MAX_US);
  expect(seen.last).toBe(0);
});

test.each([
  [16, {}],
  [6, { collector: 'stop-the-world' }],
  [6, { fill: 'copy', servers: 2, trigger: 0.2 }],
])('%i threads fill the heap at once and each is told so, %j', async (count, options) => {
  // As many MiB as threads, so that the ends of their buffers are the same part of it.
  const heapMib = count;
  const { made, usable, usedBytes } = await succeed<{
    made: number[][];
    usable: boolean;
    usedBytes: number;
  }>('sizing', 'threads', { count, options: { heap: heapMib * MIB, ...options } });
  expect(usable).toBe(true);
  expect(usedBytes).toBeLessThan(MIB);
  for (let round = 0; round < 2; round++) {
    // 16-byte nodes. What is left are the ends of a buffer for each thread.
    const bytes = made.reduce((sum, nodes) => sum + nodes[round]! * 16, 0);
    expect(bytes).toBeGreaterThan(heapMib * (7 / 8) * MIB);
    expect(bytes).toBeLessThanOrEqual(heapMib * MIB);
  }
});

test.each([[{}], [{ trigger: 0.6 }], [{ collector: 'stop-the-world' }]])(
  'external memory makes cycles begin, %j',
  async (options) => {
    const seen = await succeed<{ cycles: number; taken: number; least: number }>('sizing', 'external', {
      options,
    });
    expect(seen.cycles).toBeGreaterThan(0);
    // Registered by one thread and taken back by another; 20 MiB existed at the time.
    expect(seen.taken).toBeGreaterThan(0);
    expect(seen.least).toBe(0);
  },
);
