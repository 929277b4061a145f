// Lines as the runtimes wrote them, and what is read from them.
import { describe, expect, test } from 'vitest';
import { parseGoTrace, parseHotSpotLog, parseOwnLog } from '#bench/peers/pause-logs.js';

const marks = (beginNs: number, endNs: number): string =>
  `[${beginNs}ns] workload begin\n[${endNs}ns] workload end\n`;

describe('HotSpot', () => {
  test('safepoints of the workload, from its beginning, by the names of their operations', () => {
    // OpenJDK 17.0.15, G1. The times of one line are told at its end.
    const log = `[13814384278743ns] Using G1
[13814728496048ns] GC(0) Pause Young (Normal) (G1 Evacuation Pause) 6M->6M(40M) 34.008ms
[13814728520364ns] Safepoint "G1CollectForAllocation", Time since last: 192638937 ns, Reaching safepoint: 3375 ns, Cleanup: 12018 ns, At safepoint: 34069370 ns, Total: 34084763 ns
[13814814674070ns] GC(5) Pause Remark 27M->16M(40M) 0.539ms
[13814814691356ns] Safepoint "G1PauseRemark", Time since last: 9755538 ns, Reaching safepoint: 87400 ns, Cleanup: 2864 ns, At safepoint: 558860 ns, Total: 649124 ns

${marks(13814660921546, 13814996098341)}`;
    const pauses = parseHotSpotLog(log);
    expect(pauses.map(({ kind }) => kind)).toEqual(['G1CollectForAllocation', 'G1PauseRemark']);
    expect(pauses[0]!.ms).toBeCloseTo(34.084763, 6);
    expect(pauses[0]!.startMs).toBeCloseTo(13814728.520364 - 34.084763 - 13814660.921546, 5);
    expect(pauses[1]!.ms).toBeCloseTo(0.649124, 6);
  });

  test('concurrent phases and stalls of single threads are no pauses', () => {
    // OpenJDK 17.0.15, ZGC and Shenandoah.
    const log = `[13818324652516ns] Safepoint "ZMarkEnd", Time since last: 115280376 ns, Reaching safepoint: 90415 ns, Cleanup: 4025 ns, At safepoint: 21072 ns, Total: 115512 ns
[13818384229622ns] Allocation Stall (mutator 0) 27.900ms
[13818390043131ns] GC(1) Garbage Collection (Allocation Stall) 40M(100%)->40M(100%)
[13818390143672ns] GC(0) Concurrent reset 0.026ms
${marks(13818144236062, 13818865740226)}`;
    expect(parseHotSpotLog(log).map(({ kind }) => kind)).toEqual(['ZMarkEnd']);
  });

  test('what is before and after the workload is left out', () => {
    const safepoint = (endNs: number): string =>
      `[${endNs}ns] Safepoint "Cleanup", Time since last: 1 ns, Reaching safepoint: 1 ns, Cleanup: 1 ns, At safepoint: 1 ns, Total: 1000 ns\n`;
    const log = safepoint(9_000_000) + safepoint(12_000_000) + safepoint(31_000_000) + marks(10e6, 30e6);
    expect(parseHotSpotLog(log)).toEqual([{ startMs: expect.closeTo(1.999, 9), ms: 0.001, kind: 'Cleanup' }]);
  });
});

describe('Go', () => {
  test('two pauses a cycle, the second behind the concurrent part', () => {
    // go1.19.8, the last line of a cycle that the program asked for.
    const log = `gc 1 @1.019s 3%: 0.028+179+0.015 ms clock, 0.056+0/90/5.7+0.031 ms cpu, 50->56->12 MB, 50 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 8 @2.577s 5%: 0.023+45+0.20 ms clock, 0.047+0.023/18/0.68+0.40 ms cpu, 39->46->14 MB, 51 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
${marks(19141416, 2659142961)}`;
    expect(parseGoTrace(log)).toEqual([
      { startMs: expect.closeTo(999.858584, 5), ms: 0.028, kind: 'sweep-termination' },
      { startMs: expect.closeTo(1178.886584, 5), ms: 0.015, kind: 'mark-termination' },
      { startMs: expect.closeTo(2557.858584, 5), ms: 0.023, kind: 'sweep-termination' },
      { startMs: expect.closeTo(2602.881584, 5), ms: 0.2, kind: 'mark-termination' },
    ]);
  });

  test('lines of something else are passed over', () => {
    const log = `scvg: 8 MB released\ngc 2 @0.001s\nruntime: note\n${marks(0, 1e9)}`;
    expect(parseGoTrace(log)).toEqual([]);
  });
});

describe('logs that the programs write', () => {
  test('OCaml: minor collections and slices', () => {
    const log = `[13752022373277ns] minor 3788280 ns
[13752026161847ns] major-slice 5939 ns
${marks(13751792903446, 13752080943497)}`;
    expect(parseOwnLog(log)).toEqual([
      { startMs: expect.closeTo(229.469831, 5), ms: 3.78828, kind: 'minor' },
      { startMs: expect.closeTo(233.258401, 5), ms: 0.005939, kind: 'major-slice' },
    ]);
  });

  test('Boehm: no collection, no pause', () => {
    expect(parseOwnLog(marks(13433153058633, 13433254556046))).toEqual([]);
  });
});

test.each([
  ['HotSpot', parseHotSpotLog],
  ['Go', parseGoTrace],
  ['own', parseOwnLog],
])('%s: a log without the marks of the workload is an error, not a run without pauses', (_, parse) => {
  const complete = marks(1, 2);
  const [begin, end] = complete.split('\n') as [string, string];
  expect(parse(complete)).toEqual([]);
  for (const log of ['', begin, end]) expect(() => parse(log)).toThrow(/when the workload began and ended/);
});
