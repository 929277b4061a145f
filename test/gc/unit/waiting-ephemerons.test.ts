import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WaitingEphemerons } from '#src/gc/inspect/waiting-ephemerons.js';

test('gives back every ephemeron once, to its key', () => {
  const key = fc.integer({ min: 1, max: 6 }).map((i) => i * 8192);
  const step = fc.oneof(fc.record({ add: key }), fc.record({ take: key }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const waiting = new WaitingEphemerons();
      const model = new Map<number, Set<number>>();
      let next = 8;
      for (const each of steps) {
        if ('add' in each) {
          waiting.add(each.add, next);
          model.set(each.add, (model.get(each.add) ?? new Set()).add(next));
          next += 8;
        } else {
          const of = model.get(each.take) ?? new Set();
          const taken = waiting.take(each.take);
          expect(of.size === 0 ? taken === 0 : of.delete(taken)).toBe(true);
        }
      }
      expect(waiting.size).toBe([...model.values()].reduce((sum, { size }) => sum + size, 0));
    }),
  );
});

test('grows: 10 000 wait, half of them taken on the way', () => {
  const waiting = new WaitingEphemerons();
  for (let i = 1; i <= 10_000; i++) {
    waiting.add(i * 8, i);
    if (i % 2 === 0) expect(waiting.take(i * 8 - 8)).toBe(i - 1);
  }
  expect(waiting.size).toBe(5000);
  for (let i = 2; i <= 10_000; i += 2) expect([waiting.take(i * 8), waiting.take(i * 8)]).toEqual([i, 0]);
});
