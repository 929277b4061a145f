// `tospace bench`: one real run, one that is interrupted, and mistakes on the command line.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BenchDocument } from '#bench/harness/schema.js';
import { MAIN, tospace } from '../cli.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tospace-bench-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const read = (file: string): BenchDocument => JSON.parse(readFileSync(file, 'utf8')) as BenchDocument;

it('measures heap and V8, says what it knows and null for the rest', { timeout: 60_000 }, async () => {
  const file = join(dir, 'run.json');
  const only = '--only=gcbench/concurrent,gcbench/stop,gcbench/v8';
  const { status, stdout, stderr } = await tospace(
    ...[
      'bench',
      'quick',
      only,
      '--runs=1',
      '--scale=0.1',
      '--no-pretouch',
      `--json=${file}`,
      `--html=${file}.html`,
      `--trace=${file}.trace`,
    ],
  );
  expect(stderr).toMatch(/suite quick: 3 configurations, 1 processes each, about/);
  expect(stdout).toMatch(/checksums: equal/);
  expect(status).toBe(0);
  const document = read(file);
  expect(readFileSync(`${file}.html`, 'utf8')).toMatch(/^<!DOCTYPE html>[\s\S]*<\/html>\n$/);
  expect(JSON.parse(readFileSync(`${file}.trace`, 'utf8'))).toContainEqual(
    expect.objectContaining({ ph: 'X', cat: 'phase' }),
  );
  expect(document).toMatchObject({ format: 'tospace-bench', status: 'complete', problems: [] });
  expect(document.checksums).toMatchObject([{ equal: true }]);
  const facts = (collector: string) =>
    document.measurements.find(({ configuration }) => configuration.includes(`/${collector}/`))!.facts!;
  const concurrent = facts('concurrent');
  expect(concurrent.heap!.statistics.cycles).toBeGreaterThan(0);
  expect(concurrent.gcCpuFrom).toBe('threads');
  expect(concurrent.gcCpuMs!).toBeGreaterThan(0);
  expect(concurrent.gcCpuMs!).toBeLessThan(concurrent.cpuMs);
  expect(concurrent.operations!.count).toBeGreaterThan(100);
  expect(concurrent.pauses.map(({ kind, phase }) => `${kind} ${phase}`)).toEqual(
    expect.arrayContaining(['remark total', 'flip total', 'flip register']),
  );
  // One that was asked for at the end may begin behind it.
  const { cycles, statistics } = concurrent.heap!;
  expect([statistics.cycles, statistics.cycles - 1]).toContain(cycles.length);
  for (const { startMs } of concurrent.heap!.cycles) expect(startMs).toBeLessThan(concurrent.wallMs);
  expect(concurrent.memory.pssBytes!).toBeGreaterThan(0);
  expect(concurrent.memory.peakRssBytes!).toBeGreaterThan(concurrent.memory.pssBytes! / 10);
  expect(concurrent.timeline!.samples.length).toBeGreaterThan(0);
  const v8 = facts('v8');
  expect(v8).toMatchObject({ heap: null, faults: null, stallsUs: null, gcCpuFrom: 'pauses' });
  expect(v8.pauses.map(({ kind }) => kind)).toContain('minor');
  expect(v8.memory.memfdBytes).toBeNull();
  expect(v8.checksum).toBe(concurrent.checksum);
  const stopped = facts('stop-the-world');
  expect(stopped.pauses[0]).toMatchObject({ kind: 'full', phase: 'total' });
  expect(stopped.faults).toBeNull();
  const heap = document.analysis.lbo.find(({ program }) => program === 'heap')!;
  expect(heap.rows).toHaveLength(2);
  for (const { wall, cpu } of heap.rows) {
    expect(wall!.median).toBeGreaterThanOrEqual(1);
    expect(cpu!.median).toBeGreaterThanOrEqual(1);
  }
});

it('keeps what was measured when it is interrupted', { timeout: 60_000 }, async () => {
  const file = join(dir, 'interrupted.json');
  const child = spawn(process.execPath, [
    MAIN,
    ...[
      'bench',
      'quick',
      '--only=gcbench/v8',
      '--runs=500',
      '--scale=0.05',
      '--no-pretouch',
      `--json=${file}`,
    ],
  ]);
  const killed = setTimeout(() => child.kill('SIGKILL'), 50_000);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    // Lines, because this is no terminal.
    if (/^2\/500 /m.test(stderr)) child.kill('SIGINT');
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(killed);
  expect(status, stderr).toBe(130);
  expect(stdout).toMatch(/this run is incomplete/);
  const document = read(file);
  expect(document.status).toBe('incomplete');
  expect(document.problems).toContain('interrupted');
  expect(document.measurements.length).toBeGreaterThanOrEqual(2);
  expect(document.analysis.configurations[0]!.metrics.wallMs!.values.length).toBe(
    document.measurements.length,
  );
});

it.each([
  [['bench', 'roof'], /there is no benchmark "roof"; there are: quick, .*floor, flip, pauses/],
  [['bench', 'quick', 'full'], /one argument too many/],
  [['bench', '--runs=0'], /--runs: "0" is not an integer from 1/],
  [['bench', '--stress={'], /--stress: .* is no KEY=VALUE/],
  [['bench', '--stress=delayMs.flop=2'], /--stress: there is no option stress\.delayMs\.flop/],
  [['bench', '--only=nothing-is-called-so'], /no configuration is left/],
  [['bench', '--json=a', '--html=a'], /--html|two outputs/],
  [['bench', '--json=no/such/folder/x.json'], /cannot write/],
  [['bench', '--what'], /--what/],
])('%j is a mistake on the command line', async (args, message) => {
  const { status, stderr } = await tospace(...args);
  expect(status).toBe(2);
  expect(stderr).toMatch(message);
  expect(existsSync('a')).toBe(false);
});
