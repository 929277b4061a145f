// What `tospace bench pauses --json` prints.

import type { Axis, Configuration } from './configurations.ts';
import type { ConfigurationResult } from './result.ts';

/** Last of an axis over its first: 1 where nothing grows. Null where one of the two was not measured. */
export interface Growth {
  readonly remarkP50: number | null;
  readonly flipP50: number | null;
}

export interface PausesReport {
  readonly benchmark: 'pauses';
  readonly machine: {
    readonly cpu: string;
    readonly cpus: number;
    readonly linux: string;
    readonly node: string;
  };
  readonly options: {
    readonly cycles: number;
    readonly minutes: number;
    readonly rounds: number;
    readonly quick: boolean;
  };
  /** Each configuration once. */
  readonly configurations: readonly ConfigurationResult[];
  readonly skipped: readonly (Configuration & { readonly reason: string })[];
  readonly growth: Readonly<Record<Axis, Growth>>;
}
