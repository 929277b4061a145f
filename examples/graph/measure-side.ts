// One side in one round: built, warmed up, measured at a fixed rate and without one, and checked.
import { readFileSync } from 'node:fs';
import { MessageChannel, Worker } from 'node:worker_threads';
import { HiccupMeter } from '../support/hiccups.ts';
import type { LatencyCounts } from '../support/latencies.ts';
import { monotonicMs } from '../support/monotonic.ts';
import type { HeapStatistics } from 'tospace';
import type { StateReport } from './cache.ts';
import type { ClientReport } from './client.ts';
import type { FloodCommand, PacedCommand, PhaseReport } from './client-thread.ts';
import { addPauses, type GcPauses } from './gc-pauses.ts';
import type { MetronomeInput, Ticks } from './metronome.ts';
import { Model } from './model.ts';
import { burstOf, floodMs, type GraphOptions, TICK_MS, warmUpOf } from './options.ts';
import { openSide, type Side, type SideName, v8UsedBytes } from './sides.ts';

/** The phases in which hiccups are counted. */
const ELSE = 0;
const PACED = 1;
const FLOOD = 2;

export interface PhaseResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly latencies: readonly LatencyCounts[];
  /** Of V8, in all threads. */
  readonly v8Pauses: GcPauses;
  /** What a thread that only sleeps saw. */
  readonly hiccups: LatencyCounts;
  /** Cycles of the managed heap. */
  readonly cycles: number;
}

/** What a side has arrived at, and what the model says. */
export interface Check {
  readonly state: string;
  readonly answers: string;
  readonly expectedState: string;
  readonly expectedAnswers: string;
  /** Wrong answers and wrong entries. */
  readonly wrong: number;
}

export interface HeapFigures {
  readonly pausesUs: HeapStatistics['pausesUs'];
  readonly stallsUs: HeapStatistics['stallsUs'];
  readonly faults: number;
  readonly sharedBytes: number;
  readonly sharedBytesPeak: number;
  readonly usedBytes: number;
  readonly cycles: number;
}

export interface SideResult {
  readonly side: SideName;
  readonly buildMs: number;
  readonly wallMs: number;
  readonly paced: PhaseResult;
  readonly flood: PhaseResult;
  readonly memory: { readonly pssBytes: number; readonly rssBytes: number; readonly v8UsedBytes: number };
  /** Counted since the heap was created: building is in it. */
  readonly heap: HeapFigures | undefined;
  /** Updates that began again because another thread was faster. */
  readonly retries: number;
  /** After the same requests on every side, and after all that this one made. */
  readonly warmUp: Check;
  readonly end: Check;
}

export async function measureSide(name: SideName, options: GraphOptions): Promise<SideResult> {
  const start = monotonicMs();
  const channels = Array.from({ length: options.threads }, () => new MessageChannel());
  const side = await openSide(
    name,
    options,
    channels.map(({ port2 }) => port2),
  );
  const metronomeData: MetronomeInput = { ports: channels.map(({ port1 }) => port1) };
  const metronome = new Worker(new URL('./metronome.js', import.meta.url), {
    workerData: metronomeData,
    transferList: [...metronomeData.ports],
  });
  const meter = await HiccupMeter.start(3);
  const model = new Model(options);

  await side.owner?.ask('make');
  for (const step of ['make', 'link']) await askAll(side, step);
  const buildMs = monotonicMs() - start;
  const warmUpCommand: FloodCommand = { count: warmUpOf(options), forMs: Number.MAX_VALUE };
  await askAll<PhaseReport>(side, 'flood', warmUpCommand);
  const warmUp = await check(side, model);

  meter.enter(PACED);
  const paced = await phase(side, async () => {
    const count = Math.max(1, Math.round((options.seconds * 1000) / TICK_MS));
    const ticks: Ticks = { count, everyMs: TICK_MS };
    const command: PacedCommand = { ticks: count, burst: burstOf(options) };
    metronome.postMessage(ticks);
    return await askAll<PhaseReport>(side, 'paced', command);
  });
  meter.enter(FLOOD);
  const flood = await phase(side, () => {
    const command: FloodCommand = {
      count: Number.MAX_SAFE_INTEGER,
      forMs: floodMs(options),
    };
    return askAll<PhaseReport>(side, 'flood', command);
  });
  meter.enter(ELSE);
  const memory = { ...processMemory(), v8UsedBytes: await v8UsedBytes(side) };
  const heap = heapFigures(side);
  const end = await check(side, model);
  const reports = await askAll<ClientReport>(side, 'report');

  const hiccups = await meter.finish();
  await metronome.terminate();
  await side.close();
  return {
    side: name,
    buildMs,
    wallMs: monotonicMs() - start,
    paced: { ...paced, hiccups: hiccups[PACED]! },
    flood: { ...flood, hiccups: hiccups[FLOOD]! },
    memory,
    heap,
    retries: sum(reports.map(({ retries }) => retries)),
    warmUp,
    end,
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

function askAll<T>({ clients }: Side, command: string, argument?: unknown): Promise<T[]> {
  return Promise.all(clients.map((client) => client.ask<T>(command, argument)));
}

async function phase(side: Side, run: () => Promise<PhaseReport[]>): Promise<Omit<PhaseResult, 'hiccups'>> {
  await takePauses(side);
  const cyclesBefore = side.stats()?.cycles ?? 0;
  const reports = await run();
  const v8Pauses = await takePauses(side);
  return {
    requests: sum(reports.map(({ requests }) => requests)),
    requestsPerSecond: sum(reports.map(({ requests, elapsedMs }) => (requests / elapsedMs) * 1000)),
    latencies: reports.map(({ latencies }) => latencies),
    v8Pauses,
    cycles: (side.stats()?.cycles ?? 0) - cyclesBefore,
  };
}

async function takePauses(side: Side): Promise<GcPauses> {
  const owner = side.owner === undefined ? [] : [side.owner.ask<GcPauses>('pauses')];
  return addPauses(await Promise.all([...owner, askAll<GcPauses>(side, 'pauses')]).then((all) => all.flat()));
}

async function check(side: Side, model: Model): Promise<Check> {
  // Twice: what the last one sent before it settled is in by the second time.
  await askAll(side, 'settle');
  await askAll(side, 'settle');
  const reports = await askAll<ClientReport>(side, 'report');
  const read = [...(await askAll<StateReport | undefined>(side, 'readAll'))];
  if (side.owner !== undefined) read.push(await side.owner.ask<StateReport>('readAll'));
  const states = read.filter((state) => state !== undefined);
  model.advanceTo(reports.map(({ requests }) => requests));
  const write = (checksums: readonly number[]): string =>
    checksums.map((one) => one.toString(16).padStart(8, '0')).join(' ');
  return {
    // Copies that are equal are written once.
    state: write([...new Set(states.map(({ checksum }) => checksum))]),
    answers: write(reports.map(({ answers }) => answers)),
    expectedState: write([model.stateChecksum()]),
    expectedAnswers: write(model.answers()),
    wrong: sum(reports.map(({ wrong }) => wrong)) + sum(states.map(({ wrong }) => wrong)),
  };
}

/** Memory of this process; Pss counts a page once that is mapped twice, as the managed heap's are. */
function processMemory(): { pssBytes: number; rssBytes: number } {
  const rollup = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const bytes = (name: string): number => {
    const match = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(rollup);
    if (match === null) throw new RangeError(`/proc/self/smaps_rollup has no ${name}`);
    return Number(match[1]) * 1024;
  };
  return { pssBytes: bytes('Pss'), rssBytes: bytes('Rss') };
}

function heapFigures(side: Side): HeapFigures | undefined {
  const stats = side.stats();
  if (stats === undefined) return undefined;
  const { pausesUs, stallsUs, faults, sharedBytes, sharedBytesPeak, usedBytes, cycles } = stats;
  return { pausesUs, stallsUs, faults: faults.count, sharedBytes, sharedBytesPeak, usedBytes, cycles };
}
