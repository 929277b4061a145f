// Runs a built example in a process of its own, with a hard kill timer.
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { type ChildResult, runCommand, runUnread } from '../support/child.ts';

/** Only a hang is meant to meet it: some examples have six busy threads, and share the machine. */
const KILL_AFTER_MS = 50_000;
vi.setConfig({ testTimeout: KILL_AFTER_MS + 10_000 });

export function example(name: string, ...args: string[]): Promise<ChildResult> {
  const main = fileURLToPath(new URL(`../../dist/examples/${name}/main.js`, import.meta.url));
  return runCommand(process.execPath, [main, ...args], KILL_AFTER_MS);
}

/** What the example prints with `--json`; fails with its output if it did not succeed. */
export async function exampleReport<Report>(name: string, ...args: string[]): Promise<Report> {
  const { status, signal, stdout, stderr } = await example(name, ...args, '--json');
  if (status !== 0)
    throw new Error(`${name} ${args.join(' ')}: status ${status}, signal ${signal}\n${stdout}${stderr}`);
  return JSON.parse(stdout) as Report;
}

/** Runs an example as people do, with an output that nobody reads. */
export function exampleUnread(name: string, ...args: string[]): Promise<ChildResult> {
  const script = fileURLToPath(new URL('../../scripts/example.mjs', import.meta.url));
  return runUnread(process.execPath, [script, name, ...args], KILL_AFTER_MS);
}
