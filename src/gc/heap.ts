// The heap as a program holds it: creates the arena and the crew, hands out mutators, and closes in an order that leaves nobody asleep.

import { EventEmitter } from 'node:events';
import { TospaceError } from '../errors.ts';
import { Arena, type ArenaHandle } from '../heap/arena.ts';
import { CheckedMutator } from '../heap/checked-mutator.ts';
import { CycleRequests } from '../heap/cycle-requests.ts';
import {
  CTL_CLOSING,
  CTL_CYCLES_ASKED,
  CTL_HEAP_STATE,
  CTL_LIMIT,
  HEAP_CLOSED,
  HEAP_OPEN,
  T_STATE,
  T_TID,
  THREAD_FREE,
  THREAD_RUNNING,
  THREAD_STOPPED,
  W_STATE,
  WORKER_ARMED,
} from '../heap/layout.ts';
import { defineInternTableTypes, type InternTableTypes } from '../heap/intern-table.ts';
import { Mutator } from '../heap/mutator.ts';
import type { ThreadHost } from '../heap/thread.ts';
import { waitWhile } from '../heap/spin.ts';
import { type Tables, Tables as TablesClass } from '../heap/tables.ts';
import {
  type ElementKind,
  type EphemeronType,
  type FieldKind,
  type RawArrayType,
  type RecordType,
  type RefArrayType,
  TypeRegistry,
  type WeakRecordType,
} from '../heap/types.ts';
import { defineWeakMapTypes, type WeakMapTypes } from '../heap/weak-map.ts';
import {
  check,
  createLibcKernel,
  injectFaults,
  type Kernel,
  StopSignal,
  Userfaultfd,
} from '../uffd/index.ts';
import { Crew } from './crew.ts';
import type { CycleReport } from './cycle.ts';
import type { CycleStart, HeapEvent } from './events.ts';
import { atExit } from './exit.ts';
import { failStop } from './fail-stop.ts';
import { kernelModule } from './kernels.ts';
import { announce, type HeapListener, NULL_LISTENER } from './listener.ts';
import { type HeapOptions, markStackEntries, type ResolvedOptions, resolveOptions } from './options.ts';
import { bindLocksOf, Peers } from './peers.ts';
import { type HeapStatistics, readStatistics } from './statistics.ts';
import { TraceRecorder } from './trace.ts';

/** Milliseconds that workers may take to stop when the process exits; then it is ended without them. */
const EXIT_TIMEOUT_MS = 10_000;

/** What another thread needs to attach to a heap. Can be posted to it. */
export interface SharedHeap {
  readonly arena: ArenaHandle;
  readonly options: ResolvedOptions;
  readonly workers: number;
}

export interface AttachOptions {
  /** What reports call the thread; 20 bytes of UTF-8 are kept. */
  readonly name?: string;
}

interface HeapEvents {
  /** A cycle has begun. */
  start: [start: CycleStart];
  /** A cycle is over. */
  cycle: [report: CycleReport];
  /** A cycle was given up before it moved anything: the kernel refused a step, or a thread did not reach a safepoint (ERR_TIMEOUT). */
  abandoned: [error: Error];
}

/** One thread's way to a heap that it, or another thread, created. */
export class HeapAccess extends EventEmitter<HeapEvents> {
  readonly options: ResolvedOptions;
  protected readonly kernel: Kernel;
  protected readonly tables: Tables;
  protected readonly workers: number;
  protected readonly mutators: Set<Mutator> = new Set();
  readonly #types: TypeRegistry;
  readonly #arena: ArenaHandle;

  constructor(kernel: Kernel, shared: SharedHeap, tables: Tables) {
    super();
    this.kernel = kernel;
    this.options = shared.options;
    this.workers = shared.workers;
    this.tables = tables;
    this.#arena = shared.arena;
    this.#types = new TypeRegistry(tables);
    bindLocksOf(this.#threads);
  }

  get #threads(): { kernel: Kernel; tables: Tables; workers: number } {
    return { kernel: this.kernel, tables: this.tables, workers: this.workers };
  }

  /** What another thread needs: post it there, and call `attachHeap` with it. */
  share(): SharedHeap {
    return { arena: this.#arena, options: this.options, workers: this.workers };
  }

  /** The shared memory, for WebAssembly modules that import it. */
  get memory(): WebAssembly.Memory {
    return this.tables.memory;
  }

  /** Capacity of the moving space in bytes. */
  get heapBytes(): number {
    return this.tables.control[CTL_LIMIT]! - this.tables.geometry.heap;
  }

  /** Registers a type of records. Register once and post the descriptor to other threads. @throws TospaceError ERR_TYPE */
  defineRecord<const Fields extends string>(
    name: string,
    fields: Readonly<Record<Fields, FieldKind>>,
  ): RecordType<Fields> {
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
  defineWeakRecord<const Fields extends string = never>(
    name: string,
    fields: Readonly<Record<Fields, FieldKind>> = {} as Record<Fields, FieldKind>,
  ): WeakRecordType<Fields> {
    this.#assertOpen();
    return this.#types.weakRecord(name, fields);
  }

  /**
   * Registers a type of ephemerons: the object in the field `value` lives while the ephemeron and the object in `key` do, even if it
   * refers to the key itself; both fields are null from the moment the key is found dead. Access them by `mutator.getKey`, `getValue`
   * and `setEphemeron`. @throws TospaceError ERR_TYPE
   */
  defineEphemeron<const Fields extends string = never>(
    name: string,
    fields: Readonly<Record<Fields, FieldKind>> = {} as Record<Fields, FieldKind>,
  ): EphemeronType<Fields> {
    this.#assertOpen();
    return this.#types.ephemeron(name, fields);
  }

  /** Registers what weak maps are made of: once, for all of them. See HeapWeakMap. */
  defineWeakMap(): WeakMapTypes {
    this.#assertOpen();
    return defineWeakMapTypes(this.#types);
  }

  /** Registers what intern tables are made of: once, for all of them. See InternTable. */
  defineInternTable(): InternTableTypes {
    this.#assertOpen();
    return defineInternTableTypes(this.#types);
  }

  /** Registers a type of arrays of references. */
  defineRefArray(name: string): RefArrayType {
    this.#assertOpen();
    return this.#types.refArray(name);
  }

  /** Registers a type of arrays of raw data. */
  defineArray(name: string, element: ElementKind): RawArrayType {
    this.#assertOpen();
    return this.#types.rawArray(name, element);
  }

  /**
   * Attaches the calling thread. It begins in a safe region: touch the heap inside `mutator.run(() => …)`.
   * @param options.name what reports call the thread, 20 bytes of it; default: `thread` and the kernel's id of it.
   * @throws TospaceError ERR_STATE when the heap is closed or 64 threads are attached.
   */
  attach({ name }: AttachOptions = {}): Mutator {
    this.#assertOpen();
    const peers = new Peers(this.#threads);
    const host: ThreadHost = {
      tid: this.kernel.gettid(),
      name,
      currentCpu: () => this.kernel.getcpu(),
      assertCollectorAlive: () => {
        try {
          peers.assertAlive();
        } catch (error) {
          // It may have died in the middle of a pause: no thread may look at the heap again.
          failStop(this.kernel, 'a thread that waits for the collector', error);
        }
      },
    };
    const { stress, verify, collector } = this.options;
    if (collector !== 'none') this.#makeRoomForThread(host, peers);
    const options = {
      collectEveryAllocation: stress.collectEveryAllocation ?? 0,
      collectEverySafepoint: stress.collectEverySafepoint ?? 0,
      largeObjectBytes: this.options.largeObjectBytes,
      sampleFaults: collector === 'concurrent',
      checked: verify,
      collects: collector !== 'none',
    };
    const forget = (): void => {
      this.mutators.delete(mutator);
    };
    const mutator = new (verify ? CheckedMutator : Mutator)(this.tables, host, options, forget);
    this.mutators.add(mutator);
    return mutator;
  }

  /** Where all thread records are taken, and some by threads that have ended: lets a cycle release those. */
  #makeRoomForThread(host: ThreadHost, peers: Peers): void {
    const { threads, control } = this.tables;
    if (threads.some((thread) => Atomics.load(thread, T_STATE) === THREAD_FREE)) return;
    if (threads.every((thread) => thread[T_TID] === 0 || peers.threadExists(thread[T_TID]!))) return;
    new CycleRequests(control, host).collect(false, (wait) => wait(), 'threads');
  }

  /** What the heap has done so far. Some 100 µs: not for hot paths. @throws TospaceError ERR_STATE when the heap is closed. */
  stats(): HeapStatistics {
    this.#assertOpen();
    const held = [...this.#arena.memfds, this.#arena.nonMovingMemfd].map((fd) =>
      check(this.kernel.fileBlocks(fd), 'fstat', 'asking for the memory of the heap'),
    );
    const sharedBytes = held.reduce((sum, bytes) => sum + bytes, 0);
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

  #assertOpen(): void {
    if (Atomics.load(this.tables.control, CTL_HEAP_STATE) !== HEAP_OPEN) {
      throw new TospaceError('ERR_STATE', 'the heap is closed', { hint: 'Create a new one.' });
    }
  }
}

/** A heap, as its creator holds it. */
export class Heap extends HeapAccess {
  /** Hears of cycles, phases and pauses, before the events of this EventEmitter are emitted. Default: one that hears nothing. */
  listener: HeapListener = NULL_LISTENER;
  readonly #arena: Arena;
  readonly #uffd: Userfaultfd | undefined;
  readonly #stop: StopSignal;
  readonly #forgetExit: () => void;
  #crew: Crew | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    kernel: Kernel,
    arena: Arena,
    shared: SharedHeap,
    uffd: Userfaultfd | undefined,
    stop: StopSignal,
  ) {
    super(kernel, shared, arena.tables);
    this.#arena = arena;
    this.#uffd = uffd;
    this.#stop = stop;
    this.#forgetExit = atExit(() => this.#closeAtExit());
  }

  /**
   * Creates a heap.
   * @throws TospaceError ERR_OPTION, ERR_UNSUPPORTED, ERR_PERMISSION, ERR_SYSCALL or ERR_WORKER; nothing is left behind.
   */
  static async create(given: HeapOptions = {}): Promise<Heap> {
    const options = resolveOptions(given);
    const libc = createLibcKernel();
    const kernel =
      options.stress.injection === undefined ? libc : injectFaults(libc, options.stress.injection, 'creator');
    const undo: (() => unknown)[] = [];
    try {
      const uffd =
        options.collector === 'concurrent'
          ? Userfaultfd.open(kernel, { kind: options.userfaultfd })
          : undefined;
      undo.push(() => uffd?.close());
      const stop = StopSignal.create(kernel);
      undo.push(() => stop.close());
      const arena = Arena.create(kernel, {
        heapBytes: options.heapBytes,
        nonMovingBytes: options.nonMovingBytes,
        markStackEntries: markStackEntries(options),
        persistentSlots: options.persistentSlots,
        typeMapBytes: options.typeMapBytes,
      });
      undo.push(() => arena.close());
      const workers =
        options.collector === 'none' ? 0 : options.collector === 'concurrent' ? 1 + options.servers : 1;
      const heap = new Heap(kernel, arena, { arena: arena.handle, options, workers }, uffd, stop);
      undo.push(() => heap.#forgetExit());
      if (workers > 0) {
        const setup = {
          arena: arena.handle,
          module: kernelModule(),
          options,
          uffd: uffd === undefined ? undefined : { fd: uffd.fd, kind: uffd.kind },
          stopFd: stop.fd,
          workers,
        };
        heap.#crew = await Crew.start(
          setup,
          arena.tables,
          (event) => announce(heap, event as HeapEvent),
          () => {
            heap.#tellWorkersToStop();
            stop.signal();
          },
        );
      }
      return heap;
    } catch (error) {
      // Every step, whatever the others do; what is thrown is why the heap could not be made.
      for (const step of undo.reverse()) {
        try {
          await step();
        } catch {}
      }
      throw error;
    }
  }

  /** Which kind of userfaultfd serves this heap, undefined when its collector needs none. */
  get userfaultfd(): 'full' | 'user-mode-only' | undefined {
    return this.#uffd?.kind;
  }

  #tellWorkersToStop(): void {
    const { control } = this.tables;
    Atomics.store(control, CTL_CLOSING, 1);
    Atomics.add(control, CTL_CYCLES_ASKED, 1);
    Atomics.notify(control, CTL_CYCLES_ASKED);
  }

  /**
   * Closes the heap and gives its memory back. All mutators must be detached or in a safe region; references mean nothing afterwards.
   * Closing twice does nothing.
   * @throws TospaceError ERR_STATE when a thread still runs as a mutator; the heap stays open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close().catch((error: unknown) => {
      this.#closing = undefined;
      throw error;
    });
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { control, threads } = this.tables;
    const peers = new Peers({ kernel: this.kernel, tables: this.tables, workers: this.workers });
    const assertNoneRuns = (): void => {
      const running = [...this.tables.attached()].filter((i) => {
        // A thread that waits at a safepoint will go on with the heap. One that was terminated in the middle will not.
        const state = Atomics.load(threads[i]!, T_STATE);
        return (
          (state === THREAD_RUNNING || state === THREAD_STOPPED) && peers.threadExists(threads[i]![T_TID]!)
        );
      });
      if (running.length === 0) return;
      throw new TospaceError('ERR_STATE', `${running.length} thread(s) still run as mutators of this heap`, {
        hint: 'Return from mutator.run(), or detach, in every thread before closing the heap.',
      });
    };
    assertNoneRuns();
    Atomics.store(control, CTL_HEAP_STATE, HEAP_CLOSED);
    try {
      // Again: a thread may have left its safe region in between. From here on it finds the heap closed.
      assertNoneRuns();
    } catch (error) {
      Atomics.store(control, CTL_HEAP_STATE, HEAP_OPEN);
      throw error;
    }
    // The collector first, because it finishes an open window and needs the servers for that; then nobody can fault any more.
    this.#tellWorkersToStop();
    await this.#collectorStopped();
    if (this.#crew !== undefined) {
      this.#stop.signal();
      await this.#crew.close();
      // A later step may fail and close() be called again: the crew is gone by then.
      this.#crew = undefined;
    }
    for (const mutator of [...this.mutators]) mutator.detach();
    this.#forgetExit();
    this.#uffd?.close();
    this.#stop.close();
    this.#arena.close();
  }

  async #collectorStopped(): Promise<void> {
    const record = this.tables.workers[0]!;
    while (Atomics.load(record, W_STATE) === WORKER_ARMED) {
      const wait = Atomics.waitAsync(record, W_STATE, WORKER_ARMED, 100);
      if (wait.async) await wait.value;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The thread is exiting and nothing asynchronous happens any more: stop the workers, or the process would hang with them. */
  #closeAtExit(): void {
    if (this.#crew === undefined) return;
    for (const mutator of this.mutators) mutator.abandon();
    Atomics.store(this.tables.control, CTL_HEAP_STATE, HEAP_CLOSED);
    this.#tellWorkersToStop();
    const stopped = (worker: number): boolean =>
      waitWhile(this.tables.workers[worker]!, W_STATE, WORKER_ARMED, EXIT_TIMEOUT_MS);
    let all = stopped(0);
    this.#stop.signal();
    for (let worker = 1; worker < this.workers; worker++) all = stopped(worker) && all;
    if (!all)
      failStop(
        this.kernel,
        'closing the heap at exit',
        new TospaceError('ERR_WORKER', 'the workers did not stop in time'),
      );
    this.#uffd?.close();
  }
}

/** Attaches this thread's view to a heap of another thread of the same process. */
export function attachHeap(shared: SharedHeap): HeapAccess {
  return new HeapAccess(
    createLibcKernel(),
    shared,
    new TablesClass(shared.arena.memory, shared.arena.geometry),
  );
}
