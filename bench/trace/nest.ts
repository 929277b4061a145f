// Spans of one thread as viewers want them: any two are nested or apart. A heap's trace is like that, but for the last digit of its times, and
// a viewer draws nonsense from any overlap. What overlaps by more than rounding gets a lane of its own.

/**
 * Ticks in a microsecond. Times are whole ticks, and with a power of two they are exact as doubles in microseconds: a viewer that adds a duration
 * to a beginning gets the end, and not one that is 10^-11 µs behind the beginning of the next.
 */
export const TICKS = 128;

export interface Span {
  /** Ticks. */
  readonly start: number;
  readonly end: number;
}

export interface Nested<T extends Span> {
  readonly span: T;
  /** Trimmed by what rounding explains, and no more in sum. */
  readonly start: number;
  readonly end: number;
  /** 0 is the thread's own. */
  readonly lane: number;
}

/** Durations have six digits in a document. */
const RELATIVE_SLACK = 1e-5;
const SLACK = TICKS;

/** In the order of their beginnings, the outer ones first. */
export function nest<T extends Span>(spans: readonly T[]): Nested<T>[] {
  const ordered = [...spans].sort((a, b) => a.start - b.start || b.end - a.end);
  const lanes: Open<T>[][] = [];
  return ordered.map((span) => {
    for (let lane = 0; ; lane++) {
      lanes[lane] ??= [];
      const placed = place(span, lane, lanes[lane]!);
      if (placed !== undefined) return placed;
    }
  });
}

type Open<T extends Span> = { -readonly [K in keyof Nested<T>]: Nested<T>[K] };

/** Puts a span into a lane with the spans that are open there; undefined where it overlaps one of them. */
function place<T extends Span>(span: T, lane: number, open: Open<T>[]): Open<T> | undefined {
  const { start, end } = span;
  const slack = ({ span: other }: Open<T>): number =>
    SLACK + RELATIVE_SLACK * Math.max(end - start, other.end - other.start);
  let depth = open.length;
  for (; depth > 0; depth--) {
    const last = open[depth - 1]!;
    // Something short inside of what ends with it is no neighbour.
    if (end <= last.end) break;
    // Against the end that was given: of what was trimmed already, only the rest of the slack is left.
    if (start < last.end && last.span.end - start > slack(last)) break;
  }
  const outer = open[depth - 1];
  if (outer !== undefined && end - outer.end > slack(outer)) return undefined;
  for (const ended of open.splice(depth)) ended.end = Math.min(ended.end, start);
  const placed = { span, start, end: Math.min(end, outer?.end ?? end), lane };
  open.push(placed);
  return placed;
}
