// How fast allocation may go while a cycle runs, so that room is back before the last of it is taken. A pace spreads one long stall
// over many short waits: who takes memory waits in proportion to it.

/** Longest wait for one allocation buffer, in microseconds. With 16 threads that still is half a gigabyte per second. */
export const PACE_MAX_US = 2000;

/** Part of the room that is planned with; the rest is for what predictions miss. */
const PLANNED = 0.9;

export interface PaceInput {
  /** Bytes that can still be allocated before somebody has to stand still. */
  readonly roomBytes: number;
  /** Milliseconds until there is room again. */
  readonly remainingMs: number;
  /** Bytes per millisecond that are expected to be allocated, all threads together, when nobody holds them up. */
  readonly ratePerMs: number;
  /** Threads that allocate. */
  readonly threads: number;
  readonly bufferBytes: number;
}

/** Microseconds that each thread should wait for each buffer: a whole number from 0 to PACE_MAX_US. */
export function paceUs({ roomBytes, remainingMs, ratePerMs, threads, bufferBytes }: PaceInput): number {
  const room = Math.max(0, roomBytes) * PLANNED;
  if (ratePerMs * remainingMs <= room) return 0;
  // Less than a byte is none; and a quotient by it need not be a number.
  if (room < 1) return PACE_MAX_US;
  // Of the time that a buffer may take at the rate that the room allows, the program needs some for itself.
  const waitMs = threads * bufferBytes * (remainingMs / room - 1 / ratePerMs);
  return Math.min(PACE_MAX_US, Math.ceil(waitMs * 1000));
}

export interface Progress {
  /** Milliseconds since tracing began, until now or until it ended. */
  readonly tracingMs: number;
  /** Slices of tracing that are done, and those that the last cycle needed. */
  readonly slices: number;
  readonly expectedSlices: number;
  readonly expectedTracingMs: number;
  /** True when the roots are traced, and pre-cleaning, remark and plan are left; and the milliseconds since then. */
  readonly traced: boolean;
  readonly sinceTracedMs: number;
  /** Milliseconds that these are expected to take. */
  readonly expectedRestMs: number;
}

/** A piece that takes longer than expected is expected to take this part of its time so far again. */
const OVERRUN = 0.25;

/** Milliseconds until a cycle that is being marked or planned makes room. */
export function untilRoomMs(p: Progress): number {
  if (p.traced) return left(p.expectedRestMs, p.sinceTracedMs);
  // The speed of this cycle when it shows; a cycle that is one slice old says little.
  const tracing =
    p.slices > 1 && p.expectedSlices > p.slices
      ? (p.tracingMs / p.slices) * (p.expectedSlices - p.slices)
      : left(p.expectedTracingMs, p.tracingMs);
  return tracing + p.expectedRestMs;
}

function left(expectedMs: number, elapsedMs: number): number {
  return Math.max(expectedMs - elapsedMs, elapsedMs * OVERRUN);
}
