// What will be measured: a suite's entries, expanded to configurations.

import type { CollectorName, HeapOptions } from 'tospace';
import { formatBytes } from '../cli/bytes.ts';
import type { Configuration, Form, ScalingAxis, Skipped } from './schema.ts';

const MIB = 2 ** 20;

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
  /** Of `hyperalloc` on heaps of `heapBytes`: parts of the heap that it keeps alive. Peers' programs cannot be told. */
  readonly liveRatios?: readonly number[];
  /** How much more V8's objects take than ours: its heap is larger by so much, so that the same live data are the same part of it. */
  readonly v8HeapFactor?: number;
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
    for (const what of untold(entry, options))
      skipped.set(what, { what, reason: "peers' programs cannot be told how much to keep alive" });
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

type Size = Pick<Configuration, 'heapBytes' | 'timesMinimum' | 'liveRatio' | 'liveBytes'>;

const UNKNOWN: Size = { heapBytes: null, timesMinimum: null, liveRatio: null, liveBytes: null };

/** Heaps, and how much is to be alive in each. */
function sizes({ heapBytes: heaps, timesMinimum, liveRatios }: SuiteEntry): Size[] {
  if (timesMinimum !== undefined) return timesMinimum.map((times) => ({ ...UNKNOWN, timesMinimum: times }));
  if (liveRatios === undefined) return heaps.map((heapBytes) => ({ ...UNKNOWN, heapBytes }));
  return heaps.flatMap((heapBytes) =>
    liveRatios.map((liveRatio) => ({
      ...UNKNOWN,
      ...{ heapBytes, liveRatio, liveBytes: Math.round(liveRatio * heapBytes) },
    })),
  );
}

/** What peers would have, if they took live ratios. */
function untold({ workloads, liveRatios, peers }: SuiteEntry, options: PlanOptions): string[] {
  if (liveRatios === undefined || !peers) return [];
  return workloads.flatMap((workload) =>
    options.peers
      .filter((peer) => peer.workloads.includes(workload))
      .map(({ name }) => `${workload}/${name} by live ratio`),
  );
}

function* expand(
  entry: SuiteEntry,
  { seed, peers, heapOptions, scale = 1 }: PlanOptions,
): Generator<Configuration> {
  for (const workload of entry.workloads) {
    for (const size of sizes(entry)) {
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
              const heapBytes =
                common.heapBytes === null
                  ? null
                  : Math.round((common.heapBytes * (entry.v8HeapFactor ?? 1)) / MIB) * MIB;
              yield named(
                { ...common, heapBytes, form, collector: 'v8', program: 'v8', peer: null, options: null },
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
          if (!entry.peers || size.liveRatio !== null) continue;
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
  const { workload, form, collector, heapBytes, timesMinimum, liveRatio, threads, rate, scale, options } =
    parts;
  const fixed = [workload, form === 'guest' ? `guest:${collector}` : collector];
  const axes: [ScalingAxis, number | null, string][] = [
    ['heapBytes', heapBytes, heapBytes === null ? '' : formatBytes(heapBytes).replace(' ', '')],
    ['timesMinimum', timesMinimum, `${timesMinimum}xmin`],
    ['liveRatio', liveRatio, `live${liveRatio}`],
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
