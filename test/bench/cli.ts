// Runs the built command line in a process of its own, with a hard kill timer.
import { fileURLToPath } from 'node:url';
import type { RunReport } from '#bench/cli/report.js';
import { type ChildResult, runCommand } from '../support/child.js';

export const MAIN: string = fileURLToPath(new URL('../../dist/bench/main.js', import.meta.url));

const KILL_AFTER_MS = 60_000;

export function tospace(...args: string[]): Promise<ChildResult> {
  return tospaceWithin(KILL_AFTER_MS, args);
}

function tospaceWithin(killAfterMs: number, args: readonly string[]): Promise<ChildResult> {
  return runCommand(process.execPath, [MAIN, ...args], killAfterMs);
}

/** Runs a workload with `--json`, and fails with the child's output if it did not succeed. */
export function report(...args: string[]): Promise<RunReport> {
  return reportWithin(KILL_AFTER_MS, ...args);
}

/** The same for a run that may take longer than most. */
export async function reportWithin(killAfterMs: number, ...args: string[]): Promise<RunReport> {
  const { status, signal, stdout, stderr } = await tospaceWithin(killAfterMs, ['run', ...args, '--json']);
  if (status !== 0) {
    throw new Error(`tospace run ${args.join(' ')}: status ${status}, signal ${signal}\n${stdout}${stderr}`);
  }
  return JSON.parse(stdout) as RunReport;
}
