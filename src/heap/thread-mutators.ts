// Several mutators of one thread: libraries that attach each for itself, say, or two views of a heap on one thread. Any of them may run inside
// another's run(). But it is the thread that waits: while one of them is stopped, collects or lets the thread block, the others reach no
// safepoint, and a pause that waited for them would wait for itself. So where the thread waits, all of its mutators that run go into a
// safe region together, and they leave it together. A safepoint of one is a safepoint of all.
//
// They are told apart from other threads' by the thread id in their records, so that it does not matter who attached them.

import { TospaceError } from '../errors.ts';
import {
  CTL_HEAP_STATE,
  HEAP_OPEN,
  T_CURSOR,
  T_LIMIT,
  T_RESTING_LIMIT,
  T_STATE,
  T_TID,
  THREAD_RUNNING,
  THREAD_SAFE,
} from './layout.ts';
import { park, resumeRunning } from './safepoint.ts';
import type { Tables } from './tables.ts';

type ThreadRecord = Int32Array<SharedArrayBuffer>;

/** Mutators that this thread has attached, of all heaps: with one, nobody looks for others. */
let attachedHere = 0;

export function noteAttached(): void {
  attachedHere++;
}

export function noteDetached(): void {
  attachedHere--;
}

const NONE: readonly ThreadRecord[] = [];

/** Records of the mutators of this thread, `tid`, that run; without `besides`. */
export function runningHere(tables: Tables, tid: number, besides?: ThreadRecord): readonly ThreadRecord[] {
  if (attachedHere === 0 || (attachedHere === 1 && besides !== undefined)) return NONE;
  return tables.threads.filter(
    (record) => record !== besides && record[T_TID] === tid && record[T_STATE] === THREAD_RUNNING,
  );
}

/** Enters the safe region. The buffer's limit is put away, so that an allocation there takes the slow path, which refuses it. */
export function rest(control: ThreadRecord, record: ThreadRecord): void {
  record[T_RESTING_LIMIT] = record[T_LIMIT]!;
  record[T_LIMIT] = 0;
  park(control, record, THREAD_SAFE);
}

/** After the safe region: takes the limit back, unless the collector retired the buffer meanwhile. */
export function restoreLimit(record: ThreadRecord): void {
  if (record[T_CURSOR] !== 0) record[T_LIMIT] = record[T_RESTING_LIMIT]!;
}

/** Throws unless the heap is open. */
export function assertHeapOpen(control: ThreadRecord): void {
  if (Atomics.load(control, CTL_HEAP_STATE) === HEAP_OPEN) return;
  throw new TospaceError('ERR_STATE', 'the heap is closed', {
    hint: 'Create a new heap; references and handles of this one mean nothing any more.',
  });
}

/**
 * Runs `body`, which waits for other threads, while no mutator of this thread runs: for who waits without being one of them.
 * @param stillWaiting see {@link resumeRunning}
 * @throws TospaceError ERR_STATE when mutators of this thread ran and the heap was closed meanwhile; or what `body` throws.
 */
export function withThreadAtRest<T>(tables: Tables, tid: number, stillWaiting: () => void, body: () => T): T {
  const { control } = tables;
  const records = runningHere(tables, tid);
  if (records.length === 0) return body();
  for (const record of records) rest(control, record);
  try {
    return body();
  } finally {
    resumeRunning(control, records, THREAD_SAFE, stillWaiting);
    if (Atomics.load(control, CTL_HEAP_STATE) !== HEAP_OPEN)
      for (const record of records) park(control, record, THREAD_SAFE);
    assertHeapOpen(control);
    for (const record of records) restoreLimit(record);
  }
}
