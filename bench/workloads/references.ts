// references: weak references, ephemerons and finalizers under steady replacement.
//
// Each subject has a weak reference and an ephemeron whose value refers back to it; one in four is guarded. Replaced subjects leave weak
// reference and ephemeron in a ring of graves, which are looked into at random: a weak reference is null or names the very subject it was
// made for, and an ephemeron whose key is gone has no value. When a subject dies is the collector's business, so none of this enters the
// checksum; but at the end, after whole collections, exactly the guarded subjects that were replaced have come back, each once, and no
// grave names anything.

import {
  type EphemeronType,
  type Local,
  type Mutator,
  NULL,
  type RawArrayType,
  type RecordType,
} from 'tospace';
import type { Ref, WeakRecordType } from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import { Random } from './random.ts';
import { stillThere, valueKept, valueLost, weakLost, wrongSubject } from './references-mistakes.ts';
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
} from './references-plan.ts';
import type { Workload, WorkloadContext } from './workload.ts';

const HEADER_BYTES = 8;
/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;
/** Places that are read without a safepoint. */
const READ_PLACES = 1024;

class References {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #random: Random;
  readonly #subjectType: RecordType<'data' | 'id'>;
  readonly #dataType: RawArrayType;
  readonly #valueType: RecordType<'owner' | 'number'>;
  readonly #weakType: WeakRecordType<'id'>;
  readonly #entryType: EphemeronType;
  /** Places, a reference each in three arrays. */
  readonly #subjects: Local;
  readonly #weaks: Local;
  readonly #entries: Local;
  readonly #weakGraves: Local;
  readonly #entryGraves: Local;
  readonly #count: number;
  #id = 0;
  #replaced = 0;
  readonly #expected = new Deaths();
  readonly #finalized = new Deaths();

  constructor({ heap, mutator: m, seed }: WorkloadContext, count: number) {
    this.#m = m;
    this.#random = new Random(seed);
    this.#subjectType = heap.defineRecord('references.Subject', { data: 'ref', id: 'i32' });
    this.#dataType = heap.defineArray('references.Data', 'i32');
    this.#valueType = heap.defineRecord('references.Value', { owner: 'ref', number: 'i32' });
    this.#weakType = heap.defineWeakRecord('references.Weak', { id: 'i32' });
    this.#entryType = heap.defineEphemeron('references.Entry');
    const refs = heap.defineRefArray('references.Refs');
    const array = (length: number): Local => m.local(m.allocateArray(refs, length));
    this.#count = count;
    this.#subjects = array(count);
    this.#weaks = array(count);
    this.#entries = array(count);
    this.#weakGraves = array(GRAVES);
    this.#entryGraves = array(GRAVES);
    for (let i = 0; i < count; i++) this.#make(i);
  }

  /** One operation. */
  step(): void {
    const random = this.#random;
    for (let i = 0; i < REPLACEMENTS_PER_OPERATION; i++) {
      const place = random.below(this.#count);
      this.#read(place);
      this.#bury(place);
      this.#make(place);
    }
    this.#finalize();
    for (let i = 0; i < GRAVES_PER_OPERATION; i++) this.#look(random.below(GRAVES));
  }

  readAll(): void {
    for (let i = 0; i < this.#count; i++) {
      if (i % READ_PLACES === 0) this.#m.safepoint();
      this.#read(i);
    }
    this.checksum = addWord(addWord(this.checksum, this.#expected.count), this.#expected.ids);
  }

  /** Lets the collector do all that it has to, and checks that it did. @throws Error */
  settle(): void {
    const m = this.#m;
    // The first finds the dead and gives back those that are guarded; the second frees these.
    for (let i = 0; i < 2; i++) {
      m.collect();
      this.#finalize();
    }
    this.#finalized.assertEquals(this.#expected);
    for (let i = 0; i < Math.min(GRAVES, this.#replaced); i++) {
      const weak = m.getElement(m.get(this.#weakGraves), i);
      if (m.getWeak(weak) !== NULL) stillThere(this.#weakId(weak));
      this.#look(i);
    }
  }

  #subjectId(subject: Ref): number {
    return this.#m.i32[(subject + this.#subjectType.offset.id) >> 2];
  }

  #weakId(weak: Ref): number {
    return this.#m.i32[(weak + this.#weakType.offset.id) >> 2];
  }

  /** Makes a subject with all that belongs to it. A safepoint. */
  #make(place: number): void {
    const m = this.#m;
    const id = this.#id++;
    const released = m.shadowStack.depth;
    const length = dataLength(id);
    const data = m.local(m.allocateArray(this.#dataType, length));
    const first = (m.get(data) + HEADER_BYTES) >> 2;
    for (let i = 0; i < length; i++) m.i32[first + i] = dataWord(id, i);
    const subject = m.local(m.allocate(this.#subjectType));
    m.setRef(m.get(subject), this.#subjectType.offset.data, m.get(data));
    m.i32[(m.get(subject) + this.#subjectType.offset.id) >> 2] = id;
    const value = m.local(m.allocate(this.#valueType));
    m.setRef(m.get(value), this.#valueType.offset.owner, m.get(subject));
    m.i32[(m.get(value) + this.#valueType.offset.number) >> 2] = numberOf(id);
    const weak = m.local(m.allocate(this.#weakType));
    m.i32[(m.get(weak) + this.#weakType.offset.id) >> 2] = id;
    m.setWeak(m.get(weak), m.get(subject));
    const entry = m.local(m.allocate(this.#entryType));
    m.setEphemeron(m.get(entry), m.get(subject), m.get(value));
    if (isGuarded(id)) m.guard(m.get(subject));
    m.setElement(m.get(this.#subjects), place, m.get(subject));
    m.setElement(m.get(this.#weaks), place, m.get(weak));
    m.setElement(m.get(this.#entries), place, m.get(entry));
    m.shadowStack.truncate(released);
  }

  #read(place: number): void {
    const m = this.#m;
    const subject = m.getElement(m.get(this.#subjects), place);
    const weak = m.getElement(m.get(this.#weaks), place);
    const value = m.getValue(m.getElement(m.get(this.#entries), place));
    const id = this.#subjectId(subject);
    if (m.getWeak(weak) !== subject) weakLost(id);
    if (value === NULL || m.getRef(value, this.#valueType.offset.owner) !== subject) valueLost(id);
    const data = m.getRef(subject, this.#subjectType.offset.data);
    let sum = addWord(this.checksum, id);
    sum = addWord(sum, m.i32[(value + this.#valueType.offset.number) >> 2]);
    this.checksum = addWord(sum, m.i32[((data + HEADER_BYTES) >> 2) + (id % m.length(data))]);
  }

  /** The place's weak reference and ephemeron go to a grave. */
  #bury(place: number): void {
    const m = this.#m;
    const grave = this.#replaced++ % GRAVES;
    m.setElement(m.get(this.#weakGraves), grave, m.getElement(m.get(this.#weaks), place));
    m.setElement(m.get(this.#entryGraves), grave, m.getElement(m.get(this.#entries), place));
    const id = this.#subjectId(m.getElement(m.get(this.#subjects), place));
    if (isGuarded(id)) this.#expected.add(id);
  }

  #look(grave: number): void {
    const m = this.#m;
    const weak = m.getElement(m.get(this.#weakGraves), grave);
    if (weak === NULL) return;
    const subject = m.getWeak(weak);
    const id = this.#weakId(weak);
    if (subject !== NULL && this.#subjectId(subject) !== id) wrongSubject(id, this.#subjectId(subject));
    if (subject === NULL && m.getValue(m.getElement(m.get(this.#entryGraves), grave)) !== NULL) valueKept(id);
  }

  #finalize(): void {
    const m = this.#m;
    for (let dead = m.nextFinalizable(); dead !== NULL; dead = m.nextFinalizable())
      this.#finalized.add(this.#subjectId(dead));
  }
}

function run(context: WorkloadContext): number {
  const { heap, scale, operations, progress } = context;
  const references = new References(context, subjectsOf(scale));
  const count = operationsOf(scale);
  for (let i = 0; i < count; i++) {
    operations.begin();
    references.step();
    operations.end();
    if (i % PROGRESS_EVERY === 0) progress(i / count);
  }
  references.readAll();
  // Without a collector nothing is ever cleared.
  if (heap.options.collector !== 'none') references.settle();
  progress(1);
  return references.checksum >>> 0;
}

export const references: Workload = {
  name: 'references',
  summary: 'weak references, ephemerons and finalizers under steady replacement',
  run,
};
