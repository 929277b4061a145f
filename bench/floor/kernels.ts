// Mark, plan and compact beside C: the phases of the real stop-the-world collector, and the same algorithms in C on the same graph.
import type { KernelSamples } from './samples.ts';
import type { Sides } from './sides.ts';
import { median, ratios, type Spread, spread } from './spread.ts';

export const GRAPHS = ['local', 'scattered'] as const;
export type Graph = (typeof GRAPHS)[number];

export interface KernelPair {
  readonly tospaceMs: Spread;
  readonly cMs: Spread | null;
  readonly ratio: Spread | null;
}

export interface KernelResult extends Readonly<Record<Graph, KernelPair>> {
  /** Median over the graphs. */
  readonly ratio: number | null;
}

export interface Checksums {
  readonly tospace: number;
  readonly c: number | null;
  /** Null without a C side. */
  readonly equal: boolean | null;
}

export interface KernelsResult {
  readonly objects: number;
  readonly objectBytes: number;
  readonly heapMib: number;
  readonly mark: KernelResult;
  readonly plan: KernelResult;
  readonly compact: KernelResult;
  readonly checksum: Readonly<Record<Graph, Checksums>>;
}

const OBJECT_BYTES = 24;

/** @throws Error when the two sides did not compute the same heap. */
export async function measureKernels(
  sides: Sides,
  objects: number,
  cycles: number,
  heapMib: number,
): Promise<KernelsResult> {
  const pairs: Partial<Record<Graph, Awaited<ReturnType<typeof sides.measure<KernelSamples>>>>> = {};
  const checksum: Partial<Record<Graph, Checksums>> = {};
  for (const graph of GRAPHS) {
    const { tospace, c } = await sides.measure<KernelSamples>('kernels', [graph, objects, cycles, heapMib]);
    const first = tospace[0]!;
    for (const samples of [...tospace, ...c]) {
      const same =
        samples.checksum === first.checksum &&
        samples.liveBytes === first.liveBytes &&
        samples.objects === objects;
      if (!same || samples.checksum === 0) {
        throw new Error(
          `kernels ${graph}: a side found ${samples.objects} objects, ${samples.liveBytes} live bytes and the checksum ` +
            `${samples.checksum} instead of ${objects}, ${first.liveBytes} and ${first.checksum}`,
        );
      }
    }
    pairs[graph] = { tospace, c };
    checksum[graph] = {
      tospace: first.checksum,
      c: c[0]?.checksum ?? null,
      equal: c.length > 0 ? c.every((samples) => samples.checksum === first.checksum) : null,
    };
  }
  const kernel = (phase: 'markMs' | 'planMs' | 'compactMs'): KernelResult => {
    const pair = (graph: Graph): KernelPair => {
      const { tospace, c } = pairs[graph]!;
      const ours = tospace.map((samples) => median(samples[phase]));
      const theirs = c.map((samples) => median(samples[phase]));
      const withC = c.length > 0;
      return {
        tospaceMs: spread(ours),
        cMs: withC ? spread(theirs) : null,
        ratio: withC ? ratios(ours, theirs) : null,
      };
    };
    const local = pair('local');
    const scattered = pair('scattered');
    const ratio =
      local.ratio && scattered.ratio ? median([local.ratio.median, scattered.ratio.median]) : null;
    return { ratio, local, scattered };
  };
  return {
    objects,
    objectBytes: OBJECT_BYTES,
    heapMib,
    mark: kernel('markMs'),
    plan: kernel('planMs'),
    compact: kernel('compactMs'),
    checksum: checksum as Record<Graph, Checksums>,
  };
}
