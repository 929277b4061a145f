// splay: the splay tree of the V8 benchmark suite and of JetStream, by Vyacheslav Egorov and others, with its latency.
// https://github.com/WebKit/JetStream
//
// Every node carries a tree of payload of 63 objects more, two for each leaf besides; a modification inserts a node with a random key and
// removes its predecessor. All objects live for a while, which defeats collectors that hope they do not, and splaying rewrites references
// of old objects with every look at the tree.
//
// Departures: README.md, which is also the exact specification.

import { type Local, type Mutator, NULL, type RawArrayType, type RecordType, type Ref } from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import { Random } from './random.ts';
import {
  ARRAY_LENGTH,
  keyOf,
  leafText,
  MODIFICATIONS_PER_OPERATION,
  operationsOf,
  PAYLOAD_DEPTH,
  sizeOf,
} from './splay-plan.ts';
import type { Workload, WorkloadContext } from './workload.ts';

const HEADER_BYTES = 8;
/** Operations between two reports of progress. */
const PROGRESS_EVERY = 16;

type TreeType = RecordType<'root' | 'dummy'>;
type NodeType = RecordType<'left' | 'right' | 'payload' | 'key'>;
type BranchType = RecordType<'left' | 'right'>;
type LeafType = RecordType<'array' | 'text'>;

class SplayTree {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #random: Random;
  readonly #treeType: TreeType;
  readonly #nodeType: NodeType;
  readonly #branchType: BranchType;
  readonly #leafType: LeafType;
  readonly #arrayType: RawArrayType;
  readonly #textType: RawArrayType;
  readonly #tree: Local;

  constructor({ heap, mutator: m, seed }: WorkloadContext) {
    this.#m = m;
    this.#random = new Random(seed);
    this.#treeType = heap.defineRecord('splay.Tree', { root: 'ref', dummy: 'ref' });
    this.#nodeType = heap.defineRecord('splay.Node', {
      left: 'ref',
      right: 'ref',
      payload: 'ref',
      key: 'i32',
    });
    this.#branchType = heap.defineRecord('splay.Branch', { left: 'ref', right: 'ref' });
    this.#leafType = heap.defineRecord('splay.Leaf', { array: 'ref', text: 'ref' });
    this.#arrayType = heap.defineArray('splay.Array', 'i32');
    this.#textType = heap.defineArray('splay.Text', 'u8');
    this.#tree = m.local(m.allocate(this.#treeType));
    const dummy = m.allocate(this.#nodeType);
    m.setRef(m.get(this.#tree), this.#treeType.offset.dummy, dummy);
  }

  get #root(): Ref {
    return this.#m.getRef(this.#m.get(this.#tree), this.#treeType.offset.root);
  }

  set #root(node: Ref) {
    this.#m.setRef(this.#m.get(this.#tree), this.#treeType.offset.root, node);
  }

  #key(node: Ref): number {
    return this.#m.i32[(node + this.#nodeType.offset.key) >> 2];
  }

  /** Inserts a node with a new random key, and returns the key. The node is the root. */
  insertNew(): number {
    const m = this.#m;
    const { left, right, payload, key: keyField } = this.#nodeType.offset;
    let key = keyOf(this.#random.next());
    while (this.#has(key)) key = keyOf(this.#random.next());
    const released = m.shadowStack.depth;
    const tag = leafText(key);
    const content = m.local(this.#makePayload(PAYLOAD_DEPTH, key, tag));
    const node = m.allocate(this.#nodeType);
    m.setRef(node, payload, m.get(content));
    m.shadowStack.truncate(released);
    m.i32[(node + keyField) >> 2] = key;
    const root = this.#root;
    if (root !== NULL) {
      // Looking for the key has splayed the tree already.
      const [near, far] = key > this.#key(root) ? [left, right] : [right, left];
      m.setRef(node, near, root);
      m.setRef(node, far, m.getRef(root, far));
      m.setRef(root, far, NULL);
    }
    this.#root = node;
    return key;
  }

  /** Inserts a new node, removes its predecessor (or itself, when it is the first) and reads a part of what was removed. */
  modify(): void {
    const m = this.#m;
    m.safepoint();
    const { left, right } = this.#nodeType.offset;
    const key = this.insertNew();
    this.#splay(key);
    let victim = m.getRef(this.#root, left);
    if (victim === NULL) victim = this.#root;
    else
      for (let next = m.getRef(victim, right); next !== NULL; next = m.getRef(victim, right)) victim = next;
    this.#readPart(this.#remove(this.#key(victim)));
  }

  /** Reads all nodes in the order of their keys, and takes them out of the tree. */
  readAll(): void {
    const m = this.#m;
    const { right, payload } = this.#nodeType.offset;
    while (this.#root !== NULL) {
      m.safepoint();
      this.#splay(0);
      const first = this.#root;
      this.checksum = addWord(this.checksum, this.#key(first));
      this.#readPayload(m.getRef(first, payload), PAYLOAD_DEPTH);
      this.#root = m.getRef(first, right);
    }
  }

  #has(key: number): boolean {
    if (this.#root === NULL) return false;
    this.#splay(key);
    return this.#key(this.#root) === key;
  }

  /** Takes out the node of a key that the tree has. */
  #remove(key: number): Ref {
    const m = this.#m;
    const { left, right } = this.#nodeType.offset;
    this.#splay(key);
    const removed = this.#root;
    const smaller = m.getRef(removed, left);
    const greater = m.getRef(removed, right);
    if (smaller === NULL) this.#root = greater;
    else {
      this.#root = smaller;
      this.#splay(key);
      m.setRef(this.#root, right, greater);
    }
    return removed;
  }

  /** Sleator and Tarjan's top-down splaying: the node of the key, or one next to where it would be, becomes the root. */
  #splay(key: number): void {
    const m = this.#m;
    const { left, right } = this.#nodeType.offset;
    const dummy = m.getRef(m.get(this.#tree), this.#treeType.offset.dummy);
    m.setRef(dummy, left, NULL);
    m.setRef(dummy, right, NULL);
    let smaller = dummy;
    let greater = dummy;
    let current = this.#root;
    for (;;) {
      const at = this.#key(current);
      if (key < at) {
        let child = m.getRef(current, left);
        if (child === NULL) break;
        if (key < this.#key(child)) {
          m.setRef(current, left, m.getRef(child, right));
          m.setRef(child, right, current);
          current = child;
          child = m.getRef(current, left);
          if (child === NULL) break;
        }
        m.setRef(greater, left, current);
        greater = current;
        current = child;
      } else if (key > at) {
        let child = m.getRef(current, right);
        if (child === NULL) break;
        if (key > this.#key(child)) {
          m.setRef(current, right, m.getRef(child, left));
          m.setRef(child, left, current);
          current = child;
          child = m.getRef(current, right);
          if (child === NULL) break;
        }
        m.setRef(smaller, right, current);
        smaller = current;
        current = child;
      } else break;
    }
    m.setRef(smaller, right, m.getRef(current, left));
    m.setRef(greater, left, m.getRef(current, right));
    m.setRef(current, left, m.getRef(dummy, right));
    m.setRef(current, right, m.getRef(dummy, left));
    this.#root = current;
  }

  #makePayload(depth: number, tag: number, text: string): Ref {
    const m = this.#m;
    if (depth === 0) return this.#makeLeaf(tag, text);
    const { left, right } = this.#branchType.offset;
    const released = m.shadowStack.depth;
    const first = m.local(this.#makePayload(depth - 1, tag, text));
    const second = m.local(this.#makePayload(depth - 1, tag, text));
    const branch = m.allocate(this.#branchType);
    m.setRef(branch, left, m.get(first));
    m.setRef(branch, right, m.get(second));
    m.shadowStack.truncate(released);
    return branch;
  }

  #makeLeaf(tag: number, characters: string): Ref {
    const m = this.#m;
    const released = m.shadowStack.depth;
    const newArray = m.allocateArray(this.#arrayType, ARRAY_LENGTH);
    for (let i = 0, at = (newArray + HEADER_BYTES) >> 2; i < ARRAY_LENGTH; i++) m.i32[at + i] = tag + i;
    const array = m.local(newArray);
    const newText = m.allocateArray(this.#textType, characters.length);
    for (let i = 0, at = newText + HEADER_BYTES; i < characters.length; i++)
      m.u8[at + i] = characters.charCodeAt(i);
    const text = m.local(newText);
    const leaf = m.allocate(this.#leafType);
    m.setRef(leaf, this.#leafType.offset.array, m.get(array));
    m.setRef(leaf, this.#leafType.offset.text, m.get(text));
    m.shadowStack.truncate(released);
    return leaf;
  }

  /** Reads the key and a place in one leaf that follows from it. */
  #readPart(node: Ref): void {
    const m = this.#m;
    const { left, right } = this.#branchType.offset;
    const { array, text } = this.#leafType.offset;
    const key = this.#key(node);
    let at = m.getRef(node, this.#nodeType.offset.payload);
    for (let i = 0; i < PAYLOAD_DEPTH; i++) at = m.getRef(at, ((key >>> i) & 1) === 0 ? left : right);
    const words = (m.getRef(at, array) + HEADER_BYTES) >> 2;
    const characters = m.getRef(at, text);
    const length = m.length(characters);
    let sum = addWord(this.checksum, key);
    sum = addWord(sum, m.i32[words + (key % ARRAY_LENGTH)]);
    sum = addWord(sum, length);
    this.checksum = addWord(sum, m.u8[characters + HEADER_BYTES + (key % length)]);
  }

  #readPayload(at: Ref, depth: number): void {
    const m = this.#m;
    if (depth > 0) {
      this.#readPayload(m.getRef(at, this.#branchType.offset.left), depth - 1);
      this.#readPayload(m.getRef(at, this.#branchType.offset.right), depth - 1);
      return;
    }
    const words = (m.getRef(at, this.#leafType.offset.array) + HEADER_BYTES) >> 2;
    for (let i = 0; i < ARRAY_LENGTH; i++) this.checksum = addWord(this.checksum, m.i32[words + i]);
    const length = m.length(m.getRef(at, this.#leafType.offset.text));
    this.checksum = addWord(this.checksum, length);
  }
}

function run(context: WorkloadContext): number {
  const { scale, operations, progress } = context;
  const tree = new SplayTree(context);
  for (let size = sizeOf(scale); size > 0; size--) tree.insertNew();
  const count = operationsOf(scale);
  for (let i = 0; i < count; i++) {
    operations.begin();
    for (let left = MODIFICATIONS_PER_OPERATION; left > 0; left--) tree.modify();
    operations.end();
    if (i % PROGRESS_EVERY === 0) progress(i / count);
  }
  tree.readAll();
  progress(1);
  return tree.checksum >>> 0;
}

export const splay: Workload = {
  name: 'splay',
  summary: "the V8 suite's splay tree: nodes with payload come and go, 80 at a time",
  run,
};
