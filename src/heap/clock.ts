// One clock for all threads. Each thread's performance.now() counts from that thread's own start; process.hrtime() reads the system's
// monotonic clock, which is the same for all of them. Both tick with the same clock, so that their difference, once measured, stays.

/** Times that the two clocks are read one after the other: the pair that was interrupted least counts. */
const ATTEMPTS = 16;

let measured: number | undefined;

/** Milliseconds to add to this thread's performance.now() for the system's monotonic clock: within some 100 ns of it. */
export function monotonicOffsetMs(): number {
  if (measured !== undefined) return measured;
  let best = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let i = 0; i < ATTEMPTS; i++) {
    const before = performance.now();
    const [seconds, nanoseconds] = process.hrtime();
    const after = performance.now();
    if (after - before >= best) continue;
    best = after - before;
    offset = seconds * 1000 + nanoseconds / 1e6 - (before + after) / 2;
  }
  measured = offset;
  return offset;
}
