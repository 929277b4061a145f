// A fault server: a worker that sleeps in poll until a mutator touches a page that is not installed yet, builds that page alone, and
// goes back to sleep. It leaves the neighbours to the collector, as a hint: the mutator whose CPU the server runs on is runnable
// again by then, and would wait for every further page.

import { invariant } from '../errors.ts';
import {
  CTL_NON_MOVING_HIDDEN,
  CTL_USED_BYTES,
  PAGE_BYTES,
  PAGE_LOG2,
  PAGE_MAPPED,
  PAGE_PROCESSED,
  PAGE_STATE_MASK,
  W_BUSY,
  W_EAGAIN,
  W_EEXIST,
  W_FAULTS,
  W_FAULTS_LATE,
  W_FAULTS_SHARED,
  W_HINT,
  W_STATE,
  WORKER_ARMED,
} from '../heap/layout.ts';
import { FAULT_OUTCOMES, TRACE_FAULT } from '../heap/trace-ring.ts';
import { FaultReader, serveFaults } from '../uffd/index.ts';
import { Builder } from './builder.ts';
import type { WorkerContext, WorkerSetup } from './context.ts';
import { Peers } from './peers.ts';
import { createPageChecker } from './verify/page-checker.ts';

const FAULT_BUILT = FAULT_OUTCOMES.indexOf('built');
const FAULT_SHARED = FAULT_OUTCOMES.indexOf('shared');
const FAULT_LATE = FAULT_OUTCOMES.indexOf('late');

/** How often an idle server looks whether the collector is still alive, in milliseconds. */
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
  const heap = context.arena.real(tables.geometry.heap);
  const nonMoving = tables.geometry.nonMoving - tables.geometry.heap;
  const service = tables.serviceHistogram(context.worker);
  const peers = new Peers(context);

  /** Returns how the fault was served: FAULT_…. */
  const handle = (page: number): number => {
    record[W_FAULTS] = record[W_FAULTS]! + 1;
    if (builder.claimAndBuild(page, page + 1) === 1) {
      Atomics.store(record, W_HINT, page + 1);
      return FAULT_BUILT;
    }
    switch (context.kernels.pageWord(page) & PAGE_STATE_MASK) {
      case PAGE_MAPPED:
        // Installed between the fault and our looking, or a fault that a signal delivered twice: whoever waits must not be left asleep. Or
        // the page's entry has gone again (reclaimed, or retracted by a collapse): it is mapped once more, or the fault would come back
        // until the window closes.
        record[W_FAULTS_LATE] = record[W_FAULTS_LATE]! + 1;
        if (uffd.continue(heap + page * PAGE_BYTES, PAGE_BYTES) < 0)
          uffd.wake(heap + page * PAGE_BYTES, PAGE_BYTES);
        return FAULT_LATE;
      case PAGE_PROCESSED:
        record[W_FAULTS_SHARED] = record[W_FAULTS_SHARED]! + 1;
        if (builder.mapsInPlace(page)) builder.mapProcessed(page, 1);
        return FAULT_SHARED;
      default:
        // Being built or mapped: that worker's installation wakes the faulter.
        record[W_FAULTS_SHARED] = record[W_FAULTS_SHARED]! + 1;
        return FAULT_SHARED;
    }
  };

  const handleTraced = (page: number): void => {
    const start = performance.now();
    const eexist = record[W_EEXIST]!;
    const eagain = record[W_EAGAIN]!;
    const how = handle(page);
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
        const offset = reader.address(i) - heap;
        const inHeap = offset >= 0 && offset < context.control[CTL_USED_BYTES]!;
        const hiddenEnd = context.control[CTL_NON_MOVING_HIDDEN]! - tables.geometry.heap;
        invariant(
          inHeap || (offset >= nonMoving && offset < hiddenEnd),
          'faults come from the registered parts of the windows',
        );
        if (context.trace.on) handleTraced(offset >> PAGE_LOG2);
        else handle(offset >> PAGE_LOG2);
      }
      service.record((performance.now() - start) * 1e6);
    },
    onDrained: () => {
      Atomics.store(record, W_BUSY, 0);
    },
    onIdle: () => {
      peers.assertAlive();
      return true;
    },
  });
}
