// What the programs share: the library under test, a seeded generator, and the form in which they report.

import { readdirSync, readFileSync, writeSync } from 'node:fs';
import { createHeap, NULL, TospaceError } from 'tospace';
import * as layout from '../../../../dist/src/heap/layout.js';

export * from 'tospace';
export { layout };

/**
 * Runs the scenario that the command line names, with its JSON argument, and prints what it returns as one line of JSON.
 * `batch`: several, `{ name: [scenario, argument] }`, one after the other, with a line `{ name, result }` each.
 */
export async function main(scenarios) {
  const [, , name, json] = process.argv;
  if (name === 'batch') {
    for (const [title, [scenario, config]] of Object.entries(JSON.parse(json))) {
      const result = (await scenarios[scenario](config ?? {})) ?? null;
      writeSync(1, `${JSON.stringify({ name: title, result })}\n`);
    }
    return;
  }
  const scenario = scenarios[name];
  if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
  const result = await scenario(JSON.parse(json ?? '{}'));
  writeSync(1, `${JSON.stringify(result ?? null)}\n`);
}

export function assert(condition, message) {
  if (!condition) throw new Error(`assertion failed: ${typeof message === 'function' ? message() : message}`);
}

/** The error that `body` throws; throws when it throws none. */
export function thrownBy(body) {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

export function isTospaceError(error, ...codes) {
  return (
    error instanceof TospaceError &&
    codes.includes(error.code) &&
    error.message.length > 0 &&
    error.hint.length > 0
  );
}

/** mulberry32: small, seeded, good enough. */
export class Random {
  #state;
  constructor(seed) {
    this.#state = seed >>> 0;
  }
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** From 0 to n - 1. */
  int(n) {
    return this.next() % n;
  }
  pick(list) {
    return list[this.int(list.length)];
  }
  shuffle(list) {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }
}

/** 32 bits that depend on both numbers. */
export function hash(a, b) {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));
export function sleep(ms) {
  Atomics.wait(sleeper, 0, 0, ms);
}

export function control(heap) {
  const { arena } = heap.share();
  return new Int32Array(heap.memory.buffer, arena.geometry.control, layout.CTL_WORDS);
}

/** The record of a mutator's thread. */
export function recordOf(heap, m) {
  const at = heap.share().arena.geometry.threads + m.index * layout.THREAD_BYTES;
  return new Int32Array(heap.memory.buffer, at, layout.THREAD_BYTES / 4);
}

/** Lets a cycle begin and returns in the phase `phase` of it (or later); the caller runs as a mutator. */
export function startCycle(heap, m, phase) {
  const words = control(heap);
  const asked = Atomics.add(words, layout.CTL_CYCLES_ASKED, 1) + 1;
  Atomics.notify(words, layout.CTL_CYCLES_ASKED);
  const before = Atomics.load(words, layout.CTL_CYCLE);
  const until = performance.now() + 30_000;
  while (Atomics.load(words, layout.CTL_PHASE) < phase && Atomics.load(words, layout.CTL_CYCLE) === before) {
    m.safepoint();
    // A cycle that was given up while this thread did not run counts as none, but it is answered.
    if (((Atomics.load(words, layout.CTL_CYCLES_DONE) - asked) | 0) >= 0) return;
    if (performance.now() > until) throw new Error(`the collector did not reach phase ${phase}`);
  }
}

export const openDescriptors = () => readdirSync('/proc/self/fd').length;
export const threadCount = () => readdirSync('/proc/self/task').length;
export const maps = () => readFileSync('/proc/self/maps', 'latin1').trim().split('\n');
export const memfdMappings = () => maps().filter((line) => line.includes('/memfd:tospace')).length;

/** A heap, a mutator and whatever `body` does with them; closed afterwards. */
export async function withHeap(options, body) {
  const heap = await createHeap(options);
  const reports = [];
  heap.on('cycle', (report) => reports.push(report));
  const m = heap.attach();
  const result = await body(heap, m, reports);
  m.detach();
  await heap.close();
  return result;
}

/** Waits until the report of every cycle has arrived: they are posted before collect() returns, but delivered by the event loop. */
export async function reported(heap, reports) {
  const until = performance.now() + 20_000;
  for (let cycles = -1; reports.length !== cycles; cycles = heap.stats().cycles) {
    assert(performance.now() < until, () => `${reports.length} reports of ${cycles} cycles`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A linked list of `count` records whose values are 0 … count-1 from its end to its head. Returns the head's handle. */
export function buildList(m, type, count) {
  const head = m.local(NULL);
  for (let i = 0; i < count; i++) {
    const ref = m.allocate(type);
    m.i32[(ref + type.offset.value) >> 2] = i;
    m.setRef(ref, type.offset.next, m.get(head));
    m.set(head, ref);
  }
  return head;
}

export function checkList(m, type, head, count) {
  let ref = m.get(head);
  for (let i = count - 1; i >= 0; i--) {
    assert(ref !== NULL, `the list ends at ${i}`);
    const value = m.i32[(ref + type.offset.value) >> 2];
    assert(value === i, `the list holds ${value} instead of ${i}`);
    ref = m.getRef(ref, type.offset.next);
  }
  assert(ref === NULL, 'the list is too long');
}
