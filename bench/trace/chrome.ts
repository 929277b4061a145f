// Chrome trace events: the format that Perfetto, speedscope, Firefox's profiler and chrome://tracing read. A process for each that was
// measured, a thread for each of its threads, complete events (X) that are nested or apart in each, counters (C), and cycles as their
// reports tell them, which may overlap by what a report takes to arrive, as asynchronous events (b, e).

import type { CycleFacts, TimelineEvent, TimelineSample } from '../harness/schema.ts';
import { nest, TICKS } from './nest.ts';

export interface TracedProcess {
  readonly name: string;
  readonly threads: readonly { readonly id: string; readonly name: string; readonly role: string }[];
  readonly events: readonly TimelineEvent[];
  readonly samples: readonly TimelineSample[];
  /** Cycles whose events are not there. */
  readonly cycles: readonly Pick<CycleFacts, 'cycle' | 'startMs' | 'phasesMs'>[];
  /** What a reader has to know, such as events that were lost. */
  readonly notes: readonly string[];
}

export interface ChromeEvent {
  readonly ph: 'X' | 'M' | 'C' | 'i' | 'b' | 'e';
  readonly name: string;
  readonly cat?: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts: number;
  readonly dur?: number;
  readonly id?: string;
  readonly s?: 't' | 'p';
  readonly args?: Readonly<Record<string, number | string>>;
}

/** A line for each event, in an array. */
export function chromeTraceText(processes: readonly TracedProcess[]): string {
  return `[\n${chromeTrace(processes)
    .map((event) => JSON.stringify(event))
    .join(',\n')}\n]\n`;
}

export function chromeTrace(processes: readonly TracedProcess[]): ChromeEvent[] {
  return processes.flatMap((process, i) => traceProcess(process, i + 1));
}

/** Threads are numbered from here on; lanes for what overlaps come behind them. */
const FIRST_TID = 1;
const byNumber = new Intl.Collator('en', { numeric: true });
const ROLES = ['mutator', 'collector', 'server'];

function traceProcess(process: TracedProcess, pid: number): ChromeEvent[] {
  const meta = (tid: number, name: string, args: ChromeEvent['args']): ChromeEvent => ({
    ...{ ph: 'M', name, pid, tid, ts: 0 },
    args: args!,
  });
  const threads = [...process.threads].sort(
    (a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || byNumber.compare(a.id, b.id),
  );
  const metadata = [
    meta(0, 'process_name', { name: process.name }),
    meta(0, 'process_sort_index', { sort_index: pid }),
  ];
  const parts: ChromeEvent[][] = [];
  let lastTid = FIRST_TID + threads.length - 1;
  for (const [i, thread] of threads.entries()) {
    const own = FIRST_TID + i;
    const tids = [own];
    metadata.push(
      meta(own, 'thread_name', { name: thread.name }),
      meta(own, 'thread_sort_index', { sort_index: i }),
    );
    const events = process.events.filter((event) => event.thread === thread.id);
    parts.push(events.filter(isMoment).map((event) => moment(event, pid, own)));
    const spans: ChromeEvent[] = [];
    parts.push(spans);
    for (const { span, start, end, lane } of nest(events.filter(isSpan).map(toSpan))) {
      if (tids[lane] === undefined) {
        tids[lane] = ++lastTid;
        metadata.push(
          meta(lastTid, 'thread_name', { name: `${thread.name}, at the same time` }),
          meta(lastTid, 'thread_sort_index', { sort_index: i }),
        );
      }
      spans.push(complete(span.event, { start, end }, pid, tids[lane]!, thread.name));
    }
  }
  parts.push(
    process.events.filter(({ kind }) => kind === 'counters').flatMap((event) => counters(event, pid)),
    pagesLeft(process, pid),
    process.samples.flatMap((sample) => sampled(sample, pid)),
    process.notes.map(
      (name): ChromeEvent => ({ ph: 'i', name, cat: 'note', pid, tid: FIRST_TID, ts: 0, s: 'p' }),
    ),
  );
  const timed = parts.flat();
  timed.sort((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  return [...metadata, ...timed, ...process.cycles.flatMap((cycle) => reported(cycle, pid))];
}

/** Kinds that have no duration. */
const MOMENTS = ['cycle-start', 'attached', 'detached'];

function isMoment({ kind }: TimelineEvent): boolean {
  return MOMENTS.includes(kind);
}

function isSpan(event: TimelineEvent): boolean {
  return !isMoment(event) && event.kind !== 'counters';
}

function ticks(ms: number): number {
  return Math.round(ms * 1000 * TICKS);
}

function microseconds(time: number): number {
  return time / TICKS;
}

function toSpan(event: TimelineEvent): { event: TimelineEvent; start: number; end: number } {
  const start = ticks(event.startMs);
  return { event, start, end: Math.max(start, ticks(event.startMs + event.durationUs / 1000)) };
}

function complete(
  { kind, details }: TimelineEvent,
  { start, end }: { start: number; end: number },
  pid: number,
  tid: number,
  thread: string,
): ChromeEvent {
  const [cat, ...rest] = kind.split(':');
  const served = kind === 'fault' ? { servedBy: thread } : {};
  return {
    ph: 'X',
    name: cat === 'step' ? rest.at(-1)! : kind.replaceAll(':', ' '),
    cat: cat!,
    pid,
    tid,
    ts: microseconds(start),
    dur: microseconds(end - start),
    args: { ...details, ...served },
  };
}

function moment({ kind, startMs, details }: TimelineEvent, pid: number, tid: number): ChromeEvent {
  return {
    ...{ ph: 'i', name: kind, cat: 'moment', pid, tid, s: 't' },
    ts: microseconds(ticks(startMs)),
    args: details ?? {},
  };
}

function counter(name: string, ms: number, pid: number, args: Readonly<Record<string, number>>): ChromeEvent {
  return { ph: 'C', name, cat: 'counter', pid, tid: 0, ts: microseconds(ticks(ms)), args };
}

/** What the collector counted at the ends of its phases. */
function counters({ startMs, details }: TimelineEvent, pid: number): ChromeEvent[] {
  const of = (name: string): number => Number(details?.[name] ?? 0);
  return [
    counter('heap bytes', startMs, pid, { used: of('usedBytes'), softLimit: of('softLimitBytes') }),
    counter('live bytes, last marking', startMs, pid, { live: of('liveBytes') }),
    counter('non-moving bytes', startMs, pid, { used: of('nonMovingBytes') }),
    counter('memory file bytes', startMs, pid, { blocks: of('sharedBytes') }),
  ];
}

/** What a thread beside saw of the memory. What it does not know is not drawn. */
function sampled({ ms, usedBytes, rssBytes, memfdBytes }: TimelineSample, pid: number): ChromeEvent[] {
  const known = [
    ['RSS bytes', rssBytes],
    ['heap bytes, sampled', usedBytes],
    ['memory file bytes, sampled', memfdBytes],
  ] as const;
  return known.flatMap(([name, bytes]) => (bytes === null ? [] : [counter(name, ms, pid, { bytes })]));
}

/** In each cycle, from page to page that is built: how many of those that it builds are left. */
function pagesLeft({ events }: TracedProcess, pid: number): ChromeEvent[] {
  const end = ({ startMs, durationUs }: TimelineEvent): number => startMs + durationUs / 1000;
  const builds = events
    .filter(({ kind, details }) => kind === 'pages' || (kind === 'fault' && details?.outcome === 'built'))
    .map((event) => ({ startMs: event.startMs, ms: end(event), pages: Number(event.details?.pages ?? 1) }))
    .sort((a, b) => a.ms - b.ms);
  const cycles = events.filter(({ kind }) => kind === 'cycle').sort((a, b) => a.startMs - b.startMs);
  let next = 0;
  return cycles.flatMap((cycle) => {
    const until = end(cycle);
    const from = next;
    while (next < builds.length && builds[next]!.startMs <= until) next++;
    const within = builds.slice(from, next);
    if (within.length === 0) return [];
    let left = within.reduce((sum, { pages }) => sum + pages, 0);
    const first = Math.min(...within.slice(0, 100).map(({ startMs }) => startMs));
    return [
      counter('pages left', first, pid, { pages: left }),
      ...within.map(({ ms, pages }) => {
        left -= pages;
        return counter('pages left', ms, pid, { pages: left });
      }),
    ];
  });
}

function reported({ cycle, startMs, phasesMs }: TracedProcess['cycles'][number], pid: number): ChromeEvent[] {
  const event = (ph: 'b' | 'e', name: string, ms: number): ChromeEvent => ({
    ...{ ph, name, cat: 'cycle report', id: `${pid}.${cycle}`, pid, tid: 0 },
    ts: microseconds(ticks(ms)),
    args: { cycle },
  });
  let at = Math.max(0, startMs);
  const phases = Object.entries(phasesMs).flatMap(([name, ms]) => {
    const from = at;
    at += ms;
    return [event('b', name, from), event('e', name, at)];
  });
  return [event('b', `cycle ${cycle}`, Math.max(0, startMs)), ...phases, event('e', `cycle ${cycle}`, at)];
}
