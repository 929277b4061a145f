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
import { assertStackRoom } from './stack-room.ts';
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

/** Waits of this thread that are under way and took mutators along which run. */
let waits = 0;

/** True while a mutator of this thread may be in a safe region because the thread waits, and comes back from it by itself. */
export function othersRest(): boolean {
  return waits > 0;
}

/** Takes `others` along into the safe region, until {@link noteReturn}. */
export function takeAlong(control: ThreadRecord, others: readonly ThreadRecord[]): void {
  if (others.length > 0) waits++;
  for (const record of others) rest(control, record);
}

export function noteReturn(others: readonly ThreadRecord[]): void {
  if (others.length > 0) waits--;
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
  // Resting already, it has put it away.
  if (record[T_LIMIT] !== 0) record[T_RESTING_LIMIT] = record[T_LIMIT]!;
  record[T_LIMIT] = 0;
  park(control, record, THREAD_SAFE);
}

/** After the safe region: takes the limit back, unless the collector retired the buffer meanwhile. */
export function restoreLimit(record: ThreadRecord): void {
  if (record[T_CURSOR] !== 0) record[T_LIMIT] = record[T_RESTING_LIMIT]!;
}

export function isHeapOpen(control: ThreadRecord): boolean {
  return Atomics.load(control, CTL_HEAP_STATE) === HEAP_OPEN;
}

export function heapClosed(): TospaceError {
  return new TospaceError('ERR_STATE', 'the heap is closed', {
    hint: 'Create a new heap; references and handles of this one mean nothing any more.',
  });
}

/**
 * For `records`, just taken to the state RUNNING. close() writes the heap's state and then looks at theirs, so one of the two sees the other.
 * One that was refused opens the heap again at any time: `retry` is to take them to RUNNING once more, and on `closed` they rest, whatever
 * the heap's state is a moment later.
 */
export function stillOpen(
  control: ThreadRecord,
  records: readonly ThreadRecord[],
): 'open' | 'closed' | 'retry' {
  if (isHeapOpen(control)) return 'open';
  for (const record of records) rest(control, record);
  return isHeapOpen(control) ? 'retry' : 'closed';
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
  assertStackRoom();
  takeAlong(control, records);
  try {
    return body();
  } finally {
    noteReturn(records);
    comeBack(control, records, stillWaiting);
  }
}

function comeBack(control: ThreadRecord, records: readonly ThreadRecord[], stillWaiting: () => void): void {
  let state: ReturnType<typeof stillOpen>;
  do {
    resumeRunning(control, records, THREAD_SAFE, stillWaiting);
    state = stillOpen(control, records);
  } while (state === 'retry');
  if (state === 'closed') throw heapClosed();
  for (const record of records) restoreLimit(record);
}
