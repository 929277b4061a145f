// Typed views of the tables that the geometry places, for one thread. Views are cheap; each thread makes its own.

import type { Geometry } from './geometry.ts';
import { Histogram } from './histogram.ts';
import {
  CTL_WORDS,
  HISTOGRAM_WORDS,
  HISTOGRAMS_PER_THREAD,
  MAX_THREADS,
  MAX_WORKERS,
  T_STATE,
  THREAD_ATTACHING,
  THREAD_BYTES,
  THREAD_FREE,
  THREAD_WORDS,
  WORKER_BYTES,
  WORKER_WORDS,
} from './layout.ts';
import type { WasmMemory } from './webassembly.ts';

export class Tables {
  readonly memory: WasmMemory;
  readonly geometry: Geometry;
  readonly buffer: SharedArrayBuffer;
  readonly control: Int32Array<SharedArrayBuffer>;
  /** Thread records by index. */
  readonly threads: readonly Int32Array<SharedArrayBuffer>[];
  readonly workers: readonly Int32Array<SharedArrayBuffer>[];

  constructor(memory: WasmMemory, geometry: Geometry) {
    this.memory = memory;
    this.geometry = geometry;
    this.buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.control = this.words(geometry.control, CTL_WORDS);
    this.threads = Array.from({ length: MAX_THREADS }, (_, i) =>
      this.words(geometry.threads + i * THREAD_BYTES, THREAD_WORDS),
    );
    this.workers = Array.from({ length: MAX_WORKERS }, (_, i) =>
      this.words(geometry.workers + i * WORKER_BYTES, WORKER_WORDS),
    );
  }

  /** `count` 32-bit words at the address `at`. */
  words(at: number, count: number): Int32Array<SharedArrayBuffer> {
    return new Int32Array(this.buffer, at, count);
  }

  bytes(at: number, count: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.buffer, at, count);
  }

  /** Histogram `kind` (HISTOGRAM_…) of the thread with index `thread`. */
  histogram(thread: number, kind: number): Histogram {
    const at = this.geometry.histograms + (thread * HISTOGRAMS_PER_THREAD + kind) * HISTOGRAM_WORDS * 4;
    return new Histogram(new Uint32Array(this.buffer, at, HISTOGRAM_WORDS));
  }

  /** Service times of the worker with index `worker`. */
  serviceHistogram(worker: number): Histogram {
    return this.histogram(
      MAX_THREADS + Math.floor(worker / HISTOGRAMS_PER_THREAD),
      worker % HISTOGRAMS_PER_THREAD,
    );
  }

  /** A float64 counter at word `index` of a record. */
  static float(record: Int32Array<SharedArrayBuffer>, index: number): Float64Array<SharedArrayBuffer> {
    return new Float64Array(record.buffer, record.byteOffset + index * 4, 1);
  }

  /** Indexes of the threads that are attached now. */
  *attached(): Generator<number> {
    for (let i = 0; i < MAX_THREADS; i++) {
      const state = Atomics.load(this.threads[i]!, T_STATE);
      if (state !== THREAD_FREE && state !== THREAD_ATTACHING) yield i;
    }
  }
}
