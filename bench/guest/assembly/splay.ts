// bench/workloads/splay.ts as a guest.

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
import { addWord, CHECKSUM_START, nextRandom, seedRandom } from './checksum';
import { begin, end, progress } from './host';

// tree
const TREE_BYTES: u32 = 16;
const ROOT: u32 = 8;
const DUMMY: u32 = 12;
// node, and branch
const NODE_BYTES: u32 = 24;
const BRANCH_BYTES: u32 = 16;
const LEFT: u32 = 8;
const RIGHT: u32 = 12;
const PAYLOAD: u32 = 16;
const KEY: u32 = 20;
// leaf
const LEAF_BYTES: u32 = 16;
const ARRAY: u32 = 8;
const TEXT: u32 = 12;

const ELEMENTS: u32 = 8;
const WORD_LOG2: u32 = 2;
/** Operations between two reports of progress. */
const PROGRESS_EVERY: u32 = 16;

// A leaf's text as numbers: a string would be a data segment.
/** 'String f', 'or key ' */
const BEFORE_1: u64 = 0x6620676e69727453;
const BEFORE_2: u64 = 0x0020_7965_6b20_726f;
const BEFORE_LENGTH: u32 = 15;
/** ' in leaf', ' node' */
const BEHIND_1: u64 = 0x6661656c206e6920;
const BEHIND_2: u64 = 0x0000_0065_646f_6e20;
const BEHIND_LENGTH: u32 = 13;

let nodeType: u32 = 0;
let branchType: u32 = 0;
let leafType: u32 = 0;
let arrayType: u32 = 0;
let textType: u32 = 0;
let payloadDepth: u32 = 0;
let arrayLength: u32 = 0;
let checksum: u32 = 0;
/** Slots: the tree, and one for whoever allocates. */
let frame: Frame = 0;

@inline
function getTop(): Ref {
  return getRef(root(frame, 0), ROOT);
}

@inline
function setTop(node: Ref): void {
  setRef(root(frame, 0), ROOT, node);
}

@inline
function keyOf(node: Ref): u32 {
  return getField<u32>(node, KEY);
}

function digitsOf(number: u32): u32 {
  let digits: u32 = 1;
  for (; number >= 10; number /= 10) digits++;
  return digits;
}

/** Stores the `count` lowest bytes of `characters` at `at`. */
function put(text: Ref, at: u32, characters: u64, count: u32): void {
  for (let i: u32 = 0; i < count; i++) setField<u8>(text, at + i, <u8>(characters >> (<u64>i * 8)));
}

function makeText(tag: u32): Ref {
  const digits = digitsOf(tag);
  const text = allocateArray(textType, BEFORE_LENGTH + digits + BEHIND_LENGTH, 0);
  put(text, ELEMENTS, BEFORE_1, 8);
  put(text, ELEMENTS + 8, BEFORE_2, BEFORE_LENGTH - 8);
  const behind = ELEMENTS + BEFORE_LENGTH + digits;
  for (let at = behind - 1, left = tag; at >= ELEMENTS + BEFORE_LENGTH; at--, left /= 10)
    setField<u8>(text, at, <u8>(48 + (left % 10)));
  put(text, behind, BEHIND_1, 8);
  put(text, behind + 8, BEHIND_2, BEHIND_LENGTH - 8);
  return text;
}

function makeLeaf(tag: u32): Ref {
  const own = enter(2);
  const array = allocateArray(arrayType, arrayLength, WORD_LOG2);
  for (let i: u32 = 0; i < arrayLength; i++) setField<u32>(array, ELEMENTS + (i << WORD_LOG2), tag + i);
  setRoot(own, 0, array);
  setRoot(own, 1, makeText(tag));
  const leaf = allocate(leafType, LEAF_BYTES);
  setRef(leaf, ARRAY, root(own, 0));
  setRef(leaf, TEXT, root(own, 1));
  leave(own);
  return leaf;
}

function makePayload(depth: u32, tag: u32): Ref {
  if (depth == 0) return makeLeaf(tag);
  const own = enter(2);
  setRoot(own, 0, makePayload(depth - 1, tag));
  setRoot(own, 1, makePayload(depth - 1, tag));
  const branch = allocate(branchType, BRANCH_BYTES);
  setRef(branch, LEFT, root(own, 0));
  setRef(branch, RIGHT, root(own, 1));
  leave(own);
  return branch;
}

/** Sleator and Tarjan's top-down splaying: the node of the key, or one next to where it would be, becomes the root. */
function splayTo(key: u32): void {
  const dummy = getRef(root(frame, 0), DUMMY);
  setRef(dummy, LEFT, NULL);
  setRef(dummy, RIGHT, NULL);
  let smaller = dummy;
  let greater = dummy;
  let current = getTop();
  for (;;) {
    const at = keyOf(current);
    if (key < at) {
      let child = getRef(current, LEFT);
      if (child == NULL) break;
      if (key < keyOf(child)) {
        setRef(current, LEFT, getRef(child, RIGHT));
        setRef(child, RIGHT, current);
        current = child;
        child = getRef(current, LEFT);
        if (child == NULL) break;
      }
      setRef(greater, LEFT, current);
      greater = current;
      current = child;
    } else if (key > at) {
      let child = getRef(current, RIGHT);
      if (child == NULL) break;
      if (key > keyOf(child)) {
        setRef(current, RIGHT, getRef(child, LEFT));
        setRef(child, LEFT, current);
        current = child;
        child = getRef(current, RIGHT);
        if (child == NULL) break;
      }
      setRef(smaller, RIGHT, current);
      smaller = current;
      current = child;
    } else break;
  }
  setRef(smaller, RIGHT, getRef(current, LEFT));
  setRef(greater, LEFT, getRef(current, RIGHT));
  setRef(current, LEFT, getRef(dummy, RIGHT));
  setRef(current, RIGHT, getRef(dummy, LEFT));
  setTop(current);
}

function has(key: u32): bool {
  if (getTop() == NULL) return false;
  splayTo(key);
  return keyOf(getTop()) == key;
}

/** Inserts a node with a new random key, and returns the key. The node is the root. */
function insertNew(): u32 {
  let key = nextRandom() >>> 1;
  while (has(key)) key = nextRandom() >>> 1;
  setRoot(frame, 1, makePayload(payloadDepth, key));
  const node = allocate(nodeType, NODE_BYTES);
  setRef(node, PAYLOAD, root(frame, 1));
  setRoot(frame, 1, NULL);
  setField<u32>(node, KEY, key);
  const top = getTop();
  if (top != NULL) {
    // Looking for the key has splayed the tree already.
    const near = key > keyOf(top) ? LEFT : RIGHT;
    const far = LEFT + RIGHT - near;
    setRef(node, near, top);
    setRef(node, far, getRef(top, far));
    setRef(top, far, NULL);
  }
  setTop(node);
  return key;
}

/** Takes out the node of a key that the tree has. */
function remove(key: u32): Ref {
  splayTo(key);
  const removed = getTop();
  const smaller = getRef(removed, LEFT);
  const greater = getRef(removed, RIGHT);
  if (smaller == NULL) {
    setTop(greater);
  } else {
    setTop(smaller);
    splayTo(key);
    setRef(getTop(), RIGHT, greater);
  }
  return removed;
}

/** Reads the key and a place in one leaf that follows from it. */
function readPart(node: Ref): void {
  const key = keyOf(node);
  let at = getRef(node, PAYLOAD);
  for (let i: u32 = 0; i < payloadDepth; i++) at = getRef(at, ((key >>> i) & 1) == 0 ? LEFT : RIGHT);
  const array = getRef(at, ARRAY);
  const text = getRef(at, TEXT);
  const characters = length(text);
  let sum = addWord(checksum, key);
  sum = addWord(sum, getField<u32>(array, ELEMENTS + ((key % arrayLength) << WORD_LOG2)));
  sum = addWord(sum, characters);
  checksum = addWord(sum, getField<u8>(text, ELEMENTS + (key % characters)));
}

/** Inserts a new node, removes its predecessor (or itself, when it is the first) and reads a part of what was removed. */
function modify(): void {
  poll();
  const key = insertNew();
  splayTo(key);
  let victim = getRef(getTop(), LEFT);
  if (victim == NULL) {
    victim = getTop();
  } else {
    for (let next = getRef(victim, RIGHT); next != NULL; next = getRef(victim, RIGHT)) victim = next;
  }
  readPart(remove(keyOf(victim)));
}

function readPayload(at: Ref, depth: u32): void {
  if (depth > 0) {
    readPayload(getRef(at, LEFT), depth - 1);
    readPayload(getRef(at, RIGHT), depth - 1);
    return;
  }
  const array = getRef(at, ARRAY);
  for (let i: u32 = 0; i < arrayLength; i++)
    checksum = addWord(checksum, getField<u32>(array, ELEMENTS + (i << WORD_LOG2)));
  checksum = addWord(checksum, length(getRef(at, TEXT)));
}

/** Reads all nodes in the order of their keys, and takes them out of the tree. */
function readAll(): void {
  while (getTop() != NULL) {
    poll();
    splayTo(0);
    const first = getTop();
    checksum = addWord(checksum, keyOf(first));
    readPayload(getRef(first, PAYLOAD), payloadDepth);
    setTop(getRef(first, RIGHT));
  }
}

export function splay(
  tree: u32,
  node_: u32,
  branch_: u32,
  leaf_: u32,
  array_: u32,
  text_: u32,
  seed: u32,
  operations: u32,
  size: u32,
  modificationsPerOperation: u32,
  depth: u32,
  elements: u32,
): u32 {
  nodeType = node_;
  branchType = branch_;
  leafType = leaf_;
  arrayType = array_;
  textType = text_;
  payloadDepth = depth;
  arrayLength = elements;
  checksum = CHECKSUM_START;
  seedRandom(seed);
  frame = enter(2);
  setRoot(frame, 0, allocate(tree, TREE_BYTES));
  const dummy = allocate(nodeType, NODE_BYTES);
  setRef(root(frame, 0), DUMMY, dummy);
  for (let left = size; left > 0; left--) insertNew();
  for (let i: u32 = 0; i < operations; i++) {
    begin();
    for (let left = modificationsPerOperation; left > 0; left--) modify();
    end();
    if (i % PROGRESS_EVERY == 0) progress(<f64>i / <f64>operations);
  }
  readAll();
  progress(1);
  leave(frame);
  return checksum;
}
