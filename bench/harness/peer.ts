// Another runtime with a collector of its own, as the harness sees it. The peers themselves: bench/peers.

export type { Pause as PeerPause, Peer, PeerRun, PeerRunOptions } from '../peers/peer.ts';

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
