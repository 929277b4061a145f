// The log line of a cycle, in the form in which Android logs its collections, for those (people and tools) who can read that.

import type { CycleCause } from '../heap/causes.ts';
import type { CycleReport } from './cycle.ts';
import { say } from './standard-error.ts';

/** What Android calls our causes, where it has a word. */
const CAUSE_NAMES: Readonly<Record<CycleCause, string>> = {
  collect: 'Explicit',
  allocation: 'Alloc',
  threads: 'Threads',
  'non-moving': 'NonMoving',
  external: 'NativeAlloc',
  trigger: 'Background',
  idle: 'Idle',
};

/** Bytes in whole units of 1024, as Android prints them: 0B, 512B, 120KB, 12MB, 3GB. A unit is used from three of it on. */
function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB'];
  let unit = 0;
  while (unit < units.length - 1 && Math.abs(count) >= 3 * 1024) {
    count = count / 1024;
    unit++;
  }
  return `${Math.round(count)}${units[unit]}`;
}

/** Microseconds as Android prints durations: 85us, 2.310ms, 1.204s. */
function duration(us: number): string {
  if (us < 1000) return `${Math.round(us)}us`;
  return us < 1e6 ? `${(us / 1000).toFixed(3)}ms` : `${(us / 1e6).toFixed(3)}s`;
}

/**
 * A cycle in one line, in the form of Android's log:
 *
 * `Background concurrent mark compact GC freed 12MB AllocSpace bytes, 3(120KB) LOS objects, 49% free, 31MB/62MB, paused 85us,41us total 52.113ms`
 *
 * AllocSpace is the moving space, LOS the non-moving one. Then come the free part of the soft limit, what is in use after the flip and the
 * soft limit; the pauses as the collector saw them, from asking the mutators to stop until they ran again; and the whole cycle.
 */
export function formatCycle(report: CycleReport): string {
  const { usedBytesAfter, nonMovingFreed, pauses } = report;
  const size = report.sizing.softLimitBytes;
  const free = Math.max(0, Math.floor((100 * (size - usedBytesAfter)) / size));
  return [
    `${CAUSE_NAMES[report.cause]} ${report.collector} mark compact GC freed ${bytes(report.freedBytes)} AllocSpace bytes`,
    `${nonMovingFreed.objects}(${bytes(nonMovingFreed.bytes)}) LOS objects`,
    `${free}% free`,
    `${bytes(usedBytesAfter)}/${bytes(size)}`,
    `paused ${pauses.map(({ durationUs }) => duration(durationUs)).join(',')} total ${duration(report.durationMs * 1000)}`,
  ].join(', ');
}

export function logCycle(report: CycleReport): void {
  say(formatCycle(report));
}

export function logAbandoned(cause: CycleCause, error: unknown): void {
  say(`${CAUSE_NAMES[cause]} GC abandoned: ${error instanceof Error ? error.message : String(error)}`);
}
