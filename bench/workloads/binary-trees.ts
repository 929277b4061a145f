// binary-trees of the Computer Language Benchmarks Game: perfect binary trees are built from the leaves up, counted and dropped, beside
// one that stays.
// https://benchmarksgame-team.pages.debian.net/benchmarksgame/description/binarytrees.html
//
// The game's size is the depth N of the largest tree, and each step more doubles work and live data. Here the depth is at most 18 (8 MiB
// of live data), and more work repeats each depth more often. A node is two references, 16 bytes with its header.

import { NULL, type Local, type Mutator, type RecordType, type Ref } from 'tospace';
import { DEPTH_MIN, depthMaxOf, iterationsOf, treesPerOperation } from './binary-trees-plan.ts';
import { addWord, CHECKSUM_START } from './checksum.ts';
import type { Workload, WorkloadContext } from './workload.ts';

/** Trees of this depth are counted without a safepoint: tens of microseconds. */
const COUNT_DEPTH = 12;

type Node = RecordType<'left' | 'right'>;

function build(m: Mutator, type: Node, depth: number): Ref {
  if (depth === 0) return m.allocate(type);
  const released = m.shadowStack.depth;
  const left = m.local(build(m, type, depth - 1));
  const right = m.local(build(m, type, depth - 1));
  const node = m.allocate(type);
  m.setRef(node, type.offset.left, m.get(left));
  m.setRef(node, type.offset.right, m.get(right));
  m.shadowStack.truncate(released);
  return node;
}

function countSubtree(m: Mutator, type: Node, node: Ref): number {
  const left = m.getRef(node, type.offset.left);
  if (left === NULL) return 1;
  return 1 + countSubtree(m, type, left) + countSubtree(m, type, m.getRef(node, type.offset.right));
}

/** Counts the nodes of the tree in `root`, with safepoints between its smaller subtrees. */
function count(m: Mutator, type: Node, root: Local, depth: number): number {
  m.safepoint();
  if (depth <= COUNT_DEPTH) return countSubtree(m, type, m.get(root));
  const released = m.shadowStack.depth;
  const child = m.local(m.getRef(m.get(root), type.offset.left));
  const left = count(m, type, child, depth - 1);
  m.set(child, m.getRef(m.get(root), type.offset.right));
  const right = count(m, type, child, depth - 1);
  m.shadowStack.truncate(released);
  return 1 + left + right;
}

function run({ heap, mutator: m, scale, operations, progress }: WorkloadContext): number {
  const type: Node = heap.defineRecord('binary-trees.Node', { left: 'ref', right: 'ref' });
  const depthMax = depthMaxOf(scale);
  let checksum = CHECKSUM_START;

  m.scope(() => {
    const stretch = m.local(build(m, type, depthMax + 1));
    checksum = addWord(checksum, count(m, type, stretch, depthMax + 1));
  });
  const longLived = m.local(build(m, type, depthMax));

  const steps = (depthMax - DEPTH_MIN) / 2 + 1;
  for (let depth = DEPTH_MIN, step = 0; depth <= depthMax; depth += 2, step++) {
    const iterations = iterationsOf(scale, depth);
    const batch = treesPerOperation(depth);
    let nodes = 0;
    const released = m.shadowStack.depth;
    for (let done = 0; done < iterations; ) {
      const end = Math.min(iterations, done + batch);
      operations.begin();
      for (; done < end; done++) {
        const tree = m.local(build(m, type, depth));
        nodes = (nodes + count(m, type, tree, depth)) | 0;
        m.shadowStack.truncate(released);
      }
      operations.end();
      progress((step + done / iterations) / steps);
    }
    checksum = addWord(addWord(checksum, iterations), nodes);
  }
  checksum = addWord(checksum, count(m, type, longLived, depthMax));
  progress(1);
  return checksum >>> 0;
}

export const binaryTrees: Workload = {
  name: 'binary-trees',
  summary: 'binary-trees of the Benchmarks Game: perfect trees built, counted and dropped',
  run,
};
