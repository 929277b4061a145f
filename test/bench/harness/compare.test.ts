// Verdicts: what is called a regression, and what is not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '#bench/harness/analysis.js';
import { compare, type Comparison } from '#bench/harness/compare.js';
import type { BenchDocument, Configuration, Facts, Measurement } from '#bench/harness/schema.js';
import { emptyDistribution } from '#bench/harness/statistics/distribution.js';
import { judge } from '#bench/harness/statistics/verdict.js';
import { tospace } from '../cli.js';

/** Normal values by a seed. */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  const draw = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // The low bits of such a generator are poor.
    return ((state >>> 8) + 0.5) / 2 ** 24;
  };
  for (let i = 0; i < 10; i++) draw();
  return () => Math.sqrt(-2 * Math.log(draw())) * Math.cos(2 * Math.PI * draw());
}

const sample = (next: () => number, size: number, middle: number, spread: number): number[] =>
  Array.from({ length: size }, () => middle * Math.exp(spread * next()));

describe('a verdict', () => {
  const options = { better: 'lower', effect: 0.05, resolution: 0 } as const;

  it.each([0.005, 0.02, 0.05, 0.15, 0.5])('is never wrong about two of the same, spread %f', (spread) => {
    const next = noise(11);
    let wrong = 0;
    for (let i = 0; i < 2000; i++) {
      const { verdict } = judge(sample(next, 5, 100, spread), sample(next, 5, 100, spread), options);
      if (verdict === 'regression' || verdict === 'improvement') wrong++;
    }
    // One in a thousand would be 2 on either side, before the effect must matter as well.
    expect(wrong).toBeLessThanOrEqual(3);
  });

  it('finds 20 % beyond a spread of 2 %, in either direction', () => {
    const next = noise(12);
    let worse = 0;
    let better = 0;
    for (let i = 0; i < 200; i++) {
      const [a, b] = [sample(next, 5, 100, 0.02), sample(next, 5, 120, 0.02)];
      if (judge(a, b, options).verdict === 'regression') worse++;
      if (judge(b, a, options).verdict === 'improvement') better++;
      expect(judge(a, b, { ...options, better: 'higher' }).verdict).not.toBe('regression');
    }
    expect(worse).toBeGreaterThan(190);
    expect(better).toBe(worse);
  });

  it('is not impressed by an outlier, by what does not matter, or by too few values', () => {
    expect(judge([100, 101, 102, 99, 100], [100, 101, 900, 99, 100], options).verdict).toBe('same');
    expect(judge([100, 100.1, 100.2, 100, 100.1], [103, 103.1, 103, 103.2, 103.1], options).verdict).toBe(
      'same',
    );
    expect(judge([100, 101], [200, 201], options).verdict).toBe('inconclusive');
    expect(judge([100, 101, 102], [200, 201, 202], options).verdict).toBe('inconclusive');
    expect(judge([1, 1.1, 1, 1.2, 1.1], [3, 3.1, 3, 3.2, 3], { ...options, resolution: 1000 }).verdict).toBe(
      'same',
    );
  });

  it('allows for what the machine did', () => {
    const [a, b] = [
      [100, 101, 99, 100, 100],
      [150, 151, 149, 150, 150],
    ];
    expect(judge(a, b, options).verdict).toBe('regression');
    expect(judge(a, b, { ...options, allowance: 0.6 }).verdict).toBe('same');
  });

  it('knows a figure that was 0', () => {
    expect(judge([0, 0, 0, 0, 0], [50, 51, 52, 50, 51], { ...options, resolution: 1 })).toMatchObject({
      verdict: 'regression',
      ratio: null,
    });
  });
});

const CONFIGURATION: Configuration = {
  id: 'gcbench/concurrent/64MiB',
  workload: 'gcbench',
  form: 'heap',
  collector: 'concurrent',
  program: 'heap',
  peer: null,
  options: { collector: 'concurrent' },
  heapBytes: 2 ** 26,
  timesMinimum: null,
  liveRatio: null,
  liveBytes: null,
  scale: 1,
  seed: 1,
  threads: 1,
  rate: null,
  limitMs: 1000,
  series: [],
};

interface World {
  readonly seed: number;
  readonly runs?: number;
  readonly spread?: number;
  readonly flipUs?: number;
  readonly markNs?: number;
  readonly othersCpus?: number;
  readonly checksum?: number;
  readonly failing?: boolean;
}

/** A document as a run of one configuration would have written it. */
function documentOf({
  seed,
  runs = 5,
  spread = 0.02,
  flipUs = 400,
  markNs = 5,
  othersCpus = 0,
  checksum = 1,
  failing,
}: World): BenchDocument {
  const next = noise(seed);
  const vary = (value: number, by = spread): number => value * Math.exp(by * next());
  const total = (us: number) => ({
    ...emptyDistribution(),
    count: 20,
    p50: us,
    p99: us * 2,
    max: us * 3,
    buckets: null,
  });
  const measurements = Array.from({ length: runs }, (_, i): Measurement => {
    const facts = {
      checksum,
      wallMs: vary(2000),
      cpuMs: vary(2500),
      gcCpuMs: vary(600),
      gcCpuFrom: 'threads',
      gcWallMs: vary(20),
      operations: null,
      pauses: [
        { kind: 'flip', phase: 'total', us: total(vary(flipUs, spread * 3)), from: 'mutators' },
        { kind: 'remark', phase: 'total', us: total(vary(300, spread * 3)), from: 'mutators' },
      ],
      v8Pauses: null,
      faults: null,
      stallsUs: emptyDistribution(),
      windowsUs: null,
      memory: {
        rssBytes: null,
        pssBytes: null,
        peakRssBytes: vary(2e8, 0.01),
        memfdBytes: null,
        memfdPeakBytes: vary(1e8, 0.01),
      },
      mmu: null,
      heap: { markCpuNsPerByte: vary(markNs), phasesUs: {}, statistics: { cycles: 20 } },
      timeline: null,
      details: {},
    } as unknown as Facts;
    return {
      id: `${CONFIGURATION.id}#${i + 1}`,
      configuration: CONFIGURATION.id,
      run: i + 1,
      atMs: i,
      command: [],
      outcome: failing
        ? { type: 'failed', how: 'died', reason: 'died', status: 1, signal: null, stderr: '' }
        : { type: 'ok' },
      environment: {
        loadBefore: 0,
        loadAfter: 0,
        stealMs: 0,
        othersCpus,
        speedMs: vary(2, 0.002),
        hiccupsUs: null,
        harnessRssBytes: 1,
      },
      facts: failing ? null : facts,
    };
  });
  const speed = { rounds: 1, medianMs: 2, minMs: 2, maxMs: 2, noise: 0 };
  return {
    format: 'tospace-bench',
    formatVersion: 1,
    status: 'complete',
    problems: [],
    machine: { cpu: 'x', cpus: 2, kernel: '6', node: 'v20', speedBefore: speed },
    configurations: [CONFIGURATION],
    measurements,
    checksums: [],
    analysis: analyse([CONFIGURATION], measurements, []),
  } as unknown as BenchDocument;
}

const changed = ({ rows }: Comparison): string[] =>
  rows
    .filter(({ verdict }) => verdict === 'regression' || verdict === 'improvement')
    .map(({ metric, verdict }) => `${metric}: ${verdict}`);

describe('a comparison', () => {
  it('says nothing of A/A, in sixty repetitions', () => {
    for (let i = 0; i < 60; i++) {
      const result = compare(documentOf({ seed: 2 * i }), documentOf({ seed: 2 * i + 1 }));
      expect(result.rows.length).toBeGreaterThan(6);
      expect(changed(result), `repetition ${i}`).toEqual([]);
      expect(result.verdict).toBe('no regression');
    }
  });

  it('nor on a noisier machine', () => {
    let calls = 0;
    for (let i = 0; i < 30; i++)
      calls += changed(
        compare(documentOf({ seed: 2 * i, spread: 0.1 }), documentOf({ seed: 2 * i + 1, spread: 0.1 })),
      ).length;
    expect(calls).toBeLessThanOrEqual(1);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
    'finds 2 ms in the flip and a mark slower by a fifth, seed %i',
    (seed) => {
      const flip = compare(documentOf({ seed }), documentOf({ seed: seed + 100, flipUs: 2400 }));
      expect(changed(flip)).toEqual(['flipP50Us: regression']);
      expect(flip.verdict).toBe('regression');
      const mark = compare(documentOf({ seed }), documentOf({ seed: seed + 100, markNs: 6 }));
      expect(changed(mark)).toEqual(['markCpuNsPerByte: regression']);
      const back = compare(documentOf({ seed, markNs: 6 }), documentOf({ seed: seed + 100 }));
      expect(changed(back)).toEqual(['markCpuNsPerByte: improvement']);
      expect(back.verdict).toBe('no regression');
    },
  );

  it('does not blame the heap for a machine that others use, and says so', () => {
    const result = compare(
      documentOf({ seed: 1 }),
      documentOf({ seed: 2, flipUs: 900, markNs: 6, othersCpus: 1 }),
    );
    expect(changed(result)).toEqual([]);
    expect(result.warnings.join()).toMatch(/others kept 0.00 CPUs busy before and 1.00 after/);
  });

  it('counts a wrong result, and a configuration that no longer runs, as regressions', () => {
    const before = documentOf({ seed: 1 });
    const wrong = { ...documentOf({ seed: 2 }), checksums: [{ equal: false }] } as unknown as BenchDocument;
    expect(compare(before, wrong).verdict).toBe('regression');
    const failing = compare(before, documentOf({ seed: 2, failing: true }));
    expect(failing.verdict).toBe('regression');
    expect(failing.warnings.join()).toMatch(/5 processes failed, before 0/);
  });
});

describe('tospace compare', () => {
  let dir: string;
  const file = (name: string, content: unknown): string => {
    const path = join(dir, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  };
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'tospace-compare-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('exits with 0 or 1, and prints a table or one JSON document', async () => {
    const [a, b, c] = [
      file('a.json', documentOf({ seed: 1 })),
      file('b.json', documentOf({ seed: 2 })),
      file('c.json', documentOf({ seed: 3, flipUs: 2400 })),
    ];
    const same = await tospace('compare', a, b);
    expect(same).toMatchObject({ status: 0, stderr: '' });
    expect(same.stdout).toMatch(/verdict: no regression\n$/);
    const worse = await tospace('compare', a, c);
    expect(worse.status).toBe(1);
    expect(worse.stdout).toMatch(/gcbench\/concurrent\/64MiB +flip pause, p50 .* regression\n/);
    const json = await tospace('compare', a, c, '--json');
    expect(json.status).toBe(1);
    expect((JSON.parse(json.stdout) as Comparison).verdict).toBe('regression');
  });

  it.each([
    [[], /name two files/],
    [['a', 'b', 'c'], /not 3/],
    [['none.json', 'none.json'], /cannot read/],
    [['broken', 'broken'], /cannot read/],
    [['other', 'other'], /is no document of/],
    [['old', 'old'], /version 0 of the format/],
    [['--what'], /--what/],
  ])('exits with 2 for %j', async (names, message) => {
    const files: Record<string, string> = {
      broken: file('broken.json', '{'),
      other: file('other.json', '{"x":1}'),
      old: file('old.json', '{"format":"tospace-bench","formatVersion":0}'),
    };
    const { status, stderr } = await tospace('compare', ...names.map((name) => files[name] ?? name));
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
