// What a recording of a heap tells that its statistics cannot: every stop of every thread with its time, and what pauses are made of.
//
// Kinds of events that are understood (recording.ts makes them):
//   stopped:<pause>        a mutator stood at a safepoint
//   stall:<reason>         a mutator's allocation waited
//   fault                  a server was at it for a thread; the thread waited at least as long
//   sampled-fault          a mutator timed a fault itself
//   step:<pause>:<phase>   a step of a pause, by the collector
//   cycle                  a whole cycle; details.cycle is its number

import type { RecordedEvent, Recording } from './recording.ts';
import type { CycleTimeline, Distribution, FaultFacts, Mmu, PauseFacts } from './schema.ts';
import { distributionOf, round } from './statistics/distribution.ts';
import { mutatorUtilisation, type Stop } from './statistics/mmu.ts';

const EVENTS_MAX = 20_000;

function of({ events }: Recording, kind: string): RecordedEvent[] {
  return events.filter((event) => event.kind === kind || event.kind.startsWith(`${kind}:`));
}

/** Distributions by kind and phase. */
export function pausesOf(recording: Recording): PauseFacts[] {
  const groups = new Map<string, number[]>();
  const add = (key: string, us: number): void => {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [us]);
    else group.push(us);
  };
  for (const { kind, durationUs } of of(recording, 'stopped')) add(`${kind.split(':')[1]}:total`, durationUs);
  for (const { kind, durationUs } of of(recording, 'step')) add(kind.slice('step:'.length), durationUs);
  return [...groups].map(([key, values]) => {
    const [kind, phase] = key.split(':') as [string, string];
    return { kind, phase, us: distributionOf(values), from: 'trace' };
  });
}

export function stallsOf(recording: Recording): Distribution {
  return distributionOf(of(recording, 'stall').map(({ durationUs }) => durationUs));
}

/** Faults as long as their service: what a mutator waits besides is in the samples that mutators time themselves. */
export function faultsOf(recording: Recording): Pick<FaultFacts, 'latencyUs' | 'stallMs'> {
  const faults = of(recording, 'fault').map(({ durationUs }) => durationUs);
  return {
    latencyUs: distributionOf(faults),
    stallMs: round(faults.reduce((sum, us) => sum + us, 0) / 1000),
  };
}

/** Of the worst thread. Which thread a server worked for is not recorded: with several mutators, faults are left out. */
export function mmuOf(recording: Recording, originMs: number, wallMs: number): Mmu {
  const stop = ({ startMs, durationUs }: RecordedEvent): Stop => ({
    startMs: startMs - originMs,
    ms: durationUs / 1000,
  });
  const stood = [...of(recording, 'stopped'), ...of(recording, 'stall')];
  const mutators = [...new Set(stood.map(({ thread }) => thread))];
  const withFaults = mutators.length <= 1;
  const faults = withFaults ? of(recording, 'fault').map(stop) : [];
  const threads = (mutators.length === 0 ? [''] : mutators).map((id) => [
    ...stood.filter(({ thread }) => thread === id).map(stop),
    ...faults,
  ]);
  return {
    includes: withFaults ? ['pauses', 'stalls', 'faults'] : ['pauses', 'stalls'],
    from: 'trace',
    windows: mutatorUtilisation(threads, wallMs).map(({ windowMs, utilisation }) => ({
      windowMs,
      utilisation: round(utilisation),
    })),
  };
}

/** The cycle in the middle, with all events that touch it; null when none was recorded. */
export function cycleTimeline(recording: Recording, originMs: number): CycleTimeline | null {
  const cycles = of(recording, 'cycle');
  const cycle = cycles[cycles.length >> 1];
  if (cycle === undefined) return null;
  const endOf = (event: RecordedEvent): number => event.startMs + event.durationUs / 1000;
  const end = endOf(cycle);
  const around = (end - cycle.startMs) * 0.05;
  const [from, to] = [cycle.startMs - around, end + around];
  const events = recording.events.filter((event) => endOf(event) >= from && event.startMs <= to);
  return {
    cycle: Number(cycle.details.cycle ?? 0),
    startMs: round(cycle.startMs - originMs),
    endMs: round(end - originMs),
    threads: recording.threads,
    events: events.slice(0, EVENTS_MAX).map(({ thread, kind, startMs, durationUs, details }) => ({
      thread,
      kind,
      startMs: startMs - originMs,
      durationUs: round(durationUs),
      details: Object.keys(details).length === 0 ? null : details,
    })),
    eventCount: events.length,
  };
}
