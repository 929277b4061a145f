// Entry point of the thread that watches the workers of a heap on behalf of a thread that only uses it: see creator-watch.ts.
//
// It may be terminated at any time, also while it starts: whoever attached exits when it likes. A thread that is terminated while it loads
// a native module takes the process with it, so this one loads none before there is a reason to, and asks /proc who is alive.

import { existsSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { CTL_CLOSING, T_STATE, T_TID, THREAD_FREE, W_STATE, W_TID, WORKER_ARMED } from '../heap/layout.ts';
import { Tables } from '../heap/tables.ts';
import type { SharedHeap } from './shared-heap.ts';

/** Milliseconds between two looks. */
const LOOK_MS = 250;

/** Milliseconds from the first sight of a death to the end of the process: where all is ending anyway, this thread ends in that time. */
const GRACE_MS = 1000;

const isAlive = (tid: number): boolean => existsSync(`/proc/self/task/${tid}`);

async function watch({ arena, workers }: SharedHeap): Promise<void> {
  const { control, threads, workers: records } = new Tables(arena.memory, arena.geometry);
  // The main thread is there as long as the process is. Where it cannot be seen nobody can.
  if (!isAlive(process.pid)) return;
  /** The thread id of a worker that ended without stopping, where anybody is left who uses the heap. */
  const findDead = (): number | undefined => {
    const dead = records.slice(0, workers).find((record) => {
      // Looked at twice, because it may have stopped, as it should, in between.
      const isArmed = (): boolean => Atomics.load(record, W_STATE) === WORKER_ARMED;
      return isArmed() && !isAlive(record[W_TID]!) && isArmed();
    });
    const isUsed = threads.some(
      (thread) => Atomics.load(thread, T_STATE) !== THREAD_FREE && isAlive(thread[T_TID]!),
    );
    return isUsed ? dead?.[W_TID] : undefined;
  };
  /** Sleeps; false when the heap closes, which is before its workers stop. */
  const stillOpenAfter = (ms: number): boolean => Atomics.wait(control, CTL_CLOSING, 0, ms) === 'timed-out';

  while (stillOpenAfter(LOOK_MS)) {
    if (findDead() === undefined || !stillOpenAfter(GRACE_MS)) continue;
    const tid = findDead();
    if (tid === undefined || Atomics.load(control, CTL_CLOSING) !== 0) continue;
    const { stopOrphans } = await import('./orphans.ts');
    stopOrphans(tid);
  }
}

await watch(workerData as SharedHeap);
