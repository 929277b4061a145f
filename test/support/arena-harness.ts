// A heap without a collector: an arena, a type registry and the kernels, for tests that place objects by hand and run one kernel at
// a time. Nothing is registered with a userfaultfd, so nothing can block.
import type { WorkerContext } from '#src/gc/context.js';
import { instantiateKernels, type Kernels, kernelModule } from '#src/gc/kernels.js';
import { Arena } from '#src/heap/arena.js';
import { type GeometryOptions, KIB, MIB } from '#src/heap/geometry.js';
import {
  CARD_LOG2,
  CTL_BLACK_DELTA,
  CTL_BLACK_LINE,
  CTL_COMPACTED_BYTES,
  CTL_CURSOR,
  CTL_LIMIT,
  CTL_PERSISTENT,
  CTL_PERSISTENT_TOP,
  CTL_USED_BYTES,
  CTL_WORDS,
  MAX_THREADS,
  THREAD_BYTES,
} from '#src/heap/layout.js';
import type { Tables } from '#src/heap/tables.js';
import { TraceRing } from '#src/heap/trace-ring.js';
import { TypeRegistry } from '#src/heap/types.js';
import { createLibcKernel, type Kernel } from '#src/uffd/index.js';

/** What no page of a test holds by itself: shows which bytes were written. */
export const GUARD_BYTE = 0xab;

export class ArenaHarness {
  readonly kernel: Kernel;
  readonly arena: Arena;
  readonly tables: Tables;
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly kernels: Kernels;
  readonly types: TypeRegistry;
  /** Address of the heap's first and of its last byte + 1. */
  readonly heap: number;
  readonly end: number;
  /** The whole memory. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly words: Uint32Array<SharedArrayBuffer>;
  readonly #pristine: Int32Array;

  constructor(options: Partial<GeometryOptions> = {}, kernel: Kernel = createLibcKernel()) {
    this.kernel = kernel;
    this.arena = Arena.create(kernel, {
      heapBytes: MIB,
      markStackEntries: 16 * KIB,
      persistentSlots: 1024,
      typeMapBytes: 64 * KIB,
      ...options,
    });
    this.tables = this.arena.tables;
    this.control = this.tables.control;
    this.kernels = instantiateKernels(kernelModule(), this.tables.memory, this.tables.geometry.control);
    this.types = new TypeRegistry(this.tables);
    const { heap, heapBytes } = this.tables.geometry;
    this.heap = heap;
    this.end = heap + heapBytes;
    this.bytes = new Uint8Array(this.tables.buffer);
    this.words = new Uint32Array(this.tables.buffer);
    this.#pristine = this.control.slice(0, CTL_WORDS);
  }

  close(): void {
    this.arena.close();
  }

  /** Forgets all objects, marks, cards and plans; types stay. */
  reset(): void {
    const g = this.tables.geometry;
    const types = [...this.control.subarray(96, 99)];
    this.control.set(this.#pristine);
    this.control.set(types, 96);
    this.bytes.fill(0, g.heap, g.heap + g.heapBytes);
    this.bytes.fill(0, g.aliases[1], g.aliases[1] + g.heapBytes);
    // marks … pageSource lie behind each other.
    this.bytes.fill(0, g.marks, g.spans);
    // The array of persistent handles is the only object of the non-moving space.
    this.bytes.fill(0, this.persistent - 4, this.persistent + g.persistentSlots * 4);
    this.bytes.fill(0, g.threads, g.threads + THREAD_BYTES * this.tables.threads.length);
    this.kernels.markBegin(this.heap);
  }

  /** Writes an object's header. */
  put(at: number, type: number, length = 0): number {
    this.words[at >>> 2] = type;
    this.words[(at >>> 2) + 1] = length;
    return at;
  }

  /** The 32-bit word at `ref + offset`. */
  get(ref: number, offset: number): number {
    return this.words[(ref + offset) >>> 2]!;
  }

  set(ref: number, offset: number, value: number): void {
    this.words[(ref + offset) >>> 2] = value;
  }

  /** Everything below `cursor` is allocated. */
  setCursor(cursor: number): void {
    this.control[CTL_CURSOR] = cursor;
  }

  /** Address of the first persistent slot. */
  get persistent(): number {
    return this.#pristine[CTL_PERSISTENT]! + 8;
  }

  /** Makes `refs` the persistent roots. */
  setRoots(refs: readonly number[]): void {
    this.words.set(refs, this.persistent / 4);
    this.words[this.persistent / 4 - 1] = refs.length;
    this.control[CTL_PERSISTENT_TOP] = refs.length;
  }

  markRoots(): void {
    this.kernels.markRoots(this.persistent, this.persistent + this.control[CTL_PERSISTENT_TOP]! * 4);
  }

  #bit(table: number, at: number): boolean {
    const granule = (at - this.heap) / 8;
    return ((this.words[table / 4 + (granule >>> 5)]! >>> (granule & 31)) & 1) === 1;
  }

  isMarked(at: number): boolean {
    return this.#bit(this.tables.geometry.marks, at);
  }

  isLive(at: number): boolean {
    return this.#bit(this.tables.geometry.lives, at);
  }

  card(at: number): number {
    return this.bytes[this.tables.geometry.cards + ((at - this.heap) >>> CARD_LOG2)]!;
  }

  setCard(at: number, value: number): void {
    this.bytes[this.tables.geometry.cards + ((at - this.heap) >>> CARD_LOG2)] = value;
  }

  setPageFirst(page: number, address: number): void {
    this.words[this.tables.geometry.pageFirst / 4 + page] = address;
  }

  pageFirst(page: number): number {
    return this.words[this.tables.geometry.pageFirst / 4 + page]!;
  }

  pageSource(page: number): number {
    return this.words[this.tables.geometry.pageSource / 4 + page]!;
  }

  setPlan(plan: { compacted: number; blackLine: number; used: number }): void {
    const { control } = this;
    control[CTL_COMPACTED_BYTES] = plan.compacted;
    control[CTL_BLACK_LINE] = plan.blackLine;
    control[CTL_BLACK_DELTA] = plan.blackLine - this.heap - Math.ceil(plan.compacted / 4096) * 4096;
    control[CTL_USED_BYTES] = plan.used;
    control[CTL_LIMIT] = this.end;
  }

  /** As much of a worker's context as the tested parts look at. */
  context(over: Partial<Record<keyof WorkerContext, unknown>> = {}): WorkerContext {
    return {
      kernel: this.kernel,
      arena: this.arena,
      tables: this.tables,
      control: this.control,
      kernels: this.kernels,
      worker: 0,
      workers: 2,
      record: this.tables.workers[0],
      reach: () => {},
      countPages: () => {},
      trace: new TraceRing(this.tables, MAX_THREADS),
      ...over,
    } as unknown as WorkerContext;
  }
}
