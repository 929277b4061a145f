// The collector's end of the line to the thread that created the heap.
//
// Events are messages, which wait until that thread returns to its event loop. One that never does, say the main loop of an interpreter, must
// not pay for that with memory without end: from some number of unheard events on, whole cycles go unreported, and are counted.

import type { MessagePort } from 'node:worker_threads';
import { CTL_EVENTS_HEARD, CTL_EVENTS_SENT, CTL_UNREPORTED_CYCLES } from '../heap/layout.ts';
import type { HeapEvent } from './events.ts';

/** Unheard events from which on no further cycle is reported: some 3 KB each. */
export const UNHEARD_EVENTS_MAX = 2048;

export class EventSender {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #port: MessagePort | undefined;
  /** Whether the cycle under way is reported: its end only where its beginning was. */
  #reported = true;

  constructor(control: Int32Array<SharedArrayBuffer>, port: MessagePort | undefined) {
    this.#control = control;
    this.#port = port;
  }

  /** Tells that a cycle begins, unless too much is unheard. */
  begin(event: HeapEvent): void {
    const unheard =
      (Atomics.load(this.#control, CTL_EVENTS_SENT) - Atomics.load(this.#control, CTL_EVENTS_HEARD)) | 0;
    this.#reported = unheard < UNHEARD_EVENTS_MAX;
    if (!this.#reported) Atomics.add(this.#control, CTL_UNREPORTED_CYCLES, 1);
    this.send(event);
  }

  /** Tells what became of it. */
  send(event: HeapEvent): void {
    if (!this.#reported) return;
    this.#port?.postMessage(event);
    // Behind it: what is counted as sent can be received.
    Atomics.add(this.#control, CTL_EVENTS_SENT, 1);
  }
}

/** On the thread that created the heap: one more event has been heard. */
export function noteHeard(control: Int32Array<SharedArrayBuffer>): void {
  Atomics.add(control, CTL_EVENTS_HEARD, 1);
}

/** There, too: whether the event has been heard that was the `sent`-th, by CTL_EVENTS_SENT. */
export function isHeard(control: Int32Array<SharedArrayBuffer>, sent: number): boolean {
  return ((Atomics.load(control, CTL_EVENTS_HEARD) - sent) | 0) >= 0;
}
