// Entry point of the thread that watches the workers of a heap on behalf of a thread that only uses it: see creator-watch.ts.

import { workerData } from 'node:worker_threads';
import { TospaceError } from '../errors.ts';
import { CTL_CLOSING, T_STATE, T_TID, THREAD_FREE } from '../heap/layout.ts';
import { Tables } from '../heap/tables.ts';
import { createLibcKernel } from '../uffd/index.ts';
import { failStop } from './fail-stop.ts';
import type { SharedHeap } from './shared-heap.ts';
import { Peers } from './peers.ts';

/** Milliseconds between two looks. */
const LOOK_MS = 250;

/** Milliseconds from the first sight of a death to the end of the process: where all is ending anyway, this thread ends in that time. */
const GRACE_MS = 1000;

function watch({ arena, workers }: SharedHeap): void {
  const kernel = createLibcKernel();
  const tables = new Tables(arena.memory, arena.geometry);
  const peers = new Peers({ kernel, tables, workers });
  /** What is wrong, where anybody is left who uses the heap. */
  const death = (): unknown => {
    try {
      peers.assertAlive();
    } catch (error) {
      const isUsed = tables.threads.some(
        (thread) => Atomics.load(thread, T_STATE) !== THREAD_FREE && peers.threadExists(thread[T_TID]!),
      );
      if (isUsed) return error;
    }
    return undefined;
  };
  /** Sleeps; false when the heap closes, which is before its workers stop. */
  const stillOpenAfter = (ms: number): boolean =>
    Atomics.wait(tables.control, CTL_CLOSING, 0, ms) === 'timed-out';

  while (stillOpenAfter(LOOK_MS)) {
    if (death() === undefined || !stillOpenAfter(GRACE_MS)) continue;
    const cause = death();
    if (cause === undefined || Atomics.load(tables.control, CTL_CLOSING) !== 0) continue;
    const error = new TospaceError(
      'ERR_WORKER',
      'the thread that created a heap has ended, and its workers with it',
      {
        cause,
        hint: 'Create heaps on a thread that outlives their users (the main thread does), and close them before it ends.',
      },
    );
    failStop(kernel, 'the heap of another thread', error);
  }
}

watch(workerData as SharedHeap);
