// binary-trees on V8's objects.

import { DEPTH_MIN, depthMaxOf, iterationsOf, treesPerOperation } from '../workloads/binary-trees-plan.ts';
import { addWord, CHECKSUM_START } from '../workloads/checksum.ts';
import type { V8Context, V8Workload } from './workload.ts';

class Node {
  readonly left: Node | null;
  readonly right: Node | null;

  constructor(left: Node | null, right: Node | null) {
    this.left = left;
    this.right = right;
  }
}

function build(depth: number): Node {
  return depth === 0 ? new Node(null, null) : new Node(build(depth - 1), build(depth - 1));
}

function count({ left, right }: Node): number {
  return 1 + (left === null ? 0 : count(left)) + (right === null ? 0 : count(right));
}

function run({ scale, operations, progress }: V8Context): number {
  const depthMax = depthMaxOf(scale);
  let checksum = addWord(CHECKSUM_START, count(build(depthMax + 1)));
  const longLived = build(depthMax);
  for (let depth = DEPTH_MIN; depth <= depthMax; depth += 2) {
    const iterations = iterationsOf(scale, depth);
    const batch = treesPerOperation(depth);
    let nodes = 0;
    for (let done = 0; done < iterations; ) {
      const end = Math.min(iterations, done + batch);
      operations.begin();
      for (; done < end; done++) nodes = (nodes + count(build(depth))) | 0;
      operations.end();
    }
    checksum = addWord(addWord(checksum, iterations), nodes);
    progress((depth - DEPTH_MIN + 2) / (depthMax - DEPTH_MIN + 2));
  }
  return addWord(checksum, count(longLived)) >>> 0;
}

export const binaryTrees: V8Workload = { name: 'binary-trees', run };
