// A runtime that recurses comes to the end of V8's stack in any call. The thread's standing with the collector must survive it.
import { expect, test } from 'vitest';
import { succeed } from './support.ts';

interface Counts {
  readonly worked: number;
  readonly overflowed: number;
}

test.each(['concurrent', 'stop-the-world'])(
  'a stack overflow leaves no state half changed: %s',
  async (collector) => {
    const found = await succeed<Record<string, Counts>>('deep', 'overflow', { collector, around: 150 });
    expect(Object.keys(found)).toEqual([
      'collect',
      'blocking',
      'run',
      'allocate',
      'pinned',
      'persist',
      'attach',
    ]);
    // Where an operation stops working moves while V8 optimises: not each of them need meet both.
    const sum = (of: keyof Counts): number =>
      Object.values(found).reduce((total, counts) => total + counts[of], 0);
    expect(sum('overflowed')).toBeGreaterThan(100);
    expect(sum('worked')).toBeGreaterThan(100);
  },
);

test.each(['concurrent', 'stop-the-world'])(
  'run() within run() ends with the stack, and all of them have left: %s',
  async (collector) => {
    expect(await succeed<number>('deep', 'nested', { collector })).toBeGreaterThan(100);
  },
);
