// The heaps on which histories run.

import type { HeapOptions } from '../gc/options.ts';
import type { Mistake } from './mistakes.ts';
import { VERIFIED } from './rig.ts';

export interface Configuration {
  readonly options: HeapOptions;
  /** Everything moves at every collection: beside the stop-the-world collector only. */
  readonly moving?: true;
  /** Collections happen only between the steps of a history. */
  readonly calm?: true;
  readonly steps: number;
  /**
   * Whose mistake it is when a history fails here, and passes on the configurations before. The order takes one freedom after the other
   * away from the runtime.
   */
  readonly blames: Mistake;
}

const KIB = 1024;
const MIB: number = 1024 * KIB;

type LadderName = 'no collection' | 'between steps' | 'everywhere';
type ConcurrentName = 'held-up marking' | 'small heap' | 'fill by copy' | 'as it runs';
export type ConfigurationName = LadderName | ConcurrentName;

/** By which a failure is explained, in this order. */
export const LADDER: Readonly<Record<LadderName, Configuration>> = {
  // Nothing moves, nothing is freed: what fails is not the collector's business.
  'no collection': {
    options: { collector: 'none', heap: 64 * MIB },
    steps: 500,
    blames: 'inconsistent-hooks',
  },
  // The runtime's code is never interrupted: what is lost was not kept where the collector looks.
  'between steps': {
    options: VERIFIED,
    moving: true,
    calm: true,
    steps: 500,
    blames: 'missed-root',
  },
  // The runtime's code is interrupted wherever it can be, and no marker runs beside it.
  everywhere: {
    options: {
      ...VERIFIED,
      stress: { collectEveryAllocation: 2, collectEverySafepoint: 1 },
    },
    moving: true,
    steps: 200,
    blames: 'stale-reference',
  },
};

/** Everything at once. */
export const CONCURRENT: Readonly<Record<ConcurrentName, Configuration>> = {
  'held-up marking': {
    // Between the trace and the remark pause: whatever a store hides from the marker there, only a card tells of.
    options: { heap: 2 * MIB, verify: 'full', trigger: 0.05, stress: { delayMs: { remark: 12 } } },
    steps: 1500,
    blames: 'missed-barrier',
  },
  'small heap': {
    options: { heap: MIB, verify: 'full', trigger: 0.2, stress: { collectEveryAllocation: 29 } },
    steps: 800,
    blames: 'missed-barrier',
  },
  'fill by copy': {
    options: {
      heap: 2 * MIB,
      verify: 'full',
      trigger: 0.1,
      fill: 'copy',
      stress: { collectEverySafepoint: 3, delayMs: { batch: 1 } },
    },
    steps: 800,
    blames: 'missed-barrier',
  },
  'as it runs': {
    options: { heap: 2 * MIB, trigger: 0.1, servers: 2, stress: { delayMs: { plan: 1, install: 0.2 } } },
    steps: 2000,
    blames: 'missed-barrier',
  },
};

export const CONFIGURATIONS: Readonly<Record<ConfigurationName, Configuration>> = {
  ...LADDER,
  ...CONCURRENT,
};
