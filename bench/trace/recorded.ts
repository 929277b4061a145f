// A whole run on one heap as a trace file: everything that its threads did, from its first event to its last.

import type { Recording } from '../harness/recording.ts';
import type { TimelineSample } from '../harness/schema.ts';
import type { TracedProcess } from './chrome.ts';

/** @param samples with times on the clock of the recording's events. */
export function recordedProcess(
  name: string,
  { threads, events, lost, omitted = 0 }: Recording,
  samples: readonly TimelineSample[],
): TracedProcess {
  const ordered = [...events].sort((a, b) => a.startMs - b.startMs);
  const origin = Math.min(
    ordered[0]?.startMs ?? Number.POSITIVE_INFINITY,
    samples[0]?.ms ?? Number.POSITIVE_INFINITY,
  );
  return {
    name,
    threads,
    events: ordered.map((event) => ({ ...event, startMs: event.startMs - origin })),
    samples: samples.map((sample) => ({ ...sample, ms: sample.ms - origin })),
    cycles: [],
    notes: [
      ...(lost === 0 ? [] : [`${lost} events were overwritten before they were read`]),
      ...(omitted === 0 ? [] : [`${omitted} events after these were left out`]),
    ],
  };
}
