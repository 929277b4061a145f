// What becomes of from-space: memory against speed, the user's choice.
//
// A page of shmem is dear to allocate and to free (about 0.6 and 0.2 s per GiB) and cheap to reuse. `recycle` keeps the pages of both
// memfds, so that a process holds up to twice its heap; `release` punches from-space out behind the sweep. Either way the collector
// knows how far each memfd may hold old bytes: allocation buffers below that are zeroed when they are taken.

import { CTL_FRONT, PAGE_BYTES, W_PEAK_SHARED, W_RELEASED } from '../heap/layout.ts';
import { Tables } from '../heap/tables.ts';
import { check, MADV_POPULATE_WRITE } from '../uffd/index.ts';
import type { WorkerContext } from './context.ts';
import type { Governor } from './governor.ts';

/** From-space is punched in steps of at least this: smaller ones cost four times as much per page (Android: 1 MiB). */
const RELEASE_STEP_BYTES = 1024 * 1024;

/** Pages are allocated in steps of this, so that no single system call holds up other threads' mappings for long. */
const WARM_STEP_BYTES = 4 * 1024 * 1024;

/** Idle pages are given back in steps of this: under a millisecond each, between two looks at whether there is time for more. */
const TRIM_STEP_BYTES = 4 * 1024 * 1024;

export class Retention {
  readonly #context: WorkerContext;
  readonly #peak: Float64Array;
  readonly #released: Float64Array;
  /** Per memfd: offset below which its pages may hold old bytes. */
  readonly #dirty: [number, number] = [0, 0];
  /** Offset in from-space from which everything is released already. */
  #releasedFrom = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#peak = Tables.float(context.record, W_PEAK_SHARED);
    this.#released = Tables.float(context.record, W_RELEASED);
  }

  /** Offset below which the pages of the memfd that comes next under the heap may hold old bytes. */
  get backDirtyBytes(): number {
    return this.#dirty[1 - this.#front]!;
  }

  get #front(): number {
    return this.#context.control[CTL_FRONT]!;
  }

  /**
   * Before the flip, beside mutators: where pages are kept, allocates and maps the first `bytes` of the next to-space in its alias. The
   * window is then as short as copying is, because building through a warm alias is several times faster than through a cold one.
   * Where pages are given back this would hold both spaces at once.
   */
  warmBack(bytes: number): void {
    const { arena, kernel, options } = this.#context;
    if (options.retention !== 'recycle') return;
    const alias = arena.real(arena.geometry.aliases[1 - this.#front]!);
    const end = Math.min(bytes, arena.geometry.heapBytes);
    for (let at = 0; at < end; at += WARM_STEP_BYTES) {
      const length = Math.min(WARM_STEP_BYTES, end - at);
      // Before the attempt: what it leaves behind when it fails counts too.
      this.#dirty[1 - this.#front] = Math.max(this.#dirty[1 - this.#front]!, at + length);
      check(
        kernel.madvise(alias + at, length, MADV_POPULATE_WRITE),
        'madvise',
        'allocating the pages of to-space',
      );
    }
  }

  /**
   * While nobody can reach the idle memfd: gives back what it holds above what is worth keeping, from its end, in steps, as long as
   * there is time for it. What is left is looked at again in the next cycle.
   */
  trimBack(governor: Governor, usedBytes: number): void {
    const back = 1 - this.#front;
    const keep = governor.keep(this.#dirty[back]!, usedBytes);
    while (this.#dirty[back]! > keep && governor.hasTime) {
      const from = Math.max(keep, this.#dirty[back]! - TRIM_STEP_BYTES);
      this.#punch(back, from, this.#dirty[back]! - from);
      this.#dirty[back] = from;
    }
  }

  /** In the pause, before the flip: `usedBytes` of the front memfd may have been written. */
  beginWindow(usedBytes: number): void {
    this.#dirty[this.#front] = Math.max(this.#dirty[this.#front]!, usedBytes);
    this.#releasedFrom = usedBytes;
  }

  /** Before the flip, when memory is to be given back: empties the idle memfd, which nobody can reach. */
  emptyBack(): void {
    const back = 1 - this.#front;
    this.#punch(back, 0, this.#dirty[back]!);
    this.#dirty[back] = 0;
  }

  /** During the sweep: everything in from-space at `from` and above is dead. From-space is the back memfd by now. */
  releaseAbove(from: number): void {
    const bytes = this.#releasedFrom - from;
    if (bytes < RELEASE_STEP_BYTES) return;
    // Sampled before giving back: this is where the sum of both memfds peaks.
    this.sample();
    this.#punch(1 - this.#front, from, bytes);
    this.#releasedFrom = from;
  }

  /** When the window is closed: gives all of from-space back. */
  releaseAll(): void {
    const back = 1 - this.#front;
    this.sample();
    this.#punch(back, 0, Math.max(this.#dirty[back]!, this.#releasedFrom));
    this.#dirty[back] = 0;
    this.#releasedFrom = 0;
    this.sample();
  }

  /** Notes how much memory the heap holds now. Some 50 µs: never in a pause. */
  sample(): void {
    const now = this.#context.arena.sharedBytes();
    if (now > this.#peak[0]!) this.#peak[0] = now;
  }

  #punch(memfd: number, offset: number, bytes: number): void {
    if (bytes <= 0) return;
    const end = Math.ceil((offset + bytes) / PAGE_BYTES) * PAGE_BYTES;
    const file = this.#context.arena.memfds[memfd]!;
    const before = file.allocatedBytes();
    file.punch(offset, end - offset);
    this.#released[0] = this.#released[0]! + before - file.allocatedBytes();
  }
}
