import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { References } from '#src/gc/references.js';
import { Tracer } from '#src/gc/tracer.js';
import {
  CARD_DIRTY,
  CTL_BLACK_LINE,
  CTL_GUARD_TYPE,
  CTL_NON_MOVING_RAW,
  CTL_READY_TYPE,
  CTL_REFERENCES,
  EPHEMERON_KEY,
  EPHEMERON_VALUE,
  GUARD_NEXT,
  GUARD_QUEUE,
  REFERENCE_LINK,
  REFERENT,
  REFS_GUARDS,
  REFS_HEADS,
  REFS_TAILS,
} from '#src/heap/layout.js';
import { ArenaHarness } from '../../support/arena-harness.ts';
import { forSeeds, type Random } from '../../support/random.ts';

// A mark stack that overflows all the time: keys and guarded objects that did not fit on it must be found too.
const h = new ArenaHarness({ heapBytes: 2 * 1024 * 1024, markStackEntries: 8 });
const { kernels, heap } = h;

const node = h.types.recordLayout('node', 16, [8, 12]);
const refs = h.types.refArray('refs').id;
const raw = h.types.rawArray('raw', 'u8').id;
// With strong fields in the first and in the second word of its map.
const weak = h.types.weakRecord('weak', { a: 'ref', id: 'i32' }).id;
const ephemeron = h.types.ephemeron('ephemeron', { a: 'ref', id: 'i32' }).id;
const guards = h.types.guards();

let cursor = heap;
beforeEach(() => {
  h.reset();
  cursor = heap;
  kernels.referencesBegin(1);
  h.control[CTL_GUARD_TYPE] = guards.waiting;
  h.control[CTL_READY_TYPE] = guards.ready;
  h.words.fill(0, h.tables.geometry.references / 4, h.tables.geometry.references / 4 + 128);
});
afterAll(() => h.close());

function put(type: number, bytes: number): number {
  const at = h.put(cursor, type);
  cursor += bytes;
  return at;
}
const newNode = (a = 0, b = 0): number => {
  const at = put(node, 16);
  h.set(at, 8, a);
  h.set(at, 12, b);
  return at;
};
const newWeak = (referent: number, strong = 0): number => {
  const at = put(weak, 24);
  h.set(at, REFERENT, referent);
  h.set(at, 12, strong);
  return at;
};
const newEphemeron = (key: number, value: number, strong = 0): number => {
  const at = put(ephemeron, 24);
  h.set(at, EPHEMERON_KEY, key);
  h.set(at, EPHEMERON_VALUE, value);
  h.set(at, 16, strong);
  return at;
};
/** Registers a guard, as a mutator does. */
function newGuard(object: number, queue = 0): number {
  const at = put(guards.waiting, 16);
  const table = h.tables.geometry.references;
  h.set(at, GUARD_QUEUE, queue);
  h.set(at, REFERENT, object);
  h.set(at, GUARD_NEXT, h.get(table, REFS_GUARDS * 4));
  h.set(table, REFS_GUARDS * 4, at);
  return at;
}

/** Traces from `roots` as the stop-the-world collector does, everything so far below the black line. */
function trace(roots: readonly number[]): Tracer {
  h.setRoots(roots);
  h.setCursor(Math.ceil(cursor / 4096) * 4096);
  const tracer = new Tracer(h.context(), () => {});
  tracer.begin();
  tracer.finish();
  h.control[CTL_BLACK_LINE] = Math.ceil(cursor / 4096) * 4096;
  return tracer;
}

const marked = (...refs: number[]): boolean[] => refs.map((ref) => h.isMarked(ref));

test('pinned raw keys that do not fit on the mark stack keep the values of ephemerons that wait for them', () => {
  const { nonMoving, nonMovingBytes } = h.tables.geometry;
  const low = nonMoving + nonMovingBytes - 4096;
  h.control[CTL_NON_MOVING_RAW] = low;
  const keys = Array.from({ length: 24 }, (_, i) => h.put(low + 16 * i, raw, 8));
  const holder = put(refs, 8 + 4 * keys.length);
  h.set(holder, 4, keys.length);
  for (const [i, key] of keys.entries()) h.set(holder, 8 + 4 * i, key);
  const values = keys.slice(-6).map(() => newNode());
  const ephemerons = values.map((value, i) => newEphemeron(keys.at(i - 6)!, value));
  // The last is scanned first: the ephemerons wait by the time their keys are met.
  trace([holder, ...ephemerons]);
  h.bytes.fill(0, low, low + 4096);
  expect(kernels.markOverflows()).toBeGreaterThan(0);
  expect(marked(...values)).toEqual(values.map(() => true));
});

describe('weak records', () => {
  test('their referents are not followed, their other fields are', () => {
    const [a, b] = [newNode(), newNode()];
    const w = newWeak(a, b);
    trace([w]);
    expect(marked(w, a, b)).toEqual([true, false, true]);
    expect(kernels.referencesFound()).toBe(1);
  });

  test('dead referents are cleared, live ones, null and what lies outside stays', () => {
    const [live, dead] = [newNode(), newNode()];
    const outside = h.heap + h.tables.geometry.managedBytes + 64;
    const records = [live, dead, 0, outside, dead].map((to) => newWeak(to));
    const unreached = newWeak(dead);
    trace([live, ...records]);
    expect(kernels.clearDead()).toBe(2);
    expect(records.map((w) => h.get(w, REFERENT))).toEqual([live, 0, 0, outside, 0]);
    expect(records.map((w) => h.get(w, REFERENCE_LINK))).toEqual([0, 0, 0, 0, 0]);
    // A dead record is nobody's business.
    expect(h.get(unreached, REFERENT)).toBe(dead);
    expect(kernels.referencesFound()).toBe(0);
  });

  test('what a mutator stores after the trace stays: a marked object, and a black one', () => {
    const [dead, live] = [newNode(), newNode()];
    const records = [newWeak(dead), newWeak(dead), newWeak(dead)];
    trace([...records, live]);
    const black = h.put(h.control[CTL_BLACK_LINE]!, node);
    h.set(records[0]!, REFERENT, black);
    h.set(records[1]!, REFERENT, live);
    expect(kernels.clearDead()).toBe(1);
    expect(records.map((w) => h.get(w, REFERENT))).toEqual([black, live, 0]);
  });

  test('a referent stored behind the trace is found through its card', () => {
    const [first, second] = [newNode(), newNode()];
    const w = newWeak(first);
    h.setRoots([w, first]);
    h.setCursor(h.end);
    const tracer = new Tracer(h.context(), () => {});
    tracer.begin();
    tracer.markRoots();
    tracer.drain();
    h.set(w, REFERENT, second);
    h.setCard(w + REFERENT, CARD_DIRTY);
    tracer.finish();
    expect(marked(first, second)).toEqual([true, false]);
    expect(kernels.referencesFound()).toBe(1);
  });

  test('lists that a cycle left behind are taken apart before the next', () => {
    const dead = newNode();
    const [w, e] = [newWeak(dead), newEphemeron(dead, dead)];
    trace([w, e]);
    expect([h.get(w, REFERENCE_LINK), h.get(e, REFERENCE_LINK)].includes(0)).toBe(false);
    kernels.referencesBegin(1);
    expect([h.get(w, REFERENCE_LINK), h.get(e, REFERENCE_LINK)]).toEqual([0, 0]);
    expect(kernels.referencesFound()).toBe(0);
  });
});

describe('ephemerons', () => {
  test('a value is marked when the key is, before or after the ephemeron was found', () => {
    const keys = [newNode(), newNode(), newNode()];
    const values = keys.map(() => newNode());
    const all = keys.map((key, i) => newEphemeron(key, values[i]!));
    // The stack is last in, first out: the first key is scanned after its ephemeron, the second one before.
    trace([keys[0]!, all[0]!, all[1]!, keys[1]!, all[2]!]);
    expect(marked(...values)).toEqual([true, true, false]);
    expect(kernels.waitingEphemerons()).toBe(1);
    kernels.clearDead();
    expect(kernels.ephemeronsCleared()).toBe(1);
    expect(all.map((e) => [h.get(e, EPHEMERON_KEY), h.get(e, EPHEMERON_VALUE)])).toEqual([
      [keys[0], values[0]],
      [keys[1], values[1]],
      [0, 0],
    ]);
  });

  test('a chain of 20 000 is followed in one drain, whatever the order of its links', () => {
    const n = 20_000;
    const keys = Array.from({ length: n + 1 }, () => newNode());
    const links = Array.from({ length: n }, (_, i) => i);
    forSeeds(1, (random) => random.shuffle(links));
    const table = h.put(cursor, h.types.refArray('table').id, n);
    cursor += 8 + 4 * n;
    for (const [slot, i] of links.entries()) h.set(table, 8 + 4 * slot, newEphemeron(keys[i]!, keys[i + 1]!));
    h.setRoots([keys[0]!, table]);
    h.setCursor(h.end);
    kernels.markBegin(h.end);
    h.markRoots();
    // One look at every object, and none at an ephemeron that need not be looked at again.
    kernels.markDrain(2 * n + 2);
    while (kernels.markOverflows() > 0 && kernels.scanUnscanned(h.end) > 0) kernels.markDrain(2 * n + 2);
    expect(kernels.waitingEphemerons()).toBe(0);
    expect(keys.every((key) => h.isMarked(key))).toBe(true);
  });

  test('without a key, a value is dead', () => {
    const value = newNode();
    const e = newEphemeron(0, value);
    trace([e]);
    expect(h.isMarked(value)).toBe(false);
    kernels.clearDead();
    expect(h.get(e, EPHEMERON_VALUE)).toBe(0);
  });

  test('another key while it waits: it is found by the new one', () => {
    const [first, second, value] = [newNode(), newNode(), newNode()];
    cursor += 4096;
    const e = newEphemeron(first, value);
    cursor += 4096;
    // Its card is scanned after that of the ephemeron, which waits in the bucket of the first key until then.
    const hidden = newNode();
    cursor = heap + 65536;
    const far = newNode();
    expect(far).toBe(heap + 65536);
    h.setRoots([e, hidden]);
    h.setCursor(h.end);
    const tracer = new Tracer(h.context(), () => {});
    tracer.begin();
    tracer.markRoots();
    tracer.drain();
    expect(kernels.waitingEphemerons()).toBe(1);
    h.set(e, EPHEMERON_KEY, far);
    h.setCard(e + EPHEMERON_KEY, CARD_DIRTY);
    h.set(hidden, 8, far);
    h.setCard(hidden + 8, CARD_DIRTY);
    tracer.finish();
    expect(marked(first, second, far, value)).toEqual([false, false, true, true]);
    h.control[CTL_BLACK_LINE] = h.end;
    kernels.clearDead();
    expect([h.get(e, EPHEMERON_KEY), h.get(e, EPHEMERON_VALUE)]).toEqual([far, value]);
  });
});

describe('guards', () => {
  const process = (tracer: Tracer): ReturnType<References['process']> => {
    const references = new References(h.context(), tracer);
    references.begin();
    return references.process();
  };
  const table = h.tables.geometry.references;
  const list = (word: number): number[] => {
    const found: number[] = [];
    for (let at = h.get(table, word * 4); at !== 0; at = h.get(at, GUARD_NEXT)) found.push(at);
    return found;
  };

  test('the dead are taken out wherever they are, and queued from the oldest on', () => {
    for (const dead of ['', '0', '4', '2', '01', '34', '024', '13', '01234']) {
      h.reset();
      cursor = heap;
      h.control[CTL_READY_TYPE] = guards.ready;
      h.words.fill(0, table / 4, table / 4 + 128);
      const objects = [0, 1, 2, 3, 4].map(() => newNode());
      const all = objects.map((object, i) => newGuard(object, i % 2));
      const isDead = (i: number): boolean => dead.includes(String(i));
      const { finalizable } = process(trace(objects.filter((_, i) => !isDead(i))));
      expect(finalizable).toBe(dead.length);
      expect(list(REFS_GUARDS)).toEqual(all.filter((_, i) => !isDead(i)).reverse());
      for (const queue of [0, 1]) {
        const wanted = all.filter((_, i) => isDead(i) && i % 2 === queue);
        expect(list(REFS_HEADS + queue)).toEqual(wanted);
        expect(h.get(table, (REFS_TAILS + queue) * 4)).toBe(wanted.at(-1) ?? 0);
        for (const guard of wanted) expect(h.get(guard, 0) & 0xffff).toBe(guards.ready);
      }
      expect(objects.every((object) => h.isMarked(object))).toBe(true);
    }
  });

  test('a later cycle appends to the queue', () => {
    const first = newGuard(newNode());
    process(trace([]));
    const second = newGuard(newNode());
    process(trace([]));
    expect(list(REFS_HEADS)).toEqual([first, second]);
  });

  test('guards registered while the list was walked stay before it', () => {
    const old = newGuard(newNode());
    const older = list(REFS_GUARDS).length;
    const tracer = trace([]);
    cursor = h.control[CTL_BLACK_LINE]!;
    const young = newGuard(newNode());
    process(tracer);
    expect(older).toBe(1);
    expect(list(REFS_GUARDS)).toEqual([young]);
    expect(list(REFS_HEADS)).toEqual([old]);
  });

  test('weak references are cleared before an object comes back, and inside of what comes back after it', () => {
    const inner = newNode();
    const lost = newNode();
    const [toInner, toLost] = [newWeak(inner), newWeak(lost)];
    const outer = newNode(inner, newNode(toInner, toLost));
    const outside = newWeak(inner);
    newGuard(outer);
    const counts = process(trace([outside]));
    expect(counts).toEqual({ weakCleared: 2, ephemeronsCleared: 0, finalizable: 1 });
    expect([outside, toInner, toLost].map((w) => h.get(w, REFERENT))).toEqual([0, inner, 0]);
    expect(h.control[CTL_REFERENCES]).toBe(0);
  });

  test('what comes back is marked whole although it does not fit on the mark stack', () => {
    const n = 5000;
    const array = h.put(cursor, h.types.refArray('many').id, n);
    cursor += 8 + 4 * n;
    const members = Array.from({ length: n }, () => newNode(newNode()));
    for (const [i, member] of members.entries()) h.set(array, 8 + 4 * i, member);
    newGuard(array);
    process(trace([]));
    expect(members.every((member) => h.isMarked(member) && h.isMarked(h.get(member, 8)))).toBe(true);
    expect(kernels.markOverflows()).toBeGreaterThan(0);
    expect(kernels.scanUnscanned(h.control[CTL_BLACK_LINE]!)).toBe(0);
  });
});

/** What is reachable, and what comes back, in a graph of all kinds: by plain fixpoints. */
function model(
  edges: Map<number, readonly number[]>,
  ephemerons: readonly number[],
  from: readonly number[],
): Set<number> {
  const seen = new Set(from.filter((ref) => ref !== 0));
  for (let size = -1; size !== seen.size; ) {
    size = seen.size;
    for (const at of seen) for (const to of edges.get(at)!) if (to !== 0) seen.add(to);
    for (const e of ephemerons) {
      const value = h.get(e, EPHEMERON_VALUE);
      if (seen.has(e) && seen.has(h.get(e, EPHEMERON_KEY)) && value !== 0) seen.add(value);
    }
  }
  return seen;
}

describe('random graphs', () => {
  const check = (random: Random): void => {
    h.reset();
    cursor = heap;
    h.control[CTL_READY_TYPE] = guards.ready;
    const table = h.tables.geometry.references;
    h.words.fill(0, table / 4, table / 4 + 128);
    const n = random.int(5, 1500);
    const all: number[] = [];
    const weaks: number[] = [];
    const ephemerons: number[] = [];
    for (let i = 0; i < n; i++) {
      const kind = random.int(0, 3);
      const at = kind < 2 ? newNode() : kind === 2 ? newWeak(0) : newEphemeron(0, 0);
      all.push(at);
      if (kind === 2) weaks.push(at);
      if (kind === 3) ephemerons.push(at);
    }
    const dense = random.next();
    const any = (): number => (random.chance(dense) ? random.pick(all) : 0);
    const edges = new Map<number, readonly number[]>();
    for (const at of all) {
      const isWeak = weaks.includes(at);
      const isEphemeron = ephemerons.includes(at);
      if (isWeak) h.set(at, REFERENT, random.pick(all));
      if (isEphemeron) {
        h.set(at, EPHEMERON_KEY, random.chance(0.9) ? random.pick(all) : 0);
        h.set(at, EPHEMERON_VALUE, random.pick(all));
      }
      const slots = isWeak ? [12] : isEphemeron ? [16] : [8, 12];
      edges.set(
        at,
        slots.map((slot) => {
          const to = any();
          h.set(at, slot, to);
          return to;
        }),
      );
    }
    const guarded = all.filter(() => random.chance(0.05));
    for (const object of guarded) newGuard(object);
    const roots = Array.from({ length: random.int(0, 6) }, () => random.pick(all));
    const tracer = trace(roots);
    const strong = model(edges, ephemerons, roots);
    expect(all.filter((at) => h.isMarked(at))).toEqual(all.filter((at) => strong.has(at)));

    const fields = new Map(
      [...weaks, ...ephemerons].map((at) => [at, [h.get(at, 8), h.get(at, 12)] as const]),
    );
    // Those that were cleared because their keys were dead hold on to nothing, though the key may come back.
    const intact = ephemerons.filter((e) => !strong.has(e) || strong.has(h.get(e, EPHEMERON_KEY)));
    const back = model(edges, intact, [...strong, ...guarded]);
    const references = new References(h.context(), tracer);
    references.begin();
    const { finalizable } = references.process();
    expect(finalizable).toBe(guarded.filter((at) => !strong.has(at)).length);
    expect(all.filter((at) => h.isMarked(at))).toEqual(all.filter((at) => back.has(at)));
    for (const at of [...weaks, ...ephemerons]) {
      if (!back.has(at)) continue;
      const [first, second] = fields.get(at)!;
      // Weak fields of what is reachable are judged by what is reachable, those of what came back by what came back.
      const stays = first !== 0 && (strong.has(at) ? strong : back).has(first);
      expect(h.get(at, 8)).toBe(stays ? first : 0);
      if (ephemerons.includes(at)) expect(h.get(at, 12)).toBe(stays ? second : 0);
      expect(h.get(at, REFERENCE_LINK)).toBe(0);
    }
  };
  test('are traced, cleared and revived as a plain model says', () => forSeeds(60, check));
});
