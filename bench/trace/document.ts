// What a document of `tospace bench` has of a trace: of each configuration one process, of that process one cycle with its events, all others as
// their reports tell them, and its memory over the whole time.

import type { BenchDocument } from '../harness/schema.ts';
import type { TracedProcess } from './chrome.ts';

export function tracedProcesses({ analysis, measurements }: BenchDocument): TracedProcess[] {
  return analysis.configurations.flatMap(({ representative }) => {
    const measurement = measurements.find(({ id }) => id === representative);
    const timeline = measurement?.facts?.timeline;
    if (measurement === undefined || timeline == null) return [];
    const { cycle, samples } = timeline;
    const missing = cycle === null ? 0 : cycle.eventCount - cycle.events.length;
    return [
      {
        name: measurement.id,
        threads: cycle?.threads ?? [],
        events: cycle?.events ?? [],
        samples,
        cycles: (measurement.facts?.heap?.cycles ?? []).filter((one) => one.cycle !== cycle?.cycle),
        notes: missing === 0 ? [] : [`${missing} events of cycle ${cycle!.cycle} are not in the document`],
      },
    ];
  });
}
