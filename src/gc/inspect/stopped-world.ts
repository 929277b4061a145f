// Looking at the whole heap from any thread: a consistent view is the heap with all mutators stopped and no cycle in progress.
//
// The thread that wants to look does it itself. It takes the world lock, so that no cycle begins and none is under way; then it stops the
// mutators by the protocol that the collector uses in its own pauses (heap/safepoint.ts), looks, and lets them go. The collector is not
// asked, so it works the same where there is none. What is read is read through the windows that mutators use: between cycles every page is
// there, and nothing is written.
//
// Who looks may be terminated (world-lock.ts says what happens then), and the heap may be closed meanwhile: close() waits for the look to
// end, and the look ends early when it sees that the heap is closed.

import { TospaceError } from '../../errors.ts';
import {
  CTL_HEAP_STATE,
  CTL_PHASE,
  HEAP_OPEN,
  PAUSE_INSPECT,
  PHASE_IDLE,
  T_NAME,
  T_STATE,
  T_TID,
  THREAD_RUNNING,
} from '../../heap/layout.ts';
import type { Mutator } from '../../heap/mutator.ts';
import { Safepoints } from '../../heap/safepoint.ts';
import type { RunBody } from '../../heap/bodies.ts';
import type { Tables } from '../../heap/tables.ts';
import type { ThreadHost } from '../../heap/thread.ts';
import { withThreadAtRest } from '../../heap/thread-mutators.ts';
import { readName } from '../../heap/thread-name.ts';
import type { Kernel } from '../../uffd/index.ts';
import { releaseIfDead, reportSlow } from '../cycle.ts';
import type { ResolvedOptions } from '../options.ts';
import { Peers } from '../peers.ts';
import { isLooking, withLook } from '../world-lock.ts';

/** The thread that looks, and the heap it looks at. */
export interface Inspector {
  readonly kernel: Kernel;
  readonly tables: Tables;
  readonly workers: number;
  readonly options: Pick<ResolvedOptions, 'safepointWarnMs' | 'safepointTimeoutMs'>;
  /** This thread. */
  readonly host: Pick<ThreadHost, 'tid' | 'assertCollectorAlive'>;
  /** Mutators of this thread, those of this view of the heap. */
  readonly mutators: Iterable<Mutator>;
}

const closed = (): TospaceError =>
  new TospaceError('ERR_STATE', 'the heap is closed', { hint: 'Look at a heap before it is closed.' });

/** Throws when the heap was closed since: for whoever looks at it for long. */
export function assertStillOpen(control: Int32Array<SharedArrayBuffer>): void {
  if (Atomics.load(control, CTL_HEAP_STATE) !== HEAP_OPEN) throw closed();
}

/**
 * Runs `body` while all mutators are stopped, this thread's too, and no cycle is in progress. For a thread that runs as a mutator this is a
 * safepoint.
 * @throws TospaceError ERR_TIMEOUT when a thread does not stop, ERR_STATE when the heap is closed or this thread looks at one already, ERR_WORKER
 * when the collector has died; or what `body` throws. The mutators run on in any case.
 */
export function inspect<T>(inspector: Inspector, body: () => T): T {
  const { tables, host, mutators, workers } = inspector;
  const { control } = tables;
  // At another one neither: two threads that each look at the other's heap would wait for each other.
  if (isLooking()) {
    throw new TospaceError('ERR_STATE', 'this thread is looking at a heap already', {
      hint: 'Take no snapshot inside whileStopped.',
    });
  }
  const peers = new Peers(inspector);
  const stillWaiting = (): void => {
    assertStillOpen(control);
    peers.assertAlive();
  };
  const look = (): T =>
    withLook(control, host.tid, workers > 0, stillWaiting, () => {
      assertStillOpen(control);
      if (Atomics.load(control, CTL_PHASE) !== PHASE_IDLE) {
        throw new TospaceError('ERR_WORKER', 'the collector has died in the middle of a cycle', {
          hint: 'The heap cannot go on; see what it reported on standard error.',
        });
      }
      return stopped(inspector, peers, body);
    });
  // This thread may run as a mutator of the heap, by this view of it or by another: a cycle that has the world, or another thread's look,
  // must not wait for it. Where one is ours it is told, as of any safepoint; all others come with it.
  const running = [...mutators].find((m) => tables.threads[m.index]![T_STATE] === THREAD_RUNNING);
  return running === undefined
    ? withThreadAtRest(tables, host.tid, () => host.assertCollectorAlive(), look)
    : running.blocking(look as RunBody<T>);
}

function stopped<T>({ tables, options }: Inspector, peers: Peers, body: () => T): T {
  const warned = new Set<number>();
  let gaveUp: unknown;
  const patience = (index: number, waitedMs: number): boolean => {
    const thread = tables.threads[index]!;
    const tid = thread[T_TID]!;
    try {
      assertStillOpen(tables.control);
      peers.assertAlive();
    } catch (error) {
      gaveUp = error;
      return false;
    }
    if (releaseIfDead(tables, peers, index)) return true;
    if (waitedMs > options.safepointWarnMs && !warned.has(index)) {
      warned.add(index);
      reportSlow(thread, waitedMs, 'a heap snapshot');
    }
    if (options.safepointTimeoutMs === 0 || waitedMs <= options.safepointTimeoutMs) return true;
    gaveUp = new TospaceError(
      'ERR_TIMEOUT',
      `"${readName(thread, T_NAME) || `thread ${tid}`}" (thread id ${tid}) did not reach a safepoint within ${Math.round(waitedMs)} ms: ` +
        'the heap was not looked at',
      {
        hint:
          'Call mutator.safepoint() in long loops, and leave() or blocking() before that thread waits for anything; or raise ' +
          'safepointTimeoutMs.',
      },
    );
    return false;
  };
  const safepoints = new Safepoints(tables.control, tables.threads, patience);
  try {
    // Whatever comes of it, the others go on.
    if (!safepoints.stop(PAUSE_INSPECT)) throw gaveUp;
    return body();
  } finally {
    safepoints.resume();
  }
}
