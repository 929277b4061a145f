// How a mutator asks for collections and waits for them. A request is a ticket: the collector answers every ticket that was drawn before
// its cycle began, so that a caller can tell a collection that began after its request from one that was under way.

import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import { causeBit, type CycleCause } from './causes.ts';
import {
  CTL_CAUSES,
  CTL_COMPLETED_TICKET,
  CTL_CYCLES_ASKED,
  CTL_CYCLES_DONE,
  CTL_HEAP_STATE,
  CTL_TIMEOUT_TICKET,
  CTL_TIMEOUTS,
  CTL_TRIMS_ASKED,
  HEAP_OPEN,
} from './layout.ts';
import { timeoutError } from './safepoint-timeout.ts';
import { waitWhile } from './spin.ts';
import type { ThreadHost } from './thread.ts';

/** How often a thread that waits for the collector looks whether it is still there, in milliseconds. */
const COLLECTOR_CHECK_MS = 500;

/** How `mutator.collect` collects. */
export interface CollectOptions {
  /** Give all memory that is free afterwards back to the system. Default false: it is kept for what is allocated next. */
  readonly release?: boolean;
}

const COLLECT_KEYS: KeysOf<CollectOptions> = { release: true };

/** @throws TospaceError ERR_OPTION */
export function assertCollectOptions(options: CollectOptions): void {
  assertKeys('collect', options, COLLECT_KEYS);
  if (typeof (options.release ?? false) === 'boolean') return;
  throw new TospaceError('ERR_OPTION', `collect: release: ${String(options.release)} is not allowed`, {
    hint: 'release must be true or false.',
  });
}

export class CycleRequests {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #host: ThreadHost;

  constructor(control: Int32Array<SharedArrayBuffer>, host: ThreadHost) {
    this.#control = control;
    this.#host = host;
  }

  /** Asks for a cycle that begins after this call; returns its ticket. */
  ask(cause: CycleCause): number {
    // First: a cycle that answers the ticket then knows why.
    Atomics.or(this.#control, CTL_CAUSES, causeBit(cause));
    const ticket = (Atomics.add(this.#control, CTL_CYCLES_ASKED, 1) + 1) | 0;
    Atomics.notify(this.#control, CTL_CYCLES_ASKED);
    return ticket;
  }

  /** Asks for a cycle unless one is asked for or under way. */
  suggest(cause: CycleCause): void {
    if (Atomics.load(this.#control, CTL_CYCLES_ASKED) === Atomics.load(this.#control, CTL_CYCLES_DONE))
      this.ask(cause);
  }

  /** True when the cycle of this ticket is over. */
  isDone(ticket: number): boolean {
    return ((Atomics.load(this.#control, CTL_CYCLES_DONE) - ticket) | 0) >= 0;
  }

  /** Sleeps until the control word is no longer `value`, or the heap is gone. In a safe region. @throws ERR_WORKER */
  waitForChange(word: number, value: number): void {
    while (!waitWhile(this.#control, word, value, COLLECTOR_CHECK_MS)) {
      if (Atomics.load(this.#control, CTL_HEAP_STATE) !== HEAP_OPEN) return;
      this.#host.assertCollectorAlive();
    }
  }

  /**
   * Asks for a cycle and waits for its end. In a safe region, where `inSafeRegion` takes the thread, and throws when the heap is closed.
   * @throws TospaceError when the cycle was abandoned: ERR_SYSCALL, or ERR_TIMEOUT that names a thread.
   */
  collect(
    { release = false }: CollectOptions,
    inSafeRegion: (body: () => void) => void,
    cause: CycleCause = 'collect',
  ): void {
    const control = this.#control;
    if (release) Atomics.add(control, CTL_TRIMS_ASKED, 1);
    const ticket = this.ask(cause);
    const wait = (): void => {
      while (!this.isDone(ticket) && Atomics.load(control, CTL_HEAP_STATE) === HEAP_OPEN) {
        const done = Atomics.load(control, CTL_CYCLES_DONE);
        if (!this.isDone(ticket)) this.waitForChange(CTL_CYCLES_DONE, done);
      }
    };
    // Again, where the heap was about to be closed, and that was refused.
    while (!this.isDone(ticket)) inSafeRegion(wait);
    // Not by what became of the last cycle: that may be a later one by now.
    if (((Atomics.load(control, CTL_COMPLETED_TICKET) - ticket) | 0) < 0) {
      if (
        ((Atomics.load(control, CTL_TIMEOUT_TICKET) - ticket) | 0) >= 0 &&
        Atomics.load(control, CTL_TIMEOUTS) > 0
      )
        throw timeoutError(control);
      throw new TospaceError('ERR_SYSCALL', 'the collection was abandoned before it moved anything', {
        hint: "The heap's 'abandoned' event carries the system call that failed and what to do about it.",
      });
    }
  }
}
