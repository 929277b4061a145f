// What will be measured: a suite's entries, expanded to configurations.

import type { CollectorName, HeapOptions } from 'tospace';
import { formatBytes } from '../cli/bytes.ts';
import type { Configuration, Form, ScalingAxis, Skipped } from './schema.ts';

/** Our collectors by the names that tables show, with the options that make them. */
export const COLLECTORS: Readonly<Record<string, HeapOptions & { collector: CollectorName }>> = {
  concurrent: { collector: 'concurrent' },
  'concurrent-copy': { collector: 'concurrent', fill: 'copy' },
  'concurrent-release': { collector: 'concurrent', retention: 'release' },
  'stop-the-world': { collector: 'stop-the-world' },
  none: { collector: 'none' },
};

/** A set of configurations: every combination of its lists. */
export interface SuiteEntry {
  readonly workloads: readonly string[];
  readonly forms: readonly Exclude<Form, 'peer'>[];
  /** Of the forms `heap` and `guest`; names of COLLECTORS. */
  readonly collectors: readonly string[];
  /** Also on the peers that were asked for. */
  readonly peers: boolean;
  readonly scale: number;
  /** Capacities; empty: sized by `timesMinimum`. */
  readonly heapBytes: readonly number[];
  /** Multiples of the minimum heap, which is looked for first. */
  readonly timesMinimum?: readonly number[];
  readonly threads?: readonly number[];
  readonly rates?: readonly (number | null)[];
  readonly servers?: readonly number[];
  /** Each collector's points along this axis are a series. */
  readonly axis?: ScalingAxis;
  /** What one process takes, roughly, with everything around it: for the announcement. */
  readonly expectedMs: number;
  readonly limitMs: number;
}

export interface Suite {
  readonly name: string;
  readonly summary: string;
  readonly runs: number;
  /** Peers that are measured unless others are asked for: all or none. */
  readonly peers: 'all' | 'none';
  readonly entries: readonly SuiteEntry[];
}

export interface Planned {
  readonly configuration: Configuration;
  readonly expectedMs: number;
}

export interface PlanOptions {
  readonly seed: number;
  /** Peers that are there. */
  readonly peers: readonly { readonly name: string; readonly workloads: readonly string[] }[];
  readonly hasForm: (workload: string, form: Form) => boolean;
  /** Added to the options of every own heap: planted faults, say. */
  readonly heapOptions?: HeapOptions;
  /** Multiplies the scale of every entry. */
  readonly scale?: number;
}

/** Configurations of a suite, each once, and what cannot be measured. */
export function planSuite(suite: Suite, options: PlanOptions): { planned: Planned[]; skipped: Skipped[] } {
  const planned = new Map<string, Planned>();
  const skipped = new Map<string, Skipped>();
  for (const entry of suite.entries) {
    for (const configuration of expand(entry, options)) {
      const { id, workload, form, series } = configuration;
      if (form !== 'peer' && !options.hasForm(workload, form)) {
        const what = `${workload}/${form}`;
        skipped.set(what, { what, reason: `this build has no ${form} form of ${workload}` });
        continue;
      }
      const known = planned.get(id);
      planned.set(id, {
        configuration:
          known === undefined
            ? configuration
            : { ...known.configuration, series: [...known.configuration.series, ...series] },
        expectedMs: entry.expectedMs * (options.scale ?? 1),
      });
    }
  }
  return { planned: [...planned.values()], skipped: [...skipped.values()] };
}

function* expand(
  entry: SuiteEntry,
  { seed, peers, heapOptions, scale = 1 }: PlanOptions,
): Generator<Configuration> {
  const sizes: { heapBytes: number | null; timesMinimum: number | null }[] =
    entry.timesMinimum === undefined
      ? entry.heapBytes.map((heapBytes) => ({ heapBytes, timesMinimum: null }))
      : entry.timesMinimum.map((timesMinimum) => ({ heapBytes: null, timesMinimum }));
  for (const workload of entry.workloads) {
    for (const size of sizes) {
      for (const threads of entry.threads ?? [1]) {
        for (const rate of entry.rates ?? [null]) {
          const common = {
            workload,
            ...size,
            threads,
            rate,
            scale: Number((entry.scale * scale).toPrecision(6)),
            seed,
            limitMs: entry.limitMs,
          };
          for (const form of entry.forms) {
            if (form === 'v8') {
              yield named(
                { ...common, form, collector: 'v8', program: 'v8', peer: null, options: null },
                entry,
              );
              continue;
            }
            for (const collector of entry.collectors) {
              for (const servers of entry.servers ?? [null]) {
                const own: HeapOptions = {
                  ...COLLECTORS[collector]!,
                  ...(servers === null ? {} : { servers }),
                  ...heapOptions,
                };
                yield named({ ...common, form, collector, program: form, peer: null, options: own }, entry);
              }
            }
          }
          if (!entry.peers) continue;
          for (const { name, workloads } of peers) {
            if (!workloads.includes(workload)) continue;
            yield named(
              {
                ...common,
                form: 'peer',
                collector: name,
                program: name.split('-')[0]!,
                peer: name,
                options: null,
              },
              entry,
            );
          }
        }
      }
    }
  }
}

/** With its id, and the series that it is a point of. */
function named(parts: Omit<Configuration, 'id' | 'series'>, { axis, servers }: SuiteEntry): Configuration {
  const { workload, form, collector, heapBytes, timesMinimum, threads, rate, scale, options } = parts;
  const fixed = [workload, form === 'guest' ? `guest:${collector}` : collector];
  const axes: [ScalingAxis, number | null, string][] = [
    ['heapBytes', heapBytes, heapBytes === null ? '' : formatBytes(heapBytes).replace(' ', '')],
    ['timesMinimum', timesMinimum, `${timesMinimum}xmin`],
    ['threads', threads, threads === 1 ? '' : `t${threads}`],
    ['servers', typeof options?.servers === 'number' ? options.servers : null, `servers${options?.servers}`],
    ['rate', rate, `r${rate}`],
  ];
  const words = axes.filter(
    ([name, x, word]) => x !== null && word !== '' && (name !== 'servers' || servers),
  );
  const id = [...fixed, ...words.map(([, , word]) => word), `x${scale}`].join('/');
  const x = axes.find(([name]) => name === axis)?.[1] ?? null;
  const others = words.filter(([name]) => name !== axis).map(([, , word]) => word);
  return {
    id,
    ...parts,
    series: axis === undefined || x === null ? [] : [{ name: [...fixed, ...others].join('/'), axis, x }],
  };
}
