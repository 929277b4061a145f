// Rings of events: one writer, any number of readers, what is lost, and that nothing is written while nobody reads.
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { TraceRecorder } from '#src/gc/trace.js';
import { CAUSES, causeBit, mostPressing } from '#src/heap/causes.js';
import { monotonicOffsetMs } from '#src/heap/clock.js';
import { CTL_TRACES, MAX_THREADS, PAUSE_INSPECT, T_NAME } from '#src/heap/layout.js';
import {
  TRACE_BYTES,
  TRACE_HEADS_BYTES,
  TRACE_THREAD_EVENTS,
  TRACE_WORKER_EVENTS,
} from '#src/heap/trace-layout.js';
import { writeName } from '#src/heap/thread-name.js';
import * as trace from '#src/heap/trace-ring.js';
import { ArenaHarness } from '../support/arena-harness.ts';
import { endThreads, startThread } from '../support/threads.ts';

const h = new ArenaHarness();
const { TraceRing } = trace;
const rings = h.tables.words(h.tables.geometry.traces, TRACE_BYTES / 4);
const THREAD = 3;
const COLLECTOR_RING = MAX_THREADS;

beforeEach(() => {
  h.reset();
  rings.fill(0);
});
afterEach(endThreads);
afterAll(() => h.close());

const recorder = (): TraceRecorder => new TraceRecorder(h.tables, 2);
const stall = (ring: InstanceType<typeof TraceRing>, i: number): void =>
  ring.span(trace.TRACE_STALL, 1, i, i + 0.5);

test('what nobody records is not written', () => {
  const ring = new TraceRing(h.tables, THREAD);
  stall(ring, 1);
  ring.attached(h.tables.threads[THREAD]!, T_NAME);
  ring.counters(1, 1, { used: 1, live: 1, shared: 1, softLimit: 1, nonMoving: 1 });
  expect(rings.every((word) => word === 0)).toBe(true);
  const closed = recorder();
  closed.close();
  closed.close();
  expect(h.control[CTL_TRACES]).toBe(0);
  stall(ring, 2);
  expect(rings.every((word) => word === 0)).toBe(true);
});

test('every event comes back as it was written, on the clock of the reader', () => {
  writeName(h.tables.threads[THREAD]!, T_NAME, 'first');
  const reader = recorder();
  const mutator = new TraceRing(h.tables, THREAD);
  const collector = new TraceRing(h.tables, COLLECTOR_RING);
  const server = new TraceRing(h.tables, COLLECTOR_RING + 1);
  const nonMovingPage = (h.tables.geometry.nonMoving - h.heap) / 4096;
  collector.span(trace.TRACE_CYCLE_START, CAUSES.indexOf('idle'), 1, 1, 7);
  collector.counters(trace.PHASES.indexOf('mark'), 2, {
    used: 11,
    live: 12,
    shared: 3 * 2 ** 30,
    softLimit: 14,
    nonMoving: 15,
  });
  collector.span(trace.TRACE_PHASE, trace.PHASES.indexOf('plan'), 3, 3.25, 7);
  collector.span(trace.TRACE_STEP, trace.STEP_STOP, 4, 4.5);
  collector.span(trace.TRACE_STEP, trace.STEP_RESUME, 4.5, 5);
  collector.span(trace.TRACE_PAUSE, trace.PAUSES.indexOf('flip'), 4, 5, 7, 2);
  collector.span(trace.TRACE_PAGES, 0, 6, 7, 32, 16);
  server.span(trace.TRACE_FAULT, trace.FAULT_OUTCOMES.indexOf('late'), 7, 8, nonMovingPage, 2, 3);
  mutator.span(trace.TRACE_STOPPED, trace.PAUSES.indexOf('full'), 8, 9);
  mutator.span(trace.TRACE_STOPPED, PAUSE_INSPECT, 8.25, 8.5);
  mutator.span(trace.TRACE_STALL, trace.STALL_REASONS.indexOf('pace'), 9, 10);
  mutator.span(trace.TRACE_DETACHED, 0, 11, 11);
  writeName(h.tables.threads[THREAD]!, T_NAME, 'the second one');
  mutator.attached(h.tables.threads[THREAD]!, T_NAME);
  mutator.span(trace.TRACE_SAMPLED_FAULT, 0, 2 ** 40, 2 ** 40, 5);
  collector.span(trace.TRACE_CYCLE, trace.OUTCOMES.indexOf('abandoned'), 1, 12, 7, CAUSES.indexOf('trigger'));
  const events = reader.read().map(({ thread, startUs, durationUs, ...rest }) => ({
    by: `${thread.kind} ${thread.index} ${thread.name}`,
    startUs: Math.round(startUs),
    durationUs: Math.round(durationUs),
    ...rest,
  }));
  const at = (by: string, startUs: number, durationUs: number) => ({ by, startUs, durationUs });
  const C = 'collector 0 collector';
  const now = Math.round(events.find(({ type }) => type === 'attached')!.startUs);
  expect(now / 1000).toBeLessThanOrEqual(performance.now());
  const expected = [
    { ...at(C, 1000, 11000), type: 'cycle', cycle: 7, cause: 'trigger', outcome: 'abandoned' },
    { ...at(C, 1000, 0), type: 'cycle-start', cycle: 7, cause: 'idle' },
    {
      ...at(C, 2000, 0),
      type: 'counters',
      phase: 'mark',
      usedBytes: 11,
      liveBytes: 12,
      sharedBytes: 3 * 2 ** 30,
      softLimitBytes: 14,
      nonMovingBytes: 15,
    },
    { ...at(C, 3000, 250), type: 'phase', cycle: 7, phase: 'plan' },
    { ...at(C, 4000, 1000), type: 'pause', cycle: 7, pause: 'flip', stepsUs: expect.anything() },
    { ...at(C, 6000, 1000), type: 'pages', space: 'heap', page: 32, pages: 16 },
    {
      ...at('server 1 fault server 1', 7000, 1000),
      type: 'fault',
      space: 'non-moving',
      page: nonMovingPage,
      outcome: 'late',
      eexist: 2,
      eagain: 3,
    },
    { ...at('mutator 3 first', 8000, 1000), type: 'stopped', pause: 'full' },
    { ...at('mutator 3 first', 8250, 250), type: 'stopped', pause: 'snapshot' },
    { ...at('mutator 3 first', 9000, 1000), type: 'stall', reason: 'pace' },
    { ...at('mutator 3 first', 11000, 0), type: 'detached' },
    { ...at('mutator 3 the second one', now, 0), type: 'attached' },
    {
      ...at('mutator 3 the second one', 2 ** 40 * 1000, 0),
      type: 'sampled-fault',
      space: 'heap',
      page: 5,
    },
  ];
  expect(events).toEqual(expected);
  const pause = events.find((event) => event.type === 'pause') as unknown as { stepsUs: object };
  expect(Object.keys(pause.stepsUs)).toEqual(['stop', 'resume']);
  expect(reader.lost).toBe(0);
  expect(reader.read()).toEqual([]);
});

test('recorders are independent of each other, and each begins when it is made', () => {
  const first = recorder();
  const ring = new TraceRing(h.tables, THREAD);
  stall(ring, 1);
  const second = recorder();
  stall(ring, 2);
  expect([first.read().length, second.read().length]).toEqual([2, 1]);
  first.close();
  stall(ring, 3);
  expect([first.read().length, second.read().length]).toEqual([1, 1]);
  second.close();
  stall(ring, 4);
  expect([first.read().length, second.read().length]).toEqual([0, 0]);
});

test.each([
  [THREAD, TRACE_THREAD_EVENTS],
  [COLLECTOR_RING, TRACE_WORKER_EVENTS],
])(
  'ring %i goes on at its beginning after %i events, and a slow reader is told what it missed',
  (index, size) => {
    // The head wraps as well.
    const heads = h.tables.words(h.tables.geometry.traces, TRACE_HEADS_BYTES / 4);
    heads[index * 16] = -size / 2;
    const reader = recorder();
    const ring = new TraceRing(h.tables, index);
    const write = (count: number, from: number): void => {
      for (let i = 0; i < count; i++) stall(ring, from + i);
    };
    write(size - 1, 0);
    const starts = (): number[] => reader.read().map(({ startUs }) => Math.round(startUs / 1000));
    expect(starts()).toEqual(Array.from({ length: size - 1 }, (_, i) => i));
    expect(reader.lost).toBe(0);
    write(size + 99, 10_000);
    // The oldest of a full ring may be under the writer's hand: it counts as lost.
    expect(starts()).toEqual(Array.from({ length: size - 1 }, (_, i) => 10_100 + i));
    expect(reader.lost).toBe(100);
    reader.close();
  },
);

test('where events were lost their thread is who has attached since, or, if that may be another, nobody', () => {
  const record = h.tables.threads[THREAD]!;
  const ring = new TraceRing(h.tables, THREAD);
  const names = (reader: TraceRecorder): string[] => [
    ...new Set(reader.read().map(({ type, thread }) => `${type} ${thread.name}`)),
  ];
  writeName(record, T_NAME, 'first');
  const reader = recorder();
  const attach = (name: string): void => {
    writeName(record, T_NAME, name);
    ring.attached(record, T_NAME);
  };
  attach('second');
  for (let i = 0; i < TRACE_THREAD_EVENTS; i++) stall(ring, i);
  expect(names(reader)).toEqual(['stall second']);
  attach('third');
  for (let i = 0; i < TRACE_THREAD_EVENTS; i++) stall(ring, i);
  attach('fourth');
  stall(ring, 2 ** 40);
  // Of the third, as far as this reader knows: the fourth has written its name over it.
  expect(names(reader)).toEqual(['stall ', 'attached fourth', 'stall fourth']);
  reader.close();
});

test('a thread that attaches while a recorder is made is known by its name', () => {
  const record = h.tables.threads[THREAD]!;
  const ring = new TraceRing(h.tables, THREAD);
  writeName(record, T_NAME, 'before');
  // The recorder has just read the old name when the thread writes its own, and an event if somebody traces.
  const threads = new Proxy(h.tables.threads, {
    get(target, key) {
      if (key !== String(THREAD)) return Reflect.get(target, key);
      const old = Int32Array.from(record);
      writeName(record, T_NAME, 'late');
      ring.attached(record, T_NAME);
      return old;
    },
  });
  const reader = new TraceRecorder(
    Object.create(h.tables, { threads: { value: threads } }) as typeof h.tables,
    2,
  );
  stall(ring, 2 ** 40);
  expect(reader.read().map(({ type, thread }) => `${type} ${thread.name}`)).toEqual([
    'attached late',
    'stall late',
  ]);
  reader.close();
});

test('half a pause is no pause', () => {
  const ring = new TraceRing(h.tables, COLLECTOR_RING);
  const first = recorder();
  ring.span(trace.TRACE_STEP, trace.STEP_STOP, 4, 5);
  const late = recorder();
  ring.span(trace.TRACE_PAUSE, 1, 4, 5, 7, 1);
  expect([first.read().length, first.lost]).toEqual([1, 0]);
  expect([late.read().length, late.lost]).toEqual([0, 1]);
});

test('a reader beside a writer that overtakes it again and again sees whole events, in order, and counts the rest', async () => {
  const count = 300_000;
  const shared = new Int32Array(new SharedArrayBuffer(1024));
  const reader = recorder();
  const writer = startThread('trace', h.tables, { index: THREAD, count, shared });
  await writer.ready;
  Atomics.store(shared, 0, 1);
  Atomics.notify(shared, 0);
  let seen = 0;
  let next = 0;
  const look = (): void => {
    for (const event of reader.read()) {
      if (event.type !== 'sampled-fault') throw new Error(`a torn event: ${JSON.stringify(event)}`);
      // Start, end and argument were written as one number.
      const i = event.page;
      if (i < next || Math.abs(event.durationUs - i) > 0.5)
        throw new Error(JSON.stringify({ i, next, event }));
      next = i + 1;
      seen++;
    }
  };
  // No timer runs meanwhile: if the writer has failed, only this ends the wait.
  const deadline = performance.now() + 15_000;
  while (Atomics.load(shared, 1) === 0) {
    if (performance.now() > deadline) throw new Error(`the writer does not end; ${seen} events so far`);
    look();
  }
  await writer.result;
  look();
  expect(seen + reader.lost).toBe(count);
  expect(next).toBe(count);
  expect(seen).toBeGreaterThanOrEqual(TRACE_THREAD_EVENTS - 1);
  reader.close();
});

test('the offset of the two clocks is what it is at any later time', () => {
  const [seconds, nanoseconds] = process.hrtime();
  const now = performance.now();
  // An interruption between the two lines makes `now` the later one, and nothing else does.
  const off = now + monotonicOffsetMs() - (seconds * 1000 + nanoseconds / 1e6);
  expect(off).toBeGreaterThan(-0.5);
  expect(off).toBeLessThan(1000);
});

test('the most pressing cause names the cycle', () => {
  expect(mostPressing(0)).toBeUndefined();
  for (const cause of CAUSES) expect(mostPressing(causeBit(cause))).toBe(cause);
  expect(mostPressing(causeBit('idle') | causeBit('allocation') | causeBit('trigger'))).toBe('allocation');
});
