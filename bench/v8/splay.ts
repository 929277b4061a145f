// splay on V8's objects, where it comes from.

import { addWord, CHECKSUM_START } from '../workloads/checksum.ts';
import { Random } from '../workloads/random.ts';
import {
  ARRAY_LENGTH,
  keyOf,
  leafText,
  MODIFICATIONS_PER_OPERATION,
  operationsOf,
  PAYLOAD_DEPTH,
  sizeOf,
} from '../workloads/splay-plan.ts';
import type { V8Context, V8Workload } from './workload.ts';

/** Operations between two reports of progress. */
const PROGRESS_EVERY = 16;

interface Leaf {
  readonly array: readonly number[];
  readonly text: string;
}

interface Branch {
  readonly left: Payload;
  readonly right: Payload;
}

type Payload = Leaf | Branch;

class Node {
  left: Node | null = null;
  right: Node | null = null;
  readonly key: number;
  readonly payload: Payload | null;

  constructor(key: number, payload: Payload | null) {
    this.key = key;
    this.payload = payload;
  }
}

function makePayload(depth: number, tag: number): Payload {
  if (depth > 0) return { left: makePayload(depth - 1, tag), right: makePayload(depth - 1, tag) };
  const array: number[] = [];
  for (let i = 0; i < ARRAY_LENGTH; i++) array.push((tag + i) | 0);
  return { array, text: leafText(tag) };
}

class SplayTree {
  checksum: number = CHECKSUM_START;
  readonly #random: Random;
  #root: Node | null = null;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  insertNew(): number {
    let key = keyOf(this.#random.next());
    while (this.#has(key)) key = keyOf(this.#random.next());
    const node = new Node(key, makePayload(PAYLOAD_DEPTH, key));
    const root = this.#root;
    if (root !== null) {
      if (key > root.key) {
        node.left = root;
        node.right = root.right;
        root.right = null;
      } else {
        node.right = root;
        node.left = root.left;
        root.left = null;
      }
    }
    this.#root = node;
    return key;
  }

  modify(): void {
    this.#splay(this.insertNew());
    let victim = this.#root!.left;
    if (victim === null) victim = this.#root!;
    else while (victim.right !== null) victim = victim.right;
    this.#readPart(this.#remove(victim.key));
  }

  readAll(): void {
    while (this.#root !== null) {
      this.#splay(0);
      const { key, payload, right }: Node = this.#root;
      this.checksum = addWord(this.checksum, key);
      this.#readPayload(payload!);
      this.#root = right;
    }
  }

  #has(key: number): boolean {
    if (this.#root === null) return false;
    this.#splay(key);
    return this.#root.key === key;
  }

  #remove(key: number): Node {
    this.#splay(key);
    const removed = this.#root!;
    if (removed.left === null) this.#root = removed.right;
    else {
      this.#root = removed.left;
      this.#splay(key);
      this.#root.right = removed.right;
    }
    return removed;
  }

  #splay(key: number): void {
    const dummy = new Node(0, null);
    let smaller = dummy;
    let greater = dummy;
    let current = this.#root!;
    for (;;) {
      if (key < current.key) {
        if (current.left === null) break;
        if (key < current.left.key) {
          const child = current.left;
          current.left = child.right;
          child.right = current;
          current = child;
          if (current.left === null) break;
        }
        greater.left = current;
        greater = current;
        current = current.left;
      } else if (key > current.key) {
        if (current.right === null) break;
        if (key > current.right.key) {
          const child = current.right;
          current.right = child.left;
          child.left = current;
          current = child;
          if (current.right === null) break;
        }
        smaller.right = current;
        smaller = current;
        current = current.right;
      } else break;
    }
    smaller.right = current.left;
    greater.left = current.right;
    current.left = dummy.right;
    current.right = dummy.left;
    this.#root = current;
  }

  #readPart({ key, payload }: Node): void {
    let at = payload!;
    for (let i = 0; i < PAYLOAD_DEPTH; i++) {
      const { left, right } = at as Branch;
      at = ((key >>> i) & 1) === 0 ? left : right;
    }
    const { array, text } = at as Leaf;
    let sum = addWord(this.checksum, key);
    sum = addWord(sum, array[key % ARRAY_LENGTH]);
    sum = addWord(sum, text.length);
    this.checksum = addWord(sum, text.charCodeAt(key % text.length));
  }

  #readPayload(payload: Payload): void {
    if ('left' in payload) {
      this.#readPayload(payload.left);
      this.#readPayload(payload.right);
      return;
    }
    for (const element of payload.array) this.checksum = addWord(this.checksum, element);
    this.checksum = addWord(this.checksum, payload.text.length);
  }
}

function run({ seed, scale, operations, progress }: V8Context): number {
  const tree = new SplayTree(seed);
  for (let size = sizeOf(scale); size > 0; size--) tree.insertNew();
  const count = operationsOf(scale);
  for (let i = 0; i < count; i++) {
    operations.begin();
    for (let left = MODIFICATIONS_PER_OPERATION; left > 0; left--) tree.modify();
    operations.end();
    if (i % PROGRESS_EVERY === 0) progress(i / count);
  }
  tree.readAll();
  return tree.checksum >>> 0;
}

export const splay: V8Workload = { name: 'splay', run };
