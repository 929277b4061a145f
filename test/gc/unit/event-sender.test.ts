// What the collector tells a thread that does not listen: no more than it can hear one day.
import type { MessagePort } from 'node:worker_threads';
import { beforeEach, expect, test } from 'vitest';
import { EventSender, noteHeard, UNHEARD_EVENTS_MAX } from '#src/gc/event-sender.js';
import type { HeapEvent } from '#src/gc/events.js';
import { CTL_UNREPORTED_CYCLES, CTL_WORDS } from '#src/heap/layout.js';

const START = { type: 'start' } as HeapEvent;
const END = { type: 'cycle' } as HeapEvent;

let control: Int32Array<SharedArrayBuffer>;
let sent: string[];
let sender: EventSender;

beforeEach(() => {
  control = new Int32Array(new SharedArrayBuffer(CTL_WORDS * 4));
  sent = [];
  const port = { postMessage: (event: HeapEvent) => void sent.push(event.type) } as unknown as MessagePort;
  sender = new EventSender(control, port);
});

const cycles = (count: number): void => {
  for (let i = 0; i < count; i++) {
    sender.begin(START);
    sender.send(END);
  }
};

test('who listens is told of everything', () => {
  for (let i = 0; i < 3 * UNHEARD_EVENTS_MAX; i++) {
    cycles(1);
    noteHeard(control);
    noteHeard(control);
  }
  expect(sent).toHaveLength(6 * UNHEARD_EVENTS_MAX);
  expect(control[CTL_UNREPORTED_CYCLES]).toBe(0);
});

test('from some number of unheard events on, whole cycles go unreported; who listens again is told again', () => {
  // One event more than cycles explain: the limit falls into the middle of a cycle, which is told to its end.
  sender.send(END);
  cycles(UNHEARD_EVENTS_MAX / 2 + 5);
  expect(sent.slice(1)).toEqual(
    Array.from({ length: UNHEARD_EVENTS_MAX }, (_, i) => ['start', 'cycle'][i % 2]),
  );
  expect(control[CTL_UNREPORTED_CYCLES]).toBe(5);
  noteHeard(control);
  noteHeard(control);
  cycles(2);
  expect(sent).toHaveLength(UNHEARD_EVENTS_MAX + 3);
  expect(control[CTL_UNREPORTED_CYCLES]).toBe(6);
});
