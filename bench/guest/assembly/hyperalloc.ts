// bench/workloads/hyperalloc.ts as a guest.

import {
  allocate,
  allocateArray,
  enter,
  Frame,
  getElement,
  getField,
  getRef,
  leave,
  length,
  NULL,
  poll,
  Ref,
  root,
  setElement,
  setField,
  setRef,
  setRoot,
} from 'tospace/guest';
import { addWord, belowRandom, CHECKSUM_START, mix, seedRandom } from './checksum';
import { begin, end, progress } from './host';

const ITEM_BYTES: u32 = 16;
const DATA: u32 = 8;
const ID: u32 = 12;
const ELEMENTS: u32 = 8;
const WORD_LOG2: u32 = 2;
const SCATTER: u32 = 0x9e3779b1;
/** Operations between two reports of progress. */
const PROGRESS_EVERY: u32 = 64;
/** Items that are read without a safepoint. */
const READ_ITEMS: u32 = 1024;

let itemType: u32 = 0;
let dataType: u32 = 0;
let nextId: u32 = 0;
let checksum: u32 = 0;

/** Draws the words of an item's data: most items are small, most bytes are in large ones. */
function drawWords(): u32 {
  const drawn = belowRandom(100);
  if (drawn < 60) return 2 + belowRandom(8 - 2 + 1);
  if (drawn < 90) return 9 + belowRandom(64 - 9 + 1);
  if (drawn < 98) return 65 + belowRandom(512 - 65 + 1);
  return 513 + belowRandom(4096 - 513 + 1);
}

function make(): Ref {
  const words = drawWords();
  const id = nextId++;
  const data = allocateArray(dataType, words, WORD_LOG2);
  setField<u32>(data, ELEMENTS, id * SCATTER);
  setField<u32>(data, ELEMENTS + ((words - 1) << WORD_LOG2), mix(id));
  const frame = enter(1);
  setRoot(frame, 0, data);
  const item = allocate(itemType, ITEM_BYTES);
  setRef(item, DATA, root(frame, 0));
  leave(frame);
  setField<u32>(item, ID, id);
  return item;
}

function read(item: Ref): void {
  const data = getRef(item, DATA);
  const words = length(data);
  let sum = addWord(checksum, getField<u32>(item, ID));
  sum = addWord(sum, words);
  sum = addWord(sum, getField<u32>(data, ELEMENTS));
  checksum = addWord(sum, getField<u32>(data, ELEMENTS + ((words - 1) << WORD_LOG2)));
}

/** Reads the items of the array in a slot. */
function readAll(frame: Frame, slot: u32): void {
  const count = length(root(frame, slot));
  for (let i: u32 = 0; i < count; i++) {
    if (i % READ_ITEMS == 0) poll();
    const item = getElement(root(frame, slot), i);
    if (item != NULL) read(item);
  }
}

export function hyperalloc(
  item_: u32,
  data_: u32,
  refs: u32,
  seed: u32,
  operations: u32,
  slots: u32,
  young: u32,
  itemsPerOperation: u32,
  survivesEvery: u32,
  swapsPerOperation: u32,
): u32 {
  itemType = item_;
  dataType = data_;
  nextId = 0;
  checksum = CHECKSUM_START;
  seedRandom(seed);
  // Slots: the survivors, and what is young.
  const frame = enter(2);
  setRoot(frame, 0, allocateArray(refs, slots, WORD_LOG2));
  setRoot(frame, 1, allocateArray(refs, young, WORD_LOG2));
  for (let i: u32 = 0; i < slots; i++) {
    const item = make();
    setElement(root(frame, 0), i, item);
  }
  for (let n: u32 = 0; n < operations; n++) {
    begin();
    for (let i: u32 = 0; i < itemsPerOperation; i++) {
      const item = make();
      // No safepoint from here to the next item.
      if (i % survivesEvery != 0) {
        setElement(root(frame, 1), i % young, item);
      } else {
        const slot = belowRandom(slots);
        read(getElement(root(frame, 0), slot));
        setElement(root(frame, 0), slot, item);
      }
    }
    const all = root(frame, 0);
    for (let i: u32 = 0; i < swapsPerOperation; i++) {
      const a = belowRandom(slots);
      const b = belowRandom(slots);
      const item = getElement(all, a);
      setElement(all, a, getElement(all, b));
      setElement(all, b, item);
    }
    end();
    if (n % PROGRESS_EVERY == 0) progress(<f64>n / <f64>operations);
  }
  readAll(frame, 0);
  readAll(frame, 1);
  progress(1);
  leave(frame);
  return checksum;
}
