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
import {
  firstSerial,
  GCBENCH,
  GCBENCH_MT,
  type GcBenchPlan,
  roundsOf,
  treesOf,
  treesPerOperation,
} from './gcbench-plan.ts';
import type { Workload, WorkloadContext } from './workload.ts';

/** Subtrees of this depth are read without a safepoint: 8 191 nodes, tens of microseconds. */
const READ_DEPTH = 12;
/** Doubles that are read without a safepoint. */
const READ_LENGTH = 16_384;

type Node = RecordType<'left' | 'right' | 'depth' | 'serial'>;

/** Builds and reads trees. */
class Trees {
  checksum: number = CHECKSUM_START;
  readonly #mutator: Mutator;
  readonly #type: Node;
  #serial: number;

  constructor(mutator: Mutator, type: Node, serial: number) {
    this.#mutator = mutator;
    this.#type = type;
    this.#serial = serial;
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
  const length = m.length(m.get(array));
  for (let start = 0; start < length; start += READ_LENGTH) {
    m.safepoint();
    const { u32 } = m;
    const first = ((m.get(array) + 8) >> 2) + start * 2;
    const end = first + Math.min(READ_LENGTH, length - start) * 2;
    for (let at = first; at < end; at++) sum = addWord(sum, u32[at]);
  }
  return sum;
}

function runPlan(plan: GcBenchPlan, context: WorkloadContext): number {
  const { heap, mutator: m, scale, thread, operations, progress } = context;
  const { stretchDepth, longLivedDepth, arrayLength, depthMin, depthMax, depthStep } = plan;
  const type: Node = heap.defineRecord('gcbench.Node', {
    left: 'ref',
    right: 'ref',
    depth: 'i32',
    serial: 'i32',
  });
  const trees = new Trees(m, type, firstSerial(thread));

  m.scope(() => trees.read(m.local(trees.bottomUp(stretchDepth)), stretchDepth));

  const longLived = m.local(trees.node(longLivedDepth));
  trees.topDown(longLived, longLivedDepth);
  const array = m.local(m.allocateArray(heap.defineArray('gcbench.Doubles', 'f64'), arrayLength));
  const firstDouble = (m.get(array) + 8) >> 3;
  // As in the original, the second half stays zero.
  for (let i = 0; i < arrayLength / 2; i++) m.f64[firstDouble + i] = 1 / (i + 1);

  const rounds = roundsOf(plan, scale);
  const steps = rounds * ((depthMax - depthMin) / depthStep + 1);
  let step = 0;
  for (let round = 0; round < rounds; round++) {
    for (let depth = depthMin; depth <= depthMax; depth += depthStep) {
      const count = treesOf(plan, scale, depth);
      const batch = treesPerOperation(depth);
      m.scope(() => {
        const tree = m.local(NULL);
        for (let done = 0; done < count; ) {
          const end = Math.min(count, done + batch);
          operations.begin();
          for (; done < end; done++) {
            m.set(tree, trees.node(depth));
            trees.topDown(tree, depth);
          }
          operations.end();
        }
        trees.read(tree, depth);
        progress((step + 0.5) / steps);
        for (let done = 0; done < count; ) {
          const end = Math.min(count, done + batch);
          operations.begin();
          for (; done < end; done++) m.set(tree, trees.bottomUp(depth));
          operations.end();
        }
        trees.read(tree, depth);
      });
      progress(++step / steps);
    }
    trees.read(longLived, longLivedDepth);
    trees.checksum = readDoubles(m, array, trees.checksum);
  }
  return trees.checksum >>> 0;
}

export const gcbench: Workload = {
  name: 'gcbench',
  summary: 'GCBench by Ellis, Kovac and Boehm: many short-lived trees beside a long-lived tree and array',
  run: (context) => runPlan(GCBENCH, context),
};

export const gcbenchMt: Workload = {
  name: 'gcbench-mt',
  summary: 'a smaller GCBench in each of several threads on one heap: --threads',
  threaded: true,
  run: (context) => runPlan(GCBENCH_MT, context),
};
