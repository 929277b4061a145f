// Where the fault servers run. When a mutator faults its CPU is free, and a server that may run there answers several times faster
// than one that another CPU must be woken for (docs/architecture.md has the figures). Before every flip the collector therefore moves
// each server to the CPU on which one of the mutators was last seen.

import { TospaceError } from '../errors.ts';
import { COLLECTOR, T_CPU, T_STATE, THREAD_RUNNING, W_CPU, W_TID } from '../heap/layout.ts';
import { allowedCpus, EPERM, pin } from '../uffd/index.ts';
import type { WorkerContext } from './context.ts';

/**
 * Moves the servers that are not where a mutator is. Costs a system call for each move. Placement makes faults faster and nothing else:
 * where a sandbox refuses these calls the servers stay where they are, no cycle is given up for it, and `heap.mode` says so.
 */
export function placeServers(context: WorkerContext): void {
  try {
    place(context);
  } catch (error) {
    if (!(error instanceof TospaceError)) throw error;
    // Where a CPU would be: the record of the first server says it for all.
    if (context.workers > COLLECTOR + 1)
      Atomics.store(context.tables.workers[COLLECTOR + 1]!, W_CPU, -(error.errno ?? EPERM));
  }
}

function place(context: WorkerContext): void {
  const { tables, kernel, workers, options } = context;
  if (options.placement !== 'mutator' || allowed(context).length < 2) return;
  // Threads that run are the ones that will fault first.
  const threads = [...tables.attached()].map((i) => tables.threads[i]!);
  const running = threads.filter((thread) => Atomics.load(thread, T_STATE) === THREAD_RUNNING);
  // Each CPU once: where there are as many servers as CPUs with mutators, each of these gets one.
  const cpus = [...new Set((running.length > 0 ? running : threads).map((thread) => thread[T_CPU]!))];
  if (cpus.length === 0) return;
  for (let i = COLLECTOR + 1; i < workers; i++) {
    const record = tables.workers[i]!;
    const cpu = cpus[(i - 1) % cpus.length]!;
    // Stored plus 1: 0 is "never placed".
    if (record[W_CPU] === cpu + 1) continue;
    // Negative where the kernel would not say.
    if (cpu < 0) continue;
    pin(kernel, record[W_TID]!, [cpu]);
    record[W_CPU] = cpu + 1;
  }
}

let cpuList: readonly number[] | undefined;

function allowed(context: WorkerContext): readonly number[] {
  cpuList ??= allowedCpus(context.kernel);
  return cpuList;
}
