// What /proc tells about processes, threads and CPUs. Everything that a kernel may not show is null.

import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of /proc/stat are 1/100 s to user space on every Linux that runs Node.js. */
const TICK_MS = 10;

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

export interface CpuTimes {
  /** Of all CPUs together since boot: spent on anything but being idle, and taken by the host. */
  readonly busyMs: number;
  readonly stealMs: number;
}

export function parseCpuTimes(stat: string): CpuTimes | null {
  const fields = /^cpu +(.+)$/m.exec(stat)?.[1]?.split(' ').map(Number);
  if (fields === undefined || fields.length < 8 || fields.some(Number.isNaN)) return null;
  // user nice system idle iowait irq softirq steal
  const [user, nice, system, , , irq, softirq, steal] = fields as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { busyMs: (user + nice + system + irq + softirq) * TICK_MS, stealMs: steal * TICK_MS };
}

export function cpuTimes(): CpuTimes | null {
  const stat = read('/proc/stat');
  return stat === null ? null : parseCpuTimes(stat);
}

/** CPU time of a process that runs, user and system, all threads. Resolution 10 ms. */
export function processCpuMs(pid: number): number | null {
  // Fields after the name, which is in parentheses and may hold anything.
  const fields = read(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ').map(Number);
  if (fields === undefined) return null;
  const ms = (fields[11]! + fields[12]!) * TICK_MS;
  return Number.isFinite(ms) ? ms : null;
}

/** Ids of this process' threads. */
export function threadIds(): number[] {
  return readdirSync('/proc/self/task').map(Number);
}

/** CPU time of threads of this process, in milliseconds with the scheduler's resolution; null where it is not shown for all of them. */
export function threadsCpuMs(tids: readonly number[]): number | null {
  let sum = 0;
  for (const tid of tids) {
    const ns = Number(read(`/proc/self/task/${tid}/schedstat`)?.split(' ')[0] ?? Number.NaN);
    if (Number.isNaN(ns)) return null;
    sum += ns / 1e6;
  }
  return sum;
}

/** A line such as `VmHWM:   1234 kB` of a status file, in bytes. */
export function kibField(text: string | null, name: string): number | null {
  const match = text === null ? null : new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
  return match === null ? null : Number(match[1]) * 1024;
}

export function peakRssBytes(pid: number | 'self'): number | null {
  return kibField(read(`/proc/${pid}/status`), 'VmHWM');
}

export function rssBytes(pid: number | 'self'): number | null {
  return kibField(read(`/proc/${pid}/status`), 'VmRSS');
}

/** Walks all page tables: not while something is measured. */
export function pssBytes(): number | null {
  return kibField(read('/proc/self/smaps_rollup'), 'Pss');
}

export function swapBytes(): number | null {
  return kibField(read('/proc/meminfo'), 'SwapTotal');
}

/** The word in brackets of a file of /sys/kernel/mm/transparent_hugepage. */
export function hugePageSetting(name: 'enabled' | 'shmem_enabled'): string | null {
  return /\[(\w+)\]/.exec(read(`/sys/kernel/mm/transparent_hugepage/${name}`) ?? '')?.[1] ?? null;
}

export function cpuGovernor(): string | null {
  return read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')?.trim() ?? null;
}
