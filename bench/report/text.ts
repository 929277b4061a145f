// Values as a reader sees them. The exact ones are in data attributes and in the document.

import type { BenchDocument, Configuration, Estimate } from '../harness/schema.ts';

export const NOT_MEASURED = 'not measured';
const MIB = 2 ** 20;

/** Three significant digits, never an exponent. */
export function short(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));
}

/** Of microseconds. */
export function duration(us: number): string {
  const size = Math.abs(us);
  if (size !== 0 && size < 1) return `${short(us * 1000)} ns`;
  if (size < 1000) return `${short(us)} µs`;
  return size < 1e6 ? `${short(us / 1000)} ms` : `${short(us / 1e6)} s`;
}

export function bytes(value: number): string {
  if (value < MIB / 8) return `${short(value / 1024)} KiB`;
  return value >= 1024 * MIB ? `${short(value / 1024 / MIB)} GiB` : `${short(value / MIB)} MiB`;
}

export type Unit = 'ms' | 'µs' | 'ns/B' | 'bytes' | '1/s' | 'part' | '' | '×';

export function quantity(value: number, unit: Unit): string {
  if (unit === 'ms') return duration(value * 1000);
  if (unit === 'µs') return duration(value);
  if (unit === 'bytes') return bytes(value);
  if (unit === 'part') return `${short(value * 100)} %`;
  if (unit === '×') return `× ${value.toFixed(2)}`;
  return unit === '' ? short(value) : `${short(value)} ${unit}`;
}

/** The interval in words: `[1.2 ms – 1.4 ms]`, or that there is none. */
export function interval(estimate: Estimate, unit: Unit): string {
  if (estimate.low === null || estimate.high === null)
    return estimate.values.length === 1
      ? '(one process)'
      : `(${estimate.values.length} processes, no interval)`;
  return `[${quantity(estimate.low, unit)} – ${quantity(estimate.high, unit)}]`;
}

export function count(n: number, one: string, many: string = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** Options that a collector's name says already. */
const NAMED_OPTIONS = ['collector', 'fill', 'retention', 'stress'];

/** The collector, and what else is not as usual. */
export function collectorName({ collector, form, options }: Configuration): string {
  const others = Object.entries(options ?? {}).filter(([name]) => !NAMED_OPTIONS.includes(name));
  return [
    form === 'guest' ? `${collector} (guest)` : collector,
    ...others.map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`),
  ].join(', ');
}

/** What a configuration was given, beside its workload. */
function circumstances({ heapBytes, timesMinimum, liveRatio, rate, threads }: Configuration): string[] {
  return [
    timesMinimum === null
      ? heapBytes === null
        ? null
        : bytes(heapBytes)
      : `${timesMinimum} × its minimum heap`,
    liveRatio === null ? null : `${short(liveRatio * 100)} % live`,
    rate === null ? null : `${short(rate)} operations/s`,
    threads === 1 ? null : `${threads} threads`,
  ].filter((part) => part !== null);
}

/** What a reader calls a configuration beside others of its workload. */
export function label(configuration: Configuration): string {
  return [collectorName(configuration), ...circumstances(configuration)].join(', ');
}

export function configurationOf(document: BenchDocument, id: string): Configuration {
  return document.configurations.find((one) => one.id === id)!;
}

/** More than these are not told apart in one picture. */
const TOGETHER_MAX = 8;

/**
 * Workloads in the order of the suite, each with its configurations that were measured; one with too many for one picture is split by what they were
 * given.
 */
export function byWorkload(document: BenchDocument): Map<string, Configuration[]> {
  const measured = document.analysis.configurations
    .filter(({ runs }) => runs > 0)
    .map(({ configuration }) => configurationOf(document, configuration));
  const groups = groupBy(measured, ({ workload }) => workload);
  return new Map(
    [...groups].flatMap(([workload, all]) =>
      all.length <= TOGETHER_MAX
        ? [[workload, all] as const]
        : [...groupBy(all, (one) => [workload, ...circumstances(one)].join(', '))],
    ),
  );
}

function groupBy(
  all: readonly Configuration[],
  key: (one: Configuration) => string,
): Map<string, Configuration[]> {
  const groups = new Map<string, Configuration[]>();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}
