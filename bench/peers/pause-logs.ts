// What the runtimes' logs say about pauses. Pure functions of the text: bench/peers/README.md says what each log has and has not.
//
// Every log also has two lines by the peer's program, on the clock of the log's other lines:
//
//   [<nanoseconds>ns] workload begin
//   [<nanoseconds>ns] workload end
//
// Pauses are told from the beginning, and those that did not begin within the workload are left out.

import type { Pause } from './peer.ts';

const NS_PER_MS = 1e6;
const MS_PER_S = 1000;

/** `[13229338327206ns] `: what a line begins with. */
const STAMP = String.raw`^\[(\d+)ns\] `;
const MARK = new RegExp(`${STAMP}workload (begin|end)$`);
const OWN_PAUSE = new RegExp(`${STAMP}(\\S+) (\\d+) ns$`);
/** The end of a safepoint of HotSpot: `Safepoint "ZMarkEnd", Time since last: …, Total: 115512 ns`. */
const SAFEPOINT = new RegExp(`${STAMP}Safepoint "([^"]+)", .*\\bTotal: (\\d+) ns$`);
/** `gc 7 @2.489s 5%: 0.022+26+0.004 ms clock, …` */
const GO_CYCLE = /^gc \d+ @([\d.]+)s \d+%: ([\d.]+)\+([\d.]+)\+([\d.]+) ms clock,/;

/** The log that the programs for Boehm's collector and OCaml write themselves: `[<start>ns] <kind> <duration> ns`. */
export function parseOwnLog(log: string): Pause[] {
  return within(log, (line) => {
    const [, start, kind, duration] = OWN_PAUSE.exec(line) ?? [];
    return kind === undefined
      ? []
      : [{ startMs: Number(start) / NS_PER_MS, ms: Number(duration) / NS_PER_MS, kind }];
  });
}

/**
 * `-Xlog:safepoint` of HotSpot, with the decoration `tn`. A line is written at the end of a safepoint; its total begins when the threads are asked to
 * stop. Safepoints for other reasons than the collector's are pauses too, and are told by their names.
 */
export function parseHotSpotLog(log: string): Pause[] {
  return within(log, (line) => {
    const [, end, kind, total] = SAFEPOINT.exec(line) ?? [];
    if (kind === undefined) return [];
    const ms = Number(total) / NS_PER_MS;
    return [{ startMs: Number(end) / NS_PER_MS - ms, ms, kind }];
  });
}

/**
 * `GODEBUG=gctrace=1`: a line a cycle with the durations of its two pauses and of what is concurrent between them. When a cycle began is told to the
 * millisecond, durations to three digits.
 */
export function parseGoTrace(log: string): Pause[] {
  return within(log, (line) => {
    const numbers = GO_CYCLE.exec(line)?.slice(1).map(Number);
    if (numbers === undefined) return [];
    const [startS, sweepTermination, concurrent, markTermination] = numbers as [
      number,
      number,
      number,
      number,
    ];
    const startMs = startS * MS_PER_S;
    return [
      { startMs, ms: sweepTermination, kind: 'sweep-termination' },
      { startMs: startMs + sweepTermination + concurrent, ms: markTermination, kind: 'mark-termination' },
    ];
  });
}

/** All pauses of the lines that began within the workload, from its beginning. */
function within(log: string, pausesOf: (line: string) => Pause[]): Pause[] {
  const pauses: Pause[] = [];
  const marks = new Map<string, number>();
  for (const line of log.split('\n')) {
    const [, stamp, mark] = MARK.exec(line) ?? [];
    if (mark === undefined) pauses.push(...pausesOf(line));
    else marks.set(mark, Number(stamp) / NS_PER_MS);
  }
  const begin = marks.get('begin');
  const end = marks.get('end');
  if (begin === undefined || end === undefined)
    throw new Error('the log of pauses does not say when the workload began and ended');
  return pauses
    .filter(({ startMs }) => startMs >= begin && startMs <= end)
    .map((pause) => ({ ...pause, startMs: pause.startMs - begin }));
}
