// A lock in shared memory for rare registry updates. Not for hot paths, and never held across a safepoint.
//
// The word is 0 when the lock is free, else the holder's thread id and two flags:
//
//   bits 0..27   thread id     28   unused     29   REPAIRABLE     30   WAITERS: somebody sleeps on the word
//
// A thread may be terminated while it holds a lock. Who waits therefore looks now and then whether the holder still exists. What was
// half done under the lock of a dead thread decides: a section that may be left at any point, because its last store is what makes the
// rest count (REPAIRABLE), is taken over; otherwise the process is stopped, because nobody could tell what is damaged.

import { TospaceError } from '../errors.ts';

/** What a thread needs to use locks that outlive it, and to outlive other holders. */
export interface LockHost {
  /** The kernel's id of this thread. */
  readonly tid: number;
  threadExists(tid: number): boolean;
  /** The thread `tid` died within a section that cannot be repaired. Must not return. */
  holderDied(tid: number): void;
}

const REPAIRABLE = 1 << 29;
const WAITERS = 1 << 30;
const TID_MASK = (1 << 28) - 1;

/** A holder that nobody asks about: what a thread is before it is bound. */
const UNKNOWN_TID = TID_MASK;

/** How often a thread that waits looks whether the holder still exists, in milliseconds. */
const HOLDER_CHECK_MS = 50;

let host: LockHost = { tid: UNKNOWN_TID, threadExists: () => true, holderDied() {} };

/** Locks that this thread holds. */
let heldHere = 0;

/** Tells this module who its thread is. Once in every thread, before it takes a lock. */
export function bindLocks(to: LockHost): void {
  host = to;
}

/** Runs `body` while holding the lock at `words[index]`. A thread that is terminated in `body` stops the process. */
export function withLock<T>(words: Int32Array<SharedArrayBuffer>, index: number, body: () => T): T {
  return hold(words, index, host.tid, body);
}

/** The same for a `body` that may be left at any point without harm: when its thread is terminated, the next one takes the lock over. */
export function withRepairableLock<T>(words: Int32Array<SharedArrayBuffer>, index: number, body: () => T): T {
  return hold(words, index, host.tid | REPAIRABLE, body);
}

function hold<T>(words: Int32Array<SharedArrayBuffer>, index: number, mine: number, body: () => T): T {
  acquire(words, index, mine);
  heldHere++;
  try {
    return body();
  } finally {
    heldHere--;
    if ((Atomics.exchange(words, index, 0) & WAITERS) !== 0) Atomics.notify(words, index, 1);
  }
}

function acquire(words: Int32Array<SharedArrayBuffer>, index: number, mine: number): void {
  // Once it has slept, a thread takes the lock with WAITERS: others may sleep as well, and only a holder that knows of them wakes one.
  for (let word = mine; ; word = mine | WAITERS) {
    let held = Atomics.compareExchange(words, index, 0, word);
    if (held === 0) return;
    const holder = held & TID_MASK;
    // Or one that died and had the id of this thread: that one is dealt with below.
    if (holder === host.tid && holder !== UNKNOWN_TID && heldHere > 0) {
      throw new TospaceError('ERR_STATE', 'this thread would wait for a lock that it holds itself', {
        hint: 'Do not use the heap in a function that a table calls while it is locked: intern() compares in one.',
      });
    }
    if ((held & WAITERS) === 0) {
      if (Atomics.compareExchange(words, index, held, held | WAITERS) !== held) continue;
      held |= WAITERS;
    }
    // With a time limit also because the thread that was woken in our stead may have died of its own.
    if (Atomics.wait(words, index, held, HOLDER_CHECK_MS) !== 'timed-out') continue;
    if (holder === UNKNOWN_TID || (holder !== host.tid && host.threadExists(holder))) continue;
    if ((held & REPAIRABLE) === 0 && Atomics.load(words, index) === held) host.holderDied(holder);
    if (Atomics.compareExchange(words, index, held, mine | WAITERS) === held) return;
  }
}
