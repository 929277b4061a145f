import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import type { RunReport } from '#bench/cli/report.js';
import { MAIN, report, tospace } from './cli.js';

const SMALL = ['--heap', '64MiB', '--scale', '0.05'];

const SUMMARY = {
  count: expect.any(Number),
  p50: expect.any(Number),
  p99: expect.any(Number),
  max: expect.any(Number),
  mean: expect.any(Number),
};

it('prints one JSON document with the documented fields and nothing else, and progress elsewhere', async () => {
  const { status, stdout, stderr } = await tospace('run', 'gcbench', ...SMALL, '--json');
  expect(status).toBe(0);
  expect(stderr).toMatch(/^gcbench: collector concurrent, heap 64 MiB, seed 1, scale 0\.05\n/);
  const result = JSON.parse(stdout) as RunReport;
  expect(result).toEqual({
    workload: 'gcbench',
    options: expect.objectContaining({
      heap: 64 * 2 ** 20,
      collector: 'concurrent',
      fill: 'continue',
      retention: 'recycle',
      servers: 1,
      placement: 'mutator',
      verify: 'off',
      trigger: 'auto',
      targetUtilisation: 0.6,
      minHeap: 32 * 2 ** 20,
      stress: {},
    }),
    mode: expect.objectContaining({
      collector: 'concurrent',
      fill: 'continue',
      userfaultfd: expect.stringMatching(/^(full|user-mode-only)$/),
      servers: 1,
    }),
    seed: 1,
    scale: 0.05,
    checksum: expect.any(Number),
    wallMs: expect.any(Number),
    cycles: expect.any(Number),
    abandonedCycles: 0,
    bytesAllocated: expect.any(Number),
    bytesMoved: expect.any(Number),
    pausesUs: { remark: SUMMARY, flip: SUMMARY, full: SUMMARY },
    stallsUs: SUMMARY,
    faults: {
      count: expect.any(Number),
      latencyUs: SUMMARY,
      serviceUs: SUMMARY,
      servedBy: { collector: expect.any(Number), servers: [expect.any(Number)] },
    },
    peakRssBytes: expect.any(Number),
    sharedMemoryPeakBytes: expect.any(Number),
    sizing: {
      softLimitBytes: expect.any(Number),
      liveBytes: expect.any(Number),
      utilisation: expect.any(Number),
      allocationBytesPerSecond: expect.any(Number),
      lastRoomMs: expect.any(Number),
      predictedRoomMs: expect.any(Number),
      pacedWaits: expect.any(Number),
      pacedUs: expect.any(Number),
      externalBytes: 0,
      idleCycles: 0,
    },
    details: {},
    cyclesDetail: {
      count: expect.any(Number),
      medianPhasesMs: {
        mark: expect.any(Number),
        remark: expect.any(Number),
        references: expect.any(Number),
        plan: expect.any(Number),
        flip: expect.any(Number),
        compact: expect.any(Number),
        close: expect.any(Number),
      },
      medianFlipUs: { move: expect.any(Number), map: expect.any(Number), register: expect.any(Number) },
      medianLiveBytes: expect.any(Number),
      medianBlackBytes: expect.any(Number),
      medianRemarkCards: expect.any(Number),
      medianPredictedRoomMs: expect.any(Number),
      medianRoomMs: expect.any(Number),
      paceMaxUs: expect.any(Number),
      medianSoftLimitBytes: expect.any(Number),
    },
    tospace: expect.stringMatching(/^\d+\.\d+\.\d+/),
    node: process.version,
    kernel: expect.any(String),
    cpus: expect.any(Number),
  });
  // The long-lived data alone move in every cycle.
  expect(result.cycles).toBeGreaterThanOrEqual(1);
  expect(result.bytesMoved).toBeGreaterThan(1_000_000);
  // 131 071 nodes of 24 bytes and 500 000 doubles, and then the trees.
  expect(result.bytesAllocated).toBeGreaterThan(131_071 * 24 + 4_000_000);
  expect(result.sharedMemoryPeakBytes).toBeGreaterThan(0);
  expect(result.peakRssBytes).toBeGreaterThan(0);
  // As the collector saw them: a mutator that waits for room anyway sees no pause.
  expect(result.cyclesDetail!.medianFlipUs.move).toBeGreaterThan(0);
  expect(result.pausesUs.full.count).toBe(0);
  expect(result.cyclesDetail!.count).toBeLessThanOrEqual(result.cycles + 1);
});

it('reports full pauses of the stop-the-world collector, and no userfaultfd', async () => {
  const result = await report('gcbench', ...SMALL, '--collector', 'stop-the-world');
  expect(result.mode).toMatchObject({ collector: 'stop-the-world', userfaultfd: 'none', servers: 0 });
  expect(result.cycles).toBeGreaterThanOrEqual(1);
  expect(result.pausesUs.full.count).toBeGreaterThanOrEqual(1);
  expect(result.pausesUs.flip.count).toBe(0);
  expect(result.faults.count).toBe(0);
});

it('reports zeroes where nothing is collected', async () => {
  const result = await report('gcbench', '--heap', '256MiB', '--scale', '0.01', '--collector', 'none');
  const none = { count: 0, p50: 0, p99: 0, max: 0, mean: 0 };
  expect(result).toMatchObject({
    cycles: 0,
    bytesMoved: 0,
    pausesUs: { remark: none, flip: none, full: none },
    stallsUs: none,
    faults: { count: 0, latencyUs: none, serviceUs: none, servedBy: { collector: 0, servers: [] } },
    cyclesDetail: null,
    mode: { collector: 'none', userfaultfd: 'none', fill: 'none', placement: 'none', reasons: [] },
  });
  expect(result.bytesAllocated).toBeGreaterThan(7_000_000);
});

it('runs steady at its rate, and says what an operation, a response and the machine took', async () => {
  const load = ['--heap', '64MiB', '--seconds', '2', '--rate', '20MB/s', '--live', '8MiB'];
  const { details, bytesAllocated, stallsUs } = await report('steady', ...load);
  const latency = {
    count: expect.any(Number),
    p50: expect.any(Number),
    p99: expect.any(Number),
    p999: expect.any(Number),
    max: expect.any(Number),
  };
  expect(details).toEqual({
    rateMBps: expect.any(Number),
    operationUs: latency,
    responseUs: latency,
    hiccupUs: latency,
  });
  // The live set, and then two seconds at the rate.
  expect(bytesAllocated).toBeGreaterThan(8 * 2 ** 20 + 40e6);
  expect(details.rateMBps).toBeLessThanOrEqual(20.1);
  expect((details.hiccupUs as { count: number }).count).toBeGreaterThan(100);
  expect(stallsUs.count).toBeGreaterThanOrEqual(0);
}, 60_000);

it('echoes the options that really ran', async () => {
  const { options } = await report(
    'gcbench',
    ...SMALL,
    '--fill',
    'copy',
    '--servers',
    '2',
    '--placement',
    'any',
  );
  expect(options).toMatchObject({ fill: 'copy', retention: 'release', servers: 2, placement: 'any' });
});

it('ends with a summary in words', async () => {
  const { status, stdout } = await tospace('run', 'gcbench', ...SMALL);
  expect(status).toBe(0);
  for (const part of [
    /^gcbench +collector concurrent, heap 64 MiB, fill continue/m,
    /^options +collector=concurrent,heap=64MiB,minHeap=32MiB,/m,
    /^flip pauses +\d+, half within/m,
    /^faults +\d+/m,
    /^pages built +collector \d+, server 1 \d+$/m,
    /^allocated +[\d.]+ MiB, \d+ MB\/s$/m,
    /^memory +peak RSS .*shared memory at most/m,
    /^checksum +0x[0-9a-f]{8}$/m,
  ]) {
    expect(stdout).toMatch(part);
  }
});

it('says that a heap without a collector is full, with a hint and no stack', async () => {
  const { status, stdout, stderr } = await tospace(
    'run',
    'gcbench',
    '--heap',
    '64MiB',
    '--collector',
    'none',
    '--json',
  );
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('tospace: ERR_OUT_OF_MEMORY: no room for ');
  expect(stderr).toContain('The collector is none');
  expect(stderr).not.toMatch(/^\s+at /m);
});

it.each([
  [[], /name a command, one of doctor, run, bench/],
  [['walk'], /there is no command "walk"; there are: doctor, run, bench/],
  [['bench', '--scale=0'], /--scale: "0" is not a number/],
  [['bench', 'roof'], /bench: there is no benchmark "roof"; there are: quick/],
  [['run'], /run: name a workload, one of gcbench, binary-trees, lru-cache, random-graph, steady/],
  [['run', 'sleep'], /no workload "sleep"; workloads are gcbench, binary-trees/],
  [['run', 'gcbench', 'lru-cache'], /"lru-cache" is one argument too many/],
  [['run', 'gcbench', '--heaps', '1'], /Unknown option '--heaps'; options are --collector, --heap,/],
  [
    ['run', 'gcbench', '--collector', 'serial'],
    /--collector: "serial" is not one of concurrent, stop-the-world, none, auto/,
  ],
  [
    ['run', 'gcbench', '--heap', '64MB'],
    /--heap: "64MB" is not a size from 256KiB .* text with B, KiB, MiB or GiB/,
  ],
  [['run', 'gcbench', '--heap', '8GiB'], /--heap: "8GiB" is not a size from 256KiB to 1.25GiB/],
  [
    ['run', 'gcbench', '--heap', '1MiB', '--min-heap', '2MiB'],
    /ERR_OPTION: option minHeap.*\n.*must be at most as large as heap, which is 1MiB/,
  ],
  [['run', 'gcbench', '--servers', '0'], /--servers: "0" is not 'auto' or an integer from 1 to 15/],
  [['run', 'gcbench', '--scale', 'big'], /--scale: "big" is not a number from/],
  [['run', 'gcbench', '--seed'], /seed/],
  [['run', 'gcbench', '--seconds', '5'], /--seconds: gcbench does not run by the clock/],
  [
    ['run', 'steady', '--rate', '200'],
    /--rate: "200" is not a rate; write a number with a unit, such as 200MB\/s/,
  ],
  [['run', 'steady', '--live', '1TB'], /--live: "1TB" is not a size/],
  [['run', 'gcbench', '--trigger', 'soon'], /--trigger: "soon" is not 'auto' or a number from 0.05 to 0.95/],
  [['run', 'gcbench', '--fill', 'copy', '--retention', 'recycle'], /ERR_OPTION: option retention/],
  [['run', 'gcbench', '--stress', 'hard'], /ERR_OPTION: --stress: "stress.hard" is no KEY=VALUE/],
  [['run', 'gcbench', '--stress', 'often=1'], /ERR_OPTION: --stress: there is no option stress\.often/],
] as const)('%j is a mistake, with what is allowed', async (args, message) => {
  const { status, stdout, stderr } = await tospace(...args);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe('');
  expect(status).toBe(2);
});

it('helps and tells its version', async () => {
  const [help, runHelp, version] = await Promise.all([
    tospace('--help'),
    tospace('run', '--help'),
    tospace('--version'),
  ]);
  expect(help).toMatchObject({ status: 0, stderr: '' });
  expect(help.stdout).toMatch(/^Usage: tospace COMMAND/);
  expect(runHelp).toMatchObject({ status: 0, stderr: '' });
  for (const word of [
    'gcbench',
    'binary-trees',
    'lru-cache',
    'random-graph',
    '--collector',
    '--verify',
    '--json',
  ]) {
    expect(runHelp.stdout).toContain(word);
  }
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it('ends at an interrupt in the middle of a run', async () => {
  const child = spawn(process.execPath, [MAIN, 'run', 'gcbench', '--heap', '64MiB', '--scale', '100'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const kill = setTimeout(() => child.kill('SIGKILL'), 50_000);
  // The title comes when the heap exists; a moment later the workload is under way.
  await once(child.stderr, 'data');
  setTimeout(() => child.kill('SIGINT'), 300);
  const [status, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(kill);
  expect({ status, signal }).toEqual({ status: null, signal: 'SIGINT' });
}, 60_000);
