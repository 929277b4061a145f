// The configurations under which random histories run: a fixed table for every test run, and an endless supply for soaks.

import type { DelayPoint, HeapOptions } from '#src/index.js';

export interface HistoryConfig {
  readonly options: HeapOptions;
  readonly steps: number;
  readonly threads?: number;
  readonly maxArray?: number;
  readonly maxRaw?: number;
  readonly collectPercent?: number;
  /** Part of all objects that is pinned; 10 by default. */
  readonly pinnedPercent?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every point at which the collector can be held up, a little. */
export const DELAYS: Readonly<Record<DelayPoint, number>> = {
  mark: 2,
  remark: 1,
  remarkPause: 1,
  plan: 3,
  flip: 1,
  flipPause: 1,
  compact: 2,
  batch: 1,
  install: 0.2,
  close: 1,
};

const tiny = { maxArray: 400, maxRaw: 3000 };
const small = { maxArray: 2000, maxRaw: 12000 };

/** Named so that a failure says at once what was special. */
export const HISTORIES: Readonly<Record<string, HistoryConfig>> = {
  'no collector': { options: { collector: 'none', heap: 512 * MIB }, steps: 20_000 },
  'stop-the-world, 256 KiB, verified': {
    options: { collector: 'stop-the-world', heap: 256 * KIB, verify: 'full' },
    steps: 6000,
    ...tiny,
  },
  'stop-the-world, 4 MiB, release': {
    options: { collector: 'stop-the-world', heap: 4 * MIB, retention: 'release' },
    steps: 40_000,
    ...small,
  },
  'stop-the-world, 64 MiB': { options: { collector: 'stop-the-world', heap: 64 * MIB }, steps: 40_000 },
  'stop-the-world at every 3rd allocation': {
    options: {
      collector: 'stop-the-world',
      heap: MIB,
      verify: 'full',
      stress: { collectEveryAllocation: 3 },
    },
    steps: 500,
    ...tiny,
  },
  'continue, recycle, 256 KiB': { options: { heap: 256 * KIB }, steps: 30_000, ...tiny },
  'continue, recycle, 1 MiB, verified, 3 servers': {
    options: { heap: MIB, verify: 'full', servers: 3 },
    steps: 6000,
    ...tiny,
  },
  'continue, release, 1 MiB, verified': {
    options: { heap: MIB, verify: 'full', retention: 'release' },
    steps: 6000,
    ...tiny,
  },
  'continue, release, 4 MiB, 3 servers anywhere': {
    options: { heap: 4 * MIB, retention: 'release', servers: 3, placement: 'any' },
    steps: 40_000,
    ...small,
  },
  'continue, recycle, 64 MiB': { options: { heap: 64 * MIB, trigger: 0.3 }, steps: 40_000 },
  'copy, 256 KiB, verified': {
    options: { heap: 256 * KIB, fill: 'copy', verify: 'full' },
    steps: 6000,
    ...tiny,
  },
  'copy, 4 MiB, 3 servers': {
    options: { heap: 4 * MIB, fill: 'copy', servers: 3 },
    steps: 40_000,
    ...small,
  },
  'copy, 64 MiB, user-mode faults only': {
    options: { heap: 64 * MIB, fill: 'copy', trigger: 0.2, userfaultfd: 'user-mode-only' },
    steps: 40_000,
  },
  'mark stack of 8 entries': {
    options: { heap: 4 * MIB, verify: 'full', stress: { markStackEntries: 8 } },
    steps: 5000,
    ...small,
  },
  'mark stack of 64 entries, stop-the-world': {
    options: { heap: 4 * MIB, collector: 'stop-the-world', stress: { markStackEntries: 64 } },
    steps: 20_000,
    ...small,
  },
  'collection at every allocation': {
    options: { heap: MIB, verify: 'full', stress: { collectEveryAllocation: 1 } },
    steps: 250,
    ...tiny,
  },
  'collection at every 5th allocation, copy': {
    options: { heap: MIB, fill: 'copy', stress: { collectEveryAllocation: 5 } },
    steps: 2000,
    ...tiny,
  },
  'collection at every safepoint': {
    options: { heap: MIB, stress: { collectEverySafepoint: 1 } },
    steps: 10_000,
    ...tiny,
  },
  'delays everywhere': {
    options: { heap: MIB, verify: 'full', trigger: 0.1, stress: { delayMs: DELAYS } },
    steps: 6000,
    ...tiny,
  },
  'delays everywhere, copy, 3 servers': {
    options: { heap: MIB, fill: 'copy', servers: 3, trigger: 0.1, stress: { delayMs: DELAYS } },
    steps: 10_000,
    ...tiny,
  },
  'delays everywhere, release, 256 KiB': {
    options: { heap: 256 * KIB, retention: 'release', trigger: 0.1, stress: { delayMs: DELAYS } },
    steps: 8000,
    ...tiny,
  },
  'two threads, verified': {
    options: { heap: 8 * MIB, verify: 'full', trigger: 0.2 },
    threads: 2,
    steps: 3000,
    ...tiny,
  },
  'four threads, 3 servers': {
    options: { heap: 16 * MIB, servers: 3, trigger: 0.2 },
    threads: 4,
    steps: 15_000,
    ...tiny,
  },
  'four threads, copy, delays': {
    options: { heap: 8 * MIB, fill: 'copy', trigger: 0.2, stress: { delayMs: DELAYS } },
    threads: 4,
    steps: 6000,
    ...tiny,
  },
  'half of it pinned, verified': {
    options: {
      heap: MIB,
      nonMoving: 768 * KIB,
      largeObject: 4096,
      verify: 'full',
      trigger: 0.1,
    },
    pinnedPercent: 50,
    steps: 6000,
    ...tiny,
  },
  'half of it pinned, copy, delays, 3 servers': {
    options: {
      heap: 4 * MIB,
      nonMoving: 2 * MIB,
      largeObject: 4096,
      fill: 'copy',
      servers: 3,
      trigger: 0.1,
      stress: { delayMs: DELAYS },
    },
    pinnedPercent: 50,
    threads: 2,
    steps: 10_000,
    ...small,
  },
  'half of it pinned, stop-the-world': {
    options: { heap: MIB, collector: 'stop-the-world', largeObject: 4096, verify: 'full' },
    pinnedPercent: 50,
    steps: 4000,
    ...tiny,
  },
  'four threads, stop-the-world, verified': {
    options: { heap: 8 * MIB, collector: 'stop-the-world', verify: 'full' },
    threads: 4,
    steps: 1500,
    ...tiny,
  },
};

/** Some configuration that `seed` chooses. */
export function randomHistory(seed: number, scale: number = 1): HistoryConfig {
  let state = seed >>> 0;
  const int = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const pick = <T>(...of: readonly T[]): T => of[int(of.length)]!;
  const threads = pick(1, 1, 1, 2, 4);
  const heapBytes = pick(256 * KIB, MIB, 4 * MIB, 64 * MIB) * (threads > 1 ? 4 : 1);
  const collector = pick('concurrent', 'concurrent', 'concurrent', 'stop-the-world');
  const fill = pick('continue', 'copy');
  const verify = int(2) === 0 && heapBytes <= 16 * MIB ? 'full' : 'off';
  const every = int(5) === 0 && heapBytes <= 4 * MIB ? pick(1, 2, 7, 50) : 0;
  const delays = Object.fromEntries(Object.entries(DELAYS).filter(() => int(3) === 0)) as Partial<
    Record<DelayPoint, number>
  >;
  const size = heapBytes / threads >= 4 * MIB ? small : tiny;
  const steps = (every > 0 ? 150 * every : verify === 'full' ? 2500 : 12_000) * scale;
  return {
    options: {
      heap: heapBytes,
      collector,
      fill,
      retention: fill === 'copy' ? 'release' : pick('recycle', 'release'),
      servers: pick(1, 2, 3),
      placement: pick('any', 'mutator'),
      trigger: pick(0.05, 0.2, 0.6, 0.95),
      largeObject: pick(4096, 16 * KIB, 128 * KIB),
      verify,
      stress: {
        collectEveryAllocation: every,
        ...(int(4) === 0 ? { markStackEntries: pick(8, 16, 100) } : {}),
        ...(int(3) === 0 ? { delayMs: delays } : {}),
      },
    },
    threads,
    pinnedPercent: pick(0, 5, 20, 60),
    steps: Math.min(steps, 12_000 * scale),
    ...size,
  };
}
