// Limits of control groups, version 1 and 2, from the group of this process up to the root of what it can see. Every level counts: the
// lowest limit is the one that kills.
import { memoryBytes, type ProbeHost } from './host.ts';

/** One hierarchy, from the group of this process upwards. */
interface Hierarchy {
  readonly version: 1 | 2;
  /** Folders, innermost first. */
  readonly folders: readonly string[];
}

export interface Ceiling {
  readonly file: string;
  readonly limitBytes: number;
  readonly usedBytes: number | undefined;
  /** The command that lifts it. */
  readonly repair: string;
}

/** Version 1 says "no limit" by the largest multiple of a page below 2^63. */
const UNLIMITED_BYTES = 2 ** 60;

/** The control groups that limit what `controller` counts, in one or both versions. */
function hierarchies(host: ProbeHost, controller: string): Hierarchy[] {
  const mounts = (host.read('/proc/self/mountinfo') ?? '').split('\n').map(mount).filter(isDefined);
  const found: Hierarchy[] = [];
  for (const line of (host.read('/proc/self/cgroup') ?? '').trim().split('\n')) {
    const [, id, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (id === undefined || controllers === undefined || path === undefined) continue;
    const version = id === '0' && controllers === '' ? 2 : 1;
    if (version === 1 && !controllers.split(',').includes(controller)) continue;
    const at = mounts.find((m) =>
      version === 2 ? m.type === 'cgroup2' : m.type === 'cgroup' && m.options.includes(controller),
    );
    if (at !== undefined) found.push({ version, folders: climb(at, path) });
  }
  return found;
}

interface Mount {
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** A line of mountinfo: `id parent dev root point options [tags] - type source super-options`. */
function mount(line: string): Mount | undefined {
  const [left, right] = line.split(' - ');
  const [, , , root, point] = left?.split(' ') ?? [];
  const [type, , options] = right?.split(' ') ?? [];
  if (root === undefined || point === undefined || type === undefined) return undefined;
  return { root, point, type, options: options?.split(',') ?? [] };
}

const isDefined = <T>(x: T | undefined): x is T => x !== undefined;

/** The folders of a group and its ancestors, as far as they are mounted. */
function climb({ root, point }: Mount, path: string): string[] {
  // What is mounted may begin below the root of the hierarchy, and a group outside of it shows as a path with `..`.
  const below =
    root === '/' ? path : path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : '';
  const names = below.split('/').filter((name) => name !== '');
  if (names.includes('..')) names.length = 0;
  const folders: string[] = [];
  for (let n = names.length; n >= 0; n--) folders.push([point, ...names.slice(0, n)].join('/'));
  return folders;
}

function number(host: ProbeHost, file: string): number | undefined {
  const text = host.read(file)?.trim();
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

/** Limits on memory, the lowest first; how much the machine has; and how many files said something. */
export function cgroupMemory(host: ProbeHost): {
  readonly ceilings: readonly Ceiling[];
  readonly physicalBytes: number | undefined;
  readonly files: number;
} {
  const physicalBytes = memoryBytes(host, 'MemTotal');
  const ceilings: Ceiling[] = [];
  let files = 0;
  for (const { version, folders } of hierarchies(host, 'memory')) {
    const names = version === 2 ? ['memory.max', 'memory.high'] : ['memory.limit_in_bytes'];
    const usage = version === 2 ? 'memory.current' : 'memory.usage_in_bytes';
    const lift = version === 2 ? 'max' : '-1';
    for (const folder of folders) {
      for (const name of names) {
        const file = `${folder}/${name}`;
        if (host.read(file) === undefined) continue;
        files++;
        const limitBytes = number(host, file);
        if (
          limitBytes === undefined ||
          limitBytes >= Math.min(UNLIMITED_BYTES, physicalBytes ?? UNLIMITED_BYTES)
        )
          continue;
        const repair = `echo ${lift} | sudo tee ${file}  # in a container: docker update --memory 0 --memory-swap -1 CONTAINER`;
        ceilings.push({ file, limitBytes, usedBytes: number(host, `${folder}/${usage}`), repair });
      }
    }
  }
  ceilings.sort((a, b) => a.limitBytes - b.limitBytes);
  return { ceilings, physicalBytes, files };
}

/** The share of CPU time that control groups leave, in CPUs, and where that is written; undefined without a limit. */
export function cgroupCpus(host: ProbeHost): { readonly cpus: number; readonly file: string } | undefined {
  let lowest: { cpus: number; file: string } | undefined;
  for (const { version, folders } of hierarchies(host, 'cpu')) {
    for (const folder of folders) {
      const file = `${folder}/${version === 2 ? 'cpu.max' : 'cpu.cfs_quota_us'}`;
      const [quota, period] =
        version === 2
          ? (host.read(file)?.trim().split(' ').map(Number) ?? [])
          : [number(host, file), number(host, `${folder}/cpu.cfs_period_us`)];
      // `max` and -1 stand for no limit; neither is a positive number.
      if (quota === undefined || period === undefined || !(quota > 0) || !(period > 0)) continue;
      const cpus = quota / period;
      if (lowest === undefined || cpus < lowest.cpus) lowest = { cpus, file };
    }
  }
  return lowest;
}
