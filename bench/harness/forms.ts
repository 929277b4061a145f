// The forms of a workload as the harness runs them: on the managed heap in JavaScript, in a WebAssembly guest on it, on V8's own objects.

import { attachHeap, type SharedHeap } from 'tospace';
import { askForCycle } from '../cli/cycle-caller.ts';
import { GUESTS, runGuest } from '../guest/run.ts';
import { V8_WORKLOADS } from '../v8/index.ts';
import { findWorkload, WORKLOADS } from '../workloads/index.ts';
import type { Operations } from '../workloads/operations.ts';
import { combine, DEFAULT_LOAD } from '../workloads/workload.ts';
import type { Configuration, Form } from './schema.ts';

/** A workload in one thread, ready to run. */
export interface FormRun {
  /** Runs it and returns this thread's checksum. */
  run(operations: Operations): number | Promise<number>;
  /** How a wait is done; on the heap in a safe region. */
  readonly blocking: ((wait: () => void) => void) | undefined;
  close(): void;
}

export interface FormSetup {
  readonly thread: number;
  readonly shared: SharedHeap | undefined;
  readonly cycleCalls: SharedArrayBuffer | undefined;
  detail(name: string, value: unknown): void;
}

const FORMS: Readonly<Record<Exclude<Form, 'peer'>, readonly { readonly name: string }[]>> = {
  heap: WORKLOADS,
  guest: GUESTS.map((name) => ({ name })),
  v8: V8_WORKLOADS,
};

/** True when this build has the workload in this form. */
export function hasForm(workload: string, form: Form): boolean {
  return form !== 'peer' && FORMS[form].some(({ name }) => name === workload);
}

/** The checksum of a workload from those of its threads. */
export function combineChecksums(
  { workload }: Configuration,
  threads: readonly { readonly checksum: number }[],
): number {
  return combine(
    findWorkload(workload)!,
    threads.map(({ checksum }) => checksum),
  );
}

/** Makes a workload ready in the calling thread. */
export function openForm(configuration: Configuration, setup: FormSetup): FormRun {
  const { form, workload } = configuration;
  if (form === 'heap' || form === 'guest') return heapForm(configuration, setup);
  if (form === 'v8') return v8Form(configuration, setup);
  throw new Error(`${workload} has no form ${form}`);
}

function heapForm(
  { workload: name, form, seed, scale, liveBytes, threads }: Configuration,
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
        ...(liveBytes === null ? {} : { liveBytes }),
        ...(cycleCalls === undefined ? {} : { collect: askForCycle(cycleCalls) }),
      };
      return mutator.run(() =>
        mutator.scope(() => (form === 'guest' ? runGuest(name, context) : workload.run(context))),
      );
    },
    blocking: (wait) => mutator.blocking(wait),
    close: () => mutator.detach(),
  };
}

function v8Form(
  { workload: name, seed, scale, liveBytes, threads }: Configuration,
  { thread }: FormSetup,
): FormRun {
  const workload = V8_WORKLOADS.find((one) => one.name === name)!;
  const live = liveBytes === null ? {} : { liveBytes };
  return {
    run: (operations) =>
      workload.run({ seed, scale, threads, thread, operations, progress: () => {}, ...live }),
    blocking: undefined,
    close() {},
  };
}
