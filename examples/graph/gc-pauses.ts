// The pauses that V8 made for its own collections in the calling thread, as Node reports them.
import {
  constants,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
  PerformanceObserver,
} from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Until what a busy thread did not yet report has been reported: entries are made in its event loop. */
const REPORT_MS = 20;

const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'scavenge',
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'mark-compact',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weak callbacks',
};

export interface GcPauses {
  readonly count: number;
  readonly totalMs: number;
  /** Mark-compacts among them: those that deal with the whole heap of a thread. */
  readonly majors: number;
  readonly worstMs: number;
  /** Of the worst one; empty when there was none. */
  readonly worstKind: string;
}

export const NO_PAUSES: GcPauses = { count: 0, totalMs: 0, majors: 0, worstMs: 0, worstKind: '' };

/** Of several threads, or rounds, together. */
export function addPauses(all: readonly GcPauses[]): GcPauses {
  return all.reduce((a, b) => {
    const worst = b.worstMs > a.worstMs ? b : a;
    return {
      count: a.count + b.count,
      totalMs: a.totalMs + b.totalMs,
      majors: a.majors + b.majors,
      worstMs: worst.worstMs,
      worstKind: worst.worstKind,
    };
  }, NO_PAUSES);
}

export class GcObserver {
  #pauses: GcPauses = NO_PAUSES;
  readonly #observer: PerformanceObserver;

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#add(list.getEntries()));
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** What happened since this was last asked. */
  async take(): Promise<GcPauses> {
    await sleep(REPORT_MS);
    this.#add(this.#observer.takeRecords());
    const pauses = this.#pauses;
    this.#pauses = NO_PAUSES;
    return pauses;
  }

  #add(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const { duration } = entry;
      // The types know the detail of no entry.
      const kind = (entry as { detail?: NodeGCPerformanceDetail }).detail?.kind ?? 0;
      const one = {
        count: 1,
        totalMs: duration,
        majors: kind === constants.NODE_PERFORMANCE_GC_MAJOR ? 1 : 0,
        worstMs: duration,
        worstKind: KINDS[kind] ?? String(kind),
      };
      this.#pauses = addPauses([this.#pauses, one]);
    }
  }
}
