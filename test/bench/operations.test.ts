// The log of operations, and the schedule of an open load. What a clock shows on a busy machine is only ever later than planned.
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseRunArguments } from '#bench/cli/run-arguments.js';
import { OPERATIONS_MAX, Operations, writeOperations } from '#bench/workloads/operations.js';
import { operationsOf } from '#bench/workloads/splay-plan.js';
import { report } from './cli.js';

const file = join(tmpdir(), `tospace-operations-${process.pid}`);
afterEach(() => rmSync(file, { force: true }));

/** Doubles differ by this much, in milliseconds, when the same moment is computed in two ways. */
const EPSILON_MS = 1e-6;

function readLog(): Float64Array {
  return new Float64Array(new Uint8Array(readFileSync(file)).buffer);
}

/** Every operation ends after it began, and begins after the one before it has ended. */
function expectInOrder(times: Float64Array): void {
  expect(times[0]).toBeGreaterThanOrEqual(0);
  for (let i = 1; i < times.length; i++) expect(times[i]).toBeGreaterThanOrEqual(times[i - 1]!);
}

function expectOnSchedule(times: Float64Array, rate: number): void {
  for (let i = 0; i < times.length / 2; i++)
    expect(times[i * 2]! - times[0]!).toBeGreaterThanOrEqual((i * 1000) / rate - EPSILON_MS);
}

function busyMs(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

describe('operations', () => {
  it('are logged in order, from the beginning of the workload', () => {
    const operations = new Operations();
    operations.begin();
    operations.end();
    operations.start();
    expect(operations.count).toBe(0);
    busyMs(2);
    for (let i = 0; i < 100; i++) {
      operations.begin();
      if (i === 50) busyMs(3);
      operations.end();
    }
    const times = operations.times();
    expect(operations.count).toBe(100);
    expect(times.length).toBe(200);
    expectInOrder(times);
    expect(times[0]).toBeGreaterThanOrEqual(2 - EPSILON_MS);
    expect(times[101]! - times[100]!).toBeGreaterThanOrEqual(3 - EPSILON_MS);
  });

  it('are logged up to a number, and done beyond it', () => {
    const operations = new Operations();
    operations.start();
    for (let i = 0; i < OPERATIONS_MAX + 5; i++) {
      operations.begin();
      operations.end();
    }
    expect(operations.count).toBe(OPERATIONS_MAX);
    const times = operations.times();
    for (let i = 1; i < times.length; i++) if (!(times[i]! >= times[i - 1]!)) expect.fail(`entry ${i}`);
  });

  it('begin when they are due, in a safe region, and at once when they are late', () => {
    const rate = 400;
    let waits = 0;
    let waiting = false;
    const operations = new Operations({
      rate,
      blocking: (wait) => {
        waits++;
        waiting = true;
        wait();
        waiting = false;
      },
    });
    operations.start();
    // What is built before the first operation makes none of them late.
    busyMs(20);
    // Where all of them are late, it goes on until one is not: some thousand are due later than any machine is late.
    let made = 0;
    for (; made < 40 || (waits === 0 && made < 4000); made++) {
      operations.begin();
      expect(waiting).toBe(false);
      // Four operations long: those that are due meanwhile need not wait.
      if (made === 5) busyMs(10);
      operations.end();
    }
    const times = operations.times();
    expectInOrder(times);
    expectOnSchedule(times, rate);
    expect(waits).toBeGreaterThanOrEqual(1);
    // The first is never waited for, nor the three that came due during the long one.
    expect(waits).toBeLessThanOrEqual(made - 1 - 3);
  });

  it('of several threads are written one after the other', () => {
    writeOperations(file, [Float64Array.of(1, 2, 3, 4), Float64Array.of(0.5, 0.75)]);
    expect([...readLog()]).toEqual([1, 2, 3, 4, 0.5, 0.75]);
  });
});

describe('tospace run', () => {
  it('writes the operations of an open load, which begin when they are due while cycles run', async () => {
    const rate = 200;
    const scale = 0.003;
    const stress = 'collectEveryAllocation=40000';
    const args = ['--scale', `${scale}`, '--heap', '64MiB', '--stress', stress];
    const { cycles } = await report('splay', ...args, '--ops-rate', `${rate}`, '--ops', file);
    expect(cycles).toBeGreaterThanOrEqual(1);
    const times = readLog();
    expect(times.length).toBe(2 * operationsOf(scale));
    expectInOrder(times);
    expectOnSchedule(times, rate);
  });

  it('gives each thread its operations and its schedule', async () => {
    const rate = 1000;
    await report('gcbench-mt', '--threads', '3', '--scale', '0.02', '--ops-rate', `${rate}`, '--ops', file);
    const all = readLog();
    const each = all.length / 3;
    expect(Number.isInteger(each / 2)).toBe(true);
    for (let thread = 0; thread < 3; thread++) {
      const times = all.subarray(thread * each, (thread + 1) * each);
      expectInOrder(times);
      expectOnSchedule(times, rate);
    }
  });

  it('reads the options of operations and threads, and refuses them where they mean nothing', () => {
    const parsed = (text: string) => parseRunArguments(text.split(' '));
    expect(parsed('splay --ops-rate 2.5 --ops log')).toMatchObject({
      rate: 2.5,
      operationsFile: 'log',
      threads: 1,
    });
    expect(parsed('gcbench-mt')).toMatchObject({ rate: undefined, operationsFile: undefined, threads: 2 });
    expect(parsed('gcbench-mt --threads 5')).toMatchObject({ threads: 5 });
    expect(() => parsed('gcbench --threads 2')).toThrow('--threads: gcbench runs in one thread');
    expect(() => parsed('gcbench-mt --threads 0')).toThrow('--threads: "0" is not an integer from 1 to 32');
    expect(() => parsed('steady --ops-rate 5')).toThrow('--ops-rate: steady has a schedule of its own');
    expect(() => parsed('splay --ops-rate 0')).toThrow('--ops-rate: "0" is not a number');
  });
});
