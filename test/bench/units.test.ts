import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import * as benchMemory from '#bench/cli/available-memory.js';
import { formatBytes, parseBytes, parseRate } from '#bench/cli/bytes.js';
import { progressLine, type ProgressSource } from '#bench/cli/progress.js';
import { median } from '#bench/cli/report.js';
import { parseRunArguments } from '#bench/cli/run-arguments.js';
import { addWord, CHECKSUM_START } from '#bench/workloads/checksum.js';
import {
  chooseKind,
  chooseLength,
  KINDS,
  ModelObject,
  reachable,
  REFS,
} from '#bench/workloads/graph-model.js';
import { Latencies } from '#bench/workloads/latencies.js';
import { Random } from '#bench/workloads/random.js';
import * as examplesMemory from '#examples/support/memory.js';

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['1B', 1],
    ['256KiB', 262_144],
    ['64 MiB', 67_108_864],
    ['1.25GiB', 1_342_177_280],
  ])('%s is %d bytes', (text, bytes) => expect(parseBytes('--heap', text)).toBe(bytes));

  it.each(['', '0', '-1', '64MB', '1.1B', 'MiB', '1e6', 'NaN', '1TiB'])('%j is none', (text) =>
    expect(() => parseBytes('--heap', text)).toThrow(/--heap: ".*" is not a size/),
  );

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1_572_864, '1.5 MiB'],
    [2 ** 30, '1 GiB'],
  ])('%d is written %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('rates', () => {
  it.each([
    ['200MB/s', 200e6],
    ['1.5 GB/s', 1.5e9],
    ['64MiB/s', 2 ** 26],
    ['10kB/s', 10_000],
  ])('%s is %d bytes a second', (text, rate) => expect(parseRate('--rate', text)).toBe(rate));

  it.each(['', '200', '200MB', '0MB/s', '-1MB/s', '1TB/s', 'MB/s'])('%j is none', (text) =>
    expect(() => parseRate('--rate', text)).toThrow(/--rate: ".*" is not a rate/),
  );
});

describe('latencies', () => {
  it('are within their buckets, and the longest is exact', () => {
    const latencies = new Latencies();
    expect(latencies.summary()).toEqual({ count: 0, p50: 0, p99: 0, p999: 0, max: 0 });
    for (let i = 1; i <= 1000; i++) latencies.record(i / 1000);
    latencies.record(12.345678);
    const { count, p50, p99, p999, max } = latencies.summary();
    expect(count).toBe(1001);
    expect(p50).toBeGreaterThanOrEqual(500);
    expect(p50).toBeLessThan(520);
    expect(p99).toBeGreaterThanOrEqual(990);
    expect(p99).toBeLessThan(1030);
    expect(p999).toBeLessThan(1030);
    expect(max).toBe(12345.678);
  });

  it('take anything', () => {
    const latencies = new Latencies();
    for (const ms of [0, -1, 1e9]) latencies.record(ms);
    expect(latencies.summary().max).toBe(1e12);
  });
});

describe('arguments of run', () => {
  it('leaves defaults to the library', () => {
    const parsed = parseRunArguments(['gcbench']);
    expect(parsed).toMatchObject({
      heapOptions: {},
      seed: 1,
      scale: 1,
      json: false,
      workload: { name: 'gcbench' },
    });
    expect(Object.keys((parsed as { heapOptions: object }).heapOptions)).toEqual([]);
  });

  it('reads every option', () => {
    const text =
      'lru-cache --collector concurrent --fill copy --retention release --heap 1GiB --servers 3 --placement any --trigger 0.5' +
      ' --userfaultfd user-mode-only --verify full --min-heap 16MiB --safepoint-timeout-ms 2s --seed 4294967295 --scale 0.25 --stress delayMs.mark=1,crash=server@fault:exit --json';
    expect(parseRunArguments(text.split(' '))).toMatchObject({
      workload: { name: 'lru-cache' },
      heapOptions: {
        collector: 'concurrent',
        fill: 'copy',
        retention: 'release',
        heap: 2 ** 30,
        servers: 3,
        placement: 'any',
        trigger: 0.5,
        userfaultfd: 'user-mode-only',
        verify: 'full',
        minHeap: 2 ** 24,
        safepointTimeoutMs: 2000,
        stress: { delayMs: { mark: 1 }, crash: { worker: 'server', at: 'fault', how: 'exit' } },
      },
      seed: 4_294_967_295,
      scale: 0.25,
      json: true,
    });
  });

  it.each(['0', '-1', 'x', '', 'Infinity', '1e9'])('refuses the scale %j', (scale) =>
    expect(() => parseRunArguments(['gcbench', `--scale=${scale}`])).toThrow(/--scale/),
  );
});

it('the median of an even number of values is the upper one', () => {
  expect(median([])).toBe(0);
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(3);
});

it('a line of progress tells how far the run is and what the collector did last', () => {
  const source = {
    done: () => 0.425,
    stats: () => ({ usedBytes: 3 * 2 ** 20, cycles: 7, faults: { count: 12 } }),
    lastCycle: () => ({ collector: 'concurrent', phasesMs: { mark: 9, remark: 0.1234, flip: 0.2 } }),
  } as unknown as ProgressSource;
  expect(progressLine(source)).toMatch(
    /^ 4[23] % · 3 MiB used · 7 cycles · last pauses: remark 0\.12 ms, flip 0\.20 ms · 12 faults$/,
  );
});

it('a checksum changes with every word and with their order', () => {
  const of = (...words: number[]) => words.reduce(addWord, CHECKSUM_START) >>> 0;
  expect(new Set([of(), of(0), of(1), of(0, 1), of(1, 0), of(-1)]).size).toBe(6);
  expect(of(1, 2, 3)).toBe(of(1, 2, 3));
});

it('random numbers repeat with the seed and stay in range', () => {
  const draw = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 1000 }, () => random.below(10));
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  expect(new Set(draw(3))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
});

describe('the model of random-graph', () => {
  it('chooses among all kinds, and lengths up to many pages', () => {
    expect(KINDS.reduce((sum, { weight }) => sum + weight, 0)).toBe(100);
    const random = new Random(1);
    const kinds = new Set<number>();
    let longest = 0;
    for (let i = 0; i < 10_000; i++) {
      const kind = chooseKind(random);
      const length = chooseLength(random, kind);
      kinds.add(kind);
      expect(length).toBeLessThanOrEqual(KINDS[kind]!.lengthMax);
      longest = Math.max(longest, length * KINDS[kind]!.elementBytes);
    }
    expect([...kinds].sort()).toEqual(KINDS.map((_, i) => i));
    expect(longest).toBeGreaterThan(4 * 4096);
  });

  it('numbers what is reachable once each, breadth first, cycles included', () => {
    const [a, b, c, lost] = [1, 2, 3, 4].map((id) => new ModelObject(id, REFS, 2, 0));
    a!.refs[1] = b!;
    b!.refs[0] = a!;
    b!.refs[1] = c!;
    lost!.refs[0] = a!;
    expect(reachable([null, a!, c!], 1)).toEqual([a, c, b]);
    expect([a!.order, c!.order, b!.order]).toEqual([0, 1, 2]);
    a!.refs[1] = null;
    expect(reachable([a!], 2)).toEqual([a]);
  });
});

describe.each([
  ['bench', benchMemory],
  ['the examples', examplesMemory],
])('memory that is available, for %s', (_name, { availableMemory, inactiveFileBytes }) => {
  const reader = (files: Readonly<Record<string, string>>) => (path: string) => {
    if (files[path] === undefined) throw new Error(`ENOENT: ${path}`);
    return files[path];
  };
  const old = '9:name=systemd:/x\n4:cpu,memory:/a/b\n3:cpuset:/\n0::/\n';

  it.each([
    [
      'version 2',
      7000,
      { '/proc/self/cgroup': '0::/a\n', '/sys/fs/cgroup/a/memory.stat': 'anon 1\ninactive_file 7000\n' },
    ],
    [
      'version 2, in a container',
      7000,
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/memory.stat': 'inactive_file 7000\nactive_file 1\n' },
    ],
    [
      'version 1',
      8000,
      {
        '/proc/self/cgroup': old,
        '/sys/fs/cgroup/memory/a/b/memory.stat': 'inactive_file 5\ntotal_inactive_file 8000\n',
      },
    ],
    [
      'version 1, in a container',
      9000,
      { '/proc/self/cgroup': old, '/sys/fs/cgroup/memory/memory.stat': 'total_inactive_file 9000\n' },
    ],
    ['a group of which nothing tells', 0, { '/proc/self/cgroup': '0::/a\n' }],
    ['no groups', 0, {}],
  ])('counts cached files of %s', (_groups, bytes, files) =>
    expect(inactiveFileBytes(reader(files))).toBe(bytes),
  );

  it('is a part of the machine', () => {
    const bytes = availableMemory();
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(totalmem());
  });
});
