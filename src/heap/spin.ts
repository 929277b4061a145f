// Waiting for another thread: briefly without sleeping, because waking a CPU costs 20–45 µs here and a pause is shorter than that;
// then asleep, because on one CPU the other thread needs ours.

import { availableParallelism } from 'node:os';

/** How long a thread spins before it sleeps, in milliseconds. With one CPU it never spins: nobody else could make progress. */
const SPIN_MS: number = availableParallelism() > 1 ? 0.2 : 0;

/**
 * Waits until the word at `index` is no longer `value`, for at most `timeoutMs`.
 * @returns false when the time is over and the word still has the value.
 */
export function waitWhile(
  words: Int32Array<SharedArrayBuffer>,
  index: number,
  value: number,
  timeoutMs: number,
): boolean {
  if (Atomics.load(words, index) !== value) return true;
  const start = performance.now();
  const spinUntil = start + SPIN_MS;
  while (performance.now() < spinUntil) {
    if (Atomics.load(words, index) !== value) return true;
  }
  const until = start + timeoutMs;
  for (;;) {
    const left = until - performance.now();
    if (left <= 0) return Atomics.load(words, index) !== value;
    Atomics.wait(words, index, value, left);
    if (Atomics.load(words, index) !== value) return true;
  }
}
