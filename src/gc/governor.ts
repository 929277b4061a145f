// The governor: a heap's own management. It watches how fast the program allocates and how long cycles take, and from that sets the soft
// limit, the point at which the next cycle begins, the pace of allocation while one runs, and how many pages are worth keeping. The
// decisions themselves are pure functions in policy/; here are the clock, the control words and the memory of past cycles.
//
// Between cycles it ticks on the collector's thread: every 10 ms while the program allocates, more and more rarely while it does not. A
// tick moves the trigger to where the present rate puts it, and mutators compare their cursor with the trigger at every buffer, so that
// a program that becomes fast between two ticks is not missed.
//
// With a numeric `trigger` the heap has a fixed size: the soft limit is the capacity, no page is given back and idle heaps are left
// alone. Pacing works all the same.

import {
  CTL_ALLOCATION_RATE,
  CTL_CAUSES,
  CTL_CURSOR,
  CTL_CYCLES_ASKED,
  CTL_CYCLES_DONE,
  CTL_EXTERNAL_LIMIT_KIB,
  CTL_IDLE_CYCLES,
  CTL_LAST_ROOM_MS,
  CTL_LIVE_BYTES,
  CTL_PREDICTED_ROOM_MS,
  CTL_SOFT_LIMIT,
  CTL_TRIGGER,
  PAGE_BYTES,
  T_STATE,
  THREAD_RUNNING,
  THREAD_STOPPED,
} from '../heap/layout.ts';
import { causeBit, type CycleCause } from '../heap/causes.ts';
import { alignUp, MIB } from '../heap/geometry.ts';
import { ExternalSum } from '../heap/external.ts';
import { Tables } from '../heap/tables.ts';
import type { WorkerContext } from './context.ts';
import { Pacer } from './pacer.ts';
import { externalAllowance, externalPressure, startAt } from './policy/director.ts';
import {
  expectedDuration,
  expectedRate,
  NO_DURATION,
  NO_RATE,
  observeDuration,
  observeRate,
} from './policy/estimates.ts';
import { untilRoomMs } from './policy/pace.ts';
import { bytesToKeep, MIN_FREE_BYTES, REMEMBERED_CYCLES, softLimit } from './policy/sizing.ts';

/** Between two looks while the program allocates, in milliseconds: ZGC's director looks as often. */
const TICK_MS = 10;
/** ... and while it does not, at most. */
const IDLE_TICK_MS = 500;
/** Rates over less time than this are noise: buffers come in lumps of 64 KiB. */
const RATE_SAMPLE_MS = 5;
/** A heap that uses less than this, and did in its last cycles, is not collected for being idle. */
const IDLE_LEAST_BYTES = MIB;
/** Cycles that an idle heap begins: as many as it takes to have given back pages of both memfds. */
const IDLE_CYCLES = { concurrent: 1, 'stop-the-world': 2, none: 0 };
/** Batches of the sweep between two looks at the pace. */
const SWEEP_LOOK_EVERY = 64;
/** Pages are given back inside a cycle only while this much time's worth of room is left, in milliseconds. */
const TRIM_ROOM_MS = 100;

/** What a cycle tells of the heap's management. */
export interface SizingReport {
  /** Bytes of heap that the next cycle is to be over before. */
  readonly softLimitBytes: number;
  /** Bytes per second that are expected to be allocated. */
  readonly allocationBytesPerSecond: number;
  /** Milliseconds from the cycle's beginning to its flip: expected before it, and as it was. Expected 0: none was known. */
  readonly predictedRoomMs: number;
  readonly roomMs: number;
  /** The longest pace of the cycle: microseconds of waiting for each 64 KiB allocated. 0: nobody was paced. */
  readonly paceMaxUs: number;
  /** True when the heap began the cycle because nobody used it. */
  readonly idle: boolean;
}

export class Governor {
  readonly pacer: Pacer;
  readonly #context: WorkerContext;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #heap: number;
  readonly #capacity: number;
  readonly #minBytes: number;
  readonly #auto: boolean;
  readonly #concurrent: boolean;
  readonly #external: ExternalSum;
  readonly #rateWord: Float64Array<SharedArrayBuffer>;
  readonly #predictedWord: Float64Array<SharedArrayBuffer>;
  readonly #lastWord: Float64Array<SharedArrayBuffer>;
  readonly #liveWord: Float64Array<SharedArrayBuffer>;

  #rate = NO_RATE;
  /** From the beginning of a cycle to the end of tracing, of compaction, and to its end; and from the end of tracing to the flip. */
  #tracing = NO_DURATION;
  #toRoom = NO_DURATION;
  #rest = NO_DURATION;
  #work = NO_DURATION;
  #whole = NO_DURATION;
  /** Slices of tracing in a cycle; the estimate is the same as for durations. */
  #slices = NO_DURATION;
  #black = 0;
  #live = 0;
  /** Bytes in use after the last flip, and the soft limit in bytes. */
  #used = 0;
  #limit: number;
  /** What the last cycles needed. */
  readonly #needs: number[] = [];
  #externalBase = 0;

  // of the running cycle
  #startedAt = 0;
  #tracedAt = 0;
  #slicesDone = 0;
  #batches = 0;
  #sweepPages = 0;
  #idleCycle = false;
  #predicted = 0;
  #lastRoomMs = 0;

  // of the watch on allocation
  #seenCursor: number;
  #seenAt = performance.now();
  #movedAt = performance.now();
  #tickMs = TICK_MS;
  #idleAsked = false;
  #idleCyclesLeft = 0;

  constructor(context: WorkerContext) {
    const { control, options, arena } = context;
    const { heap, heapBytes } = arena.geometry;
    this.#context = context;
    this.pacer = new Pacer(context);
    this.#control = control;
    this.#heap = heap;
    this.#capacity = heapBytes;
    this.#minBytes = Math.min(options.minHeap, heapBytes);
    this.#auto = options.trigger === 'auto';
    this.#concurrent = options.collector === 'concurrent';
    this.#external = new ExternalSum(context.tables);
    this.#rateWord = Tables.float(control, CTL_ALLOCATION_RATE);
    this.#predictedWord = Tables.float(control, CTL_PREDICTED_ROOM_MS);
    this.#lastWord = Tables.float(control, CTL_LAST_ROOM_MS);
    this.#liveWord = Tables.float(control, CTL_LIVE_BYTES);
    this.#limit = this.#capacity;
    this.#seenCursor = heap;
  }

  /** Forgets the cycles that warmed the collector up, and sizes the empty heap. */
  arm(): void {
    this.#tracing = this.#toRoom = this.#rest = this.#work = this.#whole = this.#slices = NO_DURATION;
    this.#rate = NO_RATE;
    this.#needs.length = 0;
    this.#resize(0, 0);
    const now = performance.now();
    this.#seenAt = this.#movedAt = now;
    this.#publish();
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // Between cycles

  /** Looks at the program, moves the trigger, and asks for a cycle when one is due. Returns milliseconds until the next look. */
  tick(): number {
    const now = performance.now();
    const cursor = this.#cursor;
    if (cursor !== this.#seenCursor) {
      this.#active(now);
      this.#tickMs = TICK_MS;
    } else {
      this.#tickMs = Math.min(this.#tickMs * 2, IDLE_TICK_MS);
    }
    this.#sample(now);
    if (!this.#auto) return IDLE_TICK_MS;
    // With the rate of now: a program that has become slow need not wait for the end of the room it had when it was fast.
    this.#limit = this.#limitFor(this.#live, this.#used);
    this.#publish();
    if (cursor > this.#control[CTL_TRIGGER]!) this.#ask('trigger');
    else if (this.#idle(now)) {
      this.#idleAsked = true;
      this.#idleCyclesLeft--;
      this.#ask('idle');
    }
    return this.#tickMs;
  }

  #active(now: number): void {
    this.#movedAt = now;
    this.#idleCyclesLeft = IDLE_CYCLES[this.#context.options.collector];
  }

  #ask(cause: CycleCause): void {
    Atomics.or(this.#control, CTL_CAUSES, causeBit(cause));
    const done = Atomics.load(this.#control, CTL_CYCLES_DONE);
    // Unless somebody asked in the meantime.
    Atomics.compareExchange(this.#control, CTL_CYCLES_ASKED, done, (done + 1) | 0);
  }

  /** True when nobody has used the heap for a while, and something has happened since it was last collected for that. */
  #idle(now: number): boolean {
    const { idleCollectMs } = this.#context.options;
    if (idleCollectMs === 0 || this.#idleCyclesLeft === 0 || now - this.#movedAt < idleCollectMs)
      return false;
    const first = this.#idleCyclesLeft === IDLE_CYCLES[this.#context.options.collector];
    if (first && Math.max(this.#cursor - this.#heap, ...this.#needs) < IDLE_LEAST_BYTES) return false;
    // A thread that computes without allocating should not be stopped for this.
    const { tables } = this.#context;
    for (const i of tables.attached()) {
      const state = Atomics.load(tables.threads[i]!, T_STATE);
      if (state === THREAD_RUNNING || state === THREAD_STOPPED) return false;
    }
    return true;
  }

  /** Adds what was allocated since the last look to the rate. */
  #sample(now: number): void {
    const ms = now - this.#seenAt;
    if (ms < RATE_SAMPLE_MS) return;
    const cursor = this.#cursor;
    this.#rate = observeRate(this.#rate, Math.max(0, cursor - this.#seenCursor), ms);
    this.#seenCursor = cursor;
    this.#seenAt = now;
  }

  // ------------------------------------------------------------------------------------------------------------------------
  // During a cycle, in the order of its phases

  begin(): void {
    const now = performance.now();
    this.#sample(now);
    this.#idleCycle = this.#idleAsked;
    this.#idleAsked = false;
    if (this.#idleCycle) this.#control[CTL_IDLE_CYCLES] = this.#control[CTL_IDLE_CYCLES]! + 1;
    this.#startedAt = now;
    this.#tracedAt = 0;
    this.#slicesDone = 0;
    this.#predicted = expectedDuration(this.#toRoom);
    this.pacer.begin();
    this.#paceMarking(now);
  }

  /** A slice of tracing is done. */
  slice(): void {
    if (this.#tracedAt === 0) this.#slicesDone++;
    const now = performance.now();
    this.#sample(now);
    this.#paceMarking(now);
  }

  /** What the roots reach is traced; pre-cleaning, remark and plan are left. */
  traced(): void {
    this.#tracedAt = performance.now();
    this.#tracing = observeDuration(this.#tracing, this.#tracedAt - this.#startedAt);
    this.#slices = observeDuration(this.#slices, this.#slicesDone);
    this.#paceMarking(this.#tracedAt);
  }

  #paceMarking(now: number): void {
    if (!this.#concurrent || this.#toRoom.count === 0) return;
    const traced = this.#tracedAt !== 0;
    const remainingMs = untilRoomMs({
      tracingMs: (traced ? this.#tracedAt : now) - this.#startedAt,
      slices: this.#slicesDone,
      expectedSlices: this.#slices.meanMs,
      expectedTracingMs: expectedDuration(this.#tracing),
      traced,
      sinceTracedMs: traced ? now - this.#tracedAt : 0,
      expectedRestMs: expectedDuration(this.#rest),
    });
    this.pacer.room(this.#room, remainingMs, expectedRate(this.#rate));
  }

  /** Bytes that can be allocated before somebody has to wait. The soft limit delays nobody. */
  get #room(): number {
    return this.#heap + this.#capacity - this.#cursor;
  }

  /**
   * When the plan is made: how many bytes at the start of a memfd that holds pages up to `heldBytes` are to be kept.
   * @param usedBytes bytes that will be in use after the flip, as far as that is known.
   */
  keep(heldBytes: number, usedBytes: number): number {
    if (!this.#auto) return heldBytes;
    if (this.#idleCycle)
      return bytesToKeep(heldBytes, [usedBytes + Math.min(MIN_FREE_BYTES, this.#capacity / 8)]);
    const next = this.#limitFor(this.#live, usedBytes);
    return bytesToKeep(heldBytes, [...this.#needs, next]);
  }

  /** Marking found `liveBytes` alive. */
  planned(liveBytes: number): void {
    this.#live = liveBytes;
  }

  /** True while giving pages back holds up nobody who waits for the flip, or for the next cycle. */
  get hasTime(): boolean {
    if (((this.#control[CTL_CYCLES_ASKED]! - this.#control[CTL_CYCLES_DONE]!) | 0) > 1) return false;
    // Nobody has used the heap for a while, whatever the rate remembers of the time before.
    if (this.#idleCycle) return true;
    return this.#room > expectedRate(this.#rate) * (TRIM_ROOM_MS + expectedDuration(this.#toRoom));
  }

  /**
   * Right after the flip pause: `fromBytes` were in use, `usedBytes` are. Not in the pause, which this would make longer by a fifth: a mutator
   * that meets the old trigger meanwhile suggests a cycle, and one is under way.
   */
  flipped(fromBytes: number, usedBytes: number): void {
    const now = performance.now();
    this.#rate = observeRate(
      this.#rate,
      Math.max(0, this.#heap + fromBytes - this.#seenCursor),
      Math.max(now - this.#seenAt, RATE_SAMPLE_MS),
    );
    this.#seenCursor = this.#heap + usedBytes;
    this.#seenAt = now;
    this.#lastRoomMs = now - this.#startedAt;
    this.#toRoom = observeDuration(this.#toRoom, this.#lastRoomMs);
    if (this.#tracedAt !== 0) this.#rest = observeDuration(this.#rest, now - this.#tracedAt);
    // Half of the last, so that one full heap does not make every later cycle begin early.
    this.#black = Math.max(this.#black / 2, usedBytes - alignUp(this.#live, PAGE_BYTES));
    this.#needs.push(Math.max(this.#limit, fromBytes));
    if (this.#needs.length > REMEMBERED_CYCLES) this.#needs.shift();
    if (this.#idleCycle) this.#needs.length = 0;
    this.#resize(this.#live, usedBytes);
    this.#publish();
    this.#sweepPages = usedBytes / PAGE_BYTES;
    this.#batches = 0;
    this.#paceSweep(0);
  }

  /** A batch of the window is built; `pages` are. */
  batch(pages: number): void {
    if (++this.#batches % SWEEP_LOOK_EVERY !== 0) return;
    this.#sample(performance.now());
    this.#paceSweep(pages);
  }

  /** The next room comes when the window is closed and another cycle has flipped. */
  #paceSweep(builtPages: number): void {
    if (!this.#concurrent) return;
    const expectedMs = Math.max(0, expectedDuration(this.#whole) - expectedDuration(this.#toRoom));
    const leftMs = expectedMs * (1 - builtPages / Math.max(1, this.#sweepPages));
    this.pacer.room(this.#room, leftMs + expectedDuration(this.#toRoom), expectedRate(this.#rate));
  }

  /** Every page of to-space is built. What is left grows with what was allocated, and not with the number of cycles. */
  compacted(): void {
    this.#work = observeDuration(this.#work, performance.now() - this.#startedAt);
  }

  end(): void {
    const now = performance.now();
    this.#whole = observeDuration(this.#whole, now - this.#startedAt);
    this.#externalBase = this.#external.bytes;
    this.pacer.end();
    if (!this.#idleCycle) this.#active(now);
    this.#publish();
  }

  /** After a cycle that moved nothing: the next is due when part of what is left is used. */
  abandoned(): void {
    this.pacer.end();
    const usedBytes = this.#cursor - this.#heap;
    this.#resize(this.#live, usedBytes);
    this.#publish();
  }

  report(): SizingReport {
    return {
      softLimitBytes: this.#limit,
      allocationBytesPerSecond: Math.round(expectedRate(this.#rate) * 1000),
      predictedRoomMs: Math.round(this.#predicted * 1000) / 1000,
      roomMs: Math.round(this.#lastRoomMs * 1000) / 1000,
      paceMaxUs: this.pacer.maxUs,
      idle: this.#idleCycle,
    };
  }

  // ------------------------------------------------------------------------------------------------------------------------

  get #cursor(): number {
    return Atomics.load(this.#control, CTL_CURSOR);
  }

  #limitFor(liveBytes: number, usedBytes: number): number {
    if (!this.#auto) return this.#capacity;
    return softLimit({
      capacityBytes: this.#capacity,
      minBytes: this.#minBytes,
      targetUtilisation: this.#context.options.targetUtilisation,
      liveBytes,
      usedBytes,
      ratePerMs: expectedRate(this.#rate),
      // The mean, not what to be prepared for: this is about how much work there is, not about when it has to be done.
      workMs: this.#work.meanMs,
    });
  }

  #resize(liveBytes: number, usedBytes: number): void {
    this.#used = usedBytes;
    this.#live = liveBytes;
    this.#limit = this.#limitFor(liveBytes, usedBytes);
  }

  /** Writes what mutators and readers of statistics look at. */
  #publish(): void {
    const { options } = this.#context;
    const control = this.#control;
    const external = this.#external.bytes;
    this.#externalBase = Math.min(this.#externalBase, external);
    const allowance = externalAllowance(this.#externalBase, options.minHeap, options.targetUtilisation);
    const ratePerMs = expectedRate(this.#rate);
    const start =
      options.trigger === 'auto'
        ? startAt({
            usedBytes: this.#used,
            limitBytes: this.#limit,
            ratePerMs,
            toRoomMs: this.#toRoom.count === 0 ? undefined : expectedDuration(this.#toRoom),
            blackBytes: this.#black,
            externalPressure: externalPressure(external, this.#externalBase, allowance),
            concurrent: this.#concurrent,
          })
        : this.#used + Math.floor((this.#capacity - this.#used) * options.trigger);
    control[CTL_EXTERNAL_LIMIT_KIB] = Math.min(
      2 ** 31 - 1,
      Math.ceil((this.#externalBase + allowance) / 1024),
    );
    control[CTL_SOFT_LIMIT] = this.#heap + this.#limit;
    this.#rateWord[0] = ratePerMs * 1000;
    this.#predictedWord[0] = expectedDuration(this.#toRoom);
    this.#lastWord[0] = this.#lastRoomMs;
    this.#liveWord[0] = this.#live;
    Atomics.store(control, CTL_TRIGGER, this.#heap + start);
  }
}
