// A fault server: a worker that sleeps in poll until a mutator touches a page that is not installed yet, builds that page alone, and
// goes back to sleep. It leaves the neighbours to the collector, as a hint: the mutator whose CPU the server runs on is runnable
// again by then, and would wait for every further page.

import { invariant } from '../errors.ts';
import { COLLECTOR, CTL_CLOSING, W_BUSY, W_EAGAIN, W_EEXIST, W_STATE, WORKER_ARMED } from '../heap/layout.ts';
import { TRACE_FAULT } from '../heap/trace-ring.ts';
import { FaultReader, serveFaults } from '../uffd/index.ts';
import { Builder } from './builder.ts';
import type { WorkerContext, WorkerSetup } from './context.ts';
import { FaultService } from './fault-service.ts';
import { Peers } from './peers.ts';
import { createPageChecker } from './verify/page-checker.ts';

/** How often an idle server looks whether the collector is still there, in milliseconds. */
const PEER_CHECK_MS = 200;

/** Faults that a lone server reads at a time: as many as there can be threads. */
const READ_AT_ONCE = 64;

/** Runs until the stop event; the setup's worker must be above 0. */
export function serve(context: WorkerContext, setup: WorkerSetup): void {
  const { record, kernel, tables } = context;
  const builder = new Builder(context, createPageChecker(context));
  const uffd = context.uffd;
  invariant(uffd !== undefined, 'a fault server has a userfaultfd');
  // Where there are several servers, a message that is read while its reader is still busy with another would wait for that one although
  // somebody else is idle: each then takes one at a time.
  const reader = new FaultReader(kernel, uffd.fd, context.workers > 2 ? 1 : READ_AT_ONCE);
  const faults = new FaultService(context, builder, uffd);
  const service = tables.serviceHistogram(context.worker);
  const peers = new Peers(context);

  const serveTraced = (page: number): void => {
    const start = performance.now();
    const eexist = record[W_EEXIST]!;
    const eagain = record[W_EAGAIN]!;
    const how = faults.serve(page);
    const end = performance.now();
    context.trace.span(
      TRACE_FAULT,
      how,
      start,
      end,
      page,
      record[W_EEXIST]! - eexist,
      record[W_EAGAIN]! - eagain,
    );
  };

  // For a server that nobody could tell to stop: the heap closes, or was never made, and the collector opens no window any more.
  const isOver = (): boolean =>
    Atomics.load(context.control, CTL_CLOSING) !== 0 &&
    Atomics.load(tables.workers[COLLECTOR]!, W_STATE) !== WORKER_ARMED;

  Atomics.store(record, W_STATE, WORKER_ARMED);
  Atomics.notify(record, W_STATE);
  serveFaults({
    kernel,
    reader,
    uffdFd: uffd.fd,
    stopFd: setup.stopFd,
    idleTimeoutMs: PEER_CHECK_MS,
    // Raised before a message is read: the collector must not close the window between our reading it and our claiming its page.
    onWake: () => {
      Atomics.store(record, W_BUSY, 1);
    },
    onFaults: (count) => {
      const start = performance.now();
      context.reach('fault');
      for (let i = 0; i < count; i++) {
        const page = faults.pageOf(reader.address(i));
        if (context.trace.on) serveTraced(page);
        else faults.serve(page);
      }
      service.record((performance.now() - start) * 1e6);
    },
    onDrained: () => {
      Atomics.store(record, W_BUSY, 0);
    },
    onIdle: () => {
      peers.assertAlive();
      return !isOver();
    },
  });
}
