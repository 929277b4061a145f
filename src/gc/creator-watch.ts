// A heap's workers belong to the thread that created it: where that is a worker thread and it is terminated, collector and fault servers
// end with it, all at once and without running a line. None of them is left to notice, and whoever sleeps in a fault cannot. So a thread
// that uses the heap of another worker thread has it watched, by a worker of its own that does nothing else.

import { threadId, Worker } from 'node:worker_threads';
import { TospaceError } from '../errors.ts';
import { COLLECTOR, W_TID } from '../heap/layout.ts';
import type { Tables } from '../heap/tables.ts';
import type { SharedHeap } from './shared-heap.ts';

/** The main thread, whose end is the process's: `threadId` there. */
const MAIN_THREAD = 0;

/** Heaps that are watched for this thread, by the thread ids of their collectors. */
const watched = new Set<number>();

/**
 * Has the heap's workers watched where they may end before this thread does. The watch ends with the heap or with this thread.
 * @throws TospaceError ERR_WORKER when no thread can be started; where it fails a moment later, that is a warning of the process.
 */
export function watchCreator(shared: SharedHeap, tables: Tables): void {
  if (shared.creator === MAIN_THREAD || shared.creator === threadId || shared.workers === 0) return;
  const collector = tables.workers[COLLECTOR]![W_TID]!;
  if (watched.has(collector)) return;
  let worker: Worker;
  try {
    worker = new Worker(new URL('./watch.js', import.meta.url), {
      workerData: shared,
      name: 'tospace-watch',
    });
  } catch (cause) {
    throw unwatched(cause);
  }
  watched.add(collector);
  // This thread may be using the heap by now, and is worse off only where the heap's creator is terminated.
  worker.once('error', (cause) => process.emitWarning(unwatched(cause)));
  worker.once('exit', () => watched.delete(collector));
  worker.unref();
}

function unwatched(cause: unknown): TospaceError {
  return new TospaceError('ERR_WORKER', "the watch over the workers of another thread's heap does not run", {
    hint: 'Look at the cause: a limit on threads, descriptors or memory is the usual one. Attach again to start another one.',
    cause,
  });
}
