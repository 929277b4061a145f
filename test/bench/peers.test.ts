// The peers that this machine has do the managed heap's work, and say what they did as the harness expects it. Those that it has not are
// skipped, and their reasons printed.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { PEERS } from '#bench/peers/index.js';
import { findWorkload } from '#bench/workloads/index.js';
import { report } from './cli.js';

const MIB = 2 ** 20;
const SCALE = 0.002;
const SEED = 7;
const KILL_AFTER_MS = 60_000;
const BUILD_TIMEOUT_MS = 180_000;
const PAIR_BYTES = 16;
/** One of each program. */
const PROGRAMS = ['java-serial', 'go', 'boehm', 'ocaml'];

const folder = mkdtempSync(join(tmpdir(), 'tospace-peers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const skipped = new Map<string, string>();
beforeAll(async () => {
  await Promise.all(
    PEERS.map(async (peer) => {
      const prepared = await peer.prepare(folder);
      if ('skipped' in prepared) skipped.set(peer.name, prepared.skipped);
    }),
  );
}, BUILD_TIMEOUT_MS);

/** Skips a test of a peer that is not installed. A program that does not compile is a failure. */
function needs(context: TestContext, name: string): void {
  const reason = skipped.get(name);
  if (reason === undefined) return;
  expect(reason).toMatch(/is not installed|the program needs|not part of this build/);
  context.skip(`${name}: ${reason}`);
}

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function execute(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      command[0]!,
      command.slice(1),
      {
        encoding: 'utf8',
        timeout: KILL_AFTER_MS,
        killSignal: 'SIGKILL',
        env: { ...process.env, ...env },
      },
      (error, stdout, stderr) =>
        resolve({ status: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
  });
}

interface RunOptions {
  readonly threads?: number;
  readonly rate?: number;
  readonly scale?: number;
  readonly heapBytes?: number;
}

/** Runs a workload on a peer; checks all that holds for every run. */
async function runPeer(
  name: string,
  workload: string,
  { threads = 1, rate, scale = SCALE, heapBytes = 64 * MIB }: RunOptions = {},
) {
  const peer = PEERS.find((one) => one.name === name)!;
  const file = (ending: string): string => join(folder, `${name}-${workload}-${threads}.${ending}`);
  const { command, env, pauseLog } = peer.run({
    workload,
    scale,
    seed: SEED,
    threads,
    ...(rate === undefined ? {} : { rate }),
    heapBytes,
    opsFile: file('ops'),
    logFile: file('log'),
  });
  const { status, stdout, stderr } = await execute(command, env);
  expect(status, stderr).toBe(0);
  expect(stdout).toMatch(/^\{[^\n]*\}\n$/);
  const result = JSON.parse(stdout) as Record<string, number>;
  expect(Object.keys(result)).toEqual(['checksum', 'wallMs', 'cpuMs', 'peakRssBytes', 'operations']);
  expect(result.wallMs).toBeGreaterThan(0);
  expect(result.cpuMs).toBeGreaterThanOrEqual(0);
  expect(result.peakRssBytes).toBeGreaterThan(MIB);

  const bytes = readFileSync(file('ops'));
  expect(bytes.length).toBe(result.operations! * PAIR_BYTES);
  expect(result.operations).toBeGreaterThan(0);
  const starts: number[] = [];
  let before = 0;
  for (let at = 0; at < bytes.length; at += PAIR_BYTES) {
    const start = bytes.readDoubleLE(at);
    const end = bytes.readDoubleLE(at + 8);
    starts.push(start);
    // Threads are one after the other: their operations overlap.
    if (threads === 1) expect(start).toBeGreaterThanOrEqual(before);
    expect(end).toBeGreaterThanOrEqual(start);
    expect(end).toBeLessThanOrEqual(result.wallMs! + 0.001);
    before = end;
  }
  const pauses = name === 'v8' ? [] : peer.pauses(readFileSync(pauseLog!, 'utf8'));
  for (const { startMs, ms } of pauses) {
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(startMs).toBeGreaterThanOrEqual(0);
    expect(startMs).toBeLessThanOrEqual(result.wallMs! + 0.001);
  }
  return { checksum: result.checksum!, operations: result.operations!, starts, pauses };
}

/** The command of a program, without its arguments. */
function programOf(name: string): string[] {
  const { command } = PEERS.find((one) => one.name === name)!.run({
    workload: 'gcbench',
    scale: 1,
    seed: 1,
    threads: 1,
    heapBytes: 64 * MIB,
    opsFile: join(folder, 'unused.ops'),
    logFile: join(folder, 'unused.log'),
  });
  return command.slice(0, command.indexOf('gcbench'));
}

const heapChecksums = new Map<string, Promise<number>>();

/** The checksum on the managed heap, computed once. */
function heapChecksum(workload: string, threads: number): Promise<number> {
  let checksum = heapChecksums.get(workload);
  if (checksum === undefined) {
    const inThreads = threads === 1 ? [] : ['--threads', `${threads}`];
    const sizes = ['--heap', '64MiB', '--scale', `${SCALE}`, '--seed', `${SEED}`];
    checksum = report(workload, ...sizes, ...inThreads).then((run) => run.checksum);
    heapChecksums.set(workload, checksum);
  }
  return checksum;
}

describe.each(PROGRAMS)('%s', (name) => {
  const peer = PEERS.find((one) => one.name === name)!;

  test('names what was found', (context) => {
    needs(context, name);
    expect(peer.title).toMatch(/, \d+\.\d+/);
  });

  test('refuses what is wrong with the command line', async (context) => {
    needs(context, name);
    const all = ['--scale', '1', '--seed', '1', '--threads'];
    const wrong: [string[], RegExp][] = [
      [[], /usage: WORKLOAD/],
      [['sieve'], /no workload sieve/],
      [['gcbench', '--scale', '0'], /--scale takes a number above 0, not 0/],
      [['gcbench', '--seed', '1.5'], /--seed takes an integer from 0 to 4294967295, not 1.5/],
      [['gcbench', '--ops'], /--ops needs a value/],
      [['gcbench', '--speed', '1'], /no option --speed/],
      [['gcbench', '--scale', '1'], /--scale, --seed, --threads and --ops are needed/],
      [
        ['gcbench', ...all, '2', '--ops', join(folder, 'unused.ops')],
        /gcbench runs in one thread|--threads takes an integer from 1 to 1, not 2/,
      ],
    ];
    const program = programOf(name);
    await Promise.all(
      wrong.map(async ([args, reason]) => {
        const { status, stdout, stderr } = await execute([...program, ...args]);
        expect(stderr).toMatch(reason);
        expect(stdout).toBe('');
        expect(status).toBe(2);
      }),
    );
    const unwritable = ['gcbench', ...all, '1', '--ops', join(folder, 'missing', 'file')];
    const { status, stdout, stderr } = await execute([...program, ...unwritable]);
    expect(stderr).toContain('missing');
    expect(stdout).toBe('');
    expect(status).toBe(1);
  });

  test('begins no operation of an open load before it is due', async (context) => {
    needs(context, name);
    const rate = 400;
    const { starts } = await runPeer(name, 'lru-cache', { rate });
    expect(starts.length).toBe(32);
    starts.forEach((start, i) => {
      expect(start - starts[0]!).toBeGreaterThanOrEqual((i * 1000) / rate - 0.001);
    });
  });

  for (const workload of peer.workloads) {
    test(`${workload}: the checksum of the managed heap`, async (context) => {
      needs(context, name);
      if (findWorkload(workload) === undefined) context.skip('not on the managed heap yet');
      const threads = workload === 'gcbench-mt' ? 2 : 1;
      const [{ checksum }, expected] = await Promise.all([
        runPeer(name, workload, { threads }),
        heapChecksum(workload, threads),
      ]);
      expect(checksum).toBe(expected);
    });
  }
});

test('several threads have their operations one after the other, and each has all of them', async (context) => {
  const name = PROGRAMS.find(
    (one) =>
      !skipped.has(one) && PEERS.some((peer) => peer.name === one && peer.workloads.includes('gcbench-mt')),
  );
  if (name === undefined) return context.skip('no peer with threads');
  const one = await runPeer(name, 'gcbench-mt', { threads: 1 });
  const three = await runPeer(name, 'gcbench-mt', { threads: 3 });
  expect(three.operations).toBe(3 * one.operations);
  expect(three.checksum).not.toBe(one.checksum);
});

test('a machine without the runtimes skips them, and says what is missing', async () => {
  const path = process.env.PATH;
  process.env.PATH = folder;
  try {
    for (const peer of PEERS.filter(({ name }) => name !== 'v8'))
      expect(await peer.prepare(folder)).toEqual({ skipped: expect.stringMatching(/^\w+ is not installed/) });
  } finally {
    process.env.PATH = path;
  }
});

test('v8: the same command line', async (context) => {
  needs(context, 'v8');
  const { checksum } = await runPeer('v8', 'lru-cache');
  expect(checksum).toBe(await heapChecksum('lru-cache', 1));
});

for (const { name } of PEERS.filter((peer) => peer.name !== 'v8')) {
  test(`${name}: pauses of a small heap, in its own log`, async (context) => {
    needs(context, name);
    const { pauses } = await runPeer(name, 'gcbench', { scale: 0.02, heapBytes: 48 * MIB });
    expect(pauses.length).toBeGreaterThan(0);
  });
}
