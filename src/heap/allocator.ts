// The slow side of allocation: a new buffer, pages of an object's own, or a wait for the collector.

import { TospaceError } from '../errors.ts';
import { BlockSource, retireBuffer } from './blocks.ts';
import type { CycleRequests } from './cycle-requests.ts';
import type { Histogram } from './histogram.ts';
import {
  BUFFER_BYTES,
  CTL_ALLOC_EPOCH,
  CTL_COMPACTED_BYTES,
  CTL_LIMIT,
  CTL_NON_MOVING_LIVE,
  CTL_NON_MOVING_SINCE,
  HISTOGRAM_STALL,
  PAGE_BYTES,
  T_ALLOCATED_BYTES,
  T_BUFFER,
  T_BUFFERS,
  T_CURSOR,
  T_LIMIT,
} from './layout.ts';
import { NonMovingSpace } from './non-moving.ts';
import { Pace } from './pace.ts';
import { timeoutOf } from './safepoint-timeout.ts';
import { Tables } from './tables.ts';
import type { MutatorThread } from './thread.ts';
import { STALL_REASONS, TRACE_STALL } from './trace-ring.ts';

/** Objects above this size get pages of their own instead of using up a buffer. */
const SHARED_BUFFER_MAX_BYTES = BUFFER_BYTES / 8;

const STALLED_FOR_ROOM = STALL_REASONS.indexOf('room');

/** Waits after which an allocation gives up although collections make room: other threads always take it first. */
const STALLS_MAX = 64;

export interface AllocatorOptions {
  /** Hide the buffer's limit from the fast path, so that every allocation comes here. */
  readonly stress: boolean;
  /** False under the collector `none`: nobody would answer a request. */
  readonly collects: boolean;
}

/** Part of the room left in the non-moving space that may be allocated before the next cycle is asked for. */
const NON_MOVING_TRIGGER = 0.6;

export class Allocator {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #thread: MutatorThread;
  readonly #record: Int32Array<SharedArrayBuffer>;
  readonly #requests: CycleRequests;
  readonly #options: AllocatorOptions;
  readonly #blocks: BlockSource;
  readonly #nonMoving: NonMovingSpace;
  readonly #nonMovingBytes: number;
  readonly #stalls: Histogram;
  readonly #pace: Pace;
  readonly #allocatedBytes: Float64Array<SharedArrayBuffer>;
  /** Whether the limit of the buffer is hidden from the fast path, and what it is then. */
  #stress: boolean;
  #hiddenLimit = 0;
  /** Why the last collection that an allocation waited for did not happen. */
  #cause: TospaceError | undefined;

  constructor(tables: Tables, thread: MutatorThread, requests: CycleRequests, options: AllocatorOptions) {
    this.#control = tables.control;
    this.#heapBase = tables.geometry.heap;
    this.#thread = thread;
    this.#record = thread.record;
    this.#requests = requests;
    this.#options = options;
    this.#stress = options.stress;
    this.#nonMoving = new NonMovingSpace(tables);
    this.#nonMovingBytes = tables.geometry.nonMovingBytes;
    this.#blocks = new BlockSource(tables, thread.record);
    this.#stalls = tables.histogram(thread.index, HISTOGRAM_STALL);
    this.#pace = new Pace(tables, thread, this.#stalls);
    this.#allocatedBytes = Tables.float(thread.record, T_ALLOCATED_BYTES);
  }

  /**
   * Finds room for `bytes`: in the buffer, in a new one, or in pages of its own. May wait for collections; between the last of them and
   * the return there is no safepoint, so the caller writes the header before anybody looks.
   * @returns its address, or 0 when no collection can help.
   */
  place(bytes: number): number {
    return this.#place(bytes, undefined);
  }

  /** @param raw of a large object, which the non-moving space may hold as well: whether it has no references. */
  #place(bytes: number, raw: boolean | undefined, paid = false): number {
    const record = this.#record;
    const { collects } = this.#options;
    const stress = this.#stress;
    let ticket: number | undefined;
    let paced = paid;
    let stalls = 0;
    for (;;) {
      const cursor = record[T_CURSOR]!;
      // A cursor of 0 means that the collector retired the buffer while this thread was stopped: what stress hid is void then.
      const limit = stress && cursor !== 0 ? this.#hiddenLimit : record[T_LIMIT]!;
      if (cursor !== 0 && cursor + bytes <= limit) {
        record[T_CURSOR] = cursor + bytes;
        if (stress) record[T_LIMIT] = cursor + bytes;
        return cursor;
      }
      if (this.#pace.on && !paced) {
        paced = true;
        if (this.#pace.pay(Math.max(bytes, BUFFER_BYTES))) continue;
      }
      const own = bytes > SHARED_BUFFER_MAX_BYTES;
      const start = this.#blocks.take(bytes, own ? bytes : BUFFER_BYTES);
      if (start === 0) {
        ticket = this.#stall(bytes, raw !== undefined, ticket, stalls++);
        // A collection may have made room in either space. Also for the last time: it may have ended since the last look.
        const pinned = raw === undefined ? 0 : this.#takePinned(bytes, raw);
        if (ticket === undefined || pinned !== 0) return pinned;
        continue;
      }
      if (collects && this.#blocks.pastTrigger) this.#requests.suggest('trigger');
      record[T_BUFFERS] = record[T_BUFFERS]! + 1;
      if (own) {
        this.#allocatedBytes[0] = this.#allocatedBytes[0]! + bytes;
        return start;
      }
      this.retire();
      record[T_BUFFER] = start;
      record[T_CURSOR] = start;
      this.#hiddenLimit = start + this.#blocks.taken;
      record[T_LIMIT] = stress ? start : this.#hiddenLimit;
    }
  }

  /** Finds room for a large object: in the non-moving space, or where that has none in pages of its own in the heap. As {@link place}. */
  placeLarge(bytes: number, raw: boolean): number {
    const paced = this.#payPace(bytes);
    return this.#takePinned(bytes, raw) || this.#place(bytes, raw, paced);
  }

  /** Finds room for an object that does not move. As {@link place}. */
  placePinned(bytes: number, raw: boolean): number {
    this.#payPace(bytes);
    for (let ticket: number | undefined; ; ) {
      // Before the look at the ticket, as in #stall.
      const seen = Atomics.load(this.#control, CTL_ALLOC_EPOCH);
      // Before the attempt: only one that was made after the end of the collection says that there is no room.
      const over = ticket !== undefined && this.#requests.isDone(ticket);
      const ref = this.#takePinned(bytes, raw);
      if (ref !== 0) return ref;
      this.#cause = over ? timeoutOf(this.#control, ticket!) : undefined;
      if (!this.#options.collects || bytes > this.#nonMovingBytes || over) return 0;
      ticket ??= this.#requests.ask('allocation');
      this.#waitForCycle(seen);
    }
  }

  /** Pays for room in the non-moving space, if there is a pace. Returns whether there was. */
  #payPace(bytes: number): boolean {
    if (!this.#pace.on) return false;
    this.#pace.pay(bytes);
    return true;
  }

  #takePinned(bytes: number, raw: boolean): number {
    const ref = this.#nonMoving.take(bytes, raw);
    if (ref === 0) return 0;
    this.#allocatedBytes[0] = this.#allocatedBytes[0]! + bytes;
    const room = this.#nonMovingBytes - this.#control[CTL_NON_MOVING_LIVE]!;
    if (this.#options.collects && this.#control[CTL_NON_MOVING_SINCE]! > room * NON_MOVING_TRIGGER)
      this.#requests.suggest('non-moving');
    return ref;
  }

  /** From now on every allocation comes here, as under stress. The thread runs. */
  hideLimit(): void {
    if (this.#stress) return;
    this.retire();
    this.#stress = true;
  }

  /** Gives up the current buffer. */
  retire(): void {
    retireBuffer(this.#record);
  }

  /** Why the last call found no room for `bytes`. @param pinned it was {@link placePinned}. */
  outOfMemory(bytes: number, pinned = false): TospaceError {
    const capacity = this.#control[CTL_LIMIT]! - this.#heapBase;
    const where = pinned ? `a non-moving space of ${this.#nonMovingBytes}` : `a heap of ${capacity}`;
    const more = pinned
      ? 'Raise nonMoving, keep fewer pinned objects alive, or leave unpinned what need not stay where it is.'
      : 'Raise heap, or keep fewer objects alive.';
    let hint = `A collection was tried. ${more}`;
    if (!this.#options.collects)
      hint = `The collector is none: choose another, or raise ${pinned ? 'nonMoving' : 'heap'}.`;
    else if (this.#cause !== undefined)
      hint = 'A collection was given up because a thread did not reach a safepoint: see the cause.';
    return new TospaceError('ERR_OUT_OF_MEMORY', `no room for ${bytes} bytes in ${where}`, {
      cause: this.#cause,
      hint,
    });
  }

  /**
   * Waits until a collection may have made room, and returns the ticket of the one it asked for. Given that ticket back, returns
   * undefined when that collection, which began after the first failure, is over and found too much alive. When it did make room and
   * other threads were faster, asks for another one.
   * @param large the non-moving space could hold it too.
   */
  #stall(bytes: number, large: boolean, ticket: number | undefined, stalls: number): number | undefined {
    const control = this.#control;
    // Before the look at the ticket: the end of a cycle answers the tickets and then bumps the epoch, beside running mutators. Whichever of
    // the two this misses, the other shows.
    const seen = Atomics.load(control, CTL_ALLOC_EPOCH);
    const capacity = control[CTL_LIMIT]! - this.#heapBase;
    const over = ticket !== undefined && this.#requests.isDone(ticket);
    const room = capacity - Math.ceil(control[CTL_COMPACTED_BYTES]! / PAGE_BYTES) * PAGE_BYTES;
    this.#cause = undefined;
    const most = large ? Math.max(capacity, this.#nonMovingBytes) : capacity;
    if (!this.#options.collects || bytes > most) return undefined;
    // A thread that kept the collection from happening would keep the next one from happening too, each time after a long wait.
    this.#cause = over ? timeoutOf(control, ticket) : undefined;
    if (this.#cause !== undefined || (over && (bytes > room || stalls >= STALLS_MAX))) return undefined;
    const waitFor = over || ticket === undefined ? this.#requests.ask('allocation') : ticket;
    this.#waitForCycle(seen);
    return waitFor;
  }

  /** Waits until the epoch is no longer `seen`: a cycle has made room, or is over. */
  #waitForCycle(seen: number): void {
    const start = performance.now();
    this.#thread.blocking(() => this.#requests.waitForChange(CTL_ALLOC_EPOCH, seen));
    this.#thread.assertUsable();
    const end = performance.now();
    this.#stalls.record((end - start) * 1e6);
    this.#thread.trace.span(TRACE_STALL, STALLED_FOR_ROOM, start, end);
  }
}
