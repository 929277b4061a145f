// The flip beside C: mremap(DONTUNMAP), mmap of the other memfd and UFFDIO_REGISTER, in a window of 1 GiB of which more and more is in
// use. The TypeScript side is read off the cycles of a real heap.
import { availableMemory } from '../cli/available-memory.ts';
import type { FlipSamples } from './samples.ts';
import type { Sides } from './sides.ts';
import { median, ratios, type Spread, spread } from './spread.ts';

/** Both memfds, and room for everything else. */
const MEMORY_FACTOR = 2.5;
const MIB = 1024 * 1024;

export interface FlipSteps {
  readonly moveUs: Spread;
  readonly mapUs: Spread;
  readonly registerUs: Spread;
  /** Of the sums, not the sum of the medians. */
  readonly totalUs: Spread;
}

export interface FlipSize {
  readonly usedMib: number;
  readonly tospace: FlipSteps;
  readonly c: FlipSteps | null;
  readonly ratio: Spread | null;
}

export interface FlipResult {
  /** Median over the sizes. */
  readonly ratio: number | null;
  readonly sizes: readonly FlipSize[];
  readonly skipped: readonly { readonly usedMib: number; readonly reason: string }[];
}

export async function measureFlip(
  sides: Sides,
  sizesMib: readonly number[],
  cycles: number,
  cpus: number,
): Promise<FlipResult> {
  const sizes: FlipSize[] = [];
  const skipped: { usedMib: number; reason: string }[] = [];
  for (const usedMib of sizesMib) {
    const needMib = Math.ceil(usedMib * MEMORY_FACTOR);
    if (availableMemory() < needMib * MIB) {
      skipped.push({ usedMib, reason: `${needMib} MiB of memory are not available` });
      continue;
    }
    // On one CPU a stopped mutator sleeps instead of spinning.
    const { tospace, c } = await sides.measure<FlipSamples>('flip', [usedMib, cycles], [cpus > 1 ? 1 : 0]);
    const withC = c.length > 0;
    sizes.push({
      usedMib,
      tospace: steps(tospace),
      c: withC ? steps(c) : null,
      ratio: withC ? ratios(tospace.map(total), c.map(total)) : null,
    });
  }
  const found = sizes.flatMap((size) => (size.ratio === null ? [] : [size.ratio.median]));
  return { ratio: found.length > 0 ? median(found) : null, sizes, skipped };
}

/** Median flip of one child. */
function total(samples: FlipSamples): number {
  return median(samples.moveUs.map((move, i) => move + samples.mapUs[i]! + samples.registerUs[i]!));
}

function steps(rounds: readonly FlipSamples[]): FlipSteps {
  return {
    moveUs: spread(rounds.map((samples) => median(samples.moveUs))),
    mapUs: spread(rounds.map((samples) => median(samples.mapUs))),
    registerUs: spread(rounds.map((samples) => median(samples.registerUs))),
    totalUs: spread(rounds.map(total)),
  };
}
