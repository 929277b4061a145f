// Who has the world. The collector holds this lock during a cycle, and a thread that looks at the stopped heap (inspect/) while it does so:
// between cycles no page is missing, nothing is half moved, and whoever has the lock is the only one who may stop the mutators.
//
// The thread that looks may be terminated meanwhile. It leaves the lock, which the next one takes over, and the mutators stopped. So
// whoever gets the lock ends such a stop first; and because nobody may want it while all stand still, a mutator that waits for the
// end of a stop looks now and then whether the one who asked for it still exists.

import {
  CTL_INSPECTOR_TID,
  CTL_POLL,
  CTL_STOP,
  CTL_WORLD_LOCK,
  PAUSE_INSPECT,
  PAUSE_NONE,
} from '../heap/layout.ts';
import { withRepairableLock } from '../heap/lock.ts';
import type { Peers } from './peers.ts';

/** Runs `body` while nobody else begins a cycle or looks at the heap. Waits for a cycle that is under way. */
export function withWorld<T>(control: Int32Array<SharedArrayBuffer>, body: () => T): T {
  return withRepairableLock(control, CTL_WORLD_LOCK, () => {
    if (Atomics.load(control, CTL_STOP) === PAUSE_INSPECT) {
      Atomics.store(control, CTL_INSPECTOR_TID, 0);
      Atomics.store(control, CTL_POLL, 0);
      Atomics.store(control, CTL_STOP, PAUSE_NONE);
      Atomics.notify(control, CTL_STOP);
    }
    return body();
  });
}

/** On a thread that waits for the end of a stop: ends it when the thread that asked for it to look at the heap is gone. */
export function endDeadInspection(control: Int32Array<SharedArrayBuffer>, peers: Peers): void {
  if (Atomics.load(control, CTL_STOP) !== PAUSE_INSPECT) return;
  const tid = Atomics.load(control, CTL_INSPECTOR_TID);
  if (tid === 0 || peers.threadExists(tid)) return;
  withWorld(control, () => {});
}
