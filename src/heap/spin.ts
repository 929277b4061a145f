// Waiting for another thread: briefly without sleeping, because waking a CPU costs 20–45 µs here and a pause is shorter than that;
// then asleep, because the other thread may need our CPU. Where it is known to, there is nothing to spin for.

import { availableParallelism } from 'node:os';

/** How long a thread spins before it sleeps, in milliseconds. With one CPU it never spins: nobody else could make progress. */
const SPIN_MS: number = availableParallelism() > 1 ? 0.2 : 0;

/**
 * Waits until the word at `index` is no longer `value`, for at most `timeoutMs`.
 * @param spins false where the thread that changes the word was last seen on this CPU: spinning would only keep it from running.
 * @returns false when the time is over and the word still has the value.
 */
export function waitWhile(
  words: Int32Array<SharedArrayBuffer>,
  index: number,
  value: number,
  timeoutMs: number,
  spins = true,
): boolean {
  if (Atomics.load(words, index) !== value) return true;
  const start = performance.now();
  const spinUntil = start + Math.min(SPIN_MS, timeoutMs);
  while (spins && performance.now() < spinUntil) {
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
