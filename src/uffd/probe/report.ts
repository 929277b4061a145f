// What a probe reports. Plain data: `tospace doctor --json` prints it as it is.
import type { UserfaultfdKind } from '../userfaultfd.ts';

/**
 * `ok`: works. `limited`: works in part, or there is little of it. `missing`: was tried and does not work (or could not be tried,
 * because something that it needs is missing). `info`: neither good nor bad for a heap.
 */
export type ProbeStatus = 'ok' | 'limited' | 'missing' | 'info';

/** The parts of the report, in its order. */
export type ProbeGroup = 'access' | 'requests' | 'features' | 'moves' | 'memory' | 'limits' | 'processors';

/** One question that was put to this kernel and process, and its answer. docs/doctor.md explains each `id`. */
export interface ProbeRow {
  readonly id: string;
  readonly group: ProbeGroup;
  /** Whether the concurrent collector needs it. */
  readonly required: boolean;
  readonly status: ProbeStatus;
  /** What was found, in words. */
  readonly found: string;
  /** What it gives the heap. */
  readonly gives: string;
  /** What is lost without it. */
  readonly without: string;
  /** The command that repairs it; null where nothing is to be repaired, or nothing can be. */
  readonly repair: string | null;
  /** What was measured or read, for programs. Units are in the names. */
  readonly values: Readonly<Record<string, number | string | boolean | null>>;
}

/** Whether the concurrent collector can run here. */
export interface ProbeVerdict {
  readonly concurrent: boolean;
  /** The kind of userfaultfd that a heap gets; null when it gets none. */
  readonly userfaultfd: UserfaultfdKind | null;
  /** In words: that it works and within which limits, or the first cause why not. */
  readonly reason: string;
  /** Ids of the required rows that are missing, in the order of the report. Empty when `concurrent`. */
  readonly missing: readonly string[];
  /** The command that removes the first cause, if there is one. */
  readonly repair: string | null;
}

export interface ProbeReport {
  /** Changes when the meaning of a field does. */
  readonly format: 1;
  /** For example `linux-x64`. */
  readonly platform: string;
  /** As `uname -r` prints it. For people: nothing is decided by it. */
  readonly kernelVersion: string;
  /** As `process.version` says. */
  readonly node: string;
  /** 0 where no kernel could be asked. */
  readonly pageBytes: number;
  /** How many CPUs the calling thread may use. */
  readonly cpus: number;
  /** Whether only the required rows were asked for. */
  readonly quick: boolean;
  readonly verdict: ProbeVerdict;
  readonly rows: readonly ProbeRow[];
  /** How long it took, in milliseconds. */
  readonly elapsedMs: number;
}
