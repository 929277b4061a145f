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
  HISTOGRAM_STALL,
  PAGE_BYTES,
  T_ALLOCATED_BYTES,
  T_BUFFER,
  T_BUFFERS,
  T_CURSOR,
  T_LIMIT,
  T_STALLS,
} from './layout.ts';
import { Pace } from './pace.ts';
import { Tables } from './tables.ts';
import type { MutatorThread } from './thread.ts';

/** Objects above this size get pages of their own instead of using up a buffer. */
const SHARED_BUFFER_MAX_BYTES = BUFFER_BYTES / 8;

/** Waits after which an allocation gives up although collections make room: other threads always take it first. */
const STALLS_MAX = 64;

export interface AllocatorOptions {
  /** Hide the buffer's limit from the fast path, so that every allocation comes here. */
  readonly stress: boolean;
  /** False under the collector `none`: nobody would answer a request. */
  readonly collects: boolean;
}

export class Allocator {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #heapBase: number;
  readonly #thread: MutatorThread;
  readonly #record: Int32Array<SharedArrayBuffer>;
  readonly #requests: CycleRequests;
  readonly #options: AllocatorOptions;
  readonly #blocks: BlockSource;
  readonly #stalls: Histogram;
  readonly #pace: Pace;
  readonly #allocatedBytes: Float64Array<SharedArrayBuffer>;
  /** Limit of the buffer that stress hides. */
  #hiddenLimit = 0;

  constructor(tables: Tables, thread: MutatorThread, requests: CycleRequests, options: AllocatorOptions) {
    this.#control = tables.control;
    this.#heapBase = tables.geometry.heap;
    this.#thread = thread;
    this.#record = thread.record;
    this.#requests = requests;
    this.#options = options;
    this.#blocks = new BlockSource(tables);
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
    const record = this.#record;
    const { stress, collects } = this.#options;
    let ticket: number | undefined;
    let paced = false;
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
        ticket = this.#stall(bytes, ticket, stalls++);
        if (ticket === undefined) return 0;
        continue;
      }
      if (collects && this.#blocks.pastTrigger) this.#requests.suggest();
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

  /** Gives up the current buffer. */
  retire(): void {
    retireBuffer(this.#record);
  }

  /** Why there is no room for `bytes`. */
  outOfMemory(bytes: number): TospaceError {
    const capacity = this.#control[CTL_LIMIT]! - this.#heapBase;
    return new TospaceError('ERR_OUT_OF_MEMORY', `no room for ${bytes} bytes in a heap of ${capacity}`, {
      hint: this.#options.collects
        ? 'A collection was tried. Raise heapBytes, or keep fewer objects alive.'
        : 'The collector is none: choose another, or raise heapBytes.',
    });
  }

  /**
   * Waits until a collection may have made room, and returns the ticket of the one it asked for. Given that ticket back, returns
   * undefined when that collection, which began after the first failure, is over and found too much alive. When it did make room and
   * other threads were faster, asks for another one.
   */
  #stall(bytes: number, ticket: number | undefined, stalls: number): number | undefined {
    const control = this.#control;
    // Before the look at the ticket: the end of a cycle answers the tickets and then bumps the epoch, beside running mutators. Whichever of
    // the two this misses, the other shows.
    const seen = Atomics.load(control, CTL_ALLOC_EPOCH);
    const capacity = control[CTL_LIMIT]! - this.#heapBase;
    const over = ticket !== undefined && this.#requests.isDone(ticket);
    const room = capacity - Math.ceil(control[CTL_COMPACTED_BYTES]! / PAGE_BYTES) * PAGE_BYTES;
    if (!this.#options.collects || bytes > capacity) return undefined;
    if (over && (bytes > room || stalls >= STALLS_MAX)) return undefined;
    const start = performance.now();
    this.#record[T_STALLS] = this.#record[T_STALLS]! + 1;
    const waitFor = over || ticket === undefined ? this.#requests.ask() : ticket;
    this.#thread.blocking(() => this.#requests.waitForChange(CTL_ALLOC_EPOCH, seen));
    this.#thread.assertUsable();
    this.#stalls.record((performance.now() - start) * 1e6);
    return waitFor;
  }
}
