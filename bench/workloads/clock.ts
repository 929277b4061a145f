/** Milliseconds on a clock that is the same in all threads; `performance.now` begins anew in each. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
