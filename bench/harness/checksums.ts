// Results that must be equal: those of one workload, scale, live data, seed and number of threads, whoever computed them.

import { formatBytes } from '../cli/bytes.ts';
import type { ChecksumGroup, Configuration, Measurement } from './schema.ts';

type Work = Pick<ChecksumGroup, 'workload' | 'scale' | 'liveBytes' | 'seed' | 'threads'>;

/** Equal for equal work. */
export const workKey = ({ workload, scale, liveBytes, seed, threads }: Work): string =>
  JSON.stringify([workload, scale, liveBytes, seed, threads]);

export function groupChecksums(
  configurations: readonly Configuration[],
  measurements: readonly Measurement[],
): ChecksumGroup[] {
  const groups = new Map<string, { of: Configuration; found: Map<number, string[]> }>();
  for (const { id, configuration: name, facts } of measurements) {
    const configuration = configurations.find((one) => one.id === name);
    if (configuration === undefined || facts === null) continue;
    const key = workKey(configuration);
    const group = groups.get(key) ?? { of: configuration, found: new Map<number, string[]>() };
    groups.set(key, group);
    const same = group.found.get(facts.checksum);
    if (same === undefined) group.found.set(facts.checksum, [id]);
    else same.push(id);
  }
  return [...groups.values()].map(({ of, found }) => ({
    workload: of.workload,
    scale: of.scale,
    liveBytes: of.liveBytes,
    seed: of.seed,
    threads: of.threads,
    checksum: found.size === 1 ? [...found.keys()][0]! : null,
    equal: found.size === 1,
    found: [...found].map(([checksum, ids]) => ({ checksum, measurements: ids })),
  }));
}

/** Says who differs: against the checksum that most measurements have, or, where none has most, everybody. */
export function describeDifference({ workload, scale, liveBytes, found }: ChecksumGroup): string {
  const most = Math.max(...found.map(({ measurements }) => measurements.length));
  const agreed = found.filter(({ measurements }) => measurements.length === most);
  const hex = (checksum: number): string => `0x${checksum.toString(16).padStart(8, '0')}`;
  const text = (one: ChecksumGroup['found'][number]): string =>
    `${hex(one.checksum)} from ${one.measurements.join(', ')}`;
  const live = liveBytes === null ? '' : ` with ${formatBytes(liveBytes)} alive`;
  const where = `${workload} at scale ${scale}${live}: wrong result`;
  if (agreed.length !== 1) return `${where}: ${found.map(text).join('; ')}`;
  const rest = found.filter((one) => one !== agreed[0]);
  return `${where}: ${rest.map(text).join('; ')}; ${most} others agree on ${hex(agreed[0]!.checksum)}`;
}
