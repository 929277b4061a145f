// Another runtime with a collector of its own: how its program is built, run, and asked for its pauses.

/** One process. */
export interface PeerRun {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** File that tells of the pauses afterwards. Where the runtime tells of none there is no such file. */
  readonly pauseLog?: string;
}

/** All threads of the program stood still. */
export interface Pause {
  /** From the beginning of the workload. */
  readonly startMs: number;
  readonly ms: number;
  /** In the runtime's own words. */
  readonly kind: string;
}

export interface PeerRunOptions {
  readonly workload: string;
  readonly scale: number;
  readonly seed: number;
  readonly threads: number;
  /** Operations per second and thread; without it each begins when the one before it is over. */
  readonly rate?: number;
  /** Limit of the heap, for runtimes that have one. */
  readonly heapBytes: number;
  /** Receives start and end of every operation, in milliseconds: pairs of little-endian doubles. */
  readonly opsFile: string;
  readonly logFile: string;
}

export type Prepared = { readonly version: string } | { readonly skipped: string };

export interface Peer {
  readonly name: string;
  /** For humans; with the version once `prepare` found it. */
  readonly title: string;
  readonly workloads: readonly string[];
  /** Finds the runtime and builds the program in a folder below `dir`, once for each state of the sources; the reason in words when it cannot. */
  prepare(dir: string): Promise<Prepared>;
  /** The command of one run. @throws Error before `prepare` */
  run(options: PeerRunOptions): PeerRun;
  /**
   * The pauses within the workload, from the log of a run that ended well.
   * @throws Error when the log does not say when the workload ran
   */
  pauses(log: string): Pause[];
}

/** Names the pause log for the peers' programs, which add the workload's beginning and end to it, or write it. */
export const PAUSE_LOG_VARIABLE = 'TOSPACE_PAUSE_LOG';

/** The command line that all peers' programs have. */
export function programArguments(options: PeerRunOptions): string[] {
  const { workload, scale, seed, threads, rate, opsFile } = options;
  const open = rate === undefined ? [] : ['--rate', `${rate}`];
  return [workload, '--scale', `${scale}`, '--seed', `${seed}`, '--threads', `${threads}`, ...open].concat(
    '--ops',
    opsFile,
  );
}
