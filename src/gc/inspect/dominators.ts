// Dominators: an object d dominates x when every path from the roots to x leads through d. What d retains, that is what would be freed if d
// were, are the objects it dominates: with each object's nearest dominator known, retained bytes are sums over a tree.
//
// The algorithm is Lengauer and Tarjan's ("A Fast Algorithm for Finding Dominators in a Flowgraph", TOPLAS 1979), with the simple form of
// path compression: O(m log n) for whatever graph. The iterative one of Cooper, Harvey and Kennedy ("A Simple, Fast Dominance
// Algorithm", 2001) is shorter and often faster, but takes quadratic time on some graphs, and a heap may be any.
//
//   1. number the nodes in the order of a depth-first search. Everything below is in these numbers, 1..n; 0 is none
//   2. backwards: a node's semidominator is the least number from which it is reached by a path over larger numbers. `evaluate(v)` finds
//      the least semidominator on v's path up the forest of what has been dealt with
//   3. backwards, a step behind: the dominator, or a node with the same one (bucket by semidominator)
//   4. forwards: the latter are resolved
//
// Departures: no recursion anywhere, and all in typed arrays, because a list of a million objects is a search of that depth. Weak edges
// are not followed.

import { type GraphColumns, nodeCount, ROOT_NODE, retains } from './columns.ts';

/** References that keep their target alive, by target: those to node i are edges[first[i]] to edges[first[i + 1]], from nodes `from`. */
export interface Referrers {
  readonly first: Uint32Array;
  readonly from: Uint32Array;
}

export function referrersOf({ firstEdge, target, label, typeOf }: GraphColumns): Referrers {
  const nodes = typeOf.length;
  const first = new Uint32Array(nodes + 1);
  let count = 0;
  for (let edge = 0; edge < target.length; edge++) {
    if (!retains(label[edge]!)) continue;
    first[target[edge]! + 1]!++;
    count++;
  }
  for (let i = 0; i < nodes; i++) first[i + 1]! += first[i]!;
  const from = new Uint32Array(count);
  const next = first.slice(0, nodes);
  for (let node = 0; node < nodes; node++) {
    for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++)
      if (retains(label[edge]!)) from[next[target[edge]!]!++] = node;
  }
  return { first, from };
}

export interface Dominators {
  /** The nearest dominator of each node; the root's is itself. */
  readonly dominator: Uint32Array;
  /** Bytes that would be freed with each node: less than 4 GiB, as heaps are. */
  readonly retainedBytes: Uint32Array;
}

export function findDominators(graph: GraphColumns, referrers: Referrers): Dominators {
  const n = nodeCount(graph);
  const number = new Uint32Array(n);
  const vertex = new Uint32Array(n + 1);
  const parent = new Uint32Array(n + 1);
  const reached = search(graph, number, vertex, parent);

  const semi = new Uint32Array(reached + 1);
  const ancestor = new Uint32Array(reached + 1);
  const best = new Uint32Array(reached + 1);
  const dominator = new Uint32Array(reached + 1);
  const bucketHead = new Uint32Array(reached + 1);
  const bucketNext = new Uint32Array(reached + 1);
  const path = new Uint32Array(reached + 1);
  for (let i = 1; i <= reached; i++) {
    semi[i] = i;
    best[i] = i;
  }

  /** The number with the least semidominator from v up to, and without, the root of its tree. Shortens the path on the way. */
  const evaluate = (v: number): number => {
    if (ancestor[v] === 0) return v;
    let length = 0;
    let u = v;
    while (ancestor[ancestor[u]!] !== 0) {
      path[length++] = u;
      u = ancestor[u]!;
    }
    while (length > 0) {
      u = path[--length]!;
      const above = ancestor[u]!;
      if (semi[best[above]!]! < semi[best[u]!]!) best[u] = best[above]!;
      ancestor[u] = ancestor[above]!;
    }
    return best[v]!;
  };

  for (let w = reached; w >= 2; w--) {
    const node = vertex[w]!;
    for (let i = referrers.first[node]!; i < referrers.first[node + 1]!; i++) {
      const u = evaluate(number[referrers.from[i]!]!);
      if (semi[u]! < semi[w]!) semi[w] = semi[u]!;
    }
    const s = semi[w]!;
    bucketNext[w] = bucketHead[s]!;
    bucketHead[s] = w;
    const p = parent[w]!;
    ancestor[w] = p;
    for (let v = bucketHead[p]!; v !== 0; v = bucketNext[v]!) {
      const u = evaluate(v);
      dominator[v] = semi[u]! < semi[v]! ? u : p;
    }
    bucketHead[p] = 0;
  }
  for (let w = 2; w <= reached; w++) if (dominator[w] !== semi[w]) dominator[w] = dominator[dominator[w]!]!;

  // A dominator's number is smaller than that of what it dominates.
  const retainedBytes = graph.bytes.slice();
  const byNode = new Uint32Array(n);
  for (let w = reached; w >= 2; w--) {
    const above = vertex[dominator[w]!]!;
    const node = vertex[w]!;
    byNode[node] = above;
    retainedBytes[above]! += retainedBytes[node]!;
  }
  return { dominator: byNode, retainedBytes };
}

/** Numbers all nodes from 1 on in the order in which a depth-first search meets them; returns how many it met. */
function search(
  { firstEdge, target, label }: GraphColumns,
  number: Uint32Array,
  vertex: Uint32Array,
  parent: Uint32Array,
): number {
  const next = firstEdge.slice(0, -1);
  let count = 1;
  number[ROOT_NODE] = 1;
  vertex[1] = ROOT_NODE;
  for (let at = 1; at !== 0; ) {
    const node = vertex[at]!;
    const edge = next[node]!;
    if (edge === firstEdge[node + 1]) {
      at = parent[at]!;
      continue;
    }
    next[node] = edge + 1;
    const to = target[edge]!;
    if (number[to] !== 0 || !retains(label[edge]!)) continue;
    count++;
    number[to] = count;
    vertex[count] = to;
    parent[count] = at;
    at = count;
  }
  return count;
}
