// The document that `tospace bench` writes: everything that was measured, and everything that a report draws or `tospace compare` judges.
// Reports compute nothing: what is not in here does not exist. docs/benchmarking.md explains the fields in the same order.
//
// Rules:
//   null      not measured, or not known. Never 0 in its place
//   *Ms, *Us  milliseconds, microseconds; *Bytes bytes
//   startMs   on the measurement's own clock, whose 0 is the beginning of its workload
//   ids       of configurations and measurements are text that a person can read; everything refers by them

import type { HeapOptions, HeapStatistics, ResolvedOptions } from 'tospace';

export const FORMAT = 'tospace-bench';
export const FORMAT_VERSION = 1;

export interface BenchDocument {
  readonly format: typeof FORMAT;
  readonly formatVersion: typeof FORMAT_VERSION;
  /** Arguments behind `tospace bench`, as they were given. */
  readonly command: readonly string[];
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string;
  /** `failed`: a wrong result, or nothing could be measured. `incomplete`: interrupted, everything before it is here. */
  readonly status: 'complete' | 'incomplete' | 'failed';
  /** Why it is not complete, in words. */
  readonly problems: readonly string[];
  readonly machine: Machine;
  readonly suite: SuiteHeader;
  readonly configurations: readonly Configuration[];
  /** What the suite names and was not measured: a peer that is not installed, a heap that does not fit. */
  readonly skipped: readonly Skipped[];
  /** In the order in which they ran. */
  readonly measurements: readonly Measurement[];
  readonly checksums: readonly ChecksumGroup[];
  readonly analysis: Analysis;
}

export interface Machine {
  readonly cpu: string;
  /** CPUs that this process may use. */
  readonly cpus: number;
  /** `scaling_governor` of the first CPU; null where the kernel shows none, as in most virtual machines. */
  readonly governor: string | null;
  readonly kernel: string;
  readonly memoryBytes: number;
  readonly availableMemoryBytes: number;
  readonly swapBytes: number | null;
  /** The chosen words of transparent_hugepage/enabled and shmem_enabled. */
  readonly hugePages: { readonly anonymous: string | null; readonly shmem: string | null };
  readonly node: string;
  readonly v8: string;
  readonly tospace: string;
  /** Versions of the peers that were found, by name. */
  readonly peers: Readonly<Record<string, string>>;
  /** Load averages (1, 5, 15 minutes) before the first and after the last measurement. */
  readonly loadBefore: readonly number[];
  readonly loadAfter: readonly number[] | null;
  /** A fixed piece of arithmetic, timed again and again: how even the CPUs are. */
  readonly speedBefore: SpeedProbe;
  readonly speedAfter: SpeedProbe | null;
  /** Memory that was touched before the first measurement, so that the host has backed it. 0: none (and then first touches are slow). */
  readonly pretouchedBytes: number;
}

export interface SpeedProbe {
  readonly rounds: number;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** (p90 − p10) / median: frequency changes, neighbours on the host, interruptions. */
  readonly noise: number;
}

export interface SuiteHeader {
  readonly name: string;
  readonly summary: string;
  /** Processes per configuration that were asked for. */
  readonly runs: number;
  /** Seeds the order of measurements and the bootstrap. */
  readonly seed: number;
  readonly estimatedMs: number;
  readonly tookMs: number;
}

export type Form = 'heap' | 'guest' | 'v8' | 'peer';

export interface Configuration {
  readonly id: string;
  readonly workload: string;
  readonly form: Form;
  /** Name of the collector: of ours with its fill where it is not the default, `v8`, or the peer's name. */
  readonly collector: string;
  /** Whose mutator code is the same, so that overheads compare: `heap`, `guest`, `v8`, `java`, `go`, … */
  readonly program: string;
  readonly peer: string | null;
  /** Options of an own heap without `heapBytes`; null for others. */
  readonly options: HeapOptions | null;
  /** The limit given to the runtime; null where it has none. */
  readonly heapBytes: number | null;
  /** Where the heap was sized by the measured minimum: how many times it. */
  readonly timesMinimum: number | null;
  /** The part of its heap that the workload was told to keep alive; null where its scale says how much that is. */
  readonly liveRatio: number | null;
  /** The same in bytes, as they are on the managed heap, in whatever form: equal where the work is equal. */
  readonly liveBytes: number | null;
  readonly scale: number;
  readonly seed: number;
  readonly threads: number;
  /** Operations per second of an open loop; null: closed loop. */
  readonly rate: number | null;
  /** A time limit of one process. */
  readonly limitMs: number;
  /** Series of a scaling plot that it is a point of. */
  readonly series: readonly { readonly name: string; readonly axis: ScalingAxis; readonly x: number }[];
}

export type ScalingAxis = 'heapBytes' | 'timesMinimum' | 'liveRatio' | 'threads' | 'servers' | 'rate';

export interface Skipped {
  /** Id of a configuration, or the name of a peer. */
  readonly what: string;
  readonly reason: string;
}

/** One process. */
export interface Measurement {
  /** Configuration id and run, such as `gcbench/heap/concurrent/64MiB#2`. */
  readonly id: string;
  readonly configuration: string;
  /** From 1. */
  readonly run: number;
  /** Milliseconds from the suite's beginning to the process' start. */
  readonly atMs: number;
  readonly command: readonly string[];
  readonly outcome: Outcome;
  readonly environment: Environment;
  /** Null when the process failed. */
  readonly facts: Facts | null;
}

export type Outcome =
  | { readonly type: 'ok' }
  | {
      readonly type: 'failed';
      /** `died`: exit status or signal. `timeout`: killed after the limit. `output`: it ended well and said nothing understandable. */
      readonly how: 'died' | 'timeout' | 'output';
      readonly reason: string;
      readonly status: number | null;
      readonly signal: string | null;
      /** The end of what it wrote to standard error. */
      readonly stderr: string;
    };

/** What the machine did while a process was measured. */
export interface Environment {
  readonly loadBefore: number;
  readonly loadAfter: number;
  /** Time that the host took from this machine's CPUs, all together; null where /proc/stat does not tell. */
  readonly stealMs: number | null;
  /** CPUs that were kept busy by anything but the measured process. */
  readonly othersCpus: number | null;
  /** One round of the speed probe just before: compare with `machine.speedBefore`. */
  readonly speedMs: number;
  /** What a thread beside the process (in another process) overslept. */
  readonly hiccupsUs: Distribution | null;
  /** Resident bytes of the harness: none of the measured process' memory. */
  readonly harnessRssBytes: number;
}

/** Values in microseconds. Percentiles of few values are the nearest rank: with 100 values p999 is the maximum. */
export interface Distribution {
  readonly count: number;
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
  readonly p9999: number | null;
  readonly max: number | null;
  /** Sum of all values. */
  readonly total: number | null;
  /** [upper edge in µs, count], ascending, without empty buckets; edges are 5 % apart. Null where only the figures above are known. */
  readonly buckets: readonly (readonly [number, number])[] | null;
}

export interface Facts {
  readonly checksum: number;
  /** The workload alone: no start of a runtime, no creation of the heap. */
  readonly wallMs: number;
  /** User and system time of all threads of the process in that time. */
  readonly cpuMs: number;
  /** CPU time of the collector's own threads, as far as it can be told apart, and where the figure is from. */
  readonly gcCpuMs: number | null;
  readonly gcCpuFrom: 'threads' | 'pauses' | null;
  /** Wall time for which a mutator thread stood still for the collector: pauses and allocation stalls; mean of the threads. */
  readonly gcWallMs: number | null;
  readonly operations: Operations | null;
  readonly pauses: readonly PauseFacts[];
  /** V8's own pauses in the threads of an own heap's process, or of the form v8 (where they are in `pauses` too). */
  readonly v8Pauses: readonly ThreadPauses[] | null;
  readonly faults: FaultFacts | null;
  /** Allocations that waited. */
  readonly stallsUs: Distribution | null;
  /** From the end of each flip to the end of its cycle: for so long a touch may fault. */
  readonly windowsUs: Distribution | null;
  readonly memory: MemoryFacts;
  readonly mmu: Mmu | null;
  readonly heap: HeapFacts | null;
  /** In one measurement of each configuration, the representative. */
  readonly timeline: Timeline | null;
  /** Figures of the workload's own. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** Computed from the log of operations. */
export interface Operations {
  readonly count: number;
  readonly threads: number;
  /** Per second of `wallMs`. */
  readonly perSecond: number;
  /** From begin to end of each. Open loop: from when it was due. */
  readonly simpleUs: Distribution;
  /** As if operations arrived evenly over the run and queued. Open loop: the same as simple, which has no omission. */
  readonly meteredUs: Distribution;
}

export interface PauseFacts {
  /** `remark`, `flip`, `full`; V8's `minor`, `major`, `incremental`, `weak`; a peer's own words. */
  readonly kind: string;
  /** `total`, or a phase of it: `safepoint` (time to it), `roots`, `remark`, `move`, `map`, `register`, `resume`. */
  readonly phase: string;
  readonly us: Distribution;
  /** `mutators`: timed by those who were stopped. `collector`: by the collector's clock. `runtime`: from a peer's own log. */
  readonly from: 'mutators' | 'collector' | 'trace' | 'runtime';
}

export interface ThreadPauses {
  readonly thread: string;
  readonly pauses: readonly { readonly kind: string; readonly us: Distribution }[];
}

export interface FaultFacts {
  readonly count: number;
  /** As the threads that faulted saw it: all of them when from a trace, else a sample. */
  readonly latencyUs: Distribution;
  readonly latencyFrom: 'trace' | 'sample';
  /** Sum over all faults; null when only a sample was timed. */
  readonly stallMs: number | null;
  readonly serviceUs: Distribution;
  /** Pages built: by the collector, then by each server. */
  readonly servedBy: { readonly collector: number; readonly servers: readonly number[] };
  /** Found their page in another's hands, or installed. */
  readonly shared: number;
  readonly late: number;
  /** Answers of the kernel to installations. */
  readonly errnos: Readonly<Record<string, number>>;
}

export interface MemoryFacts {
  /** At the end of the workload. */
  readonly rssBytes: number | null;
  /** Proportional set size, from smaps_rollup. */
  readonly pssBytes: number | null;
  /** The most that was ever resident (VmHWM); includes the start of the runtime. */
  readonly peakRssBytes: number | null;
  /** Blocks of the heap's memfds: at the end, and the most. */
  readonly memfdBytes: number | null;
  readonly memfdPeakBytes: number | null;
}

/** Minimum mutator utilisation: in the worst window of each size, the part of the time that a mutator ran. The worst thread. */
export interface Mmu {
  /** What counts as not running. */
  readonly includes: readonly ('pauses' | 'stalls' | 'faults')[];
  readonly from: 'trace' | 'reports' | 'runtime';
  readonly windows: readonly { readonly windowMs: number; readonly utilisation: number }[];
}

export interface HeapFacts {
  /** As they were in effect. */
  readonly options: ResolvedOptions;
  readonly userfaultfd: string | null;
  readonly statistics: HeapStatistics;
  /** Over cycles: each phase by the collector's clock, in their order. */
  readonly phasesUs: Readonly<Record<string, Distribution>>;
  /** Nanoseconds of CPU time of marking for a live byte: first decile over cycles, for disturbances only add. */
  readonly markCpuNsPerByte: number | null;
  readonly cycles: readonly CycleFacts[];
}

export interface CycleFacts {
  readonly cycle: number;
  /** End minus phases; the end is when the report arrived, some 0.1 ms late, or the trace's. */
  readonly startMs: number;
  readonly phasesMs: Readonly<Record<string, number>>;
  /** CPU time of the collector's own thread. */
  readonly phasesCpuMs: Readonly<Record<string, number>>;
  readonly usedBytesBefore: number;
  readonly usedBytesAfter: number;
  readonly liveBytes: number;
  readonly blackBytes: number;
  readonly remarkCards: number;
  readonly softLimitBytes: number;
}

export interface Timeline {
  readonly intervalMs: number;
  readonly samples: readonly TimelineSample[];
  /** Events of one cycle with its pauses and faults, and a little before and after; null without a trace. */
  readonly cycle: CycleTimeline | null;
}

export interface TimelineSample {
  readonly ms: number;
  /** Bytes in use of an own heap; V8's used heap for the form v8; null for peers. */
  readonly usedBytes: number | null;
  readonly softLimitBytes: number | null;
  readonly rssBytes: number | null;
  readonly memfdBytes: number | null;
  /** Phase of the running cycle, `idle` between cycles; null where unknown. */
  readonly phase: string | null;
}

export interface CycleTimeline {
  readonly cycle: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly threads: readonly { readonly id: string; readonly name: string; readonly role: string }[];
  readonly events: readonly TimelineEvent[];
  /** How many there were: `events` holds at most 20 000. */
  readonly eventCount: number;
}

export interface TimelineEvent {
  readonly thread: string;
  readonly kind: string;
  readonly startMs: number;
  readonly durationUs: number;
  /** What the kind says: page, server, bytes, … */
  readonly details: Readonly<Record<string, number | string>> | null;
}

/** Configurations that must have the same result: one workload, scale, live data, seed and number of threads. */
export interface ChecksumGroup {
  readonly workload: string;
  readonly scale: number;
  readonly liveBytes: number | null;
  readonly seed: number;
  readonly threads: number;
  /** Null: nothing was measured, or they differ. */
  readonly checksum: number | null;
  readonly equal: boolean;
  /** Every checksum with the measurements that gave it; more than one entry is a wrong result. */
  readonly found: readonly { readonly checksum: number; readonly measurements: readonly string[] }[];
}

/** The median of the processes' values with a bootstrap confidence interval of 95 %. */
export interface Estimate {
  readonly median: number;
  /** Null with fewer than three values: nothing can be said. */
  readonly low: number | null;
  readonly high: number | null;
  /** One of each process, in the order of runs. */
  readonly values: readonly number[];
}

export interface Analysis {
  readonly configurations: readonly ConfigurationAnalysis[];
  readonly lbo: readonly LboGroup[];
  readonly scaling: readonly ScalingSeries[];
  readonly minimumHeaps: readonly MinimumHeap[];
  readonly standings: readonly Standing[];
}

/** Configurations that did the same work with the same memory, by a figure of which less is better; the least first. */
export interface Standing {
  readonly workload: string;
  readonly scale: number;
  readonly threads: number;
  readonly rate: number | null;
  readonly heapBytes: number | null;
  readonly timesMinimum: number | null;
  readonly liveRatio: number | null;
  readonly metric: MetricName;
  readonly title: string;
  readonly unit: 'ms' | 'µs' | 'ns/B' | 'bytes' | '1/s' | 'part' | '';
  readonly rows: readonly {
    readonly configuration: string;
    readonly value: Estimate;
    /** Median over the least median, with a bootstrap interval of 95 %; null for the least itself and with fewer than three processes. */
    readonly ratio: number;
    readonly ratioLow: number | null;
    readonly ratioHigh: number | null;
    /** True: the whole interval is above 1. False: the least, or the interval contains 1. Null: too few processes to tell. */
    readonly behind: boolean | null;
  }[];
}

/** Names of `ConfigurationAnalysis.metrics`; bench/harness/metrics.ts says of each how it is read, its unit, and when a change matters. */
export type MetricName = string;

export interface ConfigurationAnalysis {
  readonly configuration: string;
  /** Processes that were measured, and that failed. */
  readonly runs: number;
  readonly failed: number;
  /** The measurement whose wall time is the median: it has the timeline. */
  readonly representative: string | null;
  readonly metrics: Readonly<Record<MetricName, Estimate | null>>;
  /** Each percentile is an estimate over processes; the buckets are of all processes together. */
  readonly latency: { readonly simple: LatencyAnalysis | null; readonly metered: LatencyAnalysis | null };
  /** All processes together. */
  readonly pauses: readonly PauseFacts[];
  readonly mmu: MmuAnalysis | null;
  readonly hiccupsUs: Distribution | null;
}

export interface LatencyAnalysis {
  readonly percentiles: readonly {
    /** `p50`, `p90`, `p99`, `p999`, `p9999`, `max`. */
    readonly name: string;
    /** 0.5 … 1. */
    readonly part: number;
    readonly us: Estimate | null;
  }[];
  readonly distribution: Distribution;
}

export interface MmuAnalysis {
  readonly includes: Mmu['includes'];
  readonly from: Mmu['from'];
  readonly windows: readonly { readonly windowMs: number; readonly utilisation: Estimate }[];
}

/**
 * Lower-bound overhead (Cai, Blackburn, Bond, Maas: Distilling the Real Cost of Production Garbage Collectors, ISPASS 2022): the least of
 * (total − what is measurably the collector's) over all collectors of a program is a lower bound on its cost without any; a collector's
 * overhead is at least its total over that.
 */
export interface LboGroup {
  readonly workload: string;
  readonly program: string;
  readonly scale: number;
  readonly liveBytes: number | null;
  readonly threads: number;
  /** The bound and which configuration gave it. */
  readonly wall: { readonly baselineMs: number; readonly configuration: string } | null;
  readonly cpu: { readonly baselineMs: number; readonly configuration: string } | null;
  readonly rows: readonly {
    readonly configuration: string;
    readonly collector: string;
    readonly heapBytes: number | null;
    /** 1 is none. */
    readonly wall: Estimate | null;
    readonly cpu: Estimate | null;
  }[];
}

export interface ScalingSeries {
  readonly name: string;
  readonly axis: ScalingAxis;
  readonly workload: string;
  readonly collector: string;
  readonly points: readonly {
    readonly x: number;
    readonly configuration: string;
    readonly metrics: ConfigurationAnalysis['metrics'];
  }[];
}

export interface MinimumHeap {
  readonly workload: string;
  readonly collector: string;
  readonly program: string;
  readonly scale: number;
  /** The smallest with which a process ended well; null when none did. */
  readonly heapBytes: number | null;
  /** The largest that failed; null when none did. */
  readonly failedBytes: number | null;
  readonly probes: readonly {
    readonly heapBytes: number;
    readonly ok: boolean;
    readonly reason: string | null;
  }[];
}
