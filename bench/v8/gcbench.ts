// GCBench on V8's objects.

import { addWord, CHECKSUM_START } from '../workloads/checksum.ts';
import {
  firstSerial,
  GCBENCH,
  GCBENCH_MT,
  type GcBenchPlan,
  roundsOf,
  treesOf,
  treesPerOperation,
} from '../workloads/gcbench-plan.ts';
import type { V8Context, V8Workload } from './workload.ts';

class Node {
  left: Node | null = null;
  right: Node | null = null;
  readonly depth: number;
  readonly serial: number;

  constructor(depth: number, serial: number) {
    this.depth = depth;
    this.serial = serial;
  }
}

class Trees {
  checksum: number = CHECKSUM_START;
  #serial: number;

  constructor(serial: number) {
    this.#serial = serial;
  }

  #node(depth: number): Node {
    const node = new Node(depth, this.#serial);
    this.#serial = (this.#serial + 1) | 0;
    return node;
  }

  topDown(depth: number): Node {
    const root = this.#node(depth);
    this.#populate(root, depth);
    return root;
  }

  #populate(parent: Node, depth: number): void {
    if (depth === 0) return;
    parent.left = this.#node(depth - 1);
    parent.right = this.#node(depth - 1);
    this.#populate(parent.left, depth - 1);
    this.#populate(parent.right, depth - 1);
  }

  bottomUp(depth: number): Node {
    if (depth === 0) return this.#node(0);
    const left = this.bottomUp(depth - 1);
    const right = this.bottomUp(depth - 1);
    const node = this.#node(depth);
    node.left = left;
    node.right = right;
    return node;
  }

  read(node: Node): void {
    this.checksum = addWord(addWord(this.checksum, node.depth), node.serial);
    if (node.left !== null) this.read(node.left);
    if (node.right !== null) this.read(node.right);
  }

  readDoubles(array: readonly number[]): void {
    const double = new Float64Array(1);
    const [low, high] = [0, 1];
    const words = new Uint32Array(double.buffer);
    for (const value of array) {
      double[0] = value;
      this.checksum = addWord(addWord(this.checksum, words[low]), words[high]);
    }
  }
}

function runPlan(plan: GcBenchPlan, { scale, thread, operations, progress }: V8Context): number {
  const { stretchDepth, longLivedDepth, arrayLength, depthMin, depthMax, depthStep } = plan;
  const trees = new Trees(firstSerial(thread));
  trees.read(trees.bottomUp(stretchDepth));
  const longLived = trees.topDown(longLivedDepth);
  const array = Array.from({ length: arrayLength }, (_, i) => (i < arrayLength / 2 ? 1 / (i + 1) : 0));

  const rounds = roundsOf(plan, scale);
  for (let round = 0; round < rounds; round++) {
    for (let depth = depthMin; depth <= depthMax; depth += depthStep) {
      const count = treesOf(plan, scale, depth);
      const batch = treesPerOperation(depth);
      let tree: Node | null = null;
      for (const build of [() => trees.topDown(depth), () => trees.bottomUp(depth)]) {
        for (let done = 0; done < count; ) {
          const end = Math.min(count, done + batch);
          operations.begin();
          for (; done < end; done++) tree = build();
          operations.end();
        }
        trees.read(tree!);
      }
    }
    trees.read(longLived);
    trees.readDoubles(array);
    progress((round + 1) / rounds);
  }
  return trees.checksum >>> 0;
}

export const gcbench: V8Workload = { name: 'gcbench', run: (context) => runPlan(GCBENCH, context) };

export const gcbenchMt: V8Workload = {
  name: 'gcbench-mt',
  threaded: true,
  run: (context) => runPlan(GCBENCH_MT, context),
};
