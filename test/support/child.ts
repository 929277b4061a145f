// Runs what might block for ever where it can be killed. A thread blocked in a fault cannot be terminated, a process can.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ChildResult {
  /** The exit status; null when a signal ended the child. */
  readonly status: number | null;
  /** The signal that ended it; SIGKILL is what the timer sends. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const CHILD_TIMEOUT_MS = 20_000;

/** Runs a command to its end, or kills it after `timeoutMs`. Never rejects for what the command does. */
export function runCommand(
  command: string,
  args: readonly string[],
  timeoutMs: number = CHILD_TIMEOUT_MS,
): Promise<ChildResult> {
  return finish(spawnPiped(command, args), timeoutMs);
}

/** The same with a standard output that nobody reads: writing to it is EPIPE. */
export function runUnread(
  command: string,
  args: readonly string[],
  timeoutMs: number = CHILD_TIMEOUT_MS,
): Promise<ChildResult> {
  const child = spawnPiped(command, args);
  child.stdout!.destroy();
  return finish(child, timeoutMs);
}

function spawnPiped(command: string, args: readonly string[]): ChildProcess {
  return spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

function finish(child: ChildProcess, timeoutMs: number): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout!.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      stderr += chunk;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.on('error', (e) => {
      clearTimeout(timer);
      reject(e);
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ status, signal, stdout, stderr });
    });
  });
}

/** The path of a script in this folder. */
export function supportScript(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/**
 * Runs a scenario of a script in this folder in a process of its own and returns what it reports: the scenario prints one
 * line of JSON. Rejects with the child's output when it fails or has to be killed.
 */
export async function runScenario<T>(
  script: string,
  scenario: string,
  ...args: readonly string[]
): Promise<T> {
  const result = await runCommand(process.execPath, [supportScript(script), scenario, ...args]);
  if (result.status !== 0) {
    const how = result.signal === null ? `exited with ${result.status}` : `was ended by ${result.signal}`;
    throw new Error(`scenario ${scenario} ${how}\n${result.stdout}${result.stderr}`);
  }
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as T;
}
