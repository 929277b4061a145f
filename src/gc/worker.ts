// Entry point of the heap's worker threads: one piscina task each, which lasts as long as the heap.

import { workerData } from 'node:worker_threads';
import { COLLECTOR, W_STATE, W_TID, WORKER_FAILED, WORKER_NONE, WORKER_STOPPED } from '../heap/layout.ts';
import { createLibcKernel } from '../uffd/index.ts';
import { collect } from './collector.ts';
import type { CrewData } from './crew.ts';
import { WorkerContext, type WorkerSetup } from './context.ts';
import { failStop } from './fail-stop.ts';
import { serve } from './server.ts';

const { ended } = workerData as CrewData;

/** Runs the collector or a fault server until the heap closes. */
export default function run(setup: WorkerSetup): void {
  const who = setup.worker === COLLECTOR ? 'the collector' : `fault server ${setup.worker}`;
  let context: WorkerContext | undefined;
  try {
    context = new WorkerContext(setup);
    context.record[W_TID] = context.kernel.gettid();
    if (setup.worker === COLLECTOR) collect(context, setup.events);
    else serve(context, setup);
    Atomics.store(context.record, W_STATE, WORKER_STOPPED);
    Atomics.notify(context.record, W_STATE);
  } catch (error) {
    // A worker that was never armed serves nobody yet: its error goes to whoever creates the heap.
    if (context === undefined || Atomics.load(context.record, W_STATE) === WORKER_NONE) {
      // A creator that exits learns it from nothing else.
      Atomics.store(ended, setup.worker, 1);
      throw error;
    }
    Atomics.store(context.record, W_STATE, WORKER_FAILED);
    failStop(createLibcKernel(), who, error);
  }
}
