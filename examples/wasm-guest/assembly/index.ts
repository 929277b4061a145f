// The guest: three small programs on a managed heap. Nothing in it knows whether there is a collector.
//
//   trees   perfect binary trees are built from the leaves up, counted and dropped, beside one that stays
//   map     a hash table of chains: keys are inserted, looked up and removed
//   list    one long list is reversed in place again and again: the write barrier and nothing else
//
// Each returns a checksum of what it read.

import {
  allocate,
  allocateArray,
  enter,
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

// The host defines these types with these sizes and offsets, and says which ids they got.
@external('types', 'node')
declare const NODE: u32;
@external('types', 'entry')
declare const ENTRY: u32;
@external('types', 'table')
declare const TABLE: u32;

const NODE_BYTES: u32 = 16;
const LEFT: u32 = 8;
const RIGHT: u32 = 12;

const ENTRY_BYTES: u32 = 24;
const NEXT: u32 = 8;
const KEY: u32 = 12;
const VALUE: u32 = 16;

/** Objects that are looked at from one safepoint to the next: tens of microseconds. */
const STRIDE: u32 = 8192;
/** Trees of this depth are counted without a safepoint. */
const COUNT_DEPTH: u32 = 12;

@inline
function mixIn(checksum: u32, word: u32): u32 {
  return (checksum ^ word) * 0x01000193;
}

// ---------------------------------------------------------------------------------------------------------------------------
// trees

function build(depth: u32): Ref {
  if (depth == 0) return allocate(NODE, NODE_BYTES);
  const frame = enter(2);
  setRoot(frame, 0, build(depth - 1));
  setRoot(frame, 1, build(depth - 1));
  const node = allocate(NODE, NODE_BYTES);
  setRef(node, LEFT, root(frame, 0));
  setRef(node, RIGHT, root(frame, 1));
  leave(frame);
  return node;
}

function countSubtree(node: Ref): u32 {
  const left = getRef(node, LEFT);
  if (left == NULL) return 1;
  return 1 + countSubtree(left) + countSubtree(getRef(node, RIGHT));
}

/** Counts the nodes of a tree, with safepoints between its smaller subtrees. */
function count(tree: Ref, depth: u32): u32 {
  if (depth <= COUNT_DEPTH) {
    const nodes = countSubtree(tree);
    poll();
    return nodes;
  }
  const frame = enter(1);
  setRoot(frame, 0, tree);
  const left = count(getRef(tree, LEFT), depth - 1);
  const right = count(getRef(root(frame, 0), RIGHT), depth - 1);
  leave(frame);
  return 1 + left + right;
}

/** Builds and counts `rounds` trees of `depth`, beside one of the same depth that stays. */
export function trees(depth: u32, rounds: u32): u32 {
  let checksum: u32 = 0x811c9dc5;
  const frame = enter(2);
  setRoot(frame, 0, build(depth));
  for (let i: u32 = 0; i < rounds; i++) {
    setRoot(frame, 1, build(depth));
    checksum = mixIn(checksum, count(root(frame, 1), depth));
  }
  checksum = mixIn(checksum, count(root(frame, 0), depth));
  leave(frame);
  return checksum;
}

// ---------------------------------------------------------------------------------------------------------------------------
// map

@inline
function hash(key: u32): u32 {
  let h = key * 0x9e3779b1;
  h ^= h >>> 15;
  return h * 0x85ebca6b;
}

/** The entry before the one with `key`, or before the end of its chain; null when that is the first of its bucket. */
@inline
function entryBefore(table: Ref, bucket: u32, key: u32): Ref {
  let before: Ref = NULL;
  let entry = getElement(table, bucket);
  while (entry != NULL && getField<u32>(entry, KEY) != key) {
    before = entry;
    entry = getRef(entry, NEXT);
  }
  return before;
}

@inline
function following(table: Ref, bucket: u32, before: Ref): Ref {
  return before == NULL ? getElement(table, bucket) : getRef(before, NEXT);
}

@inline
function link(table: Ref, bucket: u32, before: Ref, entry: Ref): void {
  if (before == NULL) setElement(table, bucket, entry);
  else setRef(before, NEXT, entry);
}

/** Does `operations` with keys below `keys` on a table of 2 ^ `bucketsLog2` chains: a key that is there is read, and every second time removed. */
export function map(bucketsLog2: u32, keys: u32, operations: u32): u32 {
  let checksum: u32 = 0x811c9dc5;
  let seed: u32 = 1;
  const shift = 32 - bucketsLog2;
  const frame = enter(1);
  setRoot(frame, 0, allocateArray(TABLE, 1 << bucketsLog2, 2));
  for (let i: u32 = 0; i < operations; i++) {
    seed = seed * 1664525 + 1013904223;
    const key = (seed >>> 8) % keys;
    const bucket = hash(key) >>> shift;
    const table = root(frame, 0);
    const before = entryBefore(table, bucket, key);
    const entry = following(table, bucket, before);
    if (entry == NULL) {
      // A safepoint: nothing that was read before it counts after it.
      const made = allocate(ENTRY, ENTRY_BYTES);
      setField<u32>(made, KEY, key);
      setField<f64>(made, VALUE, <f64>key * 0.5);
      const now = root(frame, 0);
      setRef(made, NEXT, getElement(now, bucket));
      setElement(now, bucket, made);
    } else {
      checksum = mixIn(checksum, <u32>(getField<f64>(entry, VALUE) * 2));
      if ((seed & 64) != 0) link(table, bucket, before, getRef(entry, NEXT));
      poll();
    }
  }
  leave(frame);
  return checksum;
}

// ---------------------------------------------------------------------------------------------------------------------------
// list

/** Makes a list of `nodes`, reverses it in place `rounds` times, and reads it. */
export function list(nodes: u32, rounds: u32): u32 {
  const frame = enter(2);
  for (let i: u32 = 0; i < nodes; i++) {
    const node = allocate(ENTRY, ENTRY_BYTES);
    setField<u32>(node, KEY, i);
    setRef(node, NEXT, root(frame, 0));
    setRoot(frame, 0, node);
  }
  for (let round: u32 = 0; round < rounds; round++) {
    let done: Ref = NULL;
    let left = root(frame, 0);
    while (left != NULL) {
      for (let i: u32 = 0; i < STRIDE && left != NULL; i++) {
        const next = getRef(left, NEXT);
        setRef(left, NEXT, done);
        done = left;
        left = next;
      }
      setRoot(frame, 0, done);
      setRoot(frame, 1, left);
      poll();
      done = root(frame, 0);
      left = root(frame, 1);
    }
    setRoot(frame, 0, done);
  }
  let checksum: u32 = 0x811c9dc5;
  while (root(frame, 0) != NULL) {
    let node = root(frame, 0);
    for (let i: u32 = 0; i < STRIDE && node != NULL; i++) {
      checksum = mixIn(checksum, getField<u32>(node, KEY));
      node = getRef(node, NEXT);
    }
    setRoot(frame, 0, node);
    poll();
  }
  leave(frame);
  return checksum;
}
