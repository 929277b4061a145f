// The forms of a workload as the harness runs them: on the managed heap in JavaScript, in a WebAssembly guest on it, on V8's own objects.

import { attachHeap, type SharedHeap } from 'tospace';
import { askForCycle } from '../cli/cycle-caller.ts';
import type { Operations } from '../workloads/operations.ts';
import { findWorkload, WORKLOADS } from '../workloads/index.ts';
import { DEFAULT_LOAD } from '../workloads/workload.ts';
import type { Configuration, Form } from './schema.ts';

/** A workload in one thread, ready to run. */
export interface FormRun {
  /** Runs it and returns this thread's checksum. */
  run(operations: Operations): number;
  /** How a wait is done; on the heap in a safe region. */
  blocking(wait: () => void): void;
  close(): void;
}

export interface FormSetup {
  readonly thread: number;
  readonly shared: SharedHeap | undefined;
  readonly cycleCalls: SharedArrayBuffer | undefined;
  detail(name: string, value: unknown): void;
}

/** True when this build has the workload in this form. */
export function hasForm(workload: string, form: Form): boolean {
  return form === 'heap' && WORKLOADS.some(({ name }) => name === workload);
}

/** The checksum of a workload of those of its threads. */
export function combineChecksums(
  _configuration: Configuration,
  threads: readonly { readonly thread: number; readonly checksum: number }[],
): number {
  return threads[0]!.checksum;
}

/** Makes a workload ready in the calling thread. */
export async function findForm(configuration: Configuration, setup: FormSetup): Promise<FormRun> {
  if (configuration.form === 'heap') return heapForm(configuration, setup);
  throw new Error(`${configuration.workload} has no form ${configuration.form}`);
}

function heapForm(
  { workload: name, seed, scale, threads }: Configuration,
  { thread, shared, cycleCalls, detail }: FormSetup,
): FormRun {
  const workload = findWorkload(name)!;
  const heap = attachHeap(shared!);
  const mutator = heap.attach({ name: `${name} ${thread}`.slice(0, 20) });
  return {
    run(operations) {
      const context = {
        heap,
        mutator,
        seed,
        scale,
        threads,
        thread,
        operations,
        load: DEFAULT_LOAD,
        detail,
        progress: () => {},
        ...(cycleCalls === undefined ? {} : { collect: askForCycle(cycleCalls) }),
      };
      return mutator.run(() => mutator.scope(() => workload.run(context)));
    },
    blocking: (wait) => mutator.blocking(wait),
    close: () => mutator.detach(),
  };
}
