import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { abort, createControl, type Pass, produce, spanOf } from '#examples/mirror/channel.js';
import type { MirrorReport } from '#examples/mirror/main.js';
import { Mirrored, WAYS } from '#examples/mirror/places.js';
import { showStraddle } from '#examples/mirror/straddle.js';
import {
  createLibcKernel,
  EINVAL,
  ENOMEM,
  injectFaults,
  MREMAP_DONTUNMAP,
  MREMAP_MAYMOVE,
  viewOf,
} from '#src/uffd/index.js';
import { example, exampleReport } from './run.ts';

const KIB = 1024;
const PAGE = 4096;
const aSpread = { median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) };
const kernel = createLibcKernel();
const SMALL = ['--max', '1MiB', '--pass', '4MiB', '--rounds', '1'];

let workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.terminate()));
  workers = [];
});

test('all claims hold, for both ways to make a mirror', async () => {
  const report = await exampleReport<MirrorReport>('mirror', ...SMALL);
  expect(report.facts).toEqual({
    straddlingRecordIsOneView: true,
    mirrorStartsWithoutPageTables: true,
    firstTouchFaults: true,
    continueResolvesMinor: true,
  });
  expect(report.creation.map(({ bytes }) => bytes)).toEqual([64 * KIB, 1024 * KIB]);
  for (const { us } of report.creation) expect(us).toEqual({ mremap: aSpread, mmap: aSpread });
  expect(report.throughput).toHaveLength(2);
  for (const { mibPerSecond } of report.throughput)
    expect(mibPerSecond).toEqual({ mremap: aSpread, mmap: aSpread, twoParts: aSpread });
  // Records of a third of the ring go past its end far more often than those of a 256th.
  expect(report.throughput[1]!.straddling).toBeGreaterThan(10 * report.throughput[0]!.straddling);
  for (const way of WAYS) {
    const { straddle, pageTables, continued } = report.byWay[way];
    expect(straddle.readAsOneView).toBe(straddle.written);
    expect(straddle.atTheBeginning.length).toBeGreaterThan(0);
    expect(pageTables).toMatchObject({
      residentBytes: pageTables.bytes,
      mirrorResidentBytes: { before: 0, after: pageTables.bytes },
      sameBytes: true,
    });
    expect(pageTables.minorFaults.mirrorWriting).toBeGreaterThanOrEqual(pageTables.pages);
    expect(pageTables.minorFaults.mirrorReading).toBeGreaterThanOrEqual(pageTables.pages / 16);
    const { touched } = continued;
    expect(continued).toEqual({
      touched,
      events: touched,
      minorEvents: touched,
      continued: touched,
      sawServersBytes: true,
    });
  }
});

test('the tables and the claims are printed', async () => {
  const { status, stdout, stderr } = await example('mirror', ...SMALL);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^64 KiB +[\d.]+ µs \(/m);
  expect(stdout.match(/64 pages touched, 64 events, 64 of them MINOR, 64 pages continued/g)).toHaveLength(2);
  expect(stdout.match(/: yes$/gm)).toHaveLength(4);
});

test('wrong arguments are named, and the status is 2', async () => {
  for (const args of [['--max', '4KiB'], ['--pass', '2GiB'], ['--rounds', '1.5'], ['--what']]) {
    const { status, stdout, stderr } = await example('mirror', ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(args[0]);
  }
  expect(await example('mirror', '--help')).toMatchObject({ status: 0, stderr: '' });
});

test.each(WAYS)('mirrored by %s, both halves are the same bytes', (way) => {
  using memory = Mirrored.create(kernel, 2 * PAGE);
  memory.mirror(way);
  const bytes = new Uint8Array(viewOf(memory.address, 4 * PAGE));
  bytes[1] = 1;
  bytes[3 * PAGE] = 2;
  expect([bytes[2 * PAGE + 1], bytes[PAGE]]).toEqual([1, 2]);
  const { written, readAsOneView, atTheEnd, atTheBeginning } = showStraddle(kernel, way);
  expect([readAsOneView, atTheEnd + atTheBeginning]).toEqual([written, written]);
});

test('what the kernel refuses: no room to grow in place, no mirror of private memory, none that is also a move', () => {
  using memory = Mirrored.create(kernel, PAGE);
  const mirror = (address: number, flags: number): number => kernel.mremap(address, 0, PAGE, flags, 0);
  expect(mirror(memory.address, 0)).toBe(-ENOMEM);
  expect(mirror(memory.address, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)).toBe(-EINVAL);
  // The second half is still a reservation: private memory.
  expect(mirror(memory.mirrorAddress, MREMAP_MAYMOVE)).toBe(-EINVAL);
  const refusing = injectFaults(kernel, [{ call: 'mremap', nth: 1, errno: EINVAL }]);
  using other = Mirrored.create(refusing, PAGE);
  expect(() => other.mirror('mremap')).toThrow(expect.objectContaining({ syscall: 'mremap' }));
});

/** A consumer of a pass, as the example runs it; resolves to its answer. */
function consumer(pass: Pass): Promise<{ type: string; error?: { message: string } }> {
  const worker = new Worker(new URL('../../dist/examples/mirror/consumer.js', import.meta.url));
  workers.push(worker);
  const answer = new Promise<{ type: string; error?: { message: string } }>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  worker.postMessage(pass);
  return answer;
}

test.each(['mirrored', 'plain'] as const)(
  'a %s ring carries every record, at positions that wrap',
  async (layout) => {
    using memory = Mirrored.create(kernel, 16 * KIB);
    if (layout === 'mirrored') memory.mirror('mmap');
    const pass: Pass = {
      address: memory.address,
      ringBytes: 16 * KIB,
      layout,
      meanBytes: 5000,
      records: 500,
      control: createControl(),
    };
    const answer = consumer(pass);
    // Before the first record, so that nobody waits for a thread that has not been started.
    await new Promise((resolve) => workers[0]!.once('online', resolve));
    const { payloadBytes, straddling } = produce(pass, viewOf(memory.address, spanOf(pass)));
    expect(await answer).toEqual({ type: 'read' });
    expect(payloadBytes).toBeGreaterThan(500 * 2500);
    expect(straddling).toBeGreaterThan(100);
  },
);

test('a consumer that finds a damaged record stops the producer', async () => {
  using memory = Mirrored.create(kernel, 16 * KIB);
  memory.mirror('mmap');
  const pass: Pass = {
    address: memory.address,
    ringBytes: 16 * KIB,
    layout: 'mirrored',
    meanBytes: 1000,
    records: 1000,
    control: createControl(),
  };
  // It believes that the records have another length.
  const answer = consumer({ ...pass, meanBytes: 1100 });
  await new Promise((resolve) => workers[0]!.once('online', resolve));
  expect(() => produce(pass, viewOf(memory.address, spanOf(pass)))).toThrow(/given up/);
  expect(await answer).toMatchObject({
    type: 'failed',
    error: { message: expect.stringMatching(/^record 0/) },
  });
});

test('a producer does not wait for a consumer that has given up before it began', () => {
  const control = createControl();
  abort(control);
  const pass: Pass = { address: 1, ringBytes: 16, layout: 'plain', meanBytes: 1, records: 1, control };
  expect(() => produce(pass, new ArrayBuffer(16))).toThrow(/given up/);
});
