// bench/workloads/binary-trees.ts as a guest.

import { allocate, enter, getRef, leave, NULL, poll, Ref, root, setRef, setRoot } from 'tospace/guest';
import { addWord, CHECKSUM_START } from './checksum';
import { begin, end, progress, treesOf, treesPerOperation } from './host';

const NODE_BYTES: u32 = 16;
const LEFT: u32 = 8;
const RIGHT: u32 = 12;
/** Trees of this depth are counted without a safepoint: tens of microseconds. */
const COUNT_DEPTH: u32 = 12;

let nodeType: u32 = 0;

function build(depth: u32): Ref {
  if (depth == 0) return allocate(nodeType, NODE_BYTES);
  const frame = enter(2);
  setRoot(frame, 0, build(depth - 1));
  setRoot(frame, 1, build(depth - 1));
  const node = allocate(nodeType, NODE_BYTES);
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

/** Counts the nodes of a tree, with safepoints between its smaller subtrees; one comes first. */
function count(tree: Ref, depth: u32): u32 {
  const frame = enter(1);
  setRoot(frame, 0, tree);
  poll();
  const node = root(frame, 0);
  let nodes: u32;
  if (depth <= COUNT_DEPTH) {
    nodes = countSubtree(node);
  } else {
    nodes = 1 + count(getRef(node, LEFT), depth - 1);
    nodes += count(getRef(root(frame, 0), RIGHT), depth - 1);
  }
  leave(frame);
  return nodes;
}

export function binaryTrees(node_: u32, depthMin: u32, depthMax: u32): u32 {
  nodeType = node_;
  // Slots: the tree at hand, the one that stays.
  const frame = enter(2);
  let checksum = addWord(CHECKSUM_START, count(build(depthMax + 1), depthMax + 1));
  setRoot(frame, 1, build(depthMax));
  const steps = <f64>((depthMax - depthMin) / 2 + 1);
  let step: f64 = 0;
  for (let depth = depthMin; depth <= depthMax; depth += 2) {
    const iterations = treesOf(depth);
    const batch = treesPerOperation(depth);
    let nodes: u32 = 0;
    for (let done: u32 = 0; done < iterations; ) {
      const stop = min(iterations, done + batch);
      begin();
      for (; done < stop; done++) {
        setRoot(frame, 0, build(depth));
        nodes += count(root(frame, 0), depth);
      }
      end();
      progress((step + <f64>done / <f64>iterations) / steps);
    }
    setRoot(frame, 0, NULL);
    checksum = addWord(addWord(checksum, iterations), nodes);
    step += 1;
  }
  checksum = addWord(checksum, count(root(frame, 1), depthMax));
  leave(frame);
  return checksum;
}
