// The harness around measured processes, with programs that only pretend to measure: wrong results, hangs, deaths, interruption.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse, withoutOtherTimelines } from '#bench/harness/analysis.js';
import { describeDifference } from '#bench/harness/checksums.js';
import { measure } from '#bench/harness/measure.js';
import { findMinimumHeap } from '#bench/harness/min-heap.js';
import { type Listener, orchestrate } from '#bench/harness/orchestrate.js';
import type { Peer } from '#bench/harness/peer.js';
import { findPeers } from '#bench/harness/peer-list.js';
import { planSuite } from '#bench/harness/plan.js';
import type { Configuration, Measurement } from '#bench/harness/schema.js';
import { SUITES } from '#bench/harness/suites.js';
import { supportScript } from '../../support/child.js';

const CHILD = supportScript('fake-measured.mjs');
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tospace-harness-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function configuration(collector: string, more: Partial<Configuration> = {}): Configuration {
  return {
    id: `fake/${collector}`,
    workload: 'fake',
    form: 'heap',
    collector,
    program: 'heap',
    peer: null,
    options: {},
    heapBytes: 2 ** 20,
    timesMinimum: null,
    liveRatio: null,
    liveBytes: null,
    scale: 1,
    seed: 1,
    threads: 1,
    rate: null,
    limitMs: 20_000,
    series: [],
    ...more,
  };
}

class Notes implements Listener {
  readonly begun: string[] = [];
  readonly problems: string[] = [];
  begins({ id }: Configuration, run: number): void {
    this.begun.push(`${id}#${run}`);
  }
  ended(): void {}
  problem(text: string): void {
    this.problems.push(text);
  }
}

const one = (
  which: Configuration,
  peers: readonly Peer[] = [],
  signal?: AbortSignal,
): Promise<Measurement | undefined> =>
  measure(which, 1, {
    dir,
    peers,
    startedAt: performance.now(),
    child: CHILD,
    ...(signal === undefined ? {} : { signal }),
  });

describe('a measurement', () => {
  it('has the facts, the operations computed from their log, and what the machine did', async () => {
    const result = (await one(configuration('good')))!;
    expect(result.outcome).toEqual({ type: 'ok' });
    expect(result.facts).toMatchObject({ checksum: 42, wallMs: 10, gcCpuFrom: 'threads' });
    expect(result.facts!.operations).toMatchObject({ count: 3, threads: 1, perSecond: 300 });
    expect(result.facts!.operations!.simpleUs).toMatchObject({ p50: 1000, max: 8000 });
    expect(result.environment.speedMs).toBeGreaterThan(0);
    expect(result.environment.hiccupsUs!.count).toBeGreaterThan(0);
  });

  it.each([
    ['fails', { how: 'died', status: 3, reason: /status 3: no such luck/ }],
    ['crash', { how: 'died', signal: 'SIGSEGV', reason: /SIGSEGV/, stderr: /about to die/ }],
    ['mute', { how: 'output', status: 0, reason: /cannot be read/ }],
  ])('of a process that %s is a failure that says so', async (collector, expected) => {
    const { outcome, facts } = (await one(configuration(collector)))!;
    expect(facts).toBeNull();
    for (const [key, value] of Object.entries(expected))
      expect(outcome).toHaveProperty(key, value instanceof RegExp ? expect.stringMatching(value) : value);
  });

  it('of a process that hangs ends at its limit', async () => {
    const { outcome } = (await one(configuration('hang', { limitMs: 500 })))!;
    expect(outcome).toMatchObject({ type: 'failed', how: 'timeout', signal: 'SIGKILL' });
  });

  it('that is interrupted is none', async () => {
    const stop = new AbortController();
    const result = one(configuration('hang'), [], stop.signal);
    setTimeout(() => stop.abort(), 300);
    expect(await result).toBeUndefined();
  });

  it('of a program that is not there is a failure', async () => {
    const ghost = peer('ghost', ['tospace-no-such-program']);
    const { outcome } = (await one(configuration('ghost', { form: 'peer', peer: 'ghost' }), [ghost]))!;
    expect(outcome).toMatchObject({ type: 'failed', how: 'died', reason: expect.stringContaining('ENOENT') });
  });
});

/** A peer whose program is a line of JavaScript; its runtime logs `pause START MS` on standard error. */
function peer(name: string, command: readonly string[]): Peer {
  return {
    name,
    title: name,
    workloads: ['fake', 'gcbench'],
    prepare: async () => ({ version: '1.0' }),
    run: () => ({ command }),
    pauses: (log) =>
      [...log.matchAll(/pause (\S+) (\S+)/g)].map(([, startMs, ms]) => ({
        startMs: Number(startMs),
        ms: Number(ms),
        kind: 'young',
      })),
  };
}

const script = (text: string): string[] => [process.execPath, '--eval', text];

describe('a peer', () => {
  it('is measured by what it prints and what its runtime logs', async () => {
    const output = { checksum: 42, wallMs: 100, cpuMs: 50, peakRssBytes: 5e6, operations: 0 };
    const java = peer(
      'java',
      script(`console.error('pause 10 5\\npause 50 15'); console.log('${JSON.stringify(output)}')`),
    );
    const { facts, outcome } = (await one(configuration('java', { form: 'peer', peer: 'java' }), [java]))!;
    expect(outcome).toEqual({ type: 'ok' });
    expect(facts).toMatchObject({
      checksum: 42,
      wallMs: 100,
      gcWallMs: 20,
      // Half a CPU was there for it.
      gcCpuMs: 10,
      heap: null,
      operations: null,
      memory: { peakRssBytes: 5e6, pssBytes: null },
    });
    expect(facts!.pauses).toMatchObject([{ kind: 'young', phase: 'total', us: { count: 2, max: 15_000 } }]);
    expect(facts!.mmu!.windows.find(({ windowMs }) => windowMs === 10)!.utilisation).toBe(0);
  });

  it.each([
    ["console.log('hello')", /not JSON/],
    ["console.log('{}')", /"checksum" is undefined/],
    ["console.log('1\\n2')", /2 lines/],
  ])('that prints %s is a failure', async (text, reason) => {
    const { outcome } = (await one(configuration('x', { form: 'peer', peer: 'x' }), [
      peer('x', script(text)),
    ]))!;
    expect(outcome).toMatchObject({ how: 'output', reason: expect.stringMatching(reason) });
  });

  it('that is not there, not known, or breaks while it is prepared is skipped with the reason', async () => {
    const absent = { ...peer('absent', []), prepare: async () => ({ skipped: 'no java' }) };
    const broken = { ...peer('broken', []), prepare: () => Promise.reject(new Error('no compiler')) };
    const found = await findPeers(
      ['a', 'absent', 'broken', 'nobody'],
      [peer('a', []), absent, broken],
      dir,
      () => {},
    );
    expect(found.peers.map(({ name }) => name)).toEqual(['a']);
    expect(found.versions).toEqual({ a: '1.0' });
    expect(found.skipped).toEqual([
      { what: 'absent', reason: 'no java' },
      { what: 'broken', reason: 'no compiler' },
      { what: 'nobody', reason: 'there is no such peer; there are a, absent, broken' },
    ]);
  });
});

describe('a suite', () => {
  const never = new AbortController().signal;

  it('finds a wrong result, says at once who differs, and goes on', async () => {
    const notes = new Notes();
    const result = await orchestrate(
      [configuration('good'), configuration('wrong')],
      { runs: 2, seed: 1 },
      {
        measure: (which, run) => measure(which, run, { dir, peers: [], startedAt: 0, child: CHILD }),
        signal: never,
        listener: notes,
      },
    );
    expect(result.wrong).toBe(true);
    expect(result.measurements).toHaveLength(4);
    expect(result.checksums).toMatchObject([{ equal: false, checksum: null }]);
    expect(result.problems.join()).toMatch(/wrong result: .*0x0000002b from fake\/wrong#\d, fake\/wrong#\d/);
    expect(notes.problems).toHaveLength(1);
  });

  it('names the odd one out', () => {
    const group = {
      workload: 'w',
      scale: 1,
      liveBytes: null,
      seed: 1,
      threads: 1,
      checksum: null,
      equal: false,
    };
    const found = [
      { checksum: 1, measurements: ['a', 'b'] },
      { checksum: 2, measurements: ['c'] },
    ];
    expect(describeDifference({ ...group, found })).toBe(
      'w at scale 1: wrong result: 0x00000002 from c; 2 others agree on 0x00000001',
    );
  });

  it('keeps failures, and gives a configuration up that fails twice', async () => {
    const notes = new Notes();
    const result = await orchestrate(
      [configuration('good'), configuration('fails')],
      { runs: 4, seed: 1 },
      {
        measure: (which, run) => measure(which, run, { dir, peers: [], startedAt: 0, child: CHILD }),
        signal: never,
        listener: notes,
      },
    );
    expect(result.wrong).toBe(false);
    const failed = result.measurements.filter(({ outcome }) => outcome.type === 'failed');
    expect(failed).toHaveLength(2);
    expect(result.measurements).toHaveLength(6);
    expect(result.problems.at(-1)).toBe('fake/fails failed 2 times and is not run again');
    const { configurations } = analyse(
      [configuration('good'), configuration('fails')],
      result.measurements,
      [],
    );
    expect(configurations).toMatchObject([
      { runs: 4, failed: 0, metrics: { wallMs: { median: 10 } } },
      { runs: 0, failed: 2, representative: null, metrics: {}, mmu: null },
    ]);
  });

  it('keeps what was measured when it is interrupted', async () => {
    const stop = new AbortController();
    const notes = new Notes();
    const result = await orchestrate(
      [configuration('good'), configuration('hang')],
      { runs: 3, seed: 3 },
      {
        measure: (which, run) => {
          if (which.collector === 'hang') setTimeout(() => stop.abort(), 200);
          return measure(which, run, { dir, peers: [], startedAt: 0, child: CHILD, signal: stop.signal });
        },
        signal: stop.signal,
        listener: notes,
      },
    );
    expect(result.interrupted).toBe(true);
    expect(result.measurements.map(({ id }) => id)).toEqual(notes.begun.slice(0, -1));
    expect(result.measurements.every(({ outcome }) => outcome.type === 'ok')).toBe(true);
  });

  it('keeps the timeline of the representative only, and bounds overheads by the best', async () => {
    const run = (wallMs: number, number: number, collector: string): Measurement => ({
      id: `fake/${collector}#${number}`,
      configuration: `fake/${collector}`,
      run: number,
      atMs: 0,
      command: [],
      outcome: { type: 'ok' },
      environment: {
        loadBefore: 0,
        loadAfter: 0,
        stealMs: null,
        othersCpus: 0,
        speedMs: 1,
        hiccupsUs: null,
        harnessRssBytes: 0,
      },
      facts: {
        ...template.facts!,
        wallMs,
        cpuMs: wallMs,
        gcWallMs: collector === 'none' ? 0 : wallMs / 2,
        gcCpuMs: 0,
      },
    });
    const template = (await one(configuration('good')))!;
    const measurements = [run(100, 1, 'none'), run(120, 2, 'none'), run(110, 3, 'none'), run(150, 1, 'stw')];
    const configurations = [configuration('none'), configuration('stw')];
    const analysis = analyse(configurations, measurements, []);
    expect(analysis.configurations[0]!.representative).toBe('fake/none#3');
    const kept = withoutOtherTimelines(measurements, analysis).filter(
      ({ facts }) => facts!.timeline !== null,
    );
    expect(kept.map(({ id }) => id)).toEqual(['fake/none#3', 'fake/stw#1']);
    expect(analysis.lbo).toMatchObject([
      {
        wall: { baselineMs: 75, configuration: 'fake/stw' },
        cpu: { baselineMs: 110, configuration: 'fake/none' },
        rows: [{ wall: { median: 1.46667 } }, { wall: { median: 2 }, cpu: { median: 1.36364 } }],
      },
    ]);
  });

  it('finds a minimum heap, and drops a search that was interrupted', async () => {
    const measured = (ok: boolean): Measurement => ({ ...good, outcome: ok ? { type: 'ok' } : failure });
    const failure = {
      type: 'failed',
      how: 'died',
      reason: 'out of memory',
      status: 1,
      signal: null,
      stderr: '',
    } as const;
    const good = (await one(configuration('good')))!;
    const needed = 10e6;
    const { minimum, interrupted } = await findMinimumHeap(configuration('good'), async ({ heapBytes }) =>
      measured(heapBytes! >= needed),
    );
    expect(interrupted).toBe(false);
    expect(minimum.heapBytes! / needed).toBeLessThan(1.07);
    expect(minimum.failedBytes!).toBeLessThan(needed);
    expect(minimum.probes.filter(({ ok }) => !ok)[0]).toMatchObject({ reason: 'out of memory' });
    let probes = 0;
    const cut = await findMinimumHeap(configuration('good'), async () =>
      ++probes === 3 ? undefined : measured(probes === 1),
    );
    expect(cut).toMatchObject({ interrupted: true, minimum: { heapBytes: null } });
    expect(probes).toBe(3);
  });
});

describe('plans', () => {
  it.each(SUITES.map((suite) => [suite.name, suite] as const))(
    'of %s have every configuration once',
    (_, suite) => {
      const { planned } = planSuite(suite, { seed: 1, peers: [peer('java-g1', [])], hasForm: () => true });
      const ids = planned.map(({ configuration: { id } }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.length).toBeGreaterThan(5);
      for (const { configuration: of } of planned) {
        expect(of.heapBytes === null, of.id).toBe(of.timesMinimum !== null);
        if (of.form === 'peer') expect(of.program).toBe('java');
      }
    },
  );

  it('say what this build cannot measure', () => {
    const { planned, skipped } = planSuite(SUITES[0]!, {
      seed: 1,
      peers: [],
      hasForm: (_, form) => form === 'v8',
    });
    expect(planned.every(({ configuration: { form } }) => form === 'v8')).toBe(true);
    expect(skipped).toContainEqual({
      what: 'gcbench/guest',
      reason: 'this build has no guest form of gcbench',
    });
  });

  it('quick is announced with less than five minutes', () => {
    const suite = SUITES.find(({ name }) => name === 'quick')!;
    const { planned } = planSuite(suite, { seed: 1, peers: [], hasForm: () => true });
    expect(planned.reduce((sum, { expectedMs }) => sum + expectedMs, 0) * suite.runs).toBeLessThan(290_000);
  });
});
