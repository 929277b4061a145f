// Every heap of these tests lives in a process of its own: a thread that sleeps in an unanswered page fault can be neither terminated
// nor interrupted, a process can be killed. A program that does not end in time is a failure that shows what it printed.
//
// Replay: SEED=<n> runs the random tests with that seed only.

import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { runCommand, type ChildResult } from '../../support/child.ts';

/** What a program may take unless a test says otherwise. Generous: only a hang is meant to meet it. */
export const HANG_MS = 60_000;

/**
 * Whether tests run everything that they can (`SOAK_MINUTES=1 npx vitest run <file>`); a plain run covers every value and every
 * pair that may matter, in fewer rounds.
 */
export const SOAK: boolean = process.env.SOAK_MINUTES !== undefined;

// The program is killed, and shown, before the test gives up on it. A soak has much more to do in one.
let testTimeoutMs = (SOAK ? 20 : 2) * HANG_MS;
vi.setConfig({ testTimeout: testTimeoutMs });

export interface ProgramOptions {
  readonly timeoutMs?: number;
  /** Words in front of `node`: `taskset -c 0`, `setpriv …`. */
  readonly prefix?: readonly string[];
  /** Flags of node itself. */
  readonly nodeArgs?: readonly string[];
  /** Where the programs are; default: here. */
  readonly folder?: string;
}

/** Runs `programs/<program>.mjs <scenario> <json>`. */
export function run(
  program: string,
  scenario: string,
  config: object = {},
  options: ProgramOptions = {},
): Promise<ChildResult> {
  const folder = options.folder ?? fileURLToPath(new URL('./programs', import.meta.url));
  const words = [
    ...(options.prefix ?? []),
    process.execPath,
    ...(options.nodeArgs ?? []),
    `${folder}/${program}.mjs`,
    scenario,
    JSON.stringify(config),
  ];
  return runCommand(words[0]!, words.slice(1), options.timeoutMs ?? HANG_MS);
}

/** How a program ended, with all that it said: the message of a failed expectation. */
export function describeEnd(result: ChildResult): string {
  const how =
    result.signal === 'SIGKILL'
      ? 'HUNG and was killed'
      : result.signal !== null
        ? `was ended by ${result.signal}`
        : `exited with ${result.status}`;
  return `the program ${how}\n--- stdout\n${result.stdout}\n--- stderr\n${result.stderr}`;
}

/** Runs a program that must succeed; returns what it reports: the JSON of its last line. */
export async function succeed<T>(
  program: string,
  scenario: string,
  config: object = {},
  options: ProgramOptions = {},
): Promise<T> {
  const result = await run(program, scenario, config, options);
  if (result.status !== 0)
    throw new Error(`${program} ${scenario} ${JSON.stringify(config)}: ${describeEnd(result)}`);
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as T;
}

/** Runs `jobs`, `width` at a time; the results are in the order of the jobs. */
export async function pool<T>(jobs: readonly (() => Promise<T>)[], width: number = 2): Promise<T[]> {
  const results: T[] = new Array(jobs.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < jobs.length; i = next++) results[i] = await jobs[i]!();
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}

/** The seed of this run: from the environment, or new every time, so that many runs see many histories. */
export const SEED: number =
  process.env.SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(process.env.SEED);

/** What a program may take that runs so many cases: half as much for each, because they are not all slow. */
const batchHangMs = (cases: number): number =>
  Math.max((SOAK ? 20 : 2) * HANG_MS - 10_000, (cases * HANG_MS) / 2);

/**
 * Cases of one program that neither end their process nor leave anything in it, one after the other in one process: to start one
 * costs more than most cases. It begins when the first case is asked for; `result(name)` is the report of one case. A case that
 * fails ends the program, and fails with what it threw; those behind it fail because they never ran. To be called where the tests that
 * ask are declared, before them, not within one: it gives them the time.
 */
export function batch<R = void>(
  program: string,
  cases: Readonly<Record<string, readonly [scenario: string, config?: object]>>,
): <T = R>(name: string) => Promise<T> {
  interface Report {
    readonly name: string;
    readonly result: unknown;
  }
  const timeoutMs = batchHangMs(Object.keys(cases).length);
  // Each of the tests may be the one that waits for the whole program. They are declared behind this.
  testTimeoutMs = Math.max(testTimeoutMs, timeoutMs + 10_000);
  vi.setConfig({ testTimeout: testTimeoutMs });
  let ending: Promise<ChildResult> | undefined;
  return async <T>(name: string) => {
    ending ??= run(program, 'batch', cases, { timeoutMs });
    const end = await ending;
    const reports = end.stdout
      .split('\n')
      .filter((line) => line.startsWith('{"name"'))
      .map((line) => JSON.parse(line) as Report);
    const report = reports.find((one) => one.name === name);
    const last = reports.length === Object.keys(cases).length;
    // A program that fails behind its last case has failed in all of them.
    if (report === undefined || (last && end.status !== 0)) {
      const failed = Object.keys(cases)[reports.length];
      throw new Error(
        `${program}: ${name} (the case that failed: ${failed ?? 'the end'}): ${describeEnd(end)}`,
      );
    }
    return report.result as T;
  };
}
