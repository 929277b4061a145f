// bench/workloads/pointer-chase.ts as a guest.

import {
  allocate,
  allocateArray,
  enter,
  Frame,
  getElement,
  getField,
  getRef,
  leave,
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
import { begin, end, progress, requestCycle } from './host';

const NODE_BYTES: u32 = 64;
const NEXT: u32 = 8;
const ID: u32 = 12;
const VALUE: u32 = 16;
const ELEMENTS: u32 = 8;
const WORD_LOG2: u32 = 2;
/** Nodes that are passed without a safepoint: some 20 microseconds without faults. */
const SAFEPOINT_EVERY: u32 = 256;

let nodeType: u32 = 0;
let nextId: u32 = 0;
let checksum: u32 = 0;

function make(): Ref {
  const node = allocate(nodeType, NODE_BYTES);
  setField<u32>(node, ID, nextId);
  setField<u32>(node, VALUE, mix(nextId++));
  return node;
}

@inline
function place(places: Ref, i: u32): u32 {
  return getField<u32>(places, ELEMENTS + (i << WORD_LOG2));
}

@inline
function setPlace(places: Ref, i: u32, value: u32): void {
  setField<u32>(places, ELEMENTS + (i << WORD_LOG2), value);
}

/** Makes the chain whose table is in slot 0; slot 1 is free again afterwards. */
function makeChain(frame: Frame, words: u32, nodes: u32): void {
  // The place in the chain of each node, in the order in which they are made.
  setRoot(frame, 1, allocateArray(words, nodes, WORD_LOG2));
  const places = root(frame, 1);
  for (let i: u32 = 0; i < nodes; i++) setPlace(places, i, i);
  for (let i = nodes - 1; i > 0; i--) {
    const j = belowRandom(i + 1);
    const at = place(places, i);
    setPlace(places, i, place(places, j));
    setPlace(places, j, at);
  }
  for (let i: u32 = 0; i < nodes; i++) {
    const node = make();
    setElement(root(frame, 0), place(root(frame, 1), i), node);
  }
  setRoot(frame, 1, NULL);
  const table = root(frame, 0);
  for (let i: u32 = 1; i < nodes; i++) setRef(getElement(table, i - 1), NEXT, getElement(table, i));
}

/** Puts new nodes in random places of the chain. */
function renew(frame: Frame, renewals: u32, nodes: u32): void {
  for (let left = renewals; left > 0; left--) {
    const k = belowRandom(nodes);
    const node = make();
    const table = root(frame, 0);
    setRef(node, NEXT, getRef(getElement(table, k), NEXT));
    if (k > 0) setRef(getElement(table, k - 1), NEXT, node);
    setElement(table, k, node);
  }
}

/** Goes on from the node in slot 1. */
function follow(frame: Frame): void {
  let node = root(frame, 1);
  let sum = checksum;
  for (let i: u32 = 0; i < SAFEPOINT_EVERY; i++) {
    sum = addWord(sum, getField<u32>(node, ID) ^ getField<u32>(node, VALUE));
    node = getRef(node, NEXT);
  }
  setRoot(frame, 1, node);
  checksum = sum;
}

export function pointerChase(
  node_: u32,
  refs: u32,
  words: u32,
  seed: u32,
  nodes: u32,
  rounds: u32,
  renewals: u32,
  chases: u32,
  stepsPerOperation: u32,
  garbagePerOperation: u32,
): u32 {
  nodeType = node_;
  nextId = 0;
  checksum = CHECKSUM_START;
  seedRandom(seed);
  // Slots: the table, where the chase is, the last node that was made to be dropped.
  const frame = enter(3);
  setRoot(frame, 0, allocateArray(refs, nodes, WORD_LOG2));
  makeChain(frame, words, nodes);
  for (let round: u32 = 0; round < rounds; round++) {
    renew(frame, renewals, nodes);
    requestCycle();
    for (let chase: u32 = 0; chase < chases; chase++) {
      setRoot(frame, 1, getElement(root(frame, 0), 0));
      for (let done: u32 = 0; done < nodes; done += stepsPerOperation) {
        begin();
        for (let i: u32 = 0; i < garbagePerOperation; i++) setRoot(frame, 2, make());
        for (let step: u32 = 0; step < stepsPerOperation; step += SAFEPOINT_EVERY) {
          poll();
          follow(frame);
        }
        end();
      }
      progress((<f64>round + <f64>(chase + 1) / <f64>chases) / <f64>rounds);
    }
  }
  leave(frame);
  return checksum;
}
