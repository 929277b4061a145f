// The facts of a peer's run: what its program printed, and what its runtime logged.

import type { PeerOutput, PeerPause } from './peer.ts';
import type { Facts, TimelineSample } from './schema.ts';
import { distributionOf, round } from './statistics/distribution.ts';
import { mutatorUtilisation } from './statistics/mmu.ts';

/**
 * @param pauses null when the runtime logged nothing that could be read.
 * @param sampled what was seen of the process' memory from outside, from its start.
 */
export function peerFacts(
  output: PeerOutput,
  pauses: readonly PeerPause[] | null,
  sampled: readonly TimelineSample[],
  threads: number,
): Omit<Facts, 'operations'> {
  const pausedMs = pauses?.reduce((sum, { ms }) => sum + ms, 0) ?? null;
  const kinds = [...new Set(pauses?.map(({ kind }) => kind) ?? [])].sort();
  const last = sampled.at(-1);
  return {
    checksum: output.checksum,
    wallMs: round(output.wallMs),
    cpuMs: round(output.cpuMs),
    gcCpuMs: pausedMs === null ? null : pausedCpuMs(pausedMs, output),
    gcCpuFrom: pausedMs === null ? null : 'pauses',
    gcWallMs: pausedMs === null ? null : round(Math.min(pausedMs, output.wallMs)),
    pauses: kinds.map((kind) => ({
      kind,
      phase: 'total',
      us: distributionOf(pauses!.filter((pause) => pause.kind === kind).map(({ ms }) => ms * 1000)),
      from: 'runtime',
    })),
    v8Pauses: null,
    faults: null,
    stallsUs: null,
    windowsUs: null,
    memory: {
      rssBytes: last?.rssBytes ?? null,
      pssBytes: null,
      peakRssBytes: output.peakRssBytes > 0 ? output.peakRssBytes : null,
      memfdBytes: null,
      memfdPeakBytes: null,
    },
    mmu:
      pauses === null || output.wallMs <= 0
        ? null
        : {
            includes: ['pauses'],
            from: 'runtime',
            // A runtime stops all its threads at once. Its clock may begin with the process: what is late by that is not lost.
            windows: mutatorUtilisation(
              [pauses],
              Math.max(output.wallMs, ...pauses.map(({ startMs, ms }) => startMs + ms)),
            ),
          },
    heap: null,
    timeline: sampled.length < 2 ? null : { intervalMs: interval(sampled), samples: sampled, cycle: null },
    details: threads === 1 ? {} : { threads },
  };
}

/**
 * CPU time of pauses. Collectors that run beside the program, and several threads in a pause, are not told apart: a lower bound. Where the
 * process had less than a CPU, its pauses did not have more.
 */
export function pausedCpuMs(
  pausedMs: number,
  { wallMs, cpuMs }: { readonly wallMs: number; readonly cpuMs: number },
): number {
  return round(pausedMs * Math.min(1, cpuMs / wallMs));
}

function interval(samples: readonly TimelineSample[]): number {
  return round((samples.at(-1)!.ms - samples[0]!.ms) / (samples.length - 1));
}
