// Where the threads of a workload wait for each other, so that they begin together and agree on when that was.

import { monotonicMs } from '../workloads/operations.ts';

const ARRIVED = 0;
const STATE = 1;
const WAITING = 0;
const STARTED = 1;
const FAILED = 2;
/** The moment of the start is a double behind the two words. */
const ORIGIN_BYTE = 8;
export const START_LINE_BYTES = 16;

/** A thread that has not come by then never will: starting one takes some 30 ms. */
const TIMEOUT_MS = 60_000;

export interface StartLine {
  /** Waits for all threads; returns when they started, on the clock of `monotonicMs`. @throws Error when one failed before. */
  wait(): number;
  /** This thread failed: those that wait for it need not. */
  fail(): void;
}

export function meetAtStart(line: SharedArrayBuffer, threads: number): StartLine {
  const words = new Int32Array(line, 0, 2);
  const origin = new Float64Array(line, ORIGIN_BYTE, 1);
  return {
    wait() {
      if (Atomics.add(words, ARRIVED, 1) === threads - 1) {
        origin[0] = monotonicMs();
        Atomics.compareExchange(words, STATE, WAITING, STARTED);
        Atomics.notify(words, STATE);
      } else Atomics.wait(words, STATE, WAITING, TIMEOUT_MS);
      if (Atomics.load(words, STATE) !== STARTED)
        throw new Error('another thread of the workload did not start');
      return origin[0];
    },
    fail() {
      if (Atomics.compareExchange(words, STATE, WAITING, FAILED) === WAITING) Atomics.notify(words, STATE);
    },
  };
}
