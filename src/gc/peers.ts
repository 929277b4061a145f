// Workers watch each other: a thread that dies without running any code of ours (terminated, out of memory) would leave a mutator
// asleep in a fault, or a collector waiting for a page, for ever. Whoever waits looks now and then whether the others' threads exist.

import { readFileSync } from 'node:fs';
import { TospaceError } from '../errors.ts';
import { bindLocks } from '../heap/lock.ts';
import { COLLECTOR, W_STATE, W_TID, WORKER_ARMED, WORKER_FAILED } from '../heap/layout.ts';
import type { Tables } from '../heap/tables.ts';
import { ESRCH, type Kernel } from '../uffd/index.ts';
import { failStop } from './fail-stop.ts';

/** Among the flags of a task: it will run nothing of its program any more (include/linux/sched.h; in /proc since Linux 2.6). */
const PF_EXITING = 4;
/** Where the flags are in /proc/self/task/TID/stat, behind the name in brackets. */
const FLAGS_FIELD = 6;

/**
 * Whether a thread that the kernel still knows is ending. Who waited for the end of a worker is told so before the kernel forgets its thread:
 * by the clearing of its thread id (mm_release in kernel/fork.c), which comes between the two.
 */
function isExiting(tid: number): boolean {
  let stat: string;
  try {
    stat = readFileSync(`/proc/self/task/${tid}/stat`, 'latin1');
  } catch {
    // Gone since, which the next look finds; or there is no /proc, and what the kernel said stands.
    return false;
  }
  const flags = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[FLAGS_FIELD];
  return (Number(flags) & PF_EXITING) !== 0;
}

/** The heap whose threads are watched, as any thread knows it. */
interface Threads {
  readonly kernel: Kernel;
  readonly tables: Tables;
  /** Number of workers, the collector included. */
  readonly workers: number;
}

export class Peers {
  readonly #context: Threads;
  readonly #pid: number;

  constructor(context: Threads) {
    this.#context = context;
    this.#pid = context.kernel.getpid();
  }

  /** True when the thread `tid` of this process exists and is not exiting. Some 20 µs. */
  threadExists(tid: number): boolean {
    return this.#context.kernel.tgkill(this.#pid, tid, 0) !== -ESRCH && !isExiting(tid);
  }

  /** Throws ERR_WORKER when a worker that was armed is gone or has failed. */
  assertAlive(): void {
    for (let i = 0; i < this.#context.workers; i++) {
      const record = this.#context.tables.workers[i]!;
      const state = Atomics.load(record, W_STATE);
      // Looked at again, because it may have stopped, as it should, between the two questions.
      const gone =
        state === WORKER_ARMED &&
        !this.threadExists(record[W_TID]!) &&
        Atomics.load(record, W_STATE) === WORKER_ARMED;
      if (state === WORKER_FAILED || gone) {
        const name = i === COLLECTOR ? 'the collector' : `fault server ${i}`;
        throw new TospaceError('ERR_WORKER', `${name} (thread ${record[W_TID]}) is gone`, {
          hint: 'The heap cannot go on. Look for what ended the thread: a worker limit, process.exit() in a worker, or an earlier report.',
        });
      }
    }
  }
}

/** Makes the locks of this thread survive other threads' deaths, or stop the process where that would not be safe. */
export function bindLocksOf(context: Threads): void {
  const { kernel } = context;
  const peers = new Peers(context);
  bindLocks({
    tid: kernel.gettid(),
    threadExists: (tid) => peers.threadExists(tid),
    holderDied: (tid) =>
      failStop(
        kernel,
        'a thread that waits for a lock of the heap',
        new TospaceError('ERR_WORKER', `thread ${tid} ended while it held the lock`, {
          hint: 'Do not terminate threads while they register types or make objects; let them return from run() first.',
        }),
        'what the lock protects may be half written',
      ),
  });
}
