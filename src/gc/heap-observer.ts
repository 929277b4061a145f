// Pauses in the shape of Node's own entries of the type 'gc', for tools that are written for those.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants } from 'node:perf_hooks';
import { inspect } from 'node:util';
import { TospaceError } from '../errors.ts';
import { assertKeys, type KeysOf } from '../known-keys.ts';
import type { CycleCause } from '../heap/causes.ts';
import type { PauseKind } from '../heap/trace-ring.ts';
import { PAUSE_CHANNEL, type PauseMessage } from './listener.ts';
import type { CollectorName } from './options.ts';

/** What an entry says of its pause. */
export interface HeapEntryDetail {
  /** NODE_PERFORMANCE_GC_MAJOR: every cycle collects the whole heap. */
  readonly kind: number;
  /** NODE_PERFORMANCE_GC_FLAGS_FORCED where somebody called collect(), otherwise NODE_PERFORMANCE_GC_FLAGS_NO. */
  readonly flags: number;
  readonly pause: PauseKind;
  readonly cause: CycleCause;
  /** Number of the cycle. */
  readonly cycle: number;
  readonly collector: CollectorName;
}

/** A pause in the shape of a PerformanceEntry. As V8's entries it stands for time in which the program did not run. */
export class HeapPerformanceEntry {
  readonly name = 'gc';
  readonly entryType = 'gc';
  /** Milliseconds, on performance.now() of the thread that created the heap. */
  readonly startTime: number;
  /** Milliseconds, as the collector saw the pause. */
  readonly duration: number;
  readonly detail: HeapEntryDetail;

  constructor({ pause, report }: PauseMessage) {
    this.startTime = pause.startMs;
    this.duration = pause.durationUs / 1000;
    this.detail = {
      kind: constants.NODE_PERFORMANCE_GC_MAJOR,
      flags:
        report.cause === 'collect'
          ? constants.NODE_PERFORMANCE_GC_FLAGS_FORCED
          : constants.NODE_PERFORMANCE_GC_FLAGS_NO,
      pause: pause.pause,
      cause: report.cause,
      cycle: report.cycle,
      collector: report.collector,
    };
  }

  toJSON(): Record<string, unknown> {
    const { name, entryType, startTime, duration, detail } = this;
    return { name, entryType, startTime, duration, detail };
  }
}

/** What an observer's callback is given. */
export interface HeapEntryList {
  getEntries(): HeapPerformanceEntry[];
}

const OBSERVE_KEYS: KeysOf<{ entryTypes: unknown }> = { entryTypes: true };

/**
 * Observes the pauses of all heaps that this thread has created, as a PerformanceObserver observes V8's:
 *
 * ```ts
 * const observer = new HeapObserver((list) => tool.record(list.getEntries()));
 * observer.observe({ entryTypes: ['gc'] });
 * ```
 *
 * The callback is called from the event loop with what has come since it was called last, a cycle's pauses when the cycle is over.
 */
export class HeapObserver {
  readonly #callback: (list: HeapEntryList, observer: HeapObserver) => void;
  readonly #onPause = (message: unknown): void => this.#add(message as PauseMessage);
  #entries: HeapPerformanceEntry[] = [];
  #observing = false;
  #scheduled: NodeJS.Immediate | undefined;

  /** @throws TospaceError ERR_OPTION when `callback` is no function. */
  constructor(callback: (list: HeapEntryList, observer: HeapObserver) => void) {
    if (typeof callback !== 'function') {
      throw new TospaceError('ERR_OPTION', `${inspect(callback)} is no callback of a HeapObserver`, {
        hint: 'Call new HeapObserver((list) => { list.getEntries() }).',
      });
    }
    this.#callback = callback;
  }

  /** Begins to observe. Observing already, it goes on. @throws TospaceError ERR_OPTION for another type of entry than `gc`, or another option. */
  observe(options: { readonly entryTypes: readonly 'gc'[] }): void {
    const types: unknown = options?.entryTypes;
    if (!Array.isArray(types) || types.length === 0 || types.some((type) => type !== 'gc')) {
      throw new TospaceError('ERR_OPTION', `a HeapObserver does not observe ${inspect(options)}`, {
        hint: "Call observe({ entryTypes: ['gc'] }).",
      });
    }
    assertKeys('HeapObserver.observe', options, OBSERVE_KEYS);
    if (this.#observing) return;
    this.#observing = true;
    subscribe(PAUSE_CHANNEL, this.#onPause);
  }

  /** Stops to observe. What was not handed over yet is forgotten. Doing it twice does nothing. */
  disconnect(): void {
    if (this.#observing) unsubscribe(PAUSE_CHANNEL, this.#onPause);
    this.#observing = false;
    this.takeRecords();
  }

  /** Takes the entries that the callback has not been given yet. */
  takeRecords(): HeapPerformanceEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    return entries;
  }

  #add(message: PauseMessage): void {
    this.#entries.push(new HeapPerformanceEntry(message));
    this.#scheduled ??= setImmediate(() => {
      const entries = this.takeRecords();
      this.#callback({ getEntries: () => entries }, this);
    });
  }
}
