// Priority in pauses: while a short pause lasts, the collector and the mutators that are to stop run under a real-time policy.
//
// A pause is two hand-offs between threads and some 50 µs of work. What makes one pause in a hundred a hundred times longer is neither: it
// is another thread that has the CPU when a hand-off is due, and that the scheduler leaves there for the rest of its slice, milliseconds.
// SCHED_FIFO takes the CPU away from it at once. Measured beside other work (load 2 to 4 on two CPUs): p99 of the flip 6 600 µs without,
// 400 µs with.
//
// The collector's priority is above the mutators': were it not, a mutator that runs on after the pause could keep the collector from lowering
// it again, for ever on one CPU. Only threads under the default policy are raised; who chose another one keeps it. A thread that does
// not come to its safepoint soon loses what it was given: raised, it could keep everybody else off its CPU.
//
// Needs CAP_SYS_NICE. Without it nothing is raised, and pauses are as long as the scheduler makes them.

import { CTL_PAUSE_PRIORITY, MAX_THREADS, T_STATE, T_TID, THREAD_RUNNING } from '../heap/layout.ts';
import { EPERM, ESRCH, type Kernel, SCHED_FIFO, SCHED_OTHER, SCHED_RESET_ON_FORK } from '../uffd/index.ts';
import type { WorkerContext } from './context.ts';

const MUTATOR_PRIORITY = 1;
const COLLECTOR_PRIORITY = 2;

export class PausePriority {
  readonly #context: WorkerContext;
  readonly #self: number;
  /** Ids of mutators that are raised. */
  readonly #raised = new Int32Array(MAX_THREADS);
  #count = 0;
  #selfRaised = false;

  /** On the collector's thread. Tries it out on the thread itself; CTL_PAUSE_PRIORITY tells how that went. */
  constructor(context: WorkerContext) {
    this.#context = context;
    this.#self = context.kernel.gettid();
    const { control, options } = context;
    control[CTL_PAUSE_PRIORITY] = 0;
    if (options.pausePriority === 'keep' || options.verify !== 'off') return;
    const result = tryPriority(context.kernel);
    control[CTL_PAUSE_PRIORITY] = result === 0 ? 1 : Math.min(result, 0);
  }

  /**
   * Raises the collector and all running mutators. The collector first: a mutator that waits for its CPU, once raised, would take it away
   * before anybody is asked to stop.
   */
  raise(): void {
    const { control, kernel, tables } = this.#context;
    if (control[CTL_PAUSE_PRIORITY] !== 1) return;
    this.#selfRaised ||= setPolicy(kernel, this.#self, SCHED_FIFO | SCHED_RESET_ON_FORK, COLLECTOR_PRIORITY);
    if (!this.#selfRaised) return;
    for (const i of tables.attached()) {
      const thread = tables.threads[i]!;
      if (Atomics.load(thread, T_STATE) === THREAD_RUNNING) this.#raiseMutator(thread[T_TID]!);
    }
  }

  /** Lowers whom `raise` raised, the collector last. Twice does nothing. */
  restore(): void {
    const { kernel } = this.#context;
    let left = 0;
    for (let i = 0; i < this.#count; i++) {
      const tid = this.#raised[i]!;
      const result = lower(kernel, tid);
      // Whom it cannot lower now it lowers next time; a thread that is gone needs nothing.
      if (result < 0 && result !== -ESRCH) this.#raised[left++] = tid;
    }
    this.#count = left;
    if (this.#selfRaised) this.#selfRaised = lower(kernel, this.#self) < 0;
  }

  #raiseMutator(tid: number): void {
    const { kernel } = this.#context;
    if (tid === 0 || this.#count === this.#raised.length) return;
    if (kernel.schedGetScheduler(tid) !== SCHED_OTHER) return;
    // What cannot be raised stays as it is: the pause is longer, and right all the same.
    if (setPolicy(kernel, tid, SCHED_FIFO | SCHED_RESET_ON_FORK, MUTATOR_PRIORITY))
      this.#raised[this.#count++] = tid;
  }
}

function setPolicy(kernel: Kernel, tid: number, policy: number, priority: number): boolean {
  return kernel.schedSetScheduler(tid, policy, priority) === 0;
}

/** Gives a raised thread the default policy again: with the flag, which harms nobody, where the process lost its privileges meanwhile. */
function lower(kernel: Kernel, tid: number): number {
  const result = kernel.schedSetScheduler(tid, SCHED_OTHER, 0);
  return result === -EPERM ? kernel.schedSetScheduler(tid, SCHED_OTHER | SCHED_RESET_ON_FORK, 0) : result;
}

/**
 * Raises the calling thread and lowers it again. Returns 0; or why that could not be done, as -errno; or the policy of its own under which
 * the program runs this thread, which is above 0 and is left alone.
 */
export function tryPriority(kernel: Kernel): number {
  const before = kernel.schedGetScheduler(0);
  if (before < 0) return before;
  const policy = before & ~SCHED_RESET_ON_FORK;
  if (policy !== SCHED_OTHER) return policy;
  const raised = kernel.schedSetScheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, COLLECTOR_PRIORITY);
  if (raised < 0) return raised;
  const lowered = kernel.schedSetScheduler(0, SCHED_OTHER, 0);
  // The flag comes back where it was, and where it cannot be taken away.
  if (lowered < 0 || before !== SCHED_OTHER)
    kernel.schedSetScheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, 0);
  return lowered;
}
