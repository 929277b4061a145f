// bench/workloads/gcbench.ts as a guest: the same trees, numbered and read in the same order.

import {
  allocate,
  allocateArray,
  enter,
  Frame,
  getField,
  getRef,
  leave,
  length,
  NULL,
  poll,
  Ref,
  root,
  setField,
  setRef,
  setRoot,
} from 'tospace/guest';
import { addWord, CHECKSUM_START } from './checksum';
import { begin, end, progress, treesOf, treesPerOperation } from './host';

const NODE_BYTES: u32 = 24;
const LEFT: u32 = 8;
const RIGHT: u32 = 12;
const DEPTH: u32 = 16;
const SERIAL: u32 = 20;
const ELEMENTS: u32 = 8;
const F64_LOG2: u32 = 3;

/** Subtrees of this depth are read without a safepoint: 8 191 nodes, tens of microseconds. */
const READ_DEPTH: u32 = 12;
/** Doubles that are read without a safepoint. */
const READ_LENGTH: u32 = 16384;

let nodeType: u32 = 0;
let serial: u32 = 0;
let checksum: u32 = 0;

function node(depth: u32): Ref {
  const ref = allocate(nodeType, NODE_BYTES);
  setField<u32>(ref, DEPTH, depth);
  setField<u32>(ref, SERIAL, serial++);
  return ref;
}

/** Builds the children of the node in slot `slot` of a frame and all below, the parents first. */
function topDown(parent: Frame, slot: u32, depth: u32): void {
  if (depth == 0) return;
  const first = node(depth - 1);
  setRef(root(parent, slot), LEFT, first);
  const second = node(depth - 1);
  setRef(root(parent, slot), RIGHT, second);
  const frame = enter(1);
  setRoot(frame, 0, getRef(root(parent, slot), LEFT));
  topDown(frame, 0, depth - 1);
  setRoot(frame, 0, getRef(root(parent, slot), RIGHT));
  topDown(frame, 0, depth - 1);
  leave(frame);
}

/** Builds a tree, the leaves first. */
function bottomUp(depth: u32): Ref {
  if (depth == 0) return node(0);
  const frame = enter(2);
  setRoot(frame, 0, bottomUp(depth - 1));
  setRoot(frame, 1, bottomUp(depth - 1));
  const made = node(depth);
  setRef(made, LEFT, root(frame, 0));
  setRef(made, RIGHT, root(frame, 1));
  leave(frame);
  return made;
}

function readNode(ref: Ref): void {
  checksum = addWord(addWord(checksum, getField<u32>(ref, DEPTH)), getField<u32>(ref, SERIAL));
}

function readSubtree(ref: Ref): void {
  readNode(ref);
  const first = getRef(ref, LEFT);
  if (first == NULL) return;
  readSubtree(first);
  readSubtree(getRef(ref, RIGHT));
}

/** Reads the whole tree in a slot into the checksum, with safepoints between its smaller subtrees. */
function read(tree: Frame, slot: u32, depth: u32): void {
  poll();
  if (depth <= READ_DEPTH) {
    readSubtree(root(tree, slot));
    return;
  }
  readNode(root(tree, slot));
  const frame = enter(1);
  setRoot(frame, 0, getRef(root(tree, slot), LEFT));
  read(frame, 0, depth - 1);
  setRoot(frame, 0, getRef(root(tree, slot), RIGHT));
  read(frame, 0, depth - 1);
  leave(frame);
}

/** Adds the bits of all doubles of the array in a slot to the checksum. */
function readDoubles(frame: Frame, slot: u32): void {
  const count = length(root(frame, slot));
  for (let start: u32 = 0; start < count; start += READ_LENGTH) {
    poll();
    const array = root(frame, slot);
    const stop = ELEMENTS + (min(start + READ_LENGTH, count) << F64_LOG2);
    for (let at = ELEMENTS + (start << F64_LOG2); at < stop; at += 4)
      checksum = addWord(checksum, getField<u32>(array, at));
  }
}

/** Runs it: the sizes are those of a plan (bench/workloads/README.md). */
export function gcbench(
  node_: u32,
  doubles: u32,
  stretchDepth: u32,
  longLivedDepth: u32,
  arrayLength: u32,
  depthMin: u32,
  depthMax: u32,
  depthStep: u32,
  rounds: u32,
  firstSerial: u32,
): u32 {
  nodeType = node_;
  serial = firstSerial;
  checksum = CHECKSUM_START;
  // Slots: the tree at hand, the long-lived one, the array.
  const frame = enter(3);
  setRoot(frame, 0, bottomUp(stretchDepth));
  read(frame, 0, stretchDepth);
  setRoot(frame, 0, NULL);

  setRoot(frame, 1, node(longLivedDepth));
  topDown(frame, 1, longLivedDepth);
  setRoot(frame, 2, allocateArray(doubles, arrayLength, F64_LOG2));
  const array = root(frame, 2);
  for (let i: u32 = 0; i < arrayLength / 2; i++)
    setField<f64>(array, ELEMENTS + (i << F64_LOG2), 1.0 / <f64>(i + 1));

  const steps = <f64>(rounds * ((depthMax - depthMin) / depthStep + 1));
  let step: f64 = 0;
  for (let round: u32 = 0; round < rounds; round++) {
    for (let depth = depthMin; depth <= depthMax; depth += depthStep) {
      const count = treesOf(depth);
      const batch = treesPerOperation(depth);
      for (let done: u32 = 0; done < count; ) {
        const stop = min(count, done + batch);
        begin();
        for (; done < stop; done++) {
          setRoot(frame, 0, node(depth));
          topDown(frame, 0, depth);
        }
        end();
      }
      read(frame, 0, depth);
      progress((step + 0.5) / steps);
      for (let done: u32 = 0; done < count; ) {
        const stop = min(count, done + batch);
        begin();
        for (; done < stop; done++) setRoot(frame, 0, bottomUp(depth));
        end();
      }
      read(frame, 0, depth);
      setRoot(frame, 0, NULL);
      step += 1;
      progress(step / steps);
    }
    read(frame, 1, longLivedDepth);
    readDoubles(frame, 2);
  }
  leave(frame);
  return checksum;
}
