// The options of the example, read and checked in one place, and what follows from them.
import type { HeapOptions } from 'tospace';
import { TospaceError } from 'tospace/uffd';
import { readArguments, readRounds } from '../support/command.ts';

export interface GraphOptions {
  /** Entries of the graph. */
  readonly entries: number;
  /** Threads that send requests. */
  readonly threads: number;
  /** Of the phase at a fixed rate, on each side and in each round; the phase without one takes a third of it. */
  readonly seconds: number;
  readonly rounds: number;
  /** Requests per second of all threads together, in the phase at a fixed rate. */
  readonly rate: number;
  /** Requests in one message, in the phase without a rate. */
  readonly batch: number;
  /** How unevenly keys are asked for and linked to: 1 is evenly; with 4, a third of all goes to one key in a hundred. */
  readonly skew: number;
  readonly seed: number;
}

const DEFAULTS: GraphOptions = {
  entries: 500_000,
  threads: 4,
  seconds: 8,
  rounds: 1,
  rate: 60_000,
  batch: 32,
  skew: 4,
  seed: 1,
};

const ENTRIES_MIN = 1000;
const ENTRIES_MAX = 1_600_000;
const THREADS_MAX = 16;
const SECONDS_MAX = 600;
const RATE_MAX = 1_000_000;
const BATCH_MAX = 10_000;
const SKEW_MAX = 8;

export const USAGE: string = `npm run example graph [-- OPTIONS]
  --entries N         entries of the graph (default ${DEFAULTS.entries})
  --threads N         threads that send requests (default ${DEFAULTS.threads})
  --seconds N         of the phase at a fixed rate, each side, each round; the other takes a third (default ${DEFAULTS.seconds})
  --rounds N          how often each side runs, in turns (default ${DEFAULTS.rounds})
  --rate N            requests per second of all threads in that phase (default ${DEFAULTS.rate})
  --batch N           requests in one message in the phase without a rate (default ${DEFAULTS.batch})
  --skew N            how unevenly keys are asked for and linked to, 1 for evenly (default ${DEFAULTS.skew})
  --seed N            of the requests (default ${DEFAULTS.seed})
  --json              one JSON document on standard output, no progress
`;

/** What an entry with its value and text takes on average: on the managed heap, and of V8's objects. */
const MANAGED_ENTRY_BYTES = 340;
const V8_ENTRY_BYTES = 430;
/** Both kinds of heap may become so many times as large as what is in the graph. More room would only make collections rarer. */
const ROOM = 2;
/** What else there is in an isolate, or in the smallest heap. */
const BASE_MIB = 32;
const MIB = 2 ** 20;

const roomMib = (bytes: number): number => Math.ceil((bytes * ROOM) / MIB) + BASE_MIB;

/** The managed heap of the side that has one. All its options are here. */
export function heapOptions({ entries }: GraphOptions): HeapOptions {
  return { heap: roomMib(entries * MANAGED_ENTRY_BYTES) * MIB };
}

/** The limit of a V8 heap that holds the graph. */
export function v8LimitMib(entries: number): number {
  return roomMib(entries * V8_ENTRY_BYTES);
}

/** Of the phase without a rate. */
export function floodMs({ seconds }: GraphOptions): number {
  return (seconds * 1000) / 3;
}

/** How often requests become due in the phase at a fixed rate. */
export const TICK_MS = 2;

/** Requests of a thread in one tick; at least one. */
export function burstOf({ rate, threads }: GraphOptions): number {
  return Math.max(1, Math.round((rate * TICK_MS) / 1000 / threads));
}

/** Requests of each thread before anything is timed. */
export function warmUpOf({ entries, threads }: GraphOptions): number {
  return Math.ceil(Math.min(entries, 100_000) / threads);
}

/** Options of a command line. @throws TospaceError `ERR_OPTION`, naming the option */
export function parseOptions(args?: readonly string[]): {
  options: GraphOptions;
  json: boolean;
  help: boolean;
} {
  const text = (value: number) => ({ type: 'string', default: String(value) }) as const;
  const values = readArguments(
    {
      entries: text(DEFAULTS.entries),
      threads: text(DEFAULTS.threads),
      seconds: text(DEFAULTS.seconds),
      rounds: text(DEFAULTS.rounds),
      rate: text(DEFAULTS.rate),
      batch: text(DEFAULTS.batch),
      skew: text(DEFAULTS.skew),
      seed: text(DEFAULTS.seed),
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
    args,
  );
  const integer = (
    name: 'entries' | 'threads' | 'rate' | 'batch' | 'skew' | 'seed',
    low: number,
    high: number,
  ) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new TospaceError(
        'ERR_OPTION',
        `--${name}: an integer from ${low} to ${high}, not ${values[name]}`,
      );
    return value;
  };
  const seconds = Number(values.seconds);
  if (!(seconds > 0 && seconds <= SECONDS_MAX))
    throw new TospaceError(
      'ERR_OPTION',
      `--seconds: more than 0, at most ${SECONDS_MAX}, not ${values.seconds}`,
    );
  const options: GraphOptions = {
    entries: integer('entries', ENTRIES_MIN, ENTRIES_MAX),
    threads: integer('threads', 1, THREADS_MAX),
    seconds,
    rounds: readRounds(values.rounds),
    rate: integer('rate', 1, RATE_MAX),
    batch: integer('batch', 1, BATCH_MAX),
    skew: integer('skew', 1, SKEW_MAX),
    seed: integer('seed', 0, 2 ** 31 - 1),
  };
  return { options, json: values.json, help: values.help };
}
