// Scenarios of the conformance suite that may block or end a process, or that need a Node of their own.
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../support/child.ts';

/**
 * Runs a scenario of a script in this folder in a process of its own and returns what it reports: the scenario prints one
 * line of JSON. Rejects with the child's output when it fails or has to be killed (after 20 s).
 * @param nodeOptions command-line options of Node itself
 */
export async function runKernelScenario<T>(
  script: string,
  args: readonly string[] = [],
  nodeOptions: readonly string[] = [],
): Promise<T> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const result = await runCommand(process.execPath, [...nodeOptions, path, ...args]);
  if (result.status !== 0) {
    const how = result.signal === null ? `exited with ${result.status}` : `was ended by ${result.signal}`;
    throw new Error(`scenario ${args[0] ?? script} ${how}\n${result.stdout}${result.stderr}`);
  }
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as T;
}
