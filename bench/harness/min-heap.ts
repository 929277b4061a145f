// The minimum heap: the smallest with which a workload ends well, by bisection. A process for every size that is tried.

import type { Configuration, Measurement, MinimumHeap } from './schema.ts';
import { bisect } from './statistics/bisection.ts';

const MIB = 2 ** 20;
const LOW_BYTES = MIB;
const HIGH_BYTES = 1024 * MIB;
const ALIGN_BYTES = 256 * 1024;
/** One part in sixteen: what a heap does at twice the minimum differs less than that from process to process. */
const PRECISION = 1 / 16;

export interface MinHeapSearch {
  readonly minimum: MinimumHeap;
  readonly measurements: readonly Measurement[];
  readonly interrupted: boolean;
}

/** Who shares a minimum: one workload in one program on one collector. */
export const minimumKey = (configuration: Configuration): string =>
  JSON.stringify([
    configuration.workload,
    configuration.program,
    configuration.collector,
    configuration.scale,
  ]);

/** Looks for the minimum heap of a configuration, whose own size does not matter. */
export async function findMinimumHeap(
  configuration: Configuration,
  measure: (configuration: Configuration, run: number) => Promise<Measurement | undefined>,
): Promise<MinHeapSearch> {
  const measurements: Measurement[] = [];
  const probes: MinimumHeap['probes'][number][] = [];
  let interrupted = false;
  const { works, fails } = await bisect(
    LOW_BYTES,
    HIGH_BYTES,
    { align: ALIGN_BYTES, precision: PRECISION },
    async (heapBytes) => {
      // An interrupted search ends as if everything else failed; its result is dropped.
      if (interrupted) return false;
      const measurement = await measure({ ...configuration, heapBytes }, probes.length + 1);
      if (measurement === undefined) {
        interrupted = true;
        return false;
      }
      measurements.push(measurement);
      const { outcome } = measurement;
      const ok = outcome.type === 'ok';
      probes.push({ heapBytes, ok, reason: ok ? null : outcome.reason });
      return ok;
    },
  );
  const { workload, collector, program, scale } = configuration;
  return {
    minimum: {
      workload,
      collector,
      program,
      scale,
      heapBytes: interrupted ? null : works,
      failedBytes: interrupted ? null : fails,
      probes,
    },
    measurements,
    interrupted,
  };
}

/** The heap of so many times the minimum, as all runtimes take it. */
export function timesMinimum(minimumBytes: number, times: number): number {
  return Math.ceil((minimumBytes * times) / ALIGN_BYTES) * ALIGN_BYTES;
}
