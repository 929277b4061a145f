// The graph example as a whole, at a tiny size: every side runs, all checksums are right, and the table says it all. No figure is judged.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { SideResult } from '#examples/graph/measure-side.js';
import { Model } from '#examples/graph/model.js';
import { burstOf, parseOptions, TICK_MS, warmUpOf } from '#examples/graph/options.js';
import { describe as describeReport, isRight, tableRows } from '#examples/graph/report.js';
import type { GraphReport } from '#examples/graph/run.js';
import { SIDE_NAMES } from '#examples/graph/sides.js';
import { example, exampleReport } from './run.ts';

const SECONDS = 0.2;
const OPTIONS = ['--entries', '2000', '--seconds', String(SECONDS), '--rate', '8000'];
const SLOW_MS = 60_000;

test('all sides answer the same requests rightly, and are measured in the same way', {
  timeout: SLOW_MS,
}, async () => {
  const report = await exampleReport<GraphReport>('graph', ...OPTIONS);
  const { options, results } = report;
  expect(options).toMatchObject({ entries: 2000, threads: 4, seconds: SECONDS, rounds: 1 });
  expect(results.map(({ side }) => side)).toEqual(SIDE_NAMES);
  expect(isRight(report)).toBe(true);

  const paced = Math.round((SECONDS * 1000) / TICK_MS) * burstOf(options) * options.threads;
  for (const { paced: atRate, flood, memory, warmUp, end } of results) {
    expect(atRate.requests).toBe(paced);
    expect(flood.requests).toBeGreaterThan(0);
    for (const { latencies, requests } of [atRate, flood]) {
      expect(latencies).toHaveLength(options.threads);
      const counted = latencies.flatMap(({ buckets }) => buckets.map(([, count]) => count));
      expect(counted.reduce((a, b) => a + b)).toBe(requests);
    }
    // The flood is so short that the thread that only sleeps may have slept through it.
    expect(atRate.hiccups.buckets.length).toBeGreaterThan(0);
    expect(flood.hiccups.buckets).toBeInstanceOf(Array);
    expect(warmUp).toMatchObject({ state: results[0]!.warmUp.state, answers: results[0]!.warmUp.answers });
    // Something was changed after the warm-up.
    expect(end.state).not.toBe(warmUp.state);
    expect(Math.min(...Object.values(memory))).toBeGreaterThan(0);
  }
  // Only one side has a managed heap.
  expect(results.map(({ heap }) => heap !== undefined)).toEqual([true, false, false]);
  expect(results[0]!.heap!.sharedBytes).toBeGreaterThan(0);

  // The table has a cell for every side in every row, and is printed whole.
  const rows = tableRows(report);
  const text = describeReport(report);
  expect(rows.length).toBeGreaterThan(20);
  for (const { name, cells } of rows) {
    expect(cells).toHaveLength(SIDE_NAMES.length);
    for (const cell of cells) expect(cell).not.toMatch(/^$|NaN|undefined|Infinity/);
    expect(text).toContain(name);
  }
  expect(text).toContain('All checksums are equal');

  // What goes wrong on one side is found, and told.
  const spoil = (change: Partial<SideResult>): GraphReport => ({
    ...report,
    results: results.map((one) => (one.side === 'heap' ? { ...one, ...change } : one)),
  });
  const { end, warmUp } = results[0]!;
  for (const change of [
    { end: { ...end, wrong: 1 } },
    { end: { ...end, state: '00000000' } },
    { end: { ...end, answers: '00000000' } },
    { warmUp: { ...warmUp, state: '00000000', expectedState: '00000000' } },
  ]) {
    expect(isRight(spoil(change))).toBe(false);
    expect(describeReport(spoil(change))).toContain('CHECKSUMS DIFFER');
  }
});

test('the model tells one request more or less', () => {
  const { options } = parseOptions(['--entries', '1000', '--threads', '2']);
  const after = (...requests: number[]) => {
    const model = new Model(options);
    model.advanceTo(requests);
    return { answers: model.answers(), state: model.stateChecksum() };
  };
  expect(warmUpOf(options)).toBe(500);
  const expected = after(500, 500);
  const model = new Model(options);
  model.advanceTo([10, 400]);
  model.advanceTo([500, 500]);
  expect({ answers: model.answers(), state: model.stateChecksum() }).toEqual(expected);
  expect(after(499, 500)).not.toEqual(expected);
  expect(after(500, 501)).not.toEqual(expected);
});

test('an interrupt ends the example, and the process of the side under way', {
  timeout: SLOW_MS,
}, async () => {
  const main = fileURLToPath(import.meta.resolve('#examples/graph/main.js'));
  const child: ChildProcess = spawn(process.execPath, [main, ...OPTIONS, '--seconds', '600']);
  const timer = setTimeout(() => child.kill('SIGKILL'), SLOW_MS / 2);
  await once(child.stderr!, 'data');
  // Long enough for the side to have threads, on most machines; it ends in any case.
  await sleep(700);
  child.kill('SIGINT');
  // Its output closes when the last process that has it ends.
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  clearTimeout(timer);
  expect({ status, signal }).toEqual({ status: null, signal: 'SIGINT' });
});

test.each([
  [['--entries', '10'], /--entries: an integer from 1000/],
  [['--threads', '0'], /--threads: an integer from 1 to 16/],
  [['--seconds', '0'], /--seconds: more than 0/],
  [['--rounds', '1.5'], /--rounds: an integer/],
  [['--rate', 'much'], /--rate: an integer/],
  [['--skew', '9'], /--skew: an integer from 1 to 8/],
  [['--what'], /Unknown option/],
])('wrong arguments: %j', (args, message) => {
  expect(() => parseOptions(args)).toThrow(
    expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringMatching(message) }),
  );
});

test('wrong arguments are status 2, and --help is 0', async () => {
  const wrong = await example('graph', '--threads', '0');
  expect(wrong).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining('ERR_OPTION: --threads'),
  });
  expect(await example('graph', '--help')).toMatchObject({
    status: 0,
    stderr: '',
    stdout: expect.stringContaining('--entries'),
  });
});
