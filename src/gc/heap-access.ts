// A heap as any thread of the process holds it: types, mutators, statistics, and what there is to see.

import { EventEmitter } from 'node:events';
import { TospaceError } from '../errors.ts';
import type { ArenaHandle } from '../heap/arena.ts';
import { CheckedMutator } from '../heap/checked-mutator.ts';
import { CycleRequests } from '../heap/cycle-requests.ts';
import { CTL_HEAP_STATE, HEAP_OPEN, T_STATE, T_TID, THREAD_FREE } from '../heap/layout.ts';
import { defineInternTableTypes, type InternTableTypes } from '../heap/intern-table.ts';
import { Mutator } from '../heap/mutator.ts';
import { assertStackRoom } from '../heap/stack-room.ts';
import type { ThreadHost } from '../heap/thread.ts';
import { withThreadAtRest } from '../heap/thread-mutators.ts';
import { type Tables, Tables as TablesClass } from '../heap/tables.ts';
import {
  type ElementKind,
  type EphemeronType,
  type NoFields,
  type RawArrayType,
  type RecordType,
  type RefArrayType,
  type Shape,
  TypeRegistry,
  type WeakRecordType,
} from '../heap/types.ts';
import { defineWeakMapTypes, type WeakMapTypes } from '../heap/weak-map.ts';
import type { WasmMemory } from '../heap/webassembly.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import { check, createLibcKernel, type Kernel } from '../uffd/index.ts';
import { watchCreator } from './creator-watch.ts';
import type { CycleReport } from './cycle.ts';
import type { CycleStart } from './events.ts';
import { failStop } from './fail-stop.ts';
import type { HeapGraph } from './inspect/graph.ts';
import { type SnapshotOptions, takeSnapshot } from './inspect/index.ts';
import type { ResolvedOptions } from './options.ts';
import { type HeapMode, readMode, type StartMode } from './mode.ts';
import { bindLocksOf, Peers } from './peers.ts';
import type { SharedHeap } from './shared-heap.ts';
import { type HeapStatistics, readStatistics } from './statistics.ts';
import { TraceRecorder } from './trace.ts';
import { endDeadInspection, looksHere } from './world-lock.ts';

export interface AttachOptions {
  /** What reports call the thread; 20 bytes of UTF-8 are kept. */
  readonly name?: string;
}

const ATTACH_KEYS: KeysOf<AttachOptions> = { name: true };

/** What a heap tells the thread that created it, by `heap.on(…)`. */
export interface HeapEvents {
  /** A cycle has begun. */
  start: [start: CycleStart];
  /** A cycle is over. */
  cycle: [report: CycleReport];
  /** A cycle was given up before it moved anything: the kernel refused a step, or a thread did not reach a safepoint (ERR_TIMEOUT). */
  abandoned: [error: Error];
}

/**
 * One thread's way to a heap that it, or another thread, created. Not an EventEmitter: what happens is told to the thread that created the
 * heap alone, see {@link Heap}.
 */
export interface HeapAccess extends Omit<HeapBase, keyof EventEmitter> {}

/** What all threads have of a heap, and the creator's events, which `attachHeap` hides from the compiler and refuses at run time. */
export class HeapBase extends EventEmitter<HeapEvents> {
  /** What the heap was created with, every option with its value. `formatOptions` makes one line of it. */
  readonly options: ResolvedOptions;
  protected readonly kernel: Kernel;
  protected readonly tables: Tables;
  protected readonly workers: number;
  protected readonly mutators: Set<Mutator> = new Set();
  readonly #types: TypeRegistry;
  readonly #arena: ArenaHandle;
  readonly #start: StartMode;
  readonly #creator: number;

  constructor(kernel: Kernel, shared: SharedHeap, tables: Tables) {
    super();
    this.kernel = kernel;
    this.options = shared.options;
    this.workers = shared.workers;
    this.tables = tables;
    this.#arena = shared.arena;
    this.#start = shared.mode;
    this.#creator = shared.creator;
    this.#types = new TypeRegistry(tables);
    bindLocksOf(this.#threads);
  }

  get #threads(): { kernel: Kernel; tables: Tables; workers: number } {
    return { kernel: this.kernel, tables: this.tables, workers: this.workers };
  }

  /** What another thread needs: post it there, and call `attachHeap` with it. */
  share(): SharedHeap {
    return {
      arena: this.#arena,
      options: this.options,
      workers: this.workers,
      mode: this.#start,
      creator: this.#creator,
    };
  }

  /**
   * What really runs, and why where it is not what was asked for: kind of userfaultfd, placement of servers, a collector that `auto` chose.
   * @throws TospaceError ERR_STATE when the heap is closed.
   */
  get mode(): HeapMode {
    this.#assertReadable();
    return readMode({ ...this.#threads, options: this.options, start: this.#start });
  }

  /** The shared memory, for WebAssembly modules that import it. */
  get memory(): WasmMemory {
    return this.tables.memory;
  }

  /** Registers a type of records. Register once and post the descriptor to other threads. @throws TospaceError ERR_TYPE */
  defineRecord<const Name extends string, const Fields extends Shape>(
    name: Name,
    fields: Fields,
  ): RecordType<Fields, Name> {
    this.#assertOpen();
    return this.#types.record(name, fields);
  }

  /** Registers a type of records with a layout of the embedder's own; returns its type id. @throws TospaceError ERR_TYPE */
  defineRecordLayout(name: string, bytes: number, refOffsets: readonly number[]): number {
    this.#assertOpen();
    return this.#types.recordLayout(name, bytes, refOffsets);
  }

  /**
   * Registers a type of records whose field `referent` is weak: it does not keep its object alive, and is null from the moment the
   * object is found dead. Other fields are as in any record. Access it by `mutator.getWeak` and `setWeak`. @throws TospaceError ERR_TYPE
   */
  defineWeakRecord<const Name extends string, const Fields extends Shape = NoFields>(
    name: Name,
    fields: Fields = {} as Fields,
  ): WeakRecordType<Fields, Name> {
    this.#assertOpen();
    return this.#types.weakRecord(name, fields);
  }

  /**
   * Registers a type of ephemerons: the object in the field `value` lives while the ephemeron and the object in `key` do, even if it
   * refers to the key itself; both fields are null from the moment the key is found dead. Access them by `mutator.getKey`, `getValue`
   * and `setEphemeron`. @throws TospaceError ERR_TYPE
   */
  defineEphemeron<const Name extends string, const Fields extends Shape = NoFields>(
    name: Name,
    fields: Fields = {} as Fields,
  ): EphemeronType<Fields, Name> {
    this.#assertOpen();
    return this.#types.ephemeron(name, fields);
  }

  /** Registers what weak maps are made of: once, for all of them. See HeapWeakMap. @throws TospaceError ERR_TYPE */
  defineWeakMap(): WeakMapTypes {
    this.#assertOpen();
    return defineWeakMapTypes(this.#types);
  }

  /** Registers what intern tables are made of: once, for all of them. See InternTable. @throws TospaceError ERR_TYPE */
  defineInternTable(): InternTableTypes {
    this.#assertOpen();
    return defineInternTableTypes(this.#types);
  }

  /** Registers a type of arrays of references. @throws TospaceError ERR_TYPE */
  defineRefArray<const Name extends string>(name: Name): RefArrayType<Name> {
    this.#assertOpen();
    return this.#types.refArray(name);
  }

  /** Registers a type of arrays of raw data. @throws TospaceError ERR_TYPE */
  defineArray<const Name extends string>(name: Name, element: ElementKind): RawArrayType<Name> {
    this.#assertOpen();
    return this.#types.rawArray(name, element);
  }

  /**
   * Attaches the calling thread. It begins in a safe region: touch the heap inside `mutator.run(() => …)`.
   * @param options.name what reports call the thread, 20 bytes of it; default: `thread` and the kernel's id of it.
   * @throws TospaceError ERR_STATE when the heap is closed or 64 threads are attached; ERR_OPTION when the name is no
   * string, or there is no such option.
   */
  attach(options: AttachOptions = {}): Mutator {
    this.#assertOpen();
    assertKeys('attach', options, ATTACH_KEYS);
    const { name } = options;
    if (name !== undefined && typeof name !== 'string') {
      throw new TospaceError('ERR_OPTION', `name: ${String(name)} is not a name of a thread`, {
        hint: "Call attach({ name: 'a string' }), or attach().",
      });
    }
    const host = this.#host(name);
    const { stress, verify, collector } = this.options;
    const checked = verify === 'full';
    if (collector !== 'none') this.#makeRoomForThread(host);
    const settings = {
      collectEveryAllocation: stress.collectEveryAllocation ?? 0,
      collectEverySafepoint: stress.collectEverySafepoint ?? 0,
      largeObjectBytes: this.options.largeObject,
      faultSamples: collector === 'concurrent' ? this.options.faultSamples : 0,
      checked,
      collects: collector !== 'none',
    };
    const forget = (): void => {
      this.mutators.delete(mutator);
    };
    // A record that is taken, and no mutator to give it back, would stay taken as long as this thread lives.
    assertStackRoom();
    const mutator = new (checked ? CheckedMutator : Mutator)(this.tables, host, settings, forget);
    this.mutators.add(mutator);
    return mutator;
  }

  /** The calling thread. */
  #host(name?: string): ThreadHost {
    const { kernel } = this;
    const { control } = this.tables;
    const peers = new Peers(this.#threads);
    const tid = kernel.gettid();
    return {
      tid,
      name,
      currentCpu: () => kernel.getcpu(),
      assertCollectorAlive: () => {
        try {
          peers.assertAlive();
        } catch (error) {
          // It may have died in the middle of a pause: no thread may look at the heap again.
          failStop(kernel, 'a thread that waits for the collector', error);
        }
        if (looksHere(control, tid)) {
          throw new TospaceError(
            'ERR_STATE',
            'this thread has stopped all threads, and would wait for itself',
            {
              hint: 'Do not run as a mutator inside whileStopped; read objects through heap.memory.',
            },
          );
        }
        endDeadInspection(control, peers);
      },
    };
  }

  /** Where all thread records are taken, and some by threads that have ended: lets a cycle release those. */
  #makeRoomForThread(host: ThreadHost): void {
    const { threads, control } = this.tables;
    const peers = new Peers(this.#threads);
    if (threads.some((thread) => Atomics.load(thread, T_STATE) === THREAD_FREE)) return;
    if (threads.every((thread) => thread[T_TID] === 0 || peers.threadExists(thread[T_TID]!))) return;
    const stillWaiting = (): void => host.assertCollectorAlive();
    new CycleRequests(control, host).collect(
      {},
      (wait) => {
        this.#assertOpen();
        withThreadAtRest(this.tables, host.tid, stillWaiting, wait);
      },
      'threads',
    );
  }

  /** What the heap has done so far. Some 100 µs: not for hot paths. @throws TospaceError ERR_STATE when the heap is closed. */
  stats(): HeapStatistics {
    this.#assertReadable();
    const held = [...this.#arena.memfds, this.#arena.nonMovingMemfd].map((fd) => this.kernel.fileBlocks(fd));
    // Where the heap was closed meanwhile the descriptors may be those of other files by now.
    this.#assertReadable();
    const sharedBytes = held.reduce(
      (sum, bytes) => sum + check(bytes, 'fstat', 'asking for the memory of the heap'),
      0,
    );
    return readStatistics(this.tables, this.workers, sharedBytes);
  }

  /**
   * Records what the collector, the fault servers and the mutators do from now on, on one clock, until the recorder is closed.
   * @throws TospaceError ERR_STATE when the heap is closed.
   */
  trace(): TraceRecorder {
    this.#assertOpen();
    return new TraceRecorder(this.tables, this.workers);
  }

  /**
   * The graph of all objects that are reachable now: who refers to whom, who retains how much, what keeps an object alive. It is a copy,
   * so that whoever looks at it keeps nobody waiting. While it is made all threads stand still, some 0.4 s for a million objects; a cycle
   * that is under way, or was asked for before, is waited for first. Nothing is collected. Any thread may call it, under any collector; inside
   * `run` it is a safepoint.
   * @throws TospaceError ERR_TIMEOUT when a thread, which the message names, did not stop within `safepointTimeoutMs`; ERR_OUT_OF_MEMORY
   * when the graph would take more than `maxBytes`; ERR_STATE when the heap is closed, before or meanwhile; ERR_VERIFY when it is damaged.
   */
  snapshot(options: SnapshotOptions = {}): HeapGraph {
    this.#assertOpen();
    const { kernel, tables, workers, mutators } = this;
    return takeSnapshot(
      { kernel, tables, workers, mutators, host: this.#host(), options: this.options },
      options,
    );
  }

  /** Whether what the heap has done can still be read on this thread. */
  protected get isReadable(): boolean {
    return Atomics.load(this.tables.control, CTL_HEAP_STATE) === HEAP_OPEN;
  }

  #assertReadable(): void {
    if (!this.isReadable) throw closed();
  }

  #assertOpen(): void {
    if (Atomics.load(this.tables.control, CTL_HEAP_STATE) !== HEAP_OPEN) throw closed();
  }
}

function closed(): TospaceError {
  return new TospaceError('ERR_STATE', 'the heap is closed', { hint: 'Create a new one.' });
}

/**
 * Attaches this thread's view to a heap of another thread of the same process. Its events are told to the thread that created the heap
 * alone: to listen here throws ERR_STATE.
 * @throws TospaceError ERR_OPTION when `shared` does not come from `heap.share()`; ERR_WORKER when no thread could be started that watches
 * the workers of the heap, where a worker thread created it.
 */
export function attachHeap(shared: SharedHeap): HeapAccess {
  if (shared?.arena?.geometry === undefined) {
    throw new TospaceError('ERR_OPTION', 'shared is not what heap.share() returns', {
      hint: 'Post heap.share() to this thread, and call attachHeap with what arrives.',
    });
  }
  const { memory, geometry } = shared.arena;
  const tables = new TablesClass(memory, geometry);
  const heap = new HeapBase(createLibcKernel(), shared, tables);
  (heap as EventEmitter).on('newListener', refuseListener);
  watchCreator(shared, tables);
  return heap;
}

/** A listener that is never called would be a silent mistake. */
function refuseListener(event: string): never {
  throw new TospaceError('ERR_STATE', `"${event}" is not told to this thread`, {
    hint: 'Listen on the thread that created the heap; here, use stats() or trace().',
  });
}
