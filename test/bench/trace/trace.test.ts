// Trace files: of a document, of a real run, and in a viewer.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunReport } from '#bench/cli/report.js';
import { type ChromeEvent, chromeTrace, chromeTraceText } from '#bench/trace/chrome.js';
import { tracedProcesses } from '#bench/trace/document.js';
import type { Heap } from 'tospace';
import { startRecorder } from '#bench/harness/recording.js';
import { recordedProcess } from '#bench/trace/recorded.js';
import { nest, TICKS } from '#bench/trace/nest.js';
import { browse, findChromium, NO_CHROMIUM } from '../../support/chromium.js';
import { tospace } from '../cli.js';
import { fixture } from '../fixtures/document.js';
import { problemsOf } from './nesting.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tospace-trace-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const sum = (events: readonly ChromeEvent[], cat: string): number =>
  events.filter((event) => event.ph === 'X' && event.cat === cat).reduce((total, { dur }) => total + dur!, 0);

describe('nesting', () => {
  const us = TICKS;

  test('what only rounding makes overlap is trimmed', () => {
    const spans = [
      { start: 0, end: 100_000 * us },
      { start: 0, end: 40_000 * us + 30 },
      { start: 40_000 * us, end: 100_000 * us + 40 },
      { start: 99_000 * us, end: 100_000 * us + 50 },
    ];
    expect(nest(spans).map(({ start, end, lane }) => [start, end, lane])).toEqual([
      [0, 100_000 * us, 0],
      [0, 40_000 * us, 0],
      [40_000 * us, 100_000 * us, 0],
      [99_000 * us, 100_000 * us, 0],
    ]);
  });

  test('what really overlaps gets another lane, whatever comes', () => {
    expect(
      nest([
        { start: 0, end: 10 * us },
        { start: 5 * us, end: 15 * us },
      ]).map(({ lane }) => lane),
    ).toEqual([0, 1]);
    const span = fc
      .tuple(fc.nat(100_000), fc.nat(50_000))
      .map(([start, length]) => ({ start: start, end: start + length }));
    // The second may end with the first, or before the third; both together would be more than rounding.
    const trimmedTwice = [
      { start: 0, end: 1000 },
      { start: 500, end: 1100 },
      { start: 900, end: 2000 },
    ];
    fc.assert(
      fc.property(fc.array(span, { maxLength: 40 }), (spans) => {
        const nested = nest(spans);
        expect(nested).toHaveLength(spans.length);
        const events = nested.map(
          ({ start, end, lane }): ChromeEvent => ({
            ...{ ph: 'X', name: 'x', pid: 1, tid: lane },
            ts: start / TICKS,
            dur: (end - start) / TICKS,
          }),
        );
        const names = [...new Set(events.map(({ tid }) => tid))].map(
          (tid): ChromeEvent => ({ ph: 'M', name: 'thread_name', pid: 1, tid, ts: 0 }),
        );
        expect(
          problemsOf([{ ph: 'M', name: 'process_name', pid: 1, tid: 0, ts: 0 }, ...names, ...events]),
        ).toEqual([]);
        for (const { span: given, start, end } of nested) {
          expect(start).toBe(given.start);
          expect(given.end - end).toBeLessThanOrEqual(TICKS + 0.5);
        }
      }),
      { examples: [[trimmedTwice]] },
    );
  });

  test('the checker finds what overlaps', () => {
    const event = (name: string, ts: number, dur: number): ChromeEvent => ({
      ...{ ph: 'X', pid: 1, tid: 1 },
      name,
      ts,
      dur,
    });
    expect(problemsOf([event('a', 0, 10), event('b', 5, 10)]).join()).toMatch(/b .* overlaps a/);
    expect(problemsOf([{ ...event('c', 0, 1), ph: 'b', id: '1' }]).join()).toMatch(/never end/);
  });
});

describe('of a document', () => {
  const document = fixture();
  const events = chromeTrace(tracedProcesses(document));

  test('is nested, named, and has every event of every cycle', () => {
    expect(problemsOf(events)).toEqual([]);
    expect(JSON.parse(chromeTraceText(tracedProcesses(document)))).toEqual(
      JSON.parse(JSON.stringify(events)),
    );
    const cycles = document.measurements.flatMap(({ facts }) => facts?.timeline?.cycle ?? []);
    expect(cycles.length).toBeGreaterThan(1);
    const all = cycles.flatMap((cycle) => cycle.events);
    const spans = all.filter(
      ({ kind }) => !['cycle-start', 'counters', 'attached', 'detached'].includes(kind),
    );
    expect(events.filter(({ ph }) => ph === 'X')).toHaveLength(spans.length);
    expect(sum(events, 'fault')).toBeCloseTo(
      spans.filter(({ kind }) => kind === 'fault').reduce((total, { durationUs }) => total + durationUs, 0),
      -1,
    );
  });

  test('steps add up to their pauses, and phases to their cycle, within 5 %', () => {
    expect(sum(events, 'pause')).toBeGreaterThan(0);
    expect(sum(events, 'step') / sum(events, 'pause')).toBeCloseTo(1, 1.3);
    expect(sum(events, 'phase') / sum(events, 'cycle')).toBeCloseTo(1, 1.3);
  });

  test('each fault says who served it, and the pages left reach 0', () => {
    const faults = events.filter(({ cat }) => cat === 'fault');
    expect(faults.length).toBeGreaterThan(0);
    for (const { args } of faults)
      expect(args).toMatchObject({ servedBy: 'fault server 1', page: expect.any(Number) as number });
    for (const pid of new Set(faults.map((fault) => fault.pid))) {
      const left = events
        .filter((event) => event.pid === pid && event.name === 'pages left')
        .map(({ args }) => Number(args!.pages));
      expect(left.at(-1)).toBe(0);
      expect([...left].sort((a, b) => b - a)).toEqual(left);
    }
  });

  test('memory is what was sampled; what is not known is not there', () => {
    for (const { id, facts } of document.measurements) {
      const process = events.find(({ name, args }) => name === 'process_name' && args!.name === id);
      if (process === undefined) continue;
      const of = (name: string): number[] =>
        events
          .filter((event) => event.pid === process.pid && event.name === name)
          .map(({ args }) => Number(args!.bytes));
      const { samples } = facts!.timeline!;
      expect(of('RSS bytes')).toEqual(samples.map(({ rssBytes }) => rssBytes));
      expect(of('memory file bytes, sampled')).toEqual(samples.flatMap(({ memfdBytes }) => memfdBytes ?? []));
    }
  });
});

test('a recording of too many events says what is missing', () => {
  const thread = { kind: 'collector', index: 0, name: 'collector' };
  const event = { type: 'phase', phase: 'mark', thread, startUs: 1000, durationUs: 10 };
  let closed = false;
  const heap = { trace: () => ({ lost: 5, read: () => [event, event], close: () => (closed = true) }) };
  const recorder = startRecorder(heap as unknown as Heap, 3)!;
  recorder.drain();
  const process = recordedProcess('a run', recorder.finish(), []);
  expect(closed).toBe(true);
  expect(process.events).toHaveLength(3);
  expect(process.notes).toEqual([
    '5 events were overwritten before they were read',
    '1 events after these were left out',
  ]);
  const trace = chromeTrace([process]);
  expect(trace.filter(({ cat }) => cat === 'note').map(({ name }) => name)).toEqual(process.notes);
  expect(trace.find(({ ph }) => ph === 'X')).toMatchObject({ name: 'phase mark', ts: 0, dur: 10 });
});

describe('of a run', () => {
  let events: ChromeEvent[];
  let report: RunReport;
  beforeAll(async () => {
    const file = join(dir, 'run.json');
    const { status, stdout, stderr } = await tospace(
      ...['run', 'binary-trees', '--scale=0.1', '--heap=32MiB', `--trace=${file}`, '--json'],
    );
    if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
    expect(stderr).not.toMatch(/overwritten/);
    report = JSON.parse(stdout) as RunReport;
    events = JSON.parse(readFileSync(file, 'utf8')) as ChromeEvent[];
  }, 70_000);

  test('is nested and has every cycle and every fault that was counted', () => {
    expect(problemsOf(events)).toEqual([]);
    expect(report.cycles).toBeGreaterThan(0);
    expect(
      events.filter(({ ph, cat, args }) => ph === 'X' && cat === 'cycle' && args!.outcome === 'completed'),
    ).toHaveLength(report.cycles);
    expect(events.filter(({ cat }) => cat === 'fault').length).toBe(report.faults.count);
  });

  test('its phases and steps add up to the pauses reported, within 5 %', () => {
    const stopped = sum(events, 'stopped');
    const { remark, flip, full } = report.pausesUs;
    const reported = [remark, flip, full].reduce((total, { count, mean }) => total + count * mean, 0);
    // None of both, where every pause found the mutator waiting for room.
    expect(Math.abs(stopped - reported)).toBeLessThanOrEqual(0.05 * reported);
    expect(sum(events, 'pause')).toBeGreaterThan(0);
    expect(Math.abs(sum(events, 'step') / sum(events, 'pause') - 1)).toBeLessThan(0.05);
    expect(Math.abs(sum(events, 'phase') / sum(events, 'cycle') - 1)).toBeLessThan(0.05);
  });

  test('speedscope opens it, and has nothing to say against it', async ({ skip }) => {
    const chromium = findChromium();
    const speedscope = findSpeedscope();
    if (chromium === undefined) return skip(NO_CHROMIUM);
    if (speedscope === undefined) return skip('speedscope is not installed');
    const text = `[\n${events.map((event) => JSON.stringify(event)).join(',\n')}\n]`;
    const good = await open(chromium, speedscope, text);
    expect(good.messages.join('\n')).toMatch(/Importing as Trace Event Format profile/);
    expect(good.complaints.slice(0, 3)).toEqual([]);
    const threads = new Set(events.filter(({ ph }) => ph === 'X').map(({ tid }) => tid)).size;
    expect(good.stdout).toContain(`/${threads})`);
    // It does complain of what is wrong.
    const bad = [
      { ph: 'X', name: 'a', pid: 1, tid: 1, ts: 0, dur: 10 },
      { ph: 'X', name: 'b', pid: 1, tid: 1, ts: 5, dur: 10 },
    ];
    expect((await open(chromium, speedscope, JSON.stringify(bad))).complaints.join()).toMatch(
      /Tried to end "a" when "b"/,
    );
  }, 130_000);
});

/** The folder of the page that speedscope is; undefined where it is not installed. */
function findSpeedscope(): string | undefined {
  try {
    return join(
      dirname(createRequire(import.meta.url).resolve('speedscope/package.json')),
      'dist',
      'release',
    );
  } catch {
    return undefined;
  }
}

/** Opens a trace as speedscope's own command does. */
async function open(chromium: string, speedscope: string, trace: string) {
  const script = join(dir, 'profile.js');
  const base64 = Buffer.from(trace).toString('base64');
  writeFileSync(script, `speedscope.loadFileFromBase64('trace.json', '${base64}')`);
  const result = await browse(
    chromium,
    `${pathToFileURL(join(speedscope, 'index.html')).href}#localProfilePath=${script}`,
    [
      ...['--allow-file-access-from-files', '--enable-unsafe-swiftshader', '--use-angle=swiftshader'],
      ...['--virtual-time-budget=8000', '--dump-dom'],
    ],
  );
  const complaints = result.messages.filter((message) => /Tried to|still open|Failed|rror/.test(message));
  return { ...result, complaints };
}
