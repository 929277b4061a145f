// A lock in shared memory for rare registry updates. Not for hot paths, and never held across a safepoint.

/** Runs `body` while holding the lock at `words[index]` (0 free, 1 held, 2 held with waiters). */
export function withLock<T>(words: Int32Array<SharedArrayBuffer>, index: number, body: () => T): T {
  if (Atomics.compareExchange(words, index, 0, 1) !== 0) {
    while (Atomics.exchange(words, index, 2) !== 0) Atomics.wait(words, index, 2);
  }
  try {
    return body();
  } finally {
    if (Atomics.exchange(words, index, 0) === 2) Atomics.notify(words, index, 1);
  }
}
