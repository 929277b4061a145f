// The suites, as data.

import type { Suite, SuiteEntry } from './plan.ts';

const MIB = 2 ** 20;
const OURS = ['concurrent', 'stop-the-world'];
/** A process that takes so long hangs. */
const LIMIT_MS = 60_000;
const LONG_LIMIT_MS = 300_000;

/** The workloads that every form and peer has. */
const SHARED = ['gcbench', 'binary-trees', 'lru-cache', 'splay', 'quads', 'hyperalloc'];
/** Those about a flip's faults and about weak references: not every peer has them. */
const OWN = ['pointer-chase', 'references'];

/** V8's arrays have eight bytes for a word of four, and larger headers. */
const HYPERALLOC_V8_FACTOR = 2.125;

const throughput: Omit<SuiteEntry, 'scale' | 'expectedMs' | 'limitMs' | 'heapBytes'> = {
  workloads: SHARED,
  forms: ['heap', 'v8'],
  collectors: OURS,
  peers: true,
};

const quick: Suite = {
  name: 'quick',
  summary: 'a look at everything: small workloads, few processes',
  runs: 5,
  peers: 'none',
  entries: [
    {
      ...throughput,
      workloads: ['gcbench'],
      scale: 0.2,
      heapBytes: [64 * MIB],
      expectedMs: 2600,
      limitMs: LIMIT_MS,
    },
    {
      ...throughput,
      workloads: ['lru-cache', 'splay'],
      // V8 takes ten seconds for each of these.
      scale: 0.1,
      heapBytes: [64 * MIB],
      expectedMs: 4400,
      limitMs: LIMIT_MS,
    },
    {
      ...throughput,
      workloads: ['gcbench'],
      forms: ['heap'],
      collectors: ['none'],
      peers: false,
      scale: 0.2,
      heapBytes: [1200 * MIB],
      expectedMs: 2600,
      limitMs: LIMIT_MS,
    },
    {
      ...throughput,
      workloads: ['gcbench'],
      forms: ['guest'],
      collectors: ['concurrent'],
      peers: false,
      scale: 0.2,
      heapBytes: [64 * MIB],
      expectedMs: 2600,
      limitMs: LIMIT_MS,
    },
    {
      workloads: ['pointer-chase'],
      forms: ['heap'],
      collectors: ['concurrent'],
      peers: false,
      scale: 0.2,
      heapBytes: [64 * MIB],
      expectedMs: 2600,
      limitMs: LIMIT_MS,
    },
  ],
};

const full: Suite = {
  name: 'full',
  summary: 'every workload, form, collector and peer, and how they scale',
  runs: 10,
  peers: 'all',
  entries: [
    { ...throughput, scale: 1, heapBytes: [128 * MIB], expectedMs: 10_000, limitMs: LONG_LIMIT_MS },
    {
      ...throughput,
      forms: ['heap', 'guest'],
      collectors: ['concurrent', 'concurrent-copy', 'concurrent-release', 'stop-the-world'],
      peers: false,
      scale: 1,
      heapBytes: [128 * MIB],
      expectedMs: 10_000,
      limitMs: LONG_LIMIT_MS,
    },
    {
      workloads: OWN,
      forms: ['heap', 'guest', 'v8'],
      collectors: OURS,
      peers: true,
      scale: 1,
      heapBytes: [128 * MIB],
      expectedMs: 8000,
      limitMs: LONG_LIMIT_MS,
    },
    // What needs no collection to end: the bound of LBO, as far as memory goes.
    {
      workloads: ['gcbench', 'binary-trees', 'splay', 'quads'],
      forms: ['heap'],
      collectors: ['none', ...OURS],
      peers: false,
      scale: 0.2,
      heapBytes: [1200 * MIB],
      expectedMs: 4000,
      limitMs: LIMIT_MS,
    },
    {
      workloads: ['gcbench-mt'],
      forms: ['heap', 'guest', 'v8'],
      collectors: OURS,
      peers: true,
      scale: 0.5,
      heapBytes: [256 * MIB],
      threads: [1, 2, 4],
      axis: 'threads',
      expectedMs: 12_000,
      limitMs: LONG_LIMIT_MS,
    },
  ],
};

const latency: Suite = {
  name: 'latency',
  summary: 'operations that come by a schedule, and what they wait for',
  runs: 5,
  peers: 'all',
  entries: [
    {
      workloads: ['splay', 'lru-cache'],
      forms: ['heap', 'v8'],
      collectors: ['concurrent', 'concurrent-copy', 'stop-the-world'],
      peers: true,
      scale: 0.5,
      heapBytes: [128 * MIB],
      rates: [null, 500, 1000],
      expectedMs: 10_000,
      limitMs: LONG_LIMIT_MS,
    },
  ],
};

const scaling: Suite = {
  name: 'scaling',
  summary: 'how figures change with the size of the heap, its live part, threads and fault servers',
  runs: 5,
  peers: 'none',
  entries: [
    {
      workloads: ['gcbench', 'lru-cache'],
      forms: ['heap', 'v8'],
      collectors: OURS,
      peers: true,
      scale: 0.5,
      heapBytes: [64, 128, 256, 512, 1024].map((mib) => mib * MIB),
      axis: 'heapBytes',
      expectedMs: 6000,
      limitMs: LONG_LIMIT_MS,
    },
    {
      workloads: ['hyperalloc'],
      forms: ['heap', 'guest', 'v8'],
      collectors: OURS,
      peers: true,
      scale: 0.5,
      heapBytes: [128 * MIB],
      liveRatios: [0.1, 0.25, 0.4, 0.55, 0.7],
      v8HeapFactor: HYPERALLOC_V8_FACTOR,
      axis: 'liveRatio',
      expectedMs: 12_000,
      limitMs: LONG_LIMIT_MS,
    },
    {
      workloads: ['gcbench-mt'],
      forms: ['heap', 'v8'],
      collectors: OURS,
      peers: true,
      scale: 0.5,
      heapBytes: [256 * MIB],
      threads: [1, 2, 4],
      axis: 'threads',
      expectedMs: 12_000,
      limitMs: LONG_LIMIT_MS,
    },
    {
      workloads: ['pointer-chase', 'gcbench-mt'],
      forms: ['heap'],
      collectors: ['concurrent'],
      peers: false,
      scale: 0.5,
      heapBytes: [256 * MIB],
      servers: [1, 2, 4],
      axis: 'servers',
      expectedMs: 8000,
      limitMs: LONG_LIMIT_MS,
    },
  ],
};

const minHeap: Suite = {
  name: 'min-heap',
  summary: 'the smallest heap of each workload, and what multiples of it give',
  runs: 5,
  peers: 'all',
  entries: [
    {
      ...throughput,
      scale: 0.2,
      heapBytes: [],
      timesMinimum: [1.25, 1.5, 2, 3, 4, 6],
      axis: 'timesMinimum',
      expectedMs: 4000,
      limitMs: LIMIT_MS,
    },
  ],
};

export const SUITES: readonly Suite[] = [quick, full, latency, scaling, minHeap];
