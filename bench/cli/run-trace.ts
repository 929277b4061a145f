// The trace of `tospace run`: taken while the workload runs, by a thread that has nothing else to do, and written when it is over.

import { writeFileSync } from 'node:fs';
import type { Heap } from 'tospace';
import { type Recorder, startRecorder } from '../harness/recording.ts';
import { MemorySampler } from '../harness/sampler.ts';
import { chromeTraceText } from '../trace/chrome.ts';
import { recordedProcess } from '../trace/recorded.ts';
import { monotonicMs } from '../workloads/clock.ts';
import { UsageError } from './usage.ts';

/** A mutator's ring holds some 2 000 events: with one in 10 µs, which is faster than any, it lasts as long as that. */
const DRAIN_MS = 10;

/** About as much as viewers open: a file of some 200 MB. */
const EVENTS_MAX = 500_000;

export class RunTrace {
  readonly #recorder: Recorder;
  readonly #sampler: MemorySampler;

  /** @throws UsageError when the heap cannot be traced */
  constructor(heap: Heap) {
    const recorder = startRecorder(heap, EVENTS_MAX);
    if (recorder === undefined) throw new UsageError('--trace: this build of the heap cannot be traced');
    this.#recorder = recorder;
    this.#sampler = new MemorySampler(DRAIN_MS, heap, () => recorder.drain());
  }

  /** Ends the recording and writes it. @param title of the process in the trace */
  write(file: string, title: string): void {
    this.#sampler.stop();
    const toMonotonic = monotonicMs() - performance.now();
    const samples = this.#sampler.samples.map((sample) => ({ ...sample, ms: sample.ms + toMonotonic }));
    const process = recordedProcess(title, this.#recorder.finish(), samples);
    for (const note of process.notes) globalThis.process.stderr.write(`tospace: trace: ${note}\n`);
    writeFileSync(file, chromeTraceText([process]));
  }

  close(): void {
    this.#sampler.stop();
  }
}
