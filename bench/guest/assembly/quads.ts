// bench/workloads/quads.ts as a guest.

import { allocate, enter, Frame, getField, getRef, leave, poll, Ref, root, setField, setRef, setRoot } from 'tospace/guest';
import { addWord, CHECKSUM_START } from './checksum';
import { begin, end, progress } from './host';

const QUAD_BYTES: u32 = 32;
/** Offset of the first child. */
const CHILD: u32 = 8;
const THIRD: u32 = 16;
const SERIAL: u32 = 24;
const CHILDREN: u32 = 4;
/** Subtrees of this depth are read without a safepoint: 5 461 nodes, tens of microseconds. */
const READ_DEPTH: u32 = 6;
/** Operations between two reports of progress. */
const PROGRESS_EVERY: u32 = 64;

let quadType: u32 = 0;
let serial: u32 = 0;
let checksum: u32 = 0;

function make(): Ref {
  const quad = allocate(quadType, QUAD_BYTES);
  setField<u32>(quad, SERIAL, serial++);
  return quad;
}

function build(depth: u32): Ref {
  if (depth == 0) return make();
  const frame = enter(4);
  for (let i: u32 = 0; i < CHILDREN; i++) setRoot(frame, i, build(depth - 1));
  const quad = make();
  for (let i: u32 = 0; i < CHILDREN; i++) setRef(quad, CHILD + (i << 2), root(frame, i));
  leave(frame);
  return quad;
}

@inline
function addSerial(quad: Ref): void {
  checksum = addWord(checksum, getField<u32>(quad, SERIAL));
}

function readSubtree(quad: Ref, depth: u32): void {
  addSerial(quad);
  if (depth == 0) return;
  for (let i: u32 = 0; i < CHILDREN; i++) readSubtree(getRef(quad, CHILD + (i << 2)), depth - 1);
}

/** Reads the whole tree in slot 0 of a frame, with safepoints between its smaller subtrees. */
function read(tree: Frame, depth: u32): void {
  poll();
  if (depth <= READ_DEPTH) {
    readSubtree(root(tree, 0), depth);
    return;
  }
  addSerial(root(tree, 0));
  const frame = enter(1);
  for (let i: u32 = 0; i < CHILDREN; i++) {
    setRoot(frame, 0, getRef(root(tree, 0), CHILD + (i << 2)));
    read(frame, depth - 1);
  }
  leave(frame);
}

export function quads(
  type: u32,
  liveDepth: u32,
  rounds: u32,
  operations: u32,
  treesPerOperation: u32,
  garbageDepth: u32,
): u32 {
  quadType = type;
  serial = 0;
  checksum = CHECKSUM_START;
  const frame = enter(1);
  setRoot(frame, 0, build(liveDepth));
  for (let round: u32 = 0; round < rounds; round++) {
    for (let i: u32 = 0; i < operations; i++) {
      begin();
      for (let left = treesPerOperation; left > 0; left--) {
        const tree = build(garbageDepth);
        addSerial(tree);
        addSerial(getRef(tree, THIRD));
      }
      end();
      if (i % PROGRESS_EVERY == 0) progress((<f64>round + <f64>i / <f64>operations) / <f64>rounds);
    }
    read(frame, liveDepth);
  }
  progress(1);
  leave(frame);
  return checksum;
}
