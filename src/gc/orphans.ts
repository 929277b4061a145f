// The end of a process whose threads use a heap that has lost its workers (watch.ts, which loads this when it has come to that).

import { TospaceError } from '../errors.ts';
import { createLibcKernel } from '../uffd/index.ts';
import { failStop } from './fail-stop.ts';

/** @param tid of a worker that is gone. */
export function stopOrphans(tid: number): never {
  const error = new TospaceError(
    'ERR_WORKER',
    `the thread that created a heap has ended, and its workers with it (thread ${tid} is gone)`,
    {
      hint: 'Create heaps on a thread that outlives their users (the main thread does), and close them before it ends.',
    },
  );
  failStop(createLibcKernel(), 'the heap of another thread', error);
}
