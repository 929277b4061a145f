// Another runtime with a collector of its own, as the harness sees it. The peers themselves: bench/peers.

export interface PeerRun {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A file that the runtime writes about its pauses; without one it says so on standard error. */
  readonly pauseLog?: string;
}

export interface PeerPause {
  /** From the beginning of the process or of the workload, as the runtime's log has it. */
  readonly startMs: number;
  readonly ms: number;
  readonly kind: string;
}

export interface PeerRunOptions {
  readonly workload: string;
  readonly scale: number;
  readonly seed: number;
  readonly threads: number;
  readonly rate?: number;
  /** The limit given to the runtime where it has one. */
  readonly heapBytes: number;
  readonly opsFile: string;
  readonly logFile: string;
}

export interface Peer {
  readonly name: string;
  readonly title: string;
  readonly workloads: readonly string[];
  /** Finds the runtime and builds the program; the reason in words when it cannot. */
  prepare(dir: string): Promise<{ version: string } | { skipped: string }>;
  run(options: PeerRunOptions): PeerRun;
  /** Pauses from the runtime's own log. */
  pauses(log: string): PeerPause[];
}

/** What a peer's program prints: exactly one line of JSON. */
export interface PeerOutput {
  readonly checksum: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakRssBytes: number;
  readonly operations: number;
}

/** @throws Error that says what is wrong with the line. */
export function parsePeerOutput(stdout: string): PeerOutput {
  const lines = stdout.trim().split('\n');
  if (lines.length !== 1) throw new Error(`${lines.length} lines on standard output instead of one`);
  let value: unknown;
  try {
    value = JSON.parse(lines[0]!);
  } catch {
    throw new Error(`not JSON on standard output: ${lines[0]!.slice(0, 100)}`);
  }
  const output = value as Record<keyof PeerOutput, unknown>;
  for (const key of ['checksum', 'wallMs', 'cpuMs', 'peakRssBytes', 'operations'] as const) {
    const number = output[key];
    if (typeof number !== 'number' || !(number >= 0))
      throw new Error(`"${key}" is ${JSON.stringify(number)}`);
  }
  if (!Number.isInteger(output.checksum) || (output.checksum as number) > 0xffffffff)
    throw new Error(`checksum ${String(output.checksum)} is not an unsigned 32-bit integer`);
  return value as PeerOutput;
}
