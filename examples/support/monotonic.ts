// One clock for all threads: `performance.now` begins anew in each.
const origin = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds on a clock that is the same in all threads of a machine. Some 40 ns. */
export function monotonicMs(): number {
  return origin + performance.now();
}
