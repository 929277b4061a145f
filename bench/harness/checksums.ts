// Results that must be equal: those of one workload, scale, seed and number of threads, whoever computed them.

import type { ChecksumGroup, Configuration, Measurement } from './schema.ts';

const keyOf = ({ workload, scale, seed, threads }: Configuration): string =>
  JSON.stringify([workload, scale, seed, threads]);

export function groupChecksums(
  configurations: readonly Configuration[],
  measurements: readonly Measurement[],
): ChecksumGroup[] {
  const groups = new Map<string, { of: Configuration; found: Map<number, string[]> }>();
  for (const { id, configuration: name, facts } of measurements) {
    const configuration = configurations.find((one) => one.id === name);
    if (configuration === undefined || facts === null) continue;
    const key = keyOf(configuration);
    const group = groups.get(key) ?? { of: configuration, found: new Map<number, string[]>() };
    groups.set(key, group);
    const same = group.found.get(facts.checksum);
    if (same === undefined) group.found.set(facts.checksum, [id]);
    else same.push(id);
  }
  return [...groups.values()].map(({ of, found }) => ({
    workload: of.workload,
    scale: of.scale,
    seed: of.seed,
    threads: of.threads,
    checksum: found.size === 1 ? [...found.keys()][0]! : null,
    equal: found.size === 1,
    found: [...found].map(([checksum, ids]) => ({ checksum, measurements: ids })),
  }));
}

/** Says who differs: against the checksum that most measurements have, or, where none has most, everybody. */
export function describeDifference({ workload, scale, found }: ChecksumGroup): string {
  const most = Math.max(...found.map(({ measurements }) => measurements.length));
  const agreed = found.filter(({ measurements }) => measurements.length === most);
  const hex = (checksum: number): string => `0x${checksum.toString(16).padStart(8, '0')}`;
  const text = (one: ChecksumGroup['found'][number]): string =>
    `${hex(one.checksum)} from ${one.measurements.join(', ')}`;
  const where = `${workload} at scale ${scale}: wrong result`;
  if (agreed.length !== 1) return `${where}: ${found.map(text).join('; ')}`;
  const rest = found.filter((one) => one !== agreed[0]);
  return `${where}: ${rest.map(text).join('; ')}; ${most} others agree on ${hex(agreed[0]!.checksum)}`;
}
