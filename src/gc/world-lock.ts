// Who has the world. The collector holds this lock during a cycle, and a thread that looks at the stopped heap (inspect/) while it does so:
// between cycles no page is missing, nothing is half moved, and whoever has the lock is the only one who may stop the mutators.
//
// The lock is not fair. A cycle that was asked for goes before looks that begin later, or a thread that looks again and again would keep
// the collector out, and with it everybody who waits for room. A look waits for that one cycle and for no later one.
//
// The thread that looks may be terminated meanwhile. It leaves the lock, which the next one takes over, and the mutators stopped. So
// whoever gets the lock ends such a stop first; and because nobody may want it while all stand still, a mutator that waits for the
// end of a stop looks now and then whether the one who asked for it still exists.

import {
  CTL_CYCLES_ASKED,
  CTL_CYCLES_DONE,
  CTL_INSPECTOR_TID,
  CTL_POLL,
  CTL_STOP,
  CTL_WORLD_LOCK,
  PAUSE_INSPECT,
  PAUSE_NONE,
} from '../heap/layout.ts';
import { withRepairableLock } from '../heap/lock.ts';
import { waitWhile } from '../heap/spin.ts';
import type { Peers } from './peers.ts';

type Control = Int32Array<SharedArrayBuffer>;

/** How often a thread that lets a cycle go first looks whether there is still a collector to run it, in milliseconds. */
const CYCLE_CHECK_MS = 100;

/** Looks of this thread that are under way, at whatever heaps. */
let looks = 0;

/** Runs `body` while nobody else begins a cycle or looks at the heap. Waits for a cycle that is under way. */
export function withWorld<T>(control: Control, body: () => T): T {
  return withRepairableLock(control, CTL_WORLD_LOCK, () => {
    // Whoever looked last was terminated if it is still there: it must not be taken for a later thread with the same id.
    if (Atomics.exchange(control, CTL_INSPECTOR_TID, 0) !== 0) Atomics.notify(control, CTL_INSPECTOR_TID);
    endInspection(control);
    return body();
  });
}

/** Lets the mutators go on that a thread stopped which looks no more. The caller has the world. */
function endInspection(control: Control): void {
  if (Atomics.load(control, CTL_STOP) !== PAUSE_INSPECT) return;
  Atomics.store(control, CTL_POLL, 0);
  Atomics.store(control, CTL_STOP, PAUSE_NONE);
  Atomics.notify(control, CTL_STOP);
}

/** Waits for the cycle that answers what was asked for until now. */
function letCycleGoFirst(control: Control, stillWaiting: () => void): void {
  const ticket = Atomics.load(control, CTL_CYCLES_ASKED);
  for (;;) {
    const done = Atomics.load(control, CTL_CYCLES_DONE);
    if (((done - ticket) | 0) >= 0) return;
    stillWaiting();
    waitWhile(control, CTL_CYCLES_DONE, done, CYCLE_CHECK_MS);
  }
}

/**
 * Runs `body` with the world in the hands of this thread, `tid`, which is known to look at the heap meanwhile.
 * @param collects whether there is a collector.
 * @param stillWaiting called now and then while it waits for a cycle; throws when the heap is closed or the collector gone.
 */
export function withLook<T>(
  control: Control,
  tid: number,
  collects: boolean,
  stillWaiting: () => void,
  body: () => T,
): T {
  if (collects) letCycleGoFirst(control, stillWaiting);
  return withWorld(control, () => {
    // Before the heap's state is looked at: close() writes the state and then looks at this word, so that one of the two sees the other.
    Atomics.store(control, CTL_INSPECTOR_TID, tid);
    looks++;
    try {
      return body();
    } finally {
      looks--;
      Atomics.store(control, CTL_INSPECTOR_TID, 0);
      Atomics.notify(control, CTL_INSPECTOR_TID);
    }
  });
}

/** True when this thread is looking at a heap. */
export function isLooking(): boolean {
  return looks > 0;
}

/** True when this thread, `tid`, is looking at the heap: in whatever it does now, it would wait for itself. */
export function looksHere(control: Control, tid: number): boolean {
  return looks > 0 && Atomics.load(control, CTL_INSPECTOR_TID) === tid;
}

/** On a thread that exits, perhaps in the middle of a look of its own, which will not end: gives the world back. */
export function abandonLook(control: Control, tid: number): void {
  if (!looksHere(control, tid)) return;
  // Nobody would do it later: with the inspector's word goes what tells that there was one.
  endInspection(control);
  Atomics.store(control, CTL_INSPECTOR_TID, 0);
  Atomics.store(control, CTL_WORLD_LOCK, 0);
  Atomics.notify(control, CTL_WORLD_LOCK);
}

/** On a thread that waits for the end of a stop: ends it when the thread that asked for it to look at the heap is gone. */
export function endDeadInspection(control: Control, peers: Peers): void {
  if (Atomics.load(control, CTL_STOP) !== PAUSE_INSPECT) return;
  const tid = Atomics.load(control, CTL_INSPECTOR_TID);
  if (tid === 0 || peers.threadExists(tid)) return;
  withWorld(control, () => {});
}
