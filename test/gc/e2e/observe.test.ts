// What a heap tells of itself: the trace, the reports, the statistics, the log and the events must tell the same.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { describeEnd, run, succeed } from './support.ts';

const HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/enabled';
const hugePagesAlways = existsSync(HUGE_PAGES) && readFileSync(HUGE_PAGES, 'utf8').includes('[always]');

interface Timeline {
  readonly cycles: number;
  readonly stopped: number;
  readonly seen: number;
  readonly faults: number;
  readonly entries: number;
}

describe('a trace agrees with reports and statistics', { concurrent: true }, () => {
  test.each([{}, { fill: 'copy', servers: 2 }, { collector: 'stop-the-world' }, { verify: 'full' }])(
    'three threads, %j',
    async (options) => {
      const seen = await succeed<Timeline>('observe', 'timeline', { options });
      expect(seen.cycles).toBeGreaterThanOrEqual(3);
      expect(seen.stopped).toBeGreaterThan(0);
      expect(seen.seen).toBeGreaterThan(0);
      expect(seen.entries).toBeGreaterThan(0);
    },
  );
});

test('while nobody traces, no page of the rings is touched', async () => {
  const { off, on, events } = await succeed<{ off: number; on: number; events: number }>('observe', 'off');
  // With huge pages for everybody, pages come with their neighbours.
  if (!hugePagesAlways) expect(off).toBe(0);
  expect(events).toBeGreaterThan(10);
  if (!hugePagesAlways) expect(on).toBeGreaterThan(0);
  // Two heads, and a page for every 128 events of each thread.
  if (!hugePagesAlways) expect(on).toBeLessThan(4 + events / 128 + 64);
});

test('cycles are named after what asked for them', async () => {
  const causes = await succeed<string[]>('observe', 'causes');
  expect(causes).toEqual(['collect', 'allocation', 'trigger', 'non-moving', 'external', 'idle']);
});

test.each(['concurrent', 'stop-the-world'])(
  'a thread that does not return to its event loop is told of some cycles, and then of new ones: %s',
  async (collector) => {
    const seen = await succeed('observe', 'deaf', { collector, cycles: 1100 });
    expect(seen).toEqual({
      done: 1100,
      unreportedCycles: 76,
      before: { start: 0, cycle: 0 },
      after: { start: 1024, cycle: 1024 },
      end: { start: 1025, cycle: 1025 },
    });
  },
);

test('what a cycle freed in the non-moving space', async () => {
  const freed = await succeed('observe', 'freed');
  expect(freed).toEqual([
    { objects: 0, bytes: 0 },
    { objects: 5, bytes: 4 * 4096 + 3 * 64 },
    { objects: 0, bytes: 0 },
  ]);
});

test('an abandoned cycle is told as one', async () => {
  const told = await succeed('observe', 'abandoned');
  expect(told).toEqual({
    code: 'ERR_SYSCALL',
    errors: ['ERR_OUT_OF_MEMORY'],
    outcomes: [
      ['abandoned', 0],
      ['completed', 0],
    ],
  });
});

test('wrong calls are typed errors at once, and a listener may be taken away', async () => {
  expect(await succeed('observe', 'wrongCalls')).toEqual({
    name: 'ERR_OPTION',
    shared: 'ERR_OPTION',
    maxBytes: 'ERR_OPTION',
    attachedListener: 'ERR_STATE',
    told: 1,
  });
});

test.each(['concurrent', 'stop-the-world'])('the log of the collector %s', async (collector) => {
  const result = await run('observe', 'log', { options: { collector } });
  expect(result.status, describeEnd(result)).toBe(0);
  const paused = collector === 'concurrent' ? '\\d\\S+s,\\d\\S+s' : '\\d\\S+s';
  const line = `tospace: Explicit ${collector} mark compact GC freed \\d+[KM]?B AllocSpace bytes, 0\\(0B\\) LOS objects, \\d+% free, \\d+[KM]?B/\\d+[KM]?B, paused ${paused} total \\d\\S+s\n`;
  expect(result.stderr).toMatch(new RegExp(`^(${line}){5}$`));
});
