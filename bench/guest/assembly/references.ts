// bench/workloads/references.ts as a guest.

import {
  allocate,
  allocateArray,
  collect,
  enter,
  Frame,
  getElement,
  getField,
  getRef,
  getValue,
  getWeak,
  guard,
  leave,
  length,
  nextFinalizable,
  NULL,
  poll,
  Ref,
  root,
  setElement,
  setEphemeron,
  setField,
  setRef,
  setRoot,
  setWeak,
} from 'tospace/guest';
import { addWord, belowRandom, CHECKSUM_START, mix, seedRandom } from './checksum';
import {
  begin,
  end,
  neverGuarded,
  progress,
  stillThere,
  valueKept,
  valueLost,
  weakLost,
  wrongDeaths,
  wrongSubject,
} from './host';

// subject
const SUBJECT_BYTES: u32 = 16;
const DATA: u32 = 8;
// value
const VALUE_BYTES: u32 = 16;
const OWNER: u32 = 8;
const NUMBER: u32 = 12;
// weak record, and ephemeron: both without their weak fields, which have operations of their own
const WEAK_BYTES: u32 = 16;
const ENTRY_BYTES: u32 = 16;
/** Of a subject, and of a weak record. */
const ID: u32 = 12;

const ELEMENTS: u32 = 8;
const WORD_LOG2: u32 = 2;
/** The only queue of the finalizable. */
const QUEUE: u32 = 0;
/** Operations between two reports of progress. */
const PROGRESS_EVERY: u32 = 64;
/** Places that are read without a safepoint. */
const READ_PLACES: u32 = 1024;

// Slots of the frame: places, a reference each in three arrays, and graves.
const SUBJECTS: u32 = 0;
const WEAKS: u32 = 1;
const ENTRIES: u32 = 2;
const WEAK_GRAVES: u32 = 3;
const ENTRY_GRAVES: u32 = 4;

let subjectType: u32 = 0;
let dataType: u32 = 0;
let valueType: u32 = 0;
let weakType: u32 = 0;
let entryType: u32 = 0;
let graves: u32 = 0;
let guardEvery: u32 = 0;

let frame: Frame = 0;
let nextId: u32 = 0;
let replaced: u32 = 0;
let checksum: u32 = 0;
// Guarded subjects that were replaced, and those that were finalized: how many, and the exclusive or of their ids.
let expectedCount: u32 = 0;
let expectedIds: u32 = 0;
let finalizedCount: u32 = 0;
let finalizedIds: u32 = 0;

@inline
function element(slot: u32, index: u32): Ref {
  return getElement(root(frame, slot), index);
}

@inline
function setElementOf(slot: u32, index: u32, value: Ref): void {
  setElement(root(frame, slot), index, value);
}

/** Of a subject or a weak record. */
@inline
function idOf(ref: Ref): u32 {
  return getField<u32>(ref, ID);
}

@inline
function isGuarded(id: u32): bool {
  return id % guardEvery == 0;
}

function makeData(id: u32): Ref {
  const words: u32 = 4 + (mix(id) >>> 8) % 16;
  const data = allocateArray(dataType, words, WORD_LOG2);
  for (let i: u32 = 0; i < words; i++) setField<u32>(data, ELEMENTS + (i << WORD_LOG2), id + i);
  return data;
}

/** Makes a subject with all that belongs to it. A safepoint. */
function make(place: u32): void {
  const id = nextId++;
  // Slots: the subject, before it its data; the value; the weak record.
  const own = enter(3);
  setRoot(own, 0, makeData(id));
  const subject = allocate(subjectType, SUBJECT_BYTES);
  setRef(subject, DATA, root(own, 0));
  setField<u32>(subject, ID, id);
  setRoot(own, 0, subject);
  const value = allocate(valueType, VALUE_BYTES);
  setRef(value, OWNER, root(own, 0));
  setField<u32>(value, NUMBER, mix(id));
  setRoot(own, 1, value);
  const weak = allocate(weakType, WEAK_BYTES);
  setField<u32>(weak, ID, id);
  setWeak(weak, root(own, 0));
  setRoot(own, 2, weak);
  const entry = allocate(entryType, ENTRY_BYTES);
  setEphemeron(entry, root(own, 0), root(own, 1));
  setElementOf(SUBJECTS, place, root(own, 0));
  setElementOf(WEAKS, place, root(own, 2));
  setElementOf(ENTRIES, place, entry);
  leave(own);
  if (isGuarded(id)) guard(element(SUBJECTS, place), QUEUE);
}

function read(place: u32): void {
  const subject = element(SUBJECTS, place);
  const value = getValue(element(ENTRIES, place));
  const id = idOf(subject);
  if (getWeak(element(WEAKS, place)) != subject) weakLost(id);
  if (value == NULL || getRef(value, OWNER) != subject) valueLost(id);
  const data = getRef(subject, DATA);
  let sum = addWord(checksum, id);
  sum = addWord(sum, getField<u32>(value, NUMBER));
  checksum = addWord(sum, getField<u32>(data, ELEMENTS + ((id % length(data)) << WORD_LOG2)));
}

/** The place's weak record and ephemeron go to a grave. */
function bury(place: u32): void {
  const grave = replaced++ % graves;
  setElementOf(WEAK_GRAVES, grave, element(WEAKS, place));
  setElementOf(ENTRY_GRAVES, grave, element(ENTRIES, place));
  const id = idOf(element(SUBJECTS, place));
  if (isGuarded(id)) {
    expectedCount++;
    expectedIds ^= id;
  }
}

function look(grave: u32): void {
  const weak = element(WEAK_GRAVES, grave);
  if (weak == NULL) return;
  const subject = getWeak(weak);
  const id = idOf(weak);
  if (subject == NULL) {
    if (getValue(element(ENTRY_GRAVES, grave)) != NULL) valueKept(id);
  } else if (idOf(subject) != id) {
    wrongSubject(id, idOf(subject));
  }
}

function finalize(): void {
  for (let dead = nextFinalizable(QUEUE); dead != NULL; dead = nextFinalizable(QUEUE)) {
    const id = idOf(dead);
    if (!isGuarded(id)) neverGuarded(id);
    finalizedCount++;
    finalizedIds ^= id;
  }
}

/** Lets the collector do all that it has to, and checks that it did. A safepoint. */
function settle(): void {
  // The first finds the dead and gives back those that are guarded; the second frees these.
  for (let i = 0; i < 2; i++) {
    collect();
    finalize();
  }
  if (finalizedCount != expectedCount || finalizedIds != expectedIds)
    wrongDeaths(finalizedCount, finalizedIds, expectedCount, expectedIds);
  const filled = min(graves, replaced);
  for (let i: u32 = 0; i < filled; i++) {
    const weak = element(WEAK_GRAVES, i);
    if (getWeak(weak) != NULL) stillThere(idOf(weak));
    look(i);
  }
}

export function references(
  subject_: u32,
  data_: u32,
  value_: u32,
  weak_: u32,
  entry_: u32,
  refs: u32,
  seed: u32,
  operations: u32,
  subjects: u32,
  graves_: u32,
  guardEvery_: u32,
  replacementsPerOperation: u32,
  gravesPerOperation: u32,
  settles: bool,
): u32 {
  subjectType = subject_;
  dataType = data_;
  valueType = value_;
  weakType = weak_;
  entryType = entry_;
  graves = graves_;
  guardEvery = guardEvery_;
  nextId = 0;
  replaced = 0;
  checksum = CHECKSUM_START;
  expectedCount = 0;
  expectedIds = 0;
  finalizedCount = 0;
  finalizedIds = 0;
  seedRandom(seed);
  frame = enter(5);
  for (let slot = SUBJECTS; slot <= ENTRIES; slot++)
    setRoot(frame, slot, allocateArray(refs, subjects, WORD_LOG2));
  for (let slot = WEAK_GRAVES; slot <= ENTRY_GRAVES; slot++)
    setRoot(frame, slot, allocateArray(refs, graves, WORD_LOG2));
  for (let i: u32 = 0; i < subjects; i++) make(i);
  for (let n: u32 = 0; n < operations; n++) {
    begin();
    for (let i: u32 = 0; i < replacementsPerOperation; i++) {
      const place = belowRandom(subjects);
      read(place);
      bury(place);
      make(place);
    }
    finalize();
    for (let i: u32 = 0; i < gravesPerOperation; i++) look(belowRandom(graves));
    end();
    if (n % PROGRESS_EVERY == 0) progress(<f64>n / <f64>operations);
  }
  for (let i: u32 = 0; i < subjects; i++) {
    if (i % READ_PLACES == 0) poll();
    read(i);
  }
  checksum = addWord(addWord(checksum, expectedCount), expectedIds);
  if (settles) settle();
  progress(1);
  leave(frame);
  return checksum;
}
