// The log line, the listener, the channels and the observer, told of made-up cycles.
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { encodeError, TospaceError } from '#src/errors.js';
import type { CycleReport } from '#src/gc/cycle.js';
import { formatCycle } from '#src/gc/cycle-log.js';
import type { Heap } from '#src/gc/heap.js';
import { HeapObserver, type HeapPerformanceEntry } from '#src/gc/heap-observer.js';
import { announce } from '#src/gc/listener.js';
import { CAUSES } from '#src/heap/causes.js';
import { monotonicOffsetMs } from '#src/heap/clock.js';
import { PHASES } from '#src/heap/trace-ring.js';

const MIB = 2 ** 20;
const CHANNELS = ['tospace:cycle:start', 'tospace:pause', 'tospace:cycle:end', 'tospace:cycle:abandoned'];

function report(over: object = {}): CycleReport {
  return {
    cycle: 4,
    collector: 'concurrent',
    cause: 'trigger',
    startMs: 100,
    durationMs: 52.1131,
    freedBytes: 12.4 * MIB,
    nonMovingFreed: { objects: 3, bytes: 120 * 1024 },
    usedBytesAfter: 31 * MIB,
    sizing: { softLimitBytes: 62 * MIB },
    phasesMs: { mark: 30, remark: 10, flip: 12 },
    pauses: [
      { pause: 'remark', startMs: 130, durationUs: 85.4, stepsUs: { stop: 80, resume: 5.4 } },
      { pause: 'flip', startMs: 140, durationUs: 1041, stepsUs: { stop: 1041 } },
    ],
    ...over,
  } as unknown as CycleReport;
}

test("the guide's names are those of the code", () => {
  const guide = readFileSync(new URL('../../../docs/embedding.md', import.meta.url), 'utf8');
  const section = guide.slice(guide.indexOf('## 18. '), guide.indexOf('## 19. '));
  /** What stands in code in the first column, and in the second, of the table below `title`. */
  const table = (title: string): string[][] => {
    const lines = section.slice(section.indexOf(title)).split('\n').slice(2);
    const rows = lines.slice(
      0,
      lines.findIndex((line) => !line.startsWith('|')),
    );
    return rows.map((row) => row.split('|').slice(1, 3));
  };
  const inCode = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  const causes = table('| `cause`').map(([cause, log]) => [inCode(cause!)[0], log!.trim()]);
  // In the order in which they name a cycle that answers several.
  expect(causes).toEqual(CAUSES.map((cause) => [cause, formatCycle(report({ cause })).split(' ')[0]]));
  const types = table('| `type`').flatMap(([type]) => inCode(type!));
  const decoded = readFileSync(new URL('../../../src/gc/trace.ts', import.meta.url), 'utf8');
  const written = [...decoded.matchAll(/^ +(?:into\.push\(\{ )?type: '([^']+)'/gm)].map(([, type]) => type!);
  expect(types.sort()).toEqual([...new Set(written)].sort());
  const phases = section.slice(section.indexOf('Its phases are'), section.indexOf('A _report_'));
  expect([...new Set(inCode(phases))].sort()).toEqual([...PHASES].sort());
  const channels = inCode(section).filter((name) => name.startsWith('tospace:') || name.startsWith(':'));
  for (const name of channels.map((each) => (each.startsWith(':') ? `tospace:cycle${each}` : each)))
    expect(CHANNELS).toContain(name);
  expect(channels.length).toBe(CHANNELS.length);
  const events = [...section.matchAll(/heap\.on\(([^,]+),/g)].flatMap(([, names]) => names!.match(/\w+/g)!);
  expect(events).toEqual(['start', 'cycle', 'abandoned']);
});

test("a cycle in Android's words", () => {
  expect(formatCycle(report())).toBe(
    'Background concurrent mark compact GC freed 12MB AllocSpace bytes, 3(120KB) LOS objects, 50% free, 31MB/62MB, paused 85us,1.041ms total 52.113ms',
  );
  const empty = {
    cause: 'collect',
    collector: 'stop-the-world',
    freedBytes: 0,
    nonMovingFreed: { objects: 0, bytes: 0 },
    usedBytesAfter: 3000,
    sizing: { softLimitBytes: 2000 },
    durationMs: 2500,
    pauses: [{ durationUs: 999.4 }],
  };
  expect(formatCycle(report(empty))).toBe(
    'Explicit stop-the-world mark compact GC freed 0B AllocSpace bytes, 0(0B) LOS objects, 0% free, 3000B/2000B, paused 999us total 2.500s',
  );
});

function fakeHeap(): Heap {
  return Object.assign(new EventEmitter(), { listener: undefined }) as unknown as Heap;
}

test('a HeapObserver without a callback is refused at once, not when there is something to tell', () => {
  expect(() => new HeapObserver(undefined as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }));
});

test('the listener is told first, then the emitter, then the channels, with times on the clock of this thread', () => {
  const heap = fakeHeap();
  const told: string[] = [];
  const tell = (by: string) => (value: unknown) => void told.push(`${by} ${JSON.stringify(value)}`);
  const round = (ms: number): number => Math.round(ms);
  heap.listener = {
    cycleStarted: ({ cycle, cause, startMs }) =>
      told.push(`listener start ${cycle} ${cause} ${round(startMs)}`),
    phase: (name, startMs, ms) => told.push(`phase ${name} ${round(startMs)} ${ms}`),
    pause: ({ pause, startMs }, { cycle }) => told.push(`pause ${pause} ${round(startMs)} ${cycle}`),
    cycleEnded: ({ cycle }) => told.push(`listener end ${cycle}`),
    cycleAbandoned: (error) => told.push(`listener abandoned ${error.message}`),
  };
  heap.on('start', ({ cycle }) => told.push(`start ${cycle}`));
  heap.on('cycle', ({ cycle }) => told.push(`cycle ${cycle}`));
  heap.on('abandoned', tell('abandoned'));
  const listen = (message: unknown, name: unknown): void => {
    expect((message as { heap: Heap }).heap).toBe(heap);
    told.push(`${String(name)} ${Object.keys(message as object).join()}`);
  };
  for (const name of CHANNELS) subscribe(name, listen);
  // A thread whose performance.now() is 1000 ms ahead of this one's.
  const offsetMs = monotonicOffsetMs() - 1000;
  announce(heap, { type: 'start', start: { cycle: 4, cause: 'idle', startMs: 1100 }, offsetMs });
  const theirs = report({
    startMs: 1100,
    pauses: [
      { pause: 'remark', startMs: 1130, durationUs: 1, stepsUs: {} },
      { pause: 'flip', startMs: 1140, durationUs: 1, stepsUs: {} },
    ],
  });
  announce(heap, { type: 'cycle', report: theirs, offsetMs });
  announce(heap, { type: 'abandoned', error: encodeError(new TospaceError('ERR_SYSCALL', 'refused')) });
  for (const name of CHANNELS) unsubscribe(name, listen);
  announce(heap, { type: 'start', start: { cycle: 5, cause: 'idle', startMs: 1200 }, offsetMs });
  expect(told.map((line) => line.replace(/^abandoned .*/, 'abandoned'))).toEqual([
    'listener start 4 idle 100',
    'start 4',
    'tospace:cycle:start heap,start',
    'phase mark 100 30',
    'phase remark 130 10',
    'phase flip 140 12',
    'pause remark 130 4',
    'pause flip 140 4',
    'listener end 4',
    'tospace:pause heap,pause,report',
    'tospace:pause heap,pause,report',
    'cycle 4',
    'tospace:cycle:end heap,report',
    'listener abandoned refused',
    'abandoned',
    'tospace:cycle:abandoned heap,error',
    'listener start 5 idle 200',
    'start 5',
  ]);
});

test('an observer is given entries in the shape of those of V8', async () => {
  const heap = fakeHeap();
  const lists: HeapPerformanceEntry[][] = [];
  const observer = new HeapObserver((list, itself) => {
    expect(itself).toBe(observer);
    lists.push(list.getEntries());
  });
  const offsetMs = monotonicOffsetMs();
  const happen = (over: object = {}): void =>
    announce(heap, { type: 'cycle', report: report(over), offsetMs });
  happen();
  expect(channel('tospace:pause').hasSubscribers).toBe(false);
  observer.observe({ entryTypes: ['gc'] });
  observer.observe({ entryTypes: ['gc'] });
  happen();
  happen({ cause: 'collect', cycle: 5 });
  expect(lists).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(lists.map((list) => list.length)).toEqual([4]);
  const [first, , , last] = lists[0]!;
  expect(JSON.parse(JSON.stringify(first))).toEqual({
    name: 'gc',
    entryType: 'gc',
    startTime: 130,
    duration: 0.0854,
    detail: {
      kind: constants.NODE_PERFORMANCE_GC_MAJOR,
      flags: constants.NODE_PERFORMANCE_GC_FLAGS_NO,
      pause: 'remark',
      cause: 'trigger',
      cycle: 4,
      collector: 'concurrent',
    },
  });
  expect(last!.detail).toMatchObject({
    flags: constants.NODE_PERFORMANCE_GC_FLAGS_FORCED,
    pause: 'flip',
    cycle: 5,
  });
  happen();
  expect(observer.takeRecords().length).toBe(2);
  happen();
  observer.disconnect();
  observer.disconnect();
  happen();
  await new Promise((resolve) => setImmediate(resolve));
  expect([lists.length, observer.takeRecords().length]).toEqual([1, 0]);
  expect(channel('tospace:pause').hasSubscribers).toBe(false);
});

test.each([undefined, {}, { entryTypes: [] }, { entryTypes: ['mark'] }, { entryTypes: 'gc' }])(
  'an observer does not observe %j',
  (options) => {
    const observer = new HeapObserver(() => {});
    expect(() => observer.observe(options as { entryTypes: ['gc'] })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
  },
);
