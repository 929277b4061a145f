// What the machine does while a process is measured, seen from outside it.

import { loadavg } from 'node:os';
import { type HiccupLog, HiccupMeter } from '../cli/hiccups.ts';
import { cpuTimes } from './proc.ts';
import { speedMs } from './speed.ts';
import type { Distribution, Environment } from './schema.ts';
import { emptyDistribution, round } from './statistics/distribution.ts';

export class EnvironmentWatch {
  readonly #meter: HiccupMeter;
  readonly #speedMs = speedMs();
  readonly #load = loadavg()[0]!;
  readonly #cpu = cpuTimes();
  readonly #ownCpu = process.cpuUsage();
  readonly #start = performance.now();

  private constructor(meter: HiccupMeter) {
    this.#meter = meter;
  }

  static async start(): Promise<EnvironmentWatch> {
    return new EnvironmentWatch(await HiccupMeter.start());
  }

  /** @param cpuMs what the measured process took since the start, its beginning and end included; null when not known. */
  async finish(cpuMs: number | null): Promise<Environment> {
    const wallMs = performance.now() - this.#start;
    const cpu = cpuTimes();
    const own = process.cpuUsage(this.#ownCpu);
    const log = await this.#meter.finishLogged();
    const before = this.#cpu;
    const known = before !== null && cpu !== null;
    return {
      loadBefore: this.#load,
      loadAfter: loadavg()[0]!,
      stealMs: known ? cpu.stealMs - before.stealMs : null,
      othersCpus:
        known && cpuMs !== null
          ? round(Math.max(0, (cpu.busyMs - before.busyMs - cpuMs - (own.user + own.system) / 1000) / wallMs))
          : null,
      speedMs: this.#speedMs,
      hiccupsUs: hiccups(log),
      harnessRssBytes: process.memoryUsage.rss(),
    };
  }
}

/** The meter's percentiles of all its sleeps; it counts in buckets of its own, so there are none here. */
function hiccups({ summary }: HiccupLog): Distribution {
  const { count, p50, p99, p999, max } = summary;
  if (count === 0) return emptyDistribution();
  return { ...emptyDistribution(), count, p50, p99, p999, max, buckets: null };
}
