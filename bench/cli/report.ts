// The result of a run as a plain document: what `--json` prints and the summary is made of. docs/benchmarking.md says of every field
// how it is measured.

import { availableParallelism, release } from 'node:os';
import type { CycleReport, HeapMode, HeapStatistics, PhaseName, ResolvedOptions, Summary } from 'tospace';

export interface CyclesDetail {
  /** Cycles whose reports arrived; the medians below are over these. */
  readonly count: number;
  readonly medianPhasesMs: Readonly<Record<string, number>>;
  readonly medianFlipUs: { readonly move: number; readonly map: number; readonly register: number };
  readonly medianLiveBytes: number;
  readonly medianBlackBytes: number;
  readonly medianRemarkCards: number;
  /** Expected and actual time to the flip, and the longest pace of any cycle. */
  readonly medianPredictedRoomMs: number;
  readonly medianRoomMs: number;
  readonly paceMaxUs: number;
  readonly medianSoftLimitBytes: number;
}

export interface RunReport {
  readonly workload: string;
  readonly options: ResolvedOptions;
  /** What really ran, and why. */
  readonly mode: HeapMode;
  readonly seed: number;
  readonly scale: number;
  readonly checksum: number;
  readonly wallMs: number;
  readonly cycles: number;
  readonly abandonedCycles: number;
  readonly bytesAllocated: number;
  readonly bytesMoved: number;
  readonly pausesUs: { readonly remark: Summary; readonly flip: Summary; readonly full: Summary };
  readonly stallsUs: Summary;
  readonly faults: {
    readonly count: number;
    readonly latencyUs: Summary;
    readonly serviceUs: Summary;
    readonly servedBy: { readonly collector: number; readonly servers: readonly number[] };
  };
  readonly peakRssBytes: number;
  readonly sharedMemoryPeakBytes: number;
  readonly sizing: HeapStatistics['sizing'];
  /** Figures of the workload's own. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly cyclesDetail: CyclesDetail | null;
  readonly tospace: string;
  readonly node: string;
  readonly kernel: string;
  readonly cpus: number;
}

export interface RunFacts {
  readonly workload: string;
  readonly options: ResolvedOptions;
  readonly mode: HeapMode;
  readonly seed: number;
  readonly scale: number;
  readonly checksum: number;
  readonly wallMs: number;
  readonly details: Readonly<Record<string, unknown>>;
  readonly statistics: HeapStatistics;
  readonly cycles: readonly CycleReport[];
  readonly version: string;
}

/** The middle value, the upper one of two. 0 of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

function detail(cycles: readonly CycleReport[]): CyclesDetail | null {
  if (cycles.length === 0) return null;
  const of = (value: (cycle: CycleReport) => number): number =>
    Math.round(median(cycles.map(value)) * 1000) / 1000;
  const phases = Object.keys(cycles[0].phasesMs) as PhaseName[];
  return {
    count: cycles.length,
    medianPhasesMs: Object.fromEntries(
      phases.map((phase) => [phase, of(({ phasesMs }) => phasesMs[phase] ?? 0)]),
    ),
    medianFlipUs: {
      move: of(({ flip }) => flip.moveUs),
      map: of(({ flip }) => flip.mapUs),
      register: of(({ flip }) => flip.registerUs),
    },
    medianLiveBytes: of(({ liveBytes }) => liveBytes),
    medianBlackBytes: of(({ blackBytes }) => blackBytes),
    medianRemarkCards: of(({ remarkCards }) => remarkCards),
    medianPredictedRoomMs: of(({ sizing }) => sizing.predictedRoomMs),
    medianRoomMs: of(({ sizing }) => sizing.roomMs),
    paceMaxUs: Math.max(...cycles.map(({ sizing }) => sizing.paceMaxUs)),
    medianSoftLimitBytes: of(({ sizing }) => sizing.softLimitBytes),
  };
}

export function makeReport(facts: RunFacts): RunReport {
  const { statistics } = facts;
  const { faults } = statistics;
  return {
    workload: facts.workload,
    options: facts.options,
    mode: facts.mode,
    seed: facts.seed,
    scale: facts.scale,
    checksum: facts.checksum,
    wallMs: Math.round(facts.wallMs * 1000) / 1000,
    cycles: statistics.cycles,
    abandonedCycles: statistics.abandonedCycles,
    bytesAllocated: statistics.allocatedBytes,
    bytesMoved: statistics.movedBytes,
    pausesUs: statistics.pausesUs,
    stallsUs: statistics.stallsUs,
    faults: {
      count: faults.count,
      latencyUs: faults.latencyUs,
      serviceUs: faults.serviceUs,
      servedBy: { collector: faults.pagesBuiltBy[0] ?? 0, servers: faults.pagesBuiltBy.slice(1) },
    },
    // The kernel counts in KiB.
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    sharedMemoryPeakBytes: statistics.sharedBytesPeak,
    sizing: statistics.sizing,
    details: facts.details,
    cyclesDetail: detail(facts.cycles),
    tospace: facts.version,
    node: process.version,
    kernel: release(),
    cpus: availableParallelism(),
  };
}
