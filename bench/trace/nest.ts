// Spans of one thread as viewers want them: any two are nested or apart. A heap's trace is like that, but for the last digit of its times, and
// a viewer draws nonsense from a nanosecond of overlap. What overlaps by more than rounding gets a lane of its own.

export interface Span {
  /** Nanoseconds, whole. */
  readonly startNs: number;
  readonly endNs: number;
}

export interface Nested<T extends Span> {
  readonly span: T;
  /** Trimmed by what rounding explains. */
  readonly startNs: number;
  readonly endNs: number;
  /** 0 is the thread's own. */
  readonly lane: number;
}

/** Durations have six digits in a document. */
const RELATIVE_SLACK = 1e-5;
const SLACK_NS = 1000;

/** In the order of their beginnings, the outer ones first. */
export function nest<T extends Span>(spans: readonly T[]): Nested<T>[] {
  const ordered = [...spans].sort((a, b) => a.startNs - b.startNs || b.endNs - a.endNs);
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
  const { startNs, endNs } = span;
  const slack = (other: Open<T>): number =>
    SLACK_NS + RELATIVE_SLACK * Math.max(endNs - startNs, other.endNs - other.startNs);
  let depth = open.length;
  while (depth > 0 && open[depth - 1]!.endNs - startNs <= slack(open[depth - 1]!)) {
    // Something short inside of what ends with it is no neighbour.
    if (endNs <= open[depth - 1]!.endNs) break;
    depth--;
  }
  const outer = open[depth - 1];
  if (outer !== undefined && endNs - outer.endNs > slack(outer)) return undefined;
  for (const ended of open.splice(depth)) ended.endNs = Math.min(ended.endNs, startNs);
  const placed = { span, startNs, endNs: Math.min(endNs, outer?.endNs ?? endNs), lane };
  open.push(placed);
  return placed;
}
