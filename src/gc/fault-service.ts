// What a fault server does about one fault: it builds the page and installs it, or finds that somebody else has or does, and sees to it that
// nobody who waits for it is left asleep.

import { invariant } from '../errors.ts';
import {
  CTL_NON_MOVING_HIDDEN,
  CTL_USED_BYTES,
  CTL_WINDOW,
  PAGE_BYTES,
  PAGE_LOG2,
  PAGE_MAPPED,
  PAGE_PROCESSED,
  PAGE_STATE_MASK,
  W_FAULTS,
  W_FAULTS_LATE,
  W_FAULTS_SHARED,
  W_HINT,
} from '../heap/layout.ts';
import { FAULT_OUTCOMES } from '../heap/trace-ring.ts';
import type { Userfaultfd } from '../uffd/index.ts';
import type { Builder } from './builder.ts';
import type { WorkerContext } from './context.ts';

export const FAULT_BUILT: number = FAULT_OUTCOMES.indexOf('built');
export const FAULT_SHARED: number = FAULT_OUTCOMES.indexOf('shared');
export const FAULT_LATE: number = FAULT_OUTCOMES.indexOf('late');

type Context = Pick<WorkerContext, 'control' | 'record' | 'kernels' | 'arena' | 'tables'>;

export class FaultService {
  readonly #context: Context;
  readonly #builder: Pick<Builder, 'claimAndBuild' | 'mapsInPlace' | 'mapProcessed'>;
  readonly #uffd: Pick<Userfaultfd, 'continue' | 'wake'>;
  /** Real address of the heap window, from which pages are counted. */
  readonly #heap: number;
  /** Where the non-moving space begins, from there. */
  readonly #nonMoving: number;

  constructor(
    context: Context,
    builder: Pick<Builder, 'claimAndBuild' | 'mapsInPlace' | 'mapProcessed'>,
    uffd: Pick<Userfaultfd, 'continue' | 'wake'>,
  ) {
    const { geometry } = context.tables;
    this.#context = context;
    this.#builder = builder;
    this.#uffd = uffd;
    this.#heap = context.arena.real(geometry.heap);
    this.#nonMoving = geometry.nonMoving - geometry.heap;
  }

  /** The page of a fault. @param address real. */
  pageOf(address: number): number {
    const { control, tables } = this.#context;
    const offset = address - this.#heap;
    const inHeap = offset >= 0 && offset < control[CTL_USED_BYTES]!;
    const hiddenEnd = control[CTL_NON_MOVING_HIDDEN]! - tables.geometry.heap;
    invariant(
      inHeap || (offset >= this.#nonMoving && offset < hiddenEnd) || this.#windowIsClosed,
      'faults come from the registered parts of the windows',
    );
    return offset >> PAGE_LOG2;
  }

  /**
   * Serves one fault. The server must have said that it is busy (W_BUSY) before it read the fault.
   * @returns how: FAULT_…
   */
  serve(page: number): number {
    const { record, kernels } = this.#context;
    record[W_FAULTS] = record[W_FAULTS]! + 1;
    const at = this.#heap + page * PAGE_BYTES;
    if (this.#windowIsClosed) {
      // A message that outlived its window (concurrent.ts, #close). The page was installed, and its word says nothing any more.
      record[W_FAULTS_LATE] = record[W_FAULTS_LATE]! + 1;
      this.#uffd.wake(at, PAGE_BYTES);
      return FAULT_LATE;
    }
    if (this.#builder.claimAndBuild(page, page + 1) === 1) {
      Atomics.store(record, W_HINT, page + 1);
      return FAULT_BUILT;
    }
    switch (kernels.pageWord(page) & PAGE_STATE_MASK) {
      case PAGE_MAPPED:
        // Installed between the fault and our looking, or a fault that a signal delivered twice: whoever waits must not be left asleep. Or
        // the page's entry has gone again (reclaimed, or retracted by a collapse): it is mapped once more, or the fault would come back
        // until the window closes.
        record[W_FAULTS_LATE] = record[W_FAULTS_LATE]! + 1;
        if (this.#uffd.continue(at, PAGE_BYTES) < 0) this.#uffd.wake(at, PAGE_BYTES);
        return FAULT_LATE;
      case PAGE_PROCESSED:
        record[W_FAULTS_SHARED] = record[W_FAULTS_SHARED]! + 1;
        if (this.#builder.mapsInPlace(page)) this.#builder.mapProcessed(page, 1);
        return FAULT_SHARED;
      default:
        // Being built or mapped: that worker's installation wakes the faulter.
        record[W_FAULTS_SHARED] = record[W_FAULTS_SHARED]! + 1;
        return FAULT_SHARED;
    }
  }

  get #windowIsClosed(): boolean {
    return Atomics.load(this.#context.control, CTL_WINDOW) === 0;
  }
}
