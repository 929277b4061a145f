// A mutator: a thread of the program that is being swapped. It uses memory as if nothing happened to it. It looks at the table of
// states only to know which of its accesses to time.
import { parentPort, workerData } from 'node:worker_threads';
import { viewOf } from 'tospace/uffd';
import { Content, RECORD_BYTES } from './content.ts';
import { RegionState, RegionTable } from './region.ts';
import {
  CONTROL_PHASE,
  MUTATORS,
  type MutatorData,
  MutatorCounter,
  mutatorCounter,
  Phase,
  STALLS,
  stallHistogram,
} from './shared.ts';

/** Accesses between looks at the clock and the phase. */
const BURST = 512;
/** The window in use wanders on by a region in so many milliseconds … */
const WANDER_MS = 50;
/** … and in between an access goes anywhere. Together they set how often a region has to be loaded. */
const STRAY_MS = 10;
const WRITE_PART = 0.5;
/** No fault is answered faster than this, and no access without one is slower, unless the thread was interrupted. */
const STALL_MIN_US = 4;

const data = workerData as MutatorData;
const { mutator, shared } = data;
const control = new Int32Array(shared.control);
const counters = new Float64Array(shared.counters);
const table = new RegionTable(shared.regions);
const stalls = STALLS.map((_, stall) => stallHistogram(shared.histograms, mutator, stall));
const [loaded, rescued] = stalls as [(typeof stalls)[0], (typeof stalls)[0]];
const READS = mutatorCounter(mutator, MutatorCounter.READS);
const WRITES = mutatorCounter(mutator, MutatorCounter.WRITES);
const WRONG = mutatorCounter(mutator, MutatorCounter.WRONG_WORDS);
const VERIFIED = mutatorCounter(mutator, MutatorCounter.RECORDS_VERIFIED);

let firstRegion = 0;
const parts = data.arenas.map((arena) => {
  const content = new Content(shared.corpus, viewOf(arena.home, arena.bytes), mutator, MUTATORS, data.seed);
  const regions = arena.bytes / arena.regionBytes;
  const first = firstRegion;
  firstRegion += regions;
  const window = Math.min(regions, Math.max(1, Math.floor(data.windowBytes / arena.regionBytes)));
  return { content, first, regions, window, perRegion: arena.regionBytes / RECORD_BYTES / MUTATORS };
});
type Part = (typeof parts)[0];

/** xorshift32: fast, seeded, and never 0. */
let random = (data.seed * 2654435761 + mutator * 40503 + 1) | 0 || 1;
function below(limit: number): number {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return (random >>> 0) % limit;
}

for (const { content } of parts) for (let i = 0; i < content.records; i++) content.write(i);
parentPort?.postMessage('filled');
for (let phase = control[CONTROL_PHASE]!; phase < Phase.RUN; phase = control[CONTROL_PHASE]!)
  Atomics.wait(control, CONTROL_PHASE, phase);

const start = performance.now();
let stray = 0;
while (Atomics.load(control, CONTROL_PHASE) === Phase.RUN) {
  const now = performance.now() - start;
  const wandered = Math.floor(now / WANDER_MS);
  for (let i = 0; i < BURST; i++) {
    const part = parts[below(parts.length)]!;
    const region = (wandered + below(part.window)) % part.regions;
    access(part, region, below(part.perRegion), below(1024) < WRITE_PART * 1024);
  }
  if (now >= stray) {
    stray = now + STRAY_MS;
    const part = parts[below(parts.length)]!;
    access(part, below(part.regions), below(part.perRegion), below(2) === 0);
  }
}
for (const part of parts) {
  for (let index = 0; index < part.content.records; index++)
    access(part, Math.floor(index / part.perRegion), index % part.perRegion, false);
  counters[VERIFIED]! += part.content.records;
}

const digest = (pick: (content: Content) => number): string =>
  parts.map(({ content }) => (pick(content) >>> 0).toString(16).padStart(8, '0')).join('');
parentPort?.postMessage({
  seen: digest((content) => content.seen),
  expected: digest((content) => content.expected),
  firstWrong: parts.map(({ content }) => content.firstWrong).find((text) => text !== undefined),
});

/** One read with comparison, or one read and a write. Timed when the region is not simply there. */
function access({ content, first, perRegion }: Part, region: number, record: number, writes: boolean): void {
  const index = region * perRegion + record;
  const state = table.state(first + region);
  const began = state === RegionState.RESIDENT ? 0 : performance.now();
  const wrong = content.read(index);
  if (state !== RegionState.RESIDENT) {
    // By the state that was seen before, so a stall is missed where the state changed just then. And a region that is on its way may
    // have the page already.
    const us = (performance.now() - began) * 1000;
    const inFile = state === RegionState.IN_FILE || state === RegionState.LOADING;
    if (us >= STALL_MIN_US) (inFile ? loaded : rescued).record(us);
  }
  counters[READS]!++;
  if (wrong !== 0) counters[WRONG]! += wrong;
  if (writes && wrong === 0) {
    content.write(index);
    counters[WRITES]!++;
  }
}
