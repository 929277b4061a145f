// Minimum mutator utilisation (Cheng and Blelloch, PLDI 2001): for windows of a length, the part of the time that the mutator ran in the
// worst of them. A pause of 10 ms and a hundred of 0.1 ms look alike in a sum; here they do not.

export interface Stop {
  readonly startMs: number;
  readonly ms: number;
}

/** Windows that reports show. */
export const MMU_WINDOWS_MS: readonly number[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Ascending, disjoint, within the run. */
export function disjoint(stops: readonly Stop[], runMs: number): Stop[] {
  const result: { startMs: number; ms: number }[] = [];
  const ascending = stops
    .map(({ startMs, ms }) => ({ from: Math.max(0, startMs), to: Math.min(runMs, startMs + ms) }))
    .filter(({ from, to }) => to > from)
    .sort((a, b) => a.from - b.from);
  for (const { from, to } of ascending) {
    const last = result.at(-1);
    if (last !== undefined && from <= last.startMs + last.ms) last.ms = Math.max(last.ms, to - last.startMs);
    else result.push({ startMs: from, ms: to - from });
  }
  return result;
}

/** Utilisation in the worst window, 0 to 1; for windows longer than the run, that of the run. */
export function minimumUtilisation(stops: readonly Stop[], runMs: number, windowMs: number): number {
  return worst(disjoint(stops, runMs), runMs, windowMs);
}

/** For several windows and threads: that of the worst thread. */
export function mutatorUtilisation(
  threads: readonly (readonly Stop[])[],
  runMs: number,
  windowsMs: readonly number[] = MMU_WINDOWS_MS,
): { windowMs: number; utilisation: number }[] {
  const all = threads.map((stops) => disjoint(stops, runMs));
  return windowsMs.map((windowMs) => ({
    windowMs,
    utilisation: Math.min(1, ...all.map((stops) => worst(stops, runMs, windowMs))),
  }));
}

function worst(stops: readonly Stop[], runMs: number, windowMs: number): number {
  if (stops.length === 0) return 1;
  const before = new Float64Array(stops.length + 1);
  for (const [i, { ms }] of stops.entries()) before[i + 1] = before[i]! + ms;
  const stoppedUntil = (at: number): number => {
    // Number of stops that begin before `at`.
    let low = 0;
    let high = stops.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (stops[middle]!.startMs < at) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return 0;
    const { startMs, ms } = stops[low - 1]!;
    return before[low - 1]! + Math.min(ms, at - startMs);
  };
  if (windowMs >= runMs) return 1 - before[stops.length]! / runMs;
  let most = 0;
  // The worst window begins where a stop begins, or ends where one ends: any other can be moved towards one and get no better.
  for (const { startMs, ms } of stops) {
    for (const from of [startMs, startMs + ms - windowMs]) {
      const start = Math.min(Math.max(from, 0), runMs - windowMs);
      most = Math.max(most, stoppedUntil(start + windowMs) - stoppedUntil(start));
    }
  }
  return Math.min(1, Math.max(0, 1 - most / windowMs));
}
