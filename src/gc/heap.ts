// The heap as a program holds it: creates the arena and the crew, hands out mutators, and closes in an order that leaves nobody asleep.

import { threadId } from 'node:worker_threads';
import { TospaceError } from '../errors.ts';
import { Arena } from '../heap/arena.ts';
import {
  CTL_CLOSING,
  CTL_CYCLES_ASKED,
  CTL_EVENTS_SENT,
  CTL_HEAP_STATE,
  CTL_INSPECTOR_TID,
  HEAP_CLOSED,
  HEAP_OPEN,
  THREAD_RUNNING,
  THREAD_STOPPED,
  T_NAME,
  T_STATE,
  T_TID,
  WORKER_ARMED,
  W_STATE,
} from '../heap/layout.ts';
import { waitWhile } from '../heap/spin.ts';
import { readName } from '../heap/thread-name.ts';
import {
  check,
  createLibcKernel,
  injectFaults,
  type Kernel,
  StopSignal,
  type Userfaultfd,
} from '../uffd/index.ts';
import { Crew } from './crew.ts';
import type { HeapEvent } from './events.ts';
import { atExit } from './exit.ts';
import { isHeard, noteHeard } from './event-sender.ts';
import { failStop } from './fail-stop.ts';
import { kernelModule } from './kernels.ts';
import { announce, type HeapListener } from './listener.ts';
import { type HeapOptions, markStackEntries, OPTIONS_VARIABLE, resolveOptions } from './options.ts';
import { openUserfaultfd } from './mode.ts';
import { tryPriority } from './pause-priority.ts';
import { Peers } from './peers.ts';
import { HeapBase } from './heap-access.ts';
import type { SharedHeap } from './shared-heap.ts';
import { abandonLook, looksHere } from './world-lock.ts';

/** Milliseconds that workers may take to stop when the process exits; then it is ended without them. */
const EXIT_TIMEOUT_MS = 10_000;

/** Milliseconds between two looks at the threads that close() waits for. */
const LOOK_MS = 100;

/**
 * Creates a heap, and starts the threads that collect it.
 * @throws TospaceError ERR_OPTION, ERR_UNSUPPORTED, ERR_PERMISSION, ERR_OUT_OF_MEMORY, ERR_SYSCALL or ERR_WORKER; nothing is left behind.
 */
export function createHeap(options: HeapOptions = {}): Promise<Heap> {
  return Heap.create(options);
}

/** A heap, as its creator holds it: what {@link createHeap} makes. An EventEmitter: see {@link HeapEvents}. */
export class Heap extends HeapBase {
  /** Hears of cycles, phases and pauses, before the events of this EventEmitter are emitted. Default: nobody. */
  listener: HeapListener | undefined;
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

  /** See {@link createHeap}. */
  static async create(given: HeapOptions): Promise<Heap> {
    const planned = resolveOptions(given, process.env[OPTIONS_VARIABLE]);
    const libc = createLibcKernel();
    const kernel =
      planned.stress.injection === undefined ? libc : injectFaults(libc, planned.stress.injection, 'creator');
    const undo: (() => unknown)[] = [];
    try {
      const { options, uffd, mode } = openUserfaultfd(kernel, planned);
      undo.push(() => uffd?.close());
      if (options.collector === 'concurrent' && options.pausePriority === 'raise')
        check(tryPriority(kernel), 'sched_setscheduler', 'trying to raise the priority of a thread');
      const stop = StopSignal.create(kernel);
      undo.push(() => stop.close());
      const arena = Arena.create(kernel, {
        heapBytes: options.heap,
        nonMovingBytes: options.nonMoving,
        markStackEntries: markStackEntries(options),
        persistentSlots: options.persistentSlots,
        typeMapBytes: options.typeMaps,
      });
      undo.push(() => arena.close());
      const workers =
        options.collector === 'none' ? 0 : options.collector === 'concurrent' ? 1 + options.servers : 1;
      const heap = new Heap(
        kernel,
        arena,
        { arena: arena.handle, options, workers, mode, creator: threadId },
        uffd,
        stop,
      );
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
        const crew = new Crew(setup, arena.tables, (event) => {
          noteHeard(arena.tables.control);
          announce(heap, event as HeapEvent);
        });
        heap.#crew = crew;
        await crew.armed(() => {
          heap.#tellWorkersToStop();
          stop.signal();
        });
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
    if (this.#closing === undefined) this.#tellWhatIsKnown();
    this.#closing ??= this.#close().catch((error: unknown) => {
      this.#closing = undefined;
      throw error;
    });
    return this.#closing;
  }

  /** Events of cycles that are over are told while the heap is open. One of those who hear them may close it, or let further cycles run. */
  #tellWhatIsKnown(): void {
    const { control } = this.tables;
    const sent = Atomics.load(control, CTL_EVENTS_SENT);
    while (!isHeard(control, sent) && this.#crew?.tellNext());
  }

  /** The memory is there until the workers have stopped, and with it what a report of the last cycle is about. */
  protected override get isReadable(): boolean {
    return super.isReadable || this.#crew !== undefined;
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
      const names = running.map((i) => `"${readName(threads[i]!, T_NAME)}"`).join(', ');
      throw new TospaceError('ERR_STATE', `still within run() as mutators of this heap: ${names}`, {
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
    // Waiting for words of shared memory does not keep the event loop alive: the program would end in the middle.
    const alive = setInterval(() => {}, LOOK_MS);
    try {
      await this.#inspectionEnded(peers);
      await this.#collectorStopped(peers);
    } finally {
      clearInterval(alive);
    }
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

  /** Waits for a thread that looks at the heap: it sees that the heap is closed, but not at once. */
  async #inspectionEnded(peers: Peers): Promise<void> {
    const { control } = this.tables;
    for (;;) {
      const tid = Atomics.load(control, CTL_INSPECTOR_TID);
      if (tid === 0 || !peers.threadExists(tid)) return;
      // A dead thread's, whose id this one has now.
      if (tid === this.kernel.gettid() && !looksHere(control, tid)) return;
      const wait = Atomics.waitAsync(control, CTL_INSPECTOR_TID, tid, LOOK_MS);
      if (wait.async) await wait.value;
    }
  }

  /** Stops the process with a report when the collector is gone and can stop no more. */
  async #collectorStopped(peers: Peers): Promise<void> {
    const record = this.tables.workers[0]!;
    while (Atomics.load(record, W_STATE) === WORKER_ARMED) {
      const wait = Atomics.waitAsync(record, W_STATE, WORKER_ARMED, LOOK_MS);
      if (wait.async) await wait.value;
      try {
        peers.assertAlive();
      } catch (error) {
        failStop(this.kernel, 'closing the heap', error, 'the heap cannot be taken apart');
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * The thread is exiting and nothing asynchronous happens any more: stop the workers, or the process would hang with them. And where it goes
   * on without this thread, nobody else could close the heap's files, which hold its memory.
   */
  #closeAtExit(): void {
    for (const mutator of this.mutators) mutator.abandon();
    Atomics.store(this.tables.control, CTL_HEAP_STATE, HEAP_CLOSED);
    this.#tellWorkersToStop();
    // process.exit() may have been called in the middle of a snapshot, and the collector may wait for its end.
    abandonLook(this.tables.control, this.kernel.gettid());
    // Or while the heap was being created.
    this.#crew?.settle(EXIT_TIMEOUT_MS);
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
    this.#stop.close();
    this.#arena.abandon();
  }
}
