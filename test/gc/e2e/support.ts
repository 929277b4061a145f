// Every heap of these tests lives in a process of its own: a thread that sleeps in an unanswered page fault can be neither terminated
// nor interrupted, a process can be killed. A program that does not end in time is a failure that shows what it printed.
//
// Replay: SEED=<n> runs the random tests with that seed only.

import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { runCommand, type ChildResult } from '../../support/child.ts';

/** What a program may take unless a test says otherwise. Generous: only a hang is meant to meet it. */
export const HANG_MS = 60_000;

// The program is killed, and shown, before the test gives up on it.
vi.setConfig({ testTimeout: 2 * HANG_MS });

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

/**
 * Runs several scenarios of a program, one after the other, in one process, which is half a second less for each: for those that are not
 * meant to hang or to die. It starts when the first result is asked for. What ends the process is the failure of the scenario that ran.
 */
export function inOneProcess(
  program: string,
  cases: readonly (readonly [scenario: string, config: object])[],
  options: ProgramOptions = {},
): <T>(index: number) => Promise<T> {
  let started: Promise<ChildResult> | undefined;
  return async <T>(index: number): Promise<T> => {
    started ??= run(program, 'each', cases, { timeoutMs: 110_000, ...options });
    const result = await started;
    const lines = result.stdout.split('\n').slice(0, -1);
    if (index < lines.length && (index < cases.length - 1 || result.status === 0))
      return JSON.parse(lines[index]!) as T;
    const at = Math.min(lines.length, cases.length - 1);
    const [scenario, config] = cases[at]!;
    const which = index === at ? '' : 'not reached, because of a scenario before it: ';
    throw new Error(
      `${which}${program} ${scenario} ${JSON.stringify(config)}: ${describeEnd({ ...result, stdout: '' })}`,
    );
  };
}

/**
 * Whether this run has time: then tests take the full product of their modes, and more seeds. `SOAK_MINUTES=1 npx vitest run <file>`; the
 * ordinary run covers every value, and the pairs that matter.
 */
export const THOROUGH: boolean = process.env.SOAK_MINUTES !== undefined;

/** Those of a table that the ordinary run takes; all of it in a thorough one. */
export function someOf<T>(table: Readonly<Record<string, T>>, ...names: string[]): [string, T][] {
  for (const name of names) if (!(name in table)) throw new Error(`the table has no ${name}`);
  return Object.entries(table).filter(([name]) => THOROUGH || names.includes(name));
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
