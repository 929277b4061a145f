// Dominators and retained bytes of random graphs, against the definition: what is unreachable without a node.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  EDGE_KIND_SHIFT,
  EDGE_STRONG,
  EDGE_WEAK,
  type GraphColumns,
  ROOT_NODE,
} from '#src/gc/inspect/columns.js';
import { findDominators, referrersOf } from '#src/gc/inspect/dominators.js';

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly weak: boolean;
}

function columnsOf(bytes: readonly number[], edges: readonly Edge[]): GraphColumns {
  const n = bytes.length;
  const sorted = [...edges].sort((a, b) => a.from - b.from);
  const firstEdge = new Uint32Array(n + 1);
  for (const { from } of sorted) for (let i = from + 1; i <= n; i++) firstEdge[i]!++;
  return {
    groups: [],
    types: [],
    typeOf: new Uint16Array(n),
    address: new Uint32Array(n),
    bytes: Uint32Array.from(bytes),
    length: new Uint32Array(n),
    hash: new Uint16Array(n),
    firstEdge,
    target: Uint32Array.from(sorted, ({ to }) => to),
    label: Uint32Array.from(
      sorted,
      ({ weak }) => ((weak ? EDGE_WEAK : EDGE_STRONG) << EDGE_KIND_SHIFT) >>> 0,
    ),
    nonMoving: 0,
    numbersFrom: 0,
  };
}

/** Nodes that strong edges reach from the root without the node `without`. */
function reach(n: number, edges: readonly Edge[], without: number): Set<number> {
  const seen = new Set(without === ROOT_NODE ? [] : [ROOT_NODE]);
  for (let grown = n > 0; grown; ) {
    grown = false;
    for (const { from, to, weak } of edges) {
      if (weak || to === without || !seen.has(from) || seen.has(to)) continue;
      seen.add(to);
      grown = true;
    }
  }
  return seen;
}

/** Graphs all of whose nodes can be reached, as those of a walk: node i hangs from one before it, and further edges go anywhere. */
const graphs = fc
  .integer({ min: 1, max: 24 })
  .chain((n) =>
    fc.record({
      bytes: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: n, maxLength: n }),
      parents: fc.tuple(...Array.from({ length: n - 1 }, (_, i) => fc.nat(i))),
      more: fc.array(fc.record({ from: fc.nat(n - 1), to: fc.nat(n - 1), weak: fc.boolean() }), {
        maxLength: 40,
      }),
    }),
  )
  .map(({ bytes, parents, more }) => ({
    bytes,
    edges: [...parents.map((from, i) => ({ from: from as number, to: i + 1, weak: false })), ...more],
  }));

describe('dominators', () => {
  test('are what cannot be reached without a node', () => {
    fc.assert(
      fc.property(graphs, ({ bytes, edges }) => {
        const n = bytes.length;
        const columns = columnsOf(bytes, edges);
        const { dominator, retainedBytes } = findDominators(columns, referrersOf(columns));
        const dominated = bytes.map((_, d) => {
          const left = reach(n, edges, d);
          return new Set([...bytes.keys()].filter((x) => !left.has(x)));
        });
        for (let x = 0; x < n; x++) {
          expect(retainedBytes[x]).toBe([...dominated[x]!].reduce((sum, each) => sum + bytes[each]!, 0));
          if (x === ROOT_NODE) continue;
          // The nearest: dominates x, is not x, and is dominated by every other one.
          const all = [...bytes.keys()].filter((d) => d !== x && dominated[d]!.has(x));
          expect(all).toContain(dominator[x]);
          for (const d of all) expect(dominated[d]!.has(dominator[x]!)).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('of a list of 300 000 nodes with references back and to its end need no deep stack and no quadratic time', () => {
    const n = 300_000;
    const edges: Edge[] = [];
    for (let i = 1; i < n; i++) {
      edges.push({ from: i - 1, to: i, weak: false });
      edges.push({ from: i, to: i - 1, weak: false });
      if (i % 3 === 0) edges.push({ from: i >>> 1, to: i, weak: false });
    }
    const sorted = edges.sort((a, b) => a.from - b.from);
    const firstEdge = new Uint32Array(n + 1);
    for (const { from } of sorted) firstEdge[from + 1]!++;
    for (let i = 0; i < n; i++) firstEdge[i + 1]! += firstEdge[i]!;
    const columns = {
      ...columnsOf([], []),
      typeOf: new Uint16Array(n),
      bytes: new Uint32Array(n).fill(8),
      firstEdge,
      target: Uint32Array.from(sorted, ({ to }) => to),
      label: new Uint32Array(sorted.length),
    };
    const { dominator, retainedBytes } = findDominators(columns, referrersOf(columns));
    expect(retainedBytes[0]).toBe(8 * n);
    // A node is dominated by what both its ways come from; that is never behind it.
    expect(dominator.every((d, i) => i === 0 || d < i)).toBe(true);
  });
});
