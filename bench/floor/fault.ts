// The fault round trip beside C, as the mutator sees it: touch a missing page, wait until the server has installed it. With the server
// on the mutator's CPU, where a fault leaves it free, and on another, which has to be woken.
import type { FaultSamples } from './samples.ts';
import type { Sides } from './sides.ts';
import { quantile, ratios, type Spread, spread } from './spread.ts';

export interface FaultSide {
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  /** One look at the clock: a measured fault contains one. performance.now() or clock_gettime(CLOCK_MONOTONIC). */
  readonly clockUs: Spread;
}

export interface FaultPlace {
  readonly tospace: FaultSide;
  readonly c: FaultSide | null;
  /** p50 over p50. */
  readonly ratio: number | null;
  readonly ratioSpread: Spread | null;
}

export interface FaultFill extends FaultPlace {
  readonly elsewhere: FaultPlace | { readonly skipped: string };
}

export interface FaultResult {
  readonly pages: number;
  readonly copy: FaultFill;
  readonly continue: FaultFill;
}

export async function measureFault(
  sides: Sides,
  pages: number,
  passes: number,
  cpus: readonly number[],
): Promise<FaultResult> {
  const place = async (fill: 'copy' | 'continue', server: number): Promise<FaultPlace> => {
    const { tospace, c } = await sides.measure<FaultSamples>('fault', [
      pages,
      passes,
      fill,
      cpus[0]!,
      server,
    ]);
    for (const samples of [...tospace, ...c]) {
      // Every fault was answered once, and with the page's contents.
      if (samples.faults !== pages * (passes + 1) || samples.sum !== pages * (passes + 1) * 0x07070707) {
        throw new Error(
          `fault ${fill}: ${samples.faults} faults with the sum ${samples.sum} instead of ${pages * (passes + 1)}`,
        );
      }
    }
    const spreadOfRatios = c.length > 0 ? ratios(tospace.map(p50), c.map(p50)) : null;
    return {
      tospace: side(tospace),
      c: c.length > 0 ? side(c) : null,
      ratio: spreadOfRatios?.median ?? null,
      ratioSpread: spreadOfRatios,
    };
  };
  const both = async (fill: 'copy' | 'continue'): Promise<FaultFill> => ({
    ...(await place(fill, cpus[0]!)),
    elsewhere: cpus.length > 1 ? await place(fill, cpus[1]!) : { skipped: 'only one CPU is allowed' },
  });
  return { pages, copy: await both('copy'), continue: await both('continue') };
}

function p50(samples: FaultSamples): number {
  return quantile(samples.us, 0.5);
}

function side(rounds: readonly FaultSamples[]): FaultSide {
  return {
    p50Us: spread(rounds.map(p50)),
    p99Us: spread(rounds.map((samples) => quantile(samples.us, 0.99))),
    clockUs: spread(rounds.map((samples) => samples.clockUs)),
  };
}
