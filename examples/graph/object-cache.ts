// The cache of V8's objects: one thread can reach it.
import type { Cache, StateReport } from './cache.ts';
import {
  entryChecksum,
  HOPS,
  isText,
  linkAt,
  linkOf,
  makeText,
  type Shape,
  textSeed,
  visit,
} from './content.ts';

interface Value {
  readonly updates: number;
  readonly sum: number;
  readonly text: string;
}

interface Entry {
  readonly key: number;
  value: Value;
  link0: Entry;
  link1: Entry;
  link2: Entry;
  link3: Entry;
}

/** A walk's answer, of which another thread gets a copy. */
export interface WalkAnswer {
  readonly seen: number;
  readonly lastKey: number;
  readonly updates: number;
  readonly text: string;
}

function follow(entry: Entry, link: number): Entry {
  if (link === 0) return entry.link0;
  if (link === 1) return entry.link1;
  return link === 2 ? entry.link2 : entry.link3;
}

export class ObjectCache implements Cache {
  wrong = 0;
  readonly #shape: Shape;
  readonly #entries: Entry[];

  constructor(shape: Shape) {
    this.#shape = shape;
    const none = undefined as unknown as Entry;
    this.#entries = Array.from({ length: shape.entries }, (_, key) => ({
      key,
      value: makeValue(key, 0, 0),
      link0: none,
      link1: none,
      link2: none,
      link3: none,
    }));
    for (const entry of this.#entries) {
      entry.link0 = this.#entries[linkOf(entry.key, 0, shape)]!;
      entry.link1 = this.#entries[linkOf(entry.key, 1, shape)]!;
      entry.link2 = this.#entries[linkOf(entry.key, 2, shape)]!;
      entry.link3 = this.#entries[linkOf(entry.key, 3, shape)]!;
    }
  }

  /** The walk, with an answer for whoever asked. */
  answer(key: number, path: number): WalkAnswer {
    let entry = this.#entries[key]!;
    let seen = visit(0, entry.key);
    for (let hop = 0; hop < HOPS; hop++) {
      entry = follow(entry, linkAt(path, hop));
      seen = visit(seen, entry.key);
    }
    const { updates, text } = entry.value;
    return { seen, lastKey: entry.key, updates, text };
  }

  walk(key: number, path: number): number {
    const { seen, lastKey, updates, text } = this.answer(key, path);
    if (!isText(textSeed(lastKey, updates), text)) this.wrong++;
    return seen;
  }

  update(key: number, delta: number): void {
    const entry = this.#entries[key]!;
    entry.value = makeValue(key, entry.value.updates + 1, (entry.value.sum + delta) | 0);
  }

  readAll(): StateReport {
    let checksum = 0;
    let wrong = 0;
    for (const [key, entry] of this.#entries.entries()) {
      const { updates, sum, text } = entry.value;
      checksum = (checksum + entryChecksum(key, updates, sum)) | 0;
      let right = entry.key === key && isText(textSeed(key, updates), text);
      for (let i = 0; i < 4; i++) {
        if (follow(entry, i).key !== linkOf(key, i, this.#shape)) right = false;
      }
      if (!right) wrong++;
    }
    return { checksum: checksum >>> 0, wrong };
  }
}

function makeValue(key: number, updates: number, sum: number): Value {
  return { updates, sum, text: makeText(textSeed(key, updates)) };
}
