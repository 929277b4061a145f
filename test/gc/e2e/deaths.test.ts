// 10: a worker that dies, however and wherever, ends the process with a report and status 70. Nobody hangs, and nobody reads zeroes.

import { describe, expect, test } from 'vitest';
import { DELAY_POINTS } from '#src/gc/options/table.js';
import { describeEnd, run, SOAK } from './support.ts';

const STOPPED = ['mark', 'plan', 'flip', 'compact', 'close'] as const;

// A thread that exits can do so anywhere; an error takes the way of errors, which is one for a worker: a soak tries all.
const THROWS = ['mark', 'flip', 'install', 'fault', 'close'];

const cases = [
  ...DELAY_POINTS.map((at) => ({ collector: 'concurrent', worker: 'collector', at })),
  ...(['install', 'fault'] as const).map((at) => ({ collector: 'concurrent', worker: 'server', at })),
  ...STOPPED.map((at) => ({ collector: 'stop-the-world', worker: 'collector', at })),
]
  .flatMap((one) => (['throw', 'exit'] as const).map((how) => ({ ...one, how })))
  .filter(({ how, at }) => SOAK || how === 'exit' || THROWS.includes(at));

describe('a worker dies', { concurrent: true }, () => {
  test.each(cases)('$collector: the $worker, at $at, by $how', async ({ collector, worker, at, how }) => {
    // Held back, so that mutators have something to fault on, and so that a server meets its end.
    const delayMs = worker === 'server' || at === 'install' ? { batch: 5 } : {};
    const result = await run('deaths', 'crash', {
      options: { collector, stress: { delayMs, crash: { worker, at, how } } },
    });
    expect(result.stdout, describeEnd(result)).not.toContain('WRONG');
    expect(result.status, describeEnd(result)).toBe(70);
    expect(result.stderr).toContain('tospace:');
    expect(result.stderr).toContain('process is stopped');
  });

  // Nobody waits for the cycle, and without servers nobody looks for the collector.
  test('stop-the-world: the collector, before the heap is closed', async () => {
    const result = await run('deaths', 'close', {
      options: {
        collector: 'stop-the-world',
        stress: { crash: { worker: 'collector', at: 'mark', how: 'exit' } },
      },
    });
    expect(result.status, describeEnd(result)).toBe(70);
    expect(result.stderr).toMatch(/closing the heap.*process is stopped/);
    expect(result.stderr).toContain('the collector');
  });

  test.each(['throw', 'exit'])('with copy and two servers: a server, at fault, by %s', async (how) => {
    const stress = { delayMs: { batch: 5 }, crash: { worker: 'server', at: 'fault', how } };
    const result = await run('deaths', 'crash', { options: { fill: 'copy', servers: 2, stress } });
    expect(result.stdout, describeEnd(result)).not.toContain('WRONG');
    expect(result.status, describeEnd(result)).toBe(70);
    expect(result.stderr).toContain('tospace:');
  });
});
