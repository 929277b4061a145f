// GCBench: the collector benchmark by John Ellis and Pete Kovac, changed by Hans Boehm.
// https://hboehm.info/gc/gc_bench/
//
//   stretch     a tree of depth 18 is built and dropped, so that the heap reaches its size
//   long-lived  a tree of depth 16 and an array of 500 000 doubles stay alive until the end
//   trees       for every depth 4, 6, … 16, as many trees as cost the same, built from the root down (which stores references into
//               older objects) and then from the leaves up (which stores them into new ones)
//
// Departures. A round of the original allocates some 350 MB, less than a heap holds nowadays: the trees are built in 10 rounds. Nodes
// carry values, the last tree of every kind is read back, and so are the long-lived data after every round; the original looks at one
// double at the end. Nodes have 24 bytes, header included.

import { NULL, type Local, type Mutator, type RecordType, type Ref } from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import type { Workload, WorkloadContext } from './workload.ts';

const STRETCH_DEPTH = 18;
const LONG_LIVED_DEPTH = 16;
const ARRAY_LENGTH = 500_000;
const DEPTH_MIN = 4;
const DEPTH_MAX = 16;
const DEPTH_STEP = 2;
/** Rounds at scale 1: some 3.5 GB of allocation, two dozen cycles of a 256 MiB heap. */
const ROUNDS = 10;

/** Subtrees of this depth are read without a safepoint: 8 191 nodes, tens of microseconds. */
const READ_DEPTH = 12;
/** Doubles that are read without a safepoint. */
const READ_LENGTH = 16_384;

type Node = RecordType<'left' | 'right' | 'depth' | 'serial'>;

const treeSize = (depth: number): number => 2 ** (depth + 1) - 1;

/** Builds and reads trees. */
class Trees {
  checksum: number = CHECKSUM_START;
  readonly #mutator: Mutator;
  readonly #type: Node;
  #serial = 0;

  constructor(mutator: Mutator, type: Node) {
    this.#mutator = mutator;
    this.#type = type;
  }

  /** A node without children. */
  node(depth: number): Ref {
    const m = this.#mutator;
    const { offset } = this.#type;
    const node = m.allocate(this.#type);
    m.i32[(node + offset.depth) >> 2] = depth;
    m.i32[(node + offset.serial) >> 2] = this.#serial++;
    return node;
  }

  /** Builds the children of the node in `parent` and all below, the parents first. */
  topDown(parent: Local, depth: number): void {
    if (depth <= 0) return;
    const m = this.#mutator;
    const { left, right } = this.#type.offset;
    const released = m.shadowStack.depth;
    // Each allocation is a safepoint: the parent is read from its handle after it.
    const first = this.node(depth - 1);
    m.setRef(m.get(parent), left, first);
    const second = this.node(depth - 1);
    m.setRef(m.get(parent), right, second);
    const child = m.local(m.getRef(m.get(parent), left));
    this.topDown(child, depth - 1);
    m.set(child, m.getRef(m.get(parent), right));
    this.topDown(child, depth - 1);
    m.shadowStack.truncate(released);
  }

  /** Builds a tree, the leaves first. */
  bottomUp(depth: number): Ref {
    if (depth <= 0) return this.node(0);
    const m = this.#mutator;
    const { left, right } = this.#type.offset;
    const released = m.shadowStack.depth;
    const first = m.local(this.bottomUp(depth - 1));
    const second = m.local(this.bottomUp(depth - 1));
    const node = this.node(depth);
    m.setRef(node, left, m.get(first));
    m.setRef(node, right, m.get(second));
    m.shadowStack.truncate(released);
    return node;
  }

  /** Reads the whole tree in `root` into the checksum, with safepoints between its smaller subtrees. */
  read(root: Local, depth: number): void {
    const m = this.#mutator;
    m.safepoint();
    if (depth <= READ_DEPTH) {
      this.#readSubtree(m.get(root));
      return;
    }
    const { left, right } = this.#type.offset;
    const released = m.shadowStack.depth;
    this.#readNode(m.get(root));
    const child = m.local(m.getRef(m.get(root), left));
    this.read(child, depth - 1);
    m.set(child, m.getRef(m.get(root), right));
    this.read(child, depth - 1);
    m.shadowStack.truncate(released);
  }

  #readSubtree(node: Ref): void {
    const m = this.#mutator;
    const { left, right } = this.#type.offset;
    this.#readNode(node);
    const first = m.getRef(node, left);
    if (first === NULL) return;
    this.#readSubtree(first);
    this.#readSubtree(m.getRef(node, right));
  }

  #readNode(node: Ref): void {
    const { i32 } = this.#mutator;
    const { offset } = this.#type;
    this.checksum = addWord(
      addWord(this.checksum, i32[(node + offset.depth) >> 2]),
      i32[(node + offset.serial) >> 2],
    );
  }
}

/** Adds the bits of all doubles of the array to the checksum. */
function readDoubles(m: Mutator, array: Local, checksum: number): number {
  let sum = checksum;
  for (let start = 0; start < ARRAY_LENGTH; start += READ_LENGTH) {
    m.safepoint();
    const { u32 } = m;
    const first = ((m.get(array) + 8) >> 2) + start * 2;
    const end = first + Math.min(READ_LENGTH, ARRAY_LENGTH - start) * 2;
    for (let at = first; at < end; at++) sum = addWord(sum, u32[at]);
  }
  return sum;
}

function run({ heap, mutator: m, scale, progress }: WorkloadContext): number {
  const type: Node = heap.defineRecord('gcbench.Node', {
    left: 'ref',
    right: 'ref',
    depth: 'i32',
    serial: 'i32',
  });
  const trees = new Trees(m, type);

  m.scope(() => trees.read(m.local(trees.bottomUp(STRETCH_DEPTH)), STRETCH_DEPTH));

  const longLived = m.local(trees.node(LONG_LIVED_DEPTH));
  trees.topDown(longLived, LONG_LIVED_DEPTH);
  const array = m.local(m.allocateArray(heap.defineArray('gcbench.Doubles', 'f64'), ARRAY_LENGTH));
  const firstDouble = (m.get(array) + 8) >> 3;
  // As in the original, the second half stays zero.
  for (let i = 0; i < ARRAY_LENGTH / 2; i++) m.f64[firstDouble + i] = 1 / (i + 1);

  const rounds = Math.ceil(ROUNDS * scale);
  const share = (ROUNDS * scale) / rounds;
  const steps = rounds * ((DEPTH_MAX - DEPTH_MIN) / DEPTH_STEP + 1);
  let step = 0;
  for (let round = 0; round < rounds; round++) {
    for (let depth = DEPTH_MIN; depth <= DEPTH_MAX; depth += DEPTH_STEP) {
      const iterations = Math.max(1, Math.floor((share * 2 * treeSize(STRETCH_DEPTH)) / treeSize(depth)));
      m.scope(() => {
        const tree = m.local(NULL);
        for (let i = 0; i < iterations; i++) {
          m.set(tree, trees.node(depth));
          trees.topDown(tree, depth);
        }
        trees.read(tree, depth);
        progress((step + 0.5) / steps);
        for (let i = 0; i < iterations; i++) m.set(tree, trees.bottomUp(depth));
        trees.read(tree, depth);
      });
      progress(++step / steps);
    }
    trees.read(longLived, LONG_LIVED_DEPTH);
    trees.checksum = readDoubles(m, array, trees.checksum);
  }
  return trees.checksum >>> 0;
}

export const gcbench: Workload = {
  name: 'gcbench',
  summary: 'GCBench by Ellis, Kovac and Boehm: many short-lived trees beside a long-lived tree and array',
  run,
};
