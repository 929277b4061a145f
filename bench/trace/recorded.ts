// A whole run on one heap as a trace file: everything that its threads did, from its first event to its last.

import type { Recording } from '../harness/recording.ts';
import type { TimelineSample } from '../harness/schema.ts';
import type { TracedProcess } from './chrome.ts';

/** More than viewers open; a file of it has some 200 MB. */
const EVENTS_MAX = 1_000_000;

/** @param samples with times on the clock of the recording's events. */
export function recordedProcess(
  name: string,
  { threads, events, lost }: Recording,
  samples: readonly TimelineSample[],
): TracedProcess {
  const ordered = [...events].sort((a, b) => a.startMs - b.startMs);
  const shown = ordered.slice(0, EVENTS_MAX);
  const origin = Math.min(
    shown[0]?.startMs ?? Number.POSITIVE_INFINITY,
    samples[0]?.ms ?? Number.POSITIVE_INFINITY,
  );
  return {
    name,
    threads,
    events: shown.map((event) => ({ ...event, startMs: event.startMs - origin })),
    samples: samples.map((sample) => ({ ...sample, ms: sample.ms - origin })),
    cycles: [],
    notes: [
      ...(lost === 0 ? [] : [`${lost} events were overwritten before they were read`]),
      ...(shown.length === ordered.length
        ? []
        : [`${ordered.length - shown.length} events after these were left out`]),
    ],
  };
}
