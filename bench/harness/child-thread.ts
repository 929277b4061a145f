// A thread of a measured process: it runs the workload, in the form that it has, and tells what only the thread itself can know.

import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { SharedHeap } from 'tospace';
import { type EncodedError, encodeError } from 'tospace/uffd';
import { meetAtStart } from '../cli/start-line.ts';
import { monotonicMs } from '../workloads/clock.ts';
import { Operations } from '../workloads/operations.ts';
import { type FormRun, openForm } from './forms.ts';
import { threadsCpuMs } from './proc.ts';
import type { Configuration } from './schema.ts';

export interface ChildThreadInput {
  readonly configuration: Configuration;
  readonly thread: number;
  /** The heap of the forms that have one. */
  readonly shared: SharedHeap | undefined;
  readonly startLine: SharedArrayBuffer;
  readonly cycleCalls: SharedArrayBuffer | undefined;
  /** The collector's threads. */
  readonly collectorTids: readonly number[] | null;
}

export interface GcPause {
  readonly kind: string;
  /** From the beginning of the workload. */
  readonly startMs: number;
  readonly ms: number;
}

/** Clocks of the process at one moment, in milliseconds. */
export interface Clocks {
  readonly cpuMs: number;
  readonly collectorCpuMs: number | null;
}

export type ChildThreadResult =
  | {
      readonly type: 'finished';
      readonly thread: number;
      readonly checksum: number;
      /** On the clock of `monotonicMs`. */
      readonly originMs: number;
      readonly endMs: number;
      readonly clocksAtStart: Clocks;
      readonly clocksAtEnd: Clocks;
      readonly operations: Float64Array;
      readonly gcPauses: readonly GcPause[];
      readonly details: Readonly<Record<string, unknown>>;
    }
  | { readonly type: 'failed'; readonly thread: number; readonly error: EncodedError };

export type FinishedThread = ChildThreadResult & { type: 'finished' };

/** Names of perf_hooks' kinds of garbage collection. */
const GC_KINDS: Readonly<Record<number, string>> = {
  1: 'minor',
  2: 'minor',
  4: 'major',
  8: 'incremental',
  16: 'weak',
};

function clocks(collectorTids: readonly number[] | null): Clocks {
  const { user, system } = process.cpuUsage();
  return {
    cpuMs: (user + system) / 1000,
    collectorCpuMs: collectorTids === null ? null : threadsCpuMs(collectorTids),
  };
}

async function work(input: ChildThreadInput): Promise<ChildThreadResult> {
  const { configuration, thread, collectorTids } = input;
  const startLine = meetAtStart(input.startLine, configuration.threads);
  const pauses: GcPause[] = [];
  let form: FormRun | undefined;
  try {
    const details: Record<string, unknown> = {};
    form = openForm(configuration, {
      thread,
      shared: input.shared,
      cycleCalls: input.cycleCalls,
      detail: (name, value) => {
        details[name] = value;
      },
    });
    const operations = new Operations({
      rate: configuration.rate ?? undefined,
      blocking: form.blocking,
    });
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const kind = (entry as unknown as { detail?: { kind?: number } }).detail?.kind ?? 0;
        pauses.push({ kind: GC_KINDS[kind] ?? String(kind), startMs: entry.startTime, ms: entry.duration });
      }
    });
    observer.observe({ entryTypes: ['gc'] });
    const toMonotonic = monotonicMs() - performance.now();
    const originMs = startLine.wait();
    const clocksAtStart = clocks(collectorTids);
    operations.start(originMs);
    const checksum = await form.run(operations);
    const endMs = monotonicMs();
    const clocksAtEnd = clocks(collectorTids);
    // Entries come when this thread's loop turns.
    for (let i = 0; i < 3; i++) await setImmediate();
    observer.disconnect();
    return {
      type: 'finished',
      thread,
      checksum,
      originMs,
      endMs,
      clocksAtStart,
      clocksAtEnd,
      operations: operations.times(),
      gcPauses: pauses
        .map((pause) => ({ ...pause, startMs: pause.startMs + toMonotonic - originMs }))
        .filter(({ startMs, ms }) => startMs + ms > 0 && startMs < endMs - originMs),
      details,
    };
  } catch (error) {
    startLine.fail();
    return { type: 'failed', thread, error: encodeError(error) };
  } finally {
    form?.close();
  }
}

if (parentPort !== null && (workerData as { startLine?: unknown } | null)?.startLine !== undefined)
  parentPort.postMessage(await work(workerData as ChildThreadInput));
