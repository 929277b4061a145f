// Latency from a log of operations.
//
//   simple    from the beginning of an operation to its end. In a closed loop a pause delays one operation, and all that would have come
//             meanwhile are not even begun: their wait is omitted (Tene's coordinated omission).
//   metered   as if operations had come evenly over the run, those that came during a pause queueing behind it: from when an operation
//             would have come, or from when it did if that is earlier, to its end. Blackburn et al., Rethinking Java Performance Analysis,
//             ASPLOS 2025 (DaCapo's metered latency with full smoothing). Here each thread has a queue of its own.
//   open loop there is a schedule, which begins with operation 0: from when an operation was due. Nothing is omitted, so metered is the
//             same.

/** Start and end of operations in milliseconds from the beginning of the workload, by threads. */
export type OperationLog = readonly Float64Array[];

/** Splits what a program wrote: pairs of doubles, threads one after the other. Where time goes back, the next thread begins. */
export function parseOperations(bytes: Uint8Array): OperationLog {
  if (bytes.byteLength % 16 !== 0)
    throw new RangeError(`a log of operations has pairs of doubles, not ${bytes.byteLength} bytes`);
  const all = new Float64Array(new Uint8Array(bytes).buffer);
  const threads: Float64Array[] = [];
  let first = 0;
  for (let at = 0; at < all.length; at += 2) {
    const start = all[at]!;
    const end = all[at + 1]!;
    // Negated so that NaN is refused as well.
    if (!(end >= start && start > -1e9 && end < 1e9))
      throw new RangeError(`operation ${at / 2} runs from ${start} to ${end} ms`);
    if (at > first && start < all[at - 2]!) {
      threads.push(all.subarray(first, at));
      first = at;
    }
  }
  if (first < all.length) threads.push(all.subarray(first));
  return threads;
}

export function countOperations(log: OperationLog): number {
  return log.reduce((sum, thread) => sum + thread.length / 2, 0);
}

/** Microseconds of each operation, see above. @param rate operations per second and thread of an open loop. */
export function simpleLatencies(log: OperationLog, rate: number | null): Float64Array {
  return each(log, (thread, at, i) => {
    const start = rate === null ? thread[at]! : Math.min(thread[0]! + (i * 1000) / rate, thread[at]!);
    return thread[at + 1]! - start;
  });
}

export function meteredLatencies(log: OperationLog, rate: number | null): Float64Array {
  if (rate !== null) return simpleLatencies(log, rate);
  return each(log, (thread, at, i) => {
    const first = thread[0]!;
    const interval = (thread.at(-2)! - first) / Math.max(1, thread.length / 2 - 1);
    return thread[at + 1]! - Math.min(thread[at]!, first + i * interval);
  });
}

function each(
  log: OperationLog,
  latencyMs: (thread: Float64Array, at: number, index: number) => number,
): Float64Array {
  const result = new Float64Array(countOperations(log));
  let next = 0;
  for (const thread of log)
    for (let at = 0; at < thread.length; at += 2) result[next++] = latencyMs(thread, at, at / 2) * 1000;
  return result;
}
