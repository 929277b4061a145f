// From what a process has seen to the facts of a measurement.

import type { CycleReport, HeapStatistics, ResolvedOptions } from 'tospace';
import { monotonicMs } from '../workloads/clock.ts';
import type { ChildFacts } from './child-input.ts';
import type { FinishedThread, GcPause } from './child-thread.ts';
import { pausedCpuMs } from './peer-facts.ts';
import { cycleTimeline, faultsOf, mmuOf, pausesOf, stallsOf } from './recorded-facts.ts';
import type { Recording } from './recording.ts';
import type {
  Configuration,
  CycleFacts,
  FaultFacts,
  HeapFacts,
  MemoryFacts,
  PauseFacts,
  ThreadPauses,
  Timeline,
  TimelineSample,
} from './schema.ts';
import { distributionOf, distributionOfSummary, round } from './statistics/distribution.ts';
import { mutatorUtilisation, type Stop } from './statistics/mmu.ts';
import { nearestRank, sorted } from './statistics/quantile.ts';

interface ThreadFacts {
  readonly configuration: Configuration;
  readonly checksum: number;
  readonly threads: readonly FinishedThread[];
  readonly memory: MemoryFacts;
  readonly samples: readonly TimelineSample[];
}

interface HeapRun extends ThreadFacts {
  readonly options: ResolvedOptions;
  readonly userfaultfd: string | null;
  readonly statistics: HeapStatistics;
  /** Their times are on this thread's `performance.now`. */
  readonly cycles: readonly CycleReport[];
  readonly recording: Recording | null;
}

/** What all threads have in common: when they began, and what the clocks said then and when the last had ended. */
function times(threads: readonly FinishedThread[]): {
  originMs: number;
  wallMs: number;
  cpuMs: number;
  collectorCpuMs: number | null;
} {
  const last = threads.reduce((a, b) => (b.endMs > a.endMs ? b : a));
  // The first look of all: the others were taken when the workload ran already.
  const first = threads.reduce((a, b) => (b.clocksAtStart.cpuMs < a.clocksAtStart.cpuMs ? b : a));
  const [start, end] = [first.clocksAtStart, last.clocksAtEnd];
  return {
    originMs: last.originMs,
    wallMs: round(last.endMs - last.originMs),
    cpuMs: round(end.cpuMs - start.cpuMs),
    collectorCpuMs:
      start.collectorCpuMs === null || end.collectorCpuMs === null
        ? null
        : round(end.collectorCpuMs - start.collectorCpuMs),
  };
}

export function heapFacts(run: HeapRun): ChildFacts {
  const { threads, statistics, recording, options } = run;
  const { originMs, wallMs, cpuMs, collectorCpuMs } = times(threads);
  const here = monotonicMs() - performance.now() - originMs;
  const cycles = run.cycles
    .map((report) => cycleFacts(report, report.startMs + here))
    .filter(({ startMs }) => startMs < wallMs);
  const complete = recording !== null && recording.lost === 0 ? recording : null;
  const stalls = (complete && stallsOf(complete)) ?? distributionOfSummary(statistics.stallsUs);
  const pauses = heapPauses(run, complete);
  const stood = pauses
    .filter(({ phase }) => phase === 'total')
    .reduce((sum, { us }) => sum + (us.total ?? 0), 0);
  return {
    checksum: run.checksum,
    wallMs,
    cpuMs,
    gcCpuMs: collectorCpuMs,
    gcCpuFrom: collectorCpuMs === null ? null : 'threads',
    gcWallMs: round((stood + (stalls.total ?? 0)) / 1000 / threads.length),
    pauses,
    v8Pauses: threads.map(({ thread, gcPauses }) => threadPauses(thread, gcPauses)),
    faults: options.collector === 'concurrent' ? faultFacts(statistics, complete) : null,
    stallsUs: stalls,
    windowsUs: options.collector === 'concurrent' ? windows(cycles) : null,
    memory: run.memory,
    mmu:
      options.collector === 'none'
        ? null
        : ((complete && mmuOf(complete, originMs, wallMs)) ?? reportedMmu(options, cycles, wallMs)),
    heap: {
      options,
      userfaultfd: run.userfaultfd,
      statistics,
      phasesUs: phases(cycles),
      markCpuNsPerByte: markSpeed(cycles),
      cycles,
    },
    timeline: timeline(run.samples, here, wallMs, complete && cycleTimeline(complete, originMs)),
    details: threads[0]!.details,
  };
}

export function v8Facts(run: ThreadFacts): ChildFacts {
  const { threads } = run;
  const { originMs, wallMs, cpuMs } = times(threads);
  const here = monotonicMs() - performance.now() - originMs;
  const all = threads.flatMap(({ gcPauses }) => gcPauses);
  const pausedMs = all.reduce((sum, { ms }) => sum + ms, 0);
  return {
    checksum: run.checksum,
    wallMs,
    cpuMs,
    gcCpuMs: pausedCpuMs(pausedMs, { wallMs, cpuMs }),
    gcCpuFrom: 'pauses',
    gcWallMs: round(pausedMs / threads.length),
    pauses: kinds(all).map(({ kind, us }) => ({ kind, phase: 'total', us, from: 'runtime' })),
    v8Pauses: threads.map(({ thread, gcPauses }) => threadPauses(thread, gcPauses)),
    faults: null,
    stallsUs: null,
    windowsUs: null,
    memory: run.memory,
    mmu: {
      includes: ['pauses'],
      from: 'runtime',
      windows: mutatorUtilisation(
        threads.map(({ gcPauses }) => gcPauses),
        wallMs,
      ),
    },
    heap: null,
    timeline: timeline(run.samples, here, wallMs, null),
    details: threads[0]!.details,
  };
}

function kinds(pauses: readonly GcPause[]): { kind: string; us: PauseFacts['us'] }[] {
  return [...new Set(pauses.map(({ kind }) => kind))].sort().map((kind) => ({
    kind,
    us: distributionOf(pauses.filter((pause) => pause.kind === kind).map(({ ms }) => ms * 1000)),
  }));
}

function threadPauses(thread: number, pauses: readonly GcPause[]): ThreadPauses {
  return { thread: `mutator ${thread}`, pauses: kinds(pauses) };
}

function heapPauses({ options, statistics, cycles }: HeapRun, recording: Recording | null): PauseFacts[] {
  const { collector } = options;
  if (collector === 'none') return [];
  const seen: PauseFacts[] = (
    collector === 'concurrent' ? (['remark', 'flip'] as const) : (['full'] as const)
  ).map((kind) => ({
    kind,
    phase: 'total',
    us: distributionOfSummary(statistics.pausesUs[kind]),
    from: 'mutators',
  }));
  const traced = recording === null ? [] : pausesOf(recording);
  // Complete distributions of the same pauses, where there are any.
  const totals = seen.map(
    (pause) => traced.find(({ kind, phase }) => kind === pause.kind && phase === 'total') ?? pause,
  );
  const steps = traced.filter(({ phase }) => phase !== 'total');
  return [...totals, ...(steps.length > 0 ? steps : reportedSteps(collector, cycles))];
}

/** The steps that reports of cycles tell of; time to the safepoint, roots and resuming are not among them. */
function reportedSteps(collector: string, cycles: readonly CycleReport[]): PauseFacts[] {
  const kind = collector === 'concurrent' ? 'flip' : 'full';
  const of = (phase: string, us: (report: CycleReport) => number): PauseFacts => ({
    kind,
    phase,
    us: distributionOf(cycles.map(us)),
    from: 'collector',
  });
  const steps = [of('move', ({ flip }) => flip.moveUs), of('map', ({ flip }) => flip.mapUs)];
  if (collector === 'concurrent') steps.push(of('register', ({ flip }) => flip.registerUs));
  return cycles.length === 0 ? [] : steps;
}

function faultFacts({ faults }: HeapStatistics, recording: Recording | null): FaultFacts {
  const traced = recording === null ? null : faultsOf(recording);
  return {
    count: faults.count,
    latencyUs: traced?.latencyUs ?? distributionOfSummary(faults.latencyUs),
    latencyFrom: traced === null ? 'sample' : 'trace',
    stallMs: traced?.stallMs ?? null,
    serviceUs: distributionOfSummary(faults.serviceUs),
    servedBy: { collector: faults.pagesBuiltBy[0] ?? 0, servers: faults.pagesBuiltBy.slice(1) },
    shared: faults.shared,
    late: faults.late,
    errnos: { EEXIST: faults.eexist, EAGAIN: faults.eagain },
  };
}

function cycleFacts(report: CycleReport, startMs: number): CycleFacts {
  return {
    cycle: report.cycle,
    startMs: round(startMs),
    phasesMs: report.phasesMs,
    phasesCpuMs: report.phasesCpuMs,
    usedBytesBefore: report.usedBytesBefore,
    usedBytesAfter: report.usedBytesAfter,
    liveBytes: report.liveBytes,
    blackBytes: report.blackBytes,
    remarkCards: report.remarkCards,
    softLimitBytes: report.sizing.softLimitBytes,
  };
}

function phases(cycles: readonly CycleFacts[]): HeapFacts['phasesUs'] {
  const names = [...new Set(cycles.flatMap(({ phasesMs }) => Object.keys(phasesMs)))];
  return Object.fromEntries(
    names.map((name) => {
      const us = cycles.flatMap(({ phasesMs: { [name]: ms } }) => (ms === undefined ? [] : [ms * 1000]));
      return [name, distributionOf(us)];
    }),
  );
}

function windows(cycles: readonly CycleFacts[]): PauseFacts['us'] {
  return distributionOf(
    cycles.map(({ phasesMs }) => ((phasesMs.compact ?? 0) + (phasesMs.close ?? 0)) * 1000),
  );
}

/** Disturbances only add: the least disturbed tenth of the cycles tells what marking costs, and does so from process to process. */
const UNDISTURBED = 0.1;

function markSpeed(cycles: readonly CycleFacts[]): number | null {
  const speeds = cycles
    .filter(({ liveBytes, phasesCpuMs }) => liveBytes > 0 && phasesCpuMs.mark !== undefined)
    .map(({ liveBytes, phasesCpuMs }) => (phasesCpuMs.mark! * 1e6) / liveBytes);
  return speeds.length === 0 ? null : round(nearestRank(sorted(speeds), UNDISTURBED));
}

/** Without a trace: the pauses as the reports tell them. Stalls and faults are not in it. */
function reportedMmu(
  { collector }: ResolvedOptions,
  cycles: readonly CycleFacts[],
  wallMs: number,
): ChildFacts['mmu'] {
  const stops: Stop[] = cycles.flatMap(({ startMs, phasesMs }) => {
    let at = startMs;
    return Object.entries(phasesMs).flatMap(([name, ms]) => {
      const start = at;
      at += ms;
      const pause = collector !== 'concurrent' || name === 'remark' || name === 'flip';
      return pause ? [{ startMs: start, ms }] : [];
    });
  });
  return { includes: ['pauses'], from: 'reports', windows: mutatorUtilisation([stops], wallMs) };
}

function timeline(
  samples: readonly TimelineSample[],
  toWorkloadMs: number,
  wallMs: number,
  cycle: Timeline['cycle'],
): Timeline {
  const within = samples
    .map((sample) => ({ ...sample, ms: round(sample.ms + toWorkloadMs) }))
    .filter(({ ms }) => ms >= 0 && ms <= wallMs);
  const intervalMs = within.length < 2 ? 0 : (within.at(-1)!.ms - within[0]!.ms) / (within.length - 1);
  return { intervalMs: round(intervalMs), samples: within, cycle };
}
