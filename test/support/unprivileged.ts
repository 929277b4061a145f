// Running as nobody. As root, the tests become nobody to see it; otherwise they are enough of one.
import { fileURLToPath } from 'node:url';
import { type ChildResult, runCommand, supportScript } from './child.ts';

export const isRoot: boolean = process.getuid?.() === 0;
const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--'];

export function runUnprivileged(command: string, ...args: readonly string[]): Promise<ChildResult> {
  return isRoot ? runCommand('setpriv', [...asNobody, command, ...args]) : runCommand(command, args);
}

/** Why nobody cannot run the tests' scripts: kept out of the working copy or of node, or (without util-linux) never coming to be. */
export async function unprivilegedObstacle(): Promise<string | undefined> {
  const needed = [
    process.execPath,
    fileURLToPath(import.meta.resolve('koffi')),
    supportScript('unprivileged.mjs'),
  ];
  for (const file of needed) {
    const result = await runUnprivileged('test', '-r', file).catch((e: Error) => e);
    if (result instanceof Error) return `setpriv cannot be run: ${result.message}`;
    if (result.status !== 0) return `an unprivileged user cannot read ${file}: ${result.stderr}`;
  }
  return undefined;
}
