// references on V8's objects: WeakRef, a WeakMap for the ephemerons, a FinalizationRegistry.
//
// What a WeakRef was made for or has given stays alive until the program returns to the event loop, and finalizers run there too: it
// returns to it between any two operations, outside of what is timed.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { addWord, CHECKSUM_START } from '../workloads/checksum.ts';
import { Random } from '../workloads/random.ts';
import { stillThere, valueLost, weakLost, wrongSubject } from '../workloads/references-mistakes.ts';
import {
  Deaths,
  dataLength,
  dataWord,
  GRAVES,
  GRAVES_PER_OPERATION,
  isGuarded,
  numberOf,
  operationsOf,
  REPLACEMENTS_PER_OPERATION,
  subjectsOf,
} from '../workloads/references-plan.ts';
import type { V8Context, V8Workload } from './workload.ts';

/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;
/** Whole collections until all that is dead must have been found. One finds it; the callbacks come some turns later. */
const SETTLE_TURNS_MAX = 1000;

class Subject {
  readonly id: number;
  readonly data: readonly number[];

  constructor(id: number) {
    this.id = id;
    const data: number[] = [];
    for (let i = 0, length = dataLength(id); i < length; i++) data.push(dataWord(id, i));
    this.data = data;
  }
}

class Value {
  readonly owner: Subject;
  readonly number: number;

  constructor(owner: Subject) {
    this.owner = owner;
    this.number = numberOf(owner.id);
  }
}

class Weak {
  readonly id: number;
  readonly reference: WeakRef<Subject>;

  constructor(subject: Subject) {
    this.id = subject.id;
    this.reference = new WeakRef(subject);
  }
}

class Place {
  readonly subject: Subject;
  readonly weak: Weak;

  constructor(subject: Subject) {
    this.subject = subject;
    this.weak = new Weak(subject);
  }
}

class References {
  checksum: number = CHECKSUM_START;
  readonly #random: Random;
  readonly #places: Place[] = [];
  readonly #values = new WeakMap<Subject, Value>();
  readonly #graves: Weak[] = [];
  readonly #registry: FinalizationRegistry<number>;
  readonly #expected = new Deaths();
  readonly #finalized = new Deaths();
  #id = 0;
  #replaced = 0;

  constructor(seed: number, count: number) {
    this.#random = new Random(seed);
    this.#registry = new FinalizationRegistry((id) => this.#finalized.add(id));
    while (this.#places.length < count) this.#places.push(this.#make());
  }

  step(): void {
    const random = this.#random;
    const places = this.#places;
    for (let i = 0; i < REPLACEMENTS_PER_OPERATION; i++) {
      const at = random.below(places.length);
      const place = places[at];
      this.#read(place);
      this.#graves[this.#replaced++ % GRAVES] = place.weak;
      if (isGuarded(place.subject.id)) this.#expected.add(place.subject.id);
      places[at] = this.#make();
    }
    for (let i = 0; i < GRAVES_PER_OPERATION; i++) this.#look(random.below(GRAVES));
  }

  readAll(): void {
    for (const place of this.#places) this.#read(place);
    this.checksum = addWord(addWord(this.checksum, this.#expected.count), this.#expected.ids);
  }

  /** Collects until all that is dead has been found. @throws Error when it is not */
  async settle(): Promise<void> {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    let turns = 0;
    do {
      await nextTurn();
      collect();
      await nextTurn();
    } while (this.#finalized.count < this.#expected.count && ++turns < SETTLE_TURNS_MAX);
    this.#finalized.assertEquals(this.#expected);
    for (const { id, reference } of this.#graves) {
      if (reference.deref() !== undefined) stillThere(id);
    }
  }

  #make(): Place {
    const subject = new Subject(this.#id++);
    this.#values.set(subject, new Value(subject));
    if (isGuarded(subject.id)) this.#registry.register(subject, subject.id);
    return new Place(subject);
  }

  #read({ subject, weak }: Place): void {
    const { id, data } = subject;
    const value = this.#values.get(subject);
    if (weak.reference.deref() !== subject) weakLost(id);
    if (value?.owner !== subject) valueLost(id);
    let sum = addWord(this.checksum, id);
    sum = addWord(sum, value.number);
    this.checksum = addWord(sum, data[id % data.length]);
  }

  #look(grave: number): void {
    const weak = this.#graves[grave];
    if (weak === undefined) return;
    const subject = weak.reference.deref();
    if (subject !== undefined && subject.id !== weak.id) wrongSubject(weak.id, subject.id);
  }
}

async function run({ seed, scale, operations, progress }: V8Context): Promise<number> {
  const references = new References(seed, subjectsOf(scale));
  const count = operationsOf(scale);
  for (let i = 0; i < count; i++) {
    await nextTurn();
    operations.begin();
    references.step();
    operations.end();
    if (i % PROGRESS_EVERY === 0) progress(i / count);
  }
  references.readAll();
  await references.settle();
  return references.checksum >>> 0;
}

export const references: V8Workload = { name: 'references', run };
