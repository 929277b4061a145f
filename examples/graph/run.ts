// All sides, in all rounds, in turns: each time in a process of its own, so that none inherits memory or compiled code from another.
import { fork } from 'node:child_process';
import { decodeError, TospaceError } from 'tospace/uffd';
import { type Machine, thisMachine } from '../support/machine.ts';
import type { SideResult } from './measure-side.ts';
import type { GraphOptions } from './options.ts';
import type { SideMessage, SideOrder } from './side-process.ts';
import { SIDE_NAMES, type SideName } from './sides.ts';

export interface GraphReport {
  readonly machine: Machine;
  readonly options: GraphOptions;
  readonly wallMs: number;
  /** In the order in which they ran. */
  readonly results: readonly SideResult[];
}

/** @param onStart is told before each side */
export async function run(
  options: GraphOptions,
  onStart: (side: SideName, round: number) => void,
): Promise<GraphReport> {
  const start = performance.now();
  const results: SideResult[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const side of SIDE_NAMES) {
      onStart(side, round);
      results.push(await runSide({ side, options }));
    }
  }
  return { machine: thisMachine(), options, wallMs: performance.now() - start, results };
}

function runSide(order: SideOrder): Promise<SideResult> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('./side-process.js', import.meta.url), { serialization: 'advanced' });
    child.once('message', (message: SideMessage) => {
      if ('error' in message) reject(decodeError(message.error));
      else resolve(message.result);
    });
    child.once('error', reject);
    child.once('exit', (status, signal) =>
      // After a message this comes too late to matter.
      reject(
        new TospaceError('ERR_WORKER', `the process of the side ${order.side} ended: ${signal ?? status}`, {
          hint: 'What it wrote to standard error says why; a SIGKILL may mean that the system has too little memory.',
        }),
      ),
    );
    child.send(order);
  });
}
