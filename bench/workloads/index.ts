// All workloads by name.

import { binaryTrees } from './binary-trees.ts';
import { gcbench, gcbenchMt } from './gcbench.ts';
import { lruCache } from './lru-cache.ts';
import { hyperalloc } from './hyperalloc.ts';
import { pointerChase } from './pointer-chase.ts';
import { quads } from './quads.ts';
import { references } from './references.ts';
import { splay } from './splay.ts';
import { randomGraph } from './random-graph.ts';
import { steady } from './steady.ts';
import type { Workload } from './workload.ts';

export const WORKLOADS: readonly Workload[] = [
  gcbench,
  binaryTrees,
  lruCache,
  randomGraph,
  steady,
  gcbenchMt,
  splay,
  quads,
  hyperalloc,
  pointerChase,
  references,
];

export function findWorkload(name: string): Workload | undefined {
  return WORKLOADS.find((workload) => workload.name === name);
}
