// Interleavings that are too rare to wait for, brought about by hand. Each was a defect once.
import { expect, test } from 'vitest';
import { THREAD_FREE } from '#src/heap/layout.js';
import { succeed } from './support.ts';

test('a page whose entry is retracted after it was installed is mapped again at once', async () => {
  expect(await succeed<number>('rare', 'retracted')).toBeLessThan(100);
});

test('a verifying heap survives abandoned collections that had begun to give memory back', async () => {
  expect(await succeed<number>('rare', 'abandonedTrim')).toBeGreaterThan(0);
});

test('a thread that is terminated at a safepoint is detached, and its roots released', async () => {
  const left = await succeed<{ state: number; usedBytes: number }>('rare', 'terminatedAtSafepoint');
  expect(left).toEqual({ state: THREAD_FREE, usedBytes: 0 });
});
