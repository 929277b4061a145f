// The swap example as a whole, in processes of their own: it runs, it survives what can be survived, and it stops where it must.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DEFAULTS, parseOptions } from '#examples/swap/options.js';
import type { Counts, EvictionError, SwapReport } from '#examples/swap/report.js';
import { EBUSY, EIO, ENOMEM, type InjectionPlan, UFFDIO_COPY, UFFDIO_MOVE } from '#src/uffd/index.js';
import { type ChildResult, runCommand, supportScript } from '../support/child.ts';

const MIB = 1024 * 1024;
const main = fileURLToPath(import.meta.resolve('#examples/swap/main.js'));
/** Small enough to be quick, large enough that most of it must go. */
const SMALL = { anonBytes: 4 * MIB, shmemBytes: 4 * MIB, residentBytes: MIB, seconds: 0.5 };
const SMALL_ARGS = ['--anon', '4MiB', '--shmem', '4MiB', '--resident', '1MiB'];

/** What a run may take: each has four busy threads, and several runs share the machine. Only a hang is meant to meet it. */
const SLOW_MS = 90_000;
vi.setConfig({ testTimeout: 2 * SLOW_MS });

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tospace-swap-test-'));
  // For the user who is nobody.
  chmodSync(directory, 0o777);
});
afterAll(() => {
  // None of all these processes, however it ended, left a file.
  expect(readdirSync(directory)).toEqual([]);
  rmSync(directory, { recursive: true });
});

const cli = (...args: string[]): Promise<ChildResult> =>
  runCommand(process.execPath, [main, ...args], SLOW_MS);

/** Runs until it has done at least so much: on a busy machine that may be long after `seconds`. */
async function run(
  options: object,
  least: Partial<Counts>,
  injection: InjectionPlan = [],
  ...more: string[]
): Promise<{ report: SwapReport; errors: EvictionError[] }> {
  const args = [{ ...SMALL, directory, ...options }, injection, least].map((value) => JSON.stringify(value));
  args.push(...more);
  const result = await runCommand(process.execPath, [supportScript('swap-child.mjs'), ...args], SLOW_MS);
  expect({ status: result.status, signal: result.signal, stderr: result.stderr }).toEqual({
    status: 0,
    signal: null,
    stderr: '',
  });
  return JSON.parse(result.stdout);
}

/** What must hold of every run that ends: every word is right, and every access was compared. */
function expectRight(report: SwapReport): void {
  expect(report).toMatchObject({ verdict: 'right', wrongWords: 0 });
  expect(report.firstWrong).toBeUndefined();
  expect(report.checksums).toHaveLength(2);
  for (const { seen, expected } of report.checksums) expect(seen).toBe(expected);
  // At the end each mutator read everything that is its own.
  expect(report.reads).toBeGreaterThan((SMALL.anonBytes + SMALL.shmemBytes) / 256);
}

interface Started {
  readonly child: ChildProcess;
  /** All that it wrote to standard error, when it is closed. */
  readonly text: () => string;
  /** Its output ends with it, but not before: `exit` may come while some of it is still to be read. */
  readonly closed: Promise<void>;
}

/** Starts the example on the command line for long, and waits until regions are in the file. */
async function startUntilEvicted(...args: string[]): Promise<Started> {
  const child = spawn(process.execPath, [
    main,
    ...SMALL_ARGS,
    '--directory',
    directory,
    '--seconds',
    '60',
    ...args,
  ]);
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', (chunk) => {
      text += chunk;
      if (/in file [1-9]/.test(text)) resolve();
    });
    child.once('exit', (status) => reject(new Error(`ended with ${status}: ${text}`)));
  });
  return { child, text: () => text, closed };
}

/** The path of the nameless swap file, by way of a descriptor of the process. */
function swapFileOf(child: ChildProcess): string {
  const folder = `/proc/${child.pid}/fd`;
  const found = readdirSync(folder)
    .map((fd) => join(folder, fd))
    .find((path) => readlinkSync(path).startsWith(directory));
  return found!;
}

async function ended({ child, closed }: Started): Promise<{ status: number | null; signal: string | null }> {
  const timer = setTimeout(() => child.kill('SIGKILL'), SLOW_MS);
  await closed;
  clearTimeout(timer);
  return { status: child.exitCode, signal: child.signalCode };
}

describe.concurrent('it runs', () => {
  test('most memory goes to the file, and not one byte is wrong', async () => {
    // Both arenas have 128 regions, of which 16 may stay.
    const { report } = await run({}, { evicted: 200, loaded: 50, rescued: 1 });
    expectRight(report);
    // How much stays when it ends is the scheduler's, too.
    expect(report.memory.residentBytes).toBeLessThan(report.memory.totalBytes);
    // And the kernel agrees. (Of anonymous memory it cannot tell ours from the JavaScript heaps'.)
    expect(report.memory.running.shmemBytes).toBeLessThan(report.memory.full.shmemBytes);
    expect(report.faults.stallLoaded.count).toBeGreaterThan(0);
    expect(report.faults.stallLoaded.p99Us).toBeGreaterThanOrEqual(report.faults.stallLoaded.p50Us);
    expect(report.eviction.ratio).toBeGreaterThan(1.2);
    expect(report.evictionErrors).toMatchObject({ count: 0, broughtBack: 0 });
    expect(report.file.usedBytes).toBeLessThan(report.memory.totalBytes);
  });

  test.each(['deflate', 'none'])('with codec %s', async (codec) => {
    const { report } = await run({ codec, seed: 2 }, { evicted: 128, loaded: 1 });
    expectRight(report);
    if (codec === 'none') expect(report.eviction.ratio).toBe(1);
  });

  test('with large regions, and with pages that must be copied back instead of moved', async () => {
    const plan = [{ call: 'ioctl', request: UFFDIO_MOVE, nth: 1, every: true, errno: EBUSY }] as const;
    const { report } = await run({ regionBytes: 256 * 1024, seed: 3 }, { loaded: 1, rescued: 10 }, plan);
    expectRight(report);
  });

  test('as an unprivileged user, from the command line', async (context) => {
    const args = [main, ...SMALL_ARGS, '--directory', directory, '--seconds', '1', '--json'];
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--'];
    const isRoot = process.getuid?.() === 0;
    if (isRoot) {
      const readable = await runCommand('setpriv', [...asNobody, 'test', '-r', main]).catch(() => undefined);
      if (readable?.status !== 0) context.skip('nobody cannot read the example, or there is no setpriv');
    }
    const result = isRoot
      ? await runCommand('setpriv', [...asNobody, process.execPath, ...args], SLOW_MS)
      : await runCommand(process.execPath, args, SLOW_MS);
    expect({ status: result.status, stderr: result.stderr }).toEqual({ status: 0, stderr: '' });
    expectRight(JSON.parse(result.stdout) as SwapReport);
  });
});

describe.concurrent('what cannot be written stays in memory', () => {
  test('a disk that was full from the start', async () => {
    const result = await cli(...SMALL_ARGS, '--file', '/dev/full', '--seconds', '3', '--json');
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/stay in memory: ERR_OUT_OF_MEMORY: .*ENOSPC/);
    const report = JSON.parse(result.stdout) as SwapReport;
    expectRight(report);
    expect(report.memory.residentBytes).toBe(report.memory.totalBytes);
    expect(report.evictionErrors.first).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', errnoName: 'ENOSPC' });
    expect(report.evictionErrors.broughtBack).toBeGreaterThan(0);
  });

  test('a file that may grow only so far, in the middle of a write', async () => {
    const { report, errors } = await run({ seed: 4 }, { evicted: 1, errors: 1 }, [], String(MIB + 1000));
    expectRight(report);
    expect(errors[0]).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', errnoName: 'EFBIG' });
    expect(report.memory.residentBytes).toBeGreaterThan(report.options.residentBytes);
  });

  test('a limit of our own', async () => {
    const { report, errors } = await run({ seed: 5, fileLimitBytes: MIB }, { errors: 1 });
    expectRight(report);
    expect(report.file.endBytes).toBeLessThanOrEqual(MIB);
    expect(errors[0]).toMatchObject({
      code: 'ERR_OUT_OF_MEMORY',
      hint: expect.stringMatching(/--file-limit/),
    });
  });

  test('a kernel that now and then does not move', async () => {
    const { report, errors } = await run({ seed: 6 }, { evicted: 50, errors: 2 }, [
      { call: 'mremap', nth: 20, every: true, errno: ENOMEM, thread: 'evictor' },
    ]);
    expectRight(report);
    // Those that were under way when one could not be moved were written all the same.
    expect(errors[0]).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', errnoName: 'ENOMEM', broughtBack: 0 });
  });
});

describe.concurrent('what cannot be answered rightly is not answered', () => {
  test.each([
    ['truncated', /ERR_VERIFY: region \d+ \((anon|shmem), 0x[\s\S]* (too early|checksum)/],
    ['overwritten', /ERR_VERIFY: region \d+ \((anon|shmem), 0x[\s\S]* checksum/],
  ])('the swap file is %s: the process stops and names the region', async (how, message) => {
    const started = await startUntilEvicted();
    const { child, text } = started;
    const path = swapFileOf(child);
    if (how === 'truncated') truncateSync(path, 0);
    else writeFileSync(path, new Uint8Array(statSync(path).size).fill(1), { flag: 'r+' });
    expect(await ended(started)).toEqual({ status: 70, signal: null });
    expect(text()).toMatch(/the fault server failed; the process is stopped/);
    expect(text()).toMatch(message);
  });

  test.each([
    [
      'server',
      [{ call: 'ioctl', request: UFFDIO_COPY, nth: 3, errno: EIO, thread: 'server' }],
      /UFFDIO_COPY failed with EIO/,
    ],
    ['server', [{ call: 'poll', nth: 5, errno: EIO, thread: 'server' }], /poll failed with EIO/],
    [
      'evictor',
      [{ call: 'fallocate', nth: 2, errno: EIO, thread: 'evictor' }],
      /releasing .* failed with EIO/,
    ],
  ] as const)('the %s cannot go on (%#): so does the process', async (_name, plan, message) => {
    const args = [{ ...SMALL, directory, seconds: 60 }, plan, {}].map((value) => JSON.stringify(value));
    const result = await runCommand(process.execPath, [supportScript('swap-child.mjs'), ...args], SLOW_MS);
    expect({ status: result.status, signal: result.signal }).toEqual({ status: 70, signal: null });
    expect(result.stderr).toMatch(message);
  });

  test('SIGKILL in the middle leaves nothing', async () => {
    const started = await startUntilEvicted();
    // It never had a name, as the check of the directory at the end shows for all of them.
    expect(readdirSync(directory)).toEqual([]);
    started.child.kill('SIGKILL');
    expect(await ended(started)).toEqual({ status: null, signal: 'SIGKILL' });
  });
});

describe('options', () => {
  test.each([
    [['--region', '5000'], /region must be a power of two/],
    [['--anon', '100000'], /anon must be a multiple of the region size/],
    [['--anon', '8GiB'], /anon must be .* at most 4 GiB/],
    [['--anon', '0', '--shmem', '0'], /must not both be 0/],
    [['--resident', '4KiB'], /resident must be at least 4 regions/],
    [['--resident', 'much'], /"much" is not a size/],
    [['--seconds', '0'], /seconds must be more than 0/],
    [['--seed', '1.5'], /seed must be an integer/],
    [['--codec', 'rot13'], /codec must be one of/],
    [['--what'], /Unknown option/],
  ])('%j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringMatching(message) }),
    );
  });

  test('are read', () => {
    expect(parseOptions(['--anon', '1.5MiB', '--shmem=0', '--seed=-3', '--json'])).toMatchObject({
      options: { ...DEFAULTS, anonBytes: 1.5 * MIB, shmemBytes: 0, seed: -3 },
      json: true,
      help: false,
    });
  });

  test.each([
    [['--what'], /ERR_OPTION: Unknown option/],
    [['--file', '/dev/null/no'], /ERR_OPTION: --file \/dev\/null\/no: ENOTDIR/],
  ])('a wrong one is status 2: %j', async (args, message) => {
    const result = await cli(...args);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(message);
  });
});
