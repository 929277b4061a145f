// The collector's thread: sleeps until a cycle is asked for, runs it, says so.

import type { MessagePort } from 'node:worker_threads';
import { encodeError } from '../errors.ts';
import { type CycleCause, mostPressing } from '../heap/causes.ts';
import { monotonicOffsetMs } from '../heap/clock.ts';
import {
  CTL_ABANDONED,
  CTL_ALLOC_EPOCH,
  CTL_CAUSES,
  CTL_COMPLETED_TICKET,
  CTL_CLOSING,
  CTL_CYCLE,
  CTL_CYCLES_ASKED,
  CTL_CYCLES_DONE,
  CTL_PHASE,
  CTL_TRIMS_ASKED,
  CTL_TRIMS_DONE,
  PHASE_IDLE,
  W_STATE,
  WORKER_ARMED,
} from '../heap/layout.ts';
import { publishTimeout } from '../heap/safepoint-timeout.ts';
import { ConcurrentCollector } from './concurrent.ts';
import type { WorkerContext } from './context.ts';
import { CycleCancelled, type CycleReport, isSurvivable, isTimeout, World } from './cycle.ts';
import { CycleClock } from './cycle-clock.ts';
import { logAbandoned, logCycle } from './cycle-log.ts';
import { EventSender } from './event-sender.ts';
import { NonMoving } from './non-moving.ts';
import { Governor } from './governor.ts';
import { Peers } from './peers.ts';
import { References } from './references.ts';
import { Retention } from './retention.ts';
import { StopTheWorldCollector } from './stop-the-world.ts';
import { Tracer } from './tracer.ts';
import { Verifier } from './verify/verifier.ts';
import { withWorld } from './world-lock.ts';

/** How often an idle collector looks whether the fault servers are still alive, in milliseconds. */
const PEER_CHECK_MS = 500;

/** Cycles on the empty heap before the collector is armed: enough for V8 to have compiled what a pause runs. */
const WARM_UP_CYCLES = 4;

/** Runs cycles until the heap closes. Throws what no heap can survive. */
export function collect(context: WorkerContext, events: MessagePort | undefined): void {
  const { control, record, options } = context;
  const world = new World(context);
  const governor = new Governor(context);
  const peers = new Peers(context);
  const closing = (): boolean => Atomics.load(control, CTL_CLOSING) !== 0;
  const tracer = new Tracer(context, () => {
    if (closing()) throw new CycleCancelled();
    governor.slice();
  });
  const parts = {
    context,
    world,
    tracer,
    nonMoving: new NonMoving(context),
    references: new References(context, tracer),
    retention: new Retention(context),
    verifier: options.verify !== 'off' ? new Verifier(context) : undefined,
    governor,
  };
  const collector =
    options.collector === 'concurrent' ? new ConcurrentCollector(parts) : new StopTheWorldCollector(parts);
  // Code is compiled when it first runs. Let that be now, on an empty heap, and not in somebody's first pauses.
  for (let i = 0; i < WARM_UP_CYCLES; i++) collector.cycle(false, new CycleClock(context, 'idle'));
  governor.arm();
  const offsetMs = monotonicOffsetMs();
  const sender = new EventSender(control, events);

  /** A cycle beside which nobody looks at the heap. The phase is idle again before somebody may. */
  const cycle = (release: boolean, clock: CycleClock): CycleReport =>
    withWorld(control, () => {
      try {
        const report = collector.cycle(release, clock);
        Atomics.store(control, CTL_PHASE, PHASE_IDLE);
        return report;
      } catch (error) {
        if (isSurvivable(control, error)) Atomics.store(control, CTL_PHASE, PHASE_IDLE);
        throw error;
      }
    });

  Atomics.store(control, CTL_PHASE, PHASE_IDLE);
  Atomics.store(record, W_STATE, WORKER_ARMED);
  Atomics.notify(record, W_STATE);
  let checkedAt = performance.now();
  let cause: CycleCause = 'collect';
  while (!closing()) {
    const done = Atomics.load(control, CTL_CYCLES_DONE);
    if (Atomics.load(control, CTL_CYCLES_ASKED) === done) {
      const waitMs = governor.tick();
      // Asleep at once: a look every 10 ms must not cost a spin of its own.
      Atomics.wait(control, CTL_CYCLES_ASKED, done, waitMs);
      if (performance.now() - checkedAt > PEER_CHECK_MS) {
        peers.assertAlive();
        checkedAt = performance.now();
      }
      continue;
    }
    // Everything asked for up to here is answered by the cycle that begins now.
    // Trims are asked for before their ticket is drawn: what is answered is read before the tickets, whether to release after them. At
    // worst memory is given back once too often.
    const answered = Atomics.load(control, CTL_TRIMS_ASKED);
    const ticket = Atomics.load(control, CTL_CYCLES_ASKED);
    // Who closes the heap wakes this thread by a ticket, which is not for a cycle.
    if (closing()) return;
    const trims = Atomics.load(control, CTL_TRIMS_ASKED);
    // After the ticket, which was drawn after its cause was set. None: the cause of this request was set in time for the cycle before, and
    // that one's cause is it, or was more pressing.
    cause = mostPressing(Atomics.exchange(control, CTL_CAUSES, 0)) ?? cause;
    const clock = new CycleClock(context, cause);
    const start = { cycle: control[CTL_CYCLE]!, cause, startMs: clock.startMs };
    sender.begin({ type: 'start', start, offsetMs });
    try {
      const report = cycle(trims !== control[CTL_TRIMS_DONE], clock);
      clock.end('completed');
      Atomics.add(control, CTL_CYCLE, 1);
      Atomics.store(control, CTL_COMPLETED_TICKET, ticket);
      sender.send({ type: 'cycle', report, offsetMs });
      if (options.log === 'cycles') logCycle(report);
    } catch (error) {
      clock.end(error instanceof CycleCancelled ? 'cancelled' : 'abandoned');
      world.pauses.take();
      if (error instanceof CycleCancelled) return;
      // Up to the flip nothing has moved: the heap is as it was. After it, somebody would have to finish the window.
      if (!isSurvivable(control, error)) throw error;
      Atomics.add(control, CTL_ABANDONED, 1);
      if (isTimeout(error)) publishTimeout(control, ticket);
      // Or every further allocation would ask for the next attempt.
      governor.abandoned();
      sender.send({ type: 'abandoned', error: encodeError(error) });
      if (options.log === 'cycles') logAbandoned(cause, error);
    }
    Atomics.store(control, CTL_TRIMS_DONE, answered);
    Atomics.store(control, CTL_CYCLES_DONE, ticket);
    Atomics.notify(control, CTL_CYCLES_DONE);
    Atomics.add(control, CTL_ALLOC_EPOCH, 1);
    Atomics.notify(control, CTL_ALLOC_EPOCH);
  }
}
