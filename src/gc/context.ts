// What every worker of a heap holds: its view of the arena, its kernels, its share of the kernel boundary, and the stress hooks.

import type { MessagePort } from 'node:worker_threads';
import { Arena, type ArenaHandle } from '../heap/arena.ts';
import { Tables } from '../heap/tables.ts';
import {
  COLLECTOR,
  CTL_PHASE,
  MAX_THREADS,
  PAGE_LOG2,
  W_BYTES_BUILT,
  W_PAGES,
  W_STATE,
  WORKER_ARMED,
} from '../heap/layout.ts';
import { TraceRing } from '../heap/trace-ring.ts';
import { createLibcKernel, injectFaults, type Kernel, Userfaultfd } from '../uffd/index.ts';
import { instantiateKernels, type Kernels } from './kernels.ts';
import type { DelayPoint, ResolvedOptions } from './options.ts';
import { bindLocksOf } from './peers.ts';

/** Everything a worker is started with. Can be posted. */
export interface WorkerSetup {
  readonly arena: ArenaHandle;
  readonly module: WebAssembly.Module;
  readonly options: ResolvedOptions;
  /** The userfaultfd, or undefined where the collector needs none. */
  readonly uffd: { readonly fd: number; readonly kind: 'full' | 'user-mode-only' } | undefined;
  /** eventfd that stops the fault servers. */
  readonly stopFd: number;
  /** 0 is the collector, 1… are fault servers. */
  readonly worker: number;
  /** Number of workers, the collector included. */
  readonly workers: number;
  /** Where the collector reports finished and abandoned cycles. */
  readonly events?: MessagePort;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread. */
export function sleep(ms: number): void {
  if (ms > 0) Atomics.wait(sleeper, 0, 0, ms);
}

export class WorkerContext {
  readonly kernel: Kernel;
  readonly arena: Arena;
  readonly tables: Tables;
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly kernels: Kernels;
  readonly options: ResolvedOptions;
  readonly uffd: Userfaultfd | undefined;
  readonly worker: number;
  readonly workers: number;
  /** This worker's record. */
  readonly record: Int32Array<SharedArrayBuffer>;
  /** Where the contents of each to-space page begin in from-space. */
  readonly pageSource: Int32Array<SharedArrayBuffer>;
  readonly bytesBuilt: Float64Array<SharedArrayBuffer>;
  /** Where this worker writes what it does, while somebody traces. */
  readonly trace: TraceRing;
  readonly #name: 'collector' | 'server';

  constructor(setup: WorkerSetup) {
    const { options, worker } = setup;
    this.#name = worker === COLLECTOR ? 'collector' : 'server';
    const libc = createLibcKernel();
    const plan = options.stress.injection;
    this.kernel = plan === undefined ? libc : injectFaults(libc, plan, this.#name);
    this.arena = Arena.adopt(this.kernel, setup.arena);
    this.tables = this.arena.tables;
    this.control = this.tables.control;
    this.kernels = instantiateKernels(setup.module, setup.arena.memory, setup.arena.geometry.control);
    this.options = options;
    this.uffd =
      setup.uffd === undefined ? undefined : Userfaultfd.adopt(this.kernel, setup.uffd.fd, setup.uffd.kind);
    this.worker = worker;
    this.workers = setup.workers;
    this.record = this.tables.workers[worker]!;
    this.trace = new TraceRing(this.tables, MAX_THREADS + worker);
    bindLocksOf(this);
    const { geometry } = this.tables;
    this.pageSource = this.tables.words(geometry.pageSource, geometry.heapBytes >>> PAGE_LOG2);
    this.bytesBuilt = Tables.float(this.record, W_BYTES_BUILT);
  }

  /** Called wherever stress may hold a worker up or kill it. Not before the worker is armed: a heap that does not exist yet is not stressed. */
  reach(point: DelayPoint | 'fault', page?: number): void {
    if (this.record[W_STATE] !== WORKER_ARMED) return;
    const { delayMs, delayedPage, crash } = this.options.stress;
    const strikes = page === undefined || delayedPage === undefined || page === delayedPage;
    if (delayMs !== undefined && point !== 'fault' && strikes) sleep(delayMs[point] ?? 0);
    if (crash !== undefined && crash.worker === this.#name && crash.at === point) {
      if (crash.how === 'exit') process.exit(1);
      throw new Error(`stress: the ${this.#name} crashes at ${point}`);
    }
  }

  /** Begins a phase (PHASE_…) of the cycle. */
  enter(phase: number, point: DelayPoint): void {
    Atomics.store(this.control, CTL_PHASE, phase);
    this.reach(point);
  }

  countPages(pages: number, bytes: number): void {
    this.record[W_PAGES] = this.record[W_PAGES]! + pages;
    this.bytesBuilt[0] = this.bytesBuilt[0]! + bytes;
  }
}
