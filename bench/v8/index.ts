// All workloads on V8's objects, by name.

import { binaryTrees } from './binary-trees.ts';
import { gcbench, gcbenchMt } from './gcbench.ts';
import { hyperalloc } from './hyperalloc.ts';
import { lruCache } from './lru-cache.ts';
import { pointerChase } from './pointer-chase.ts';
import { quads } from './quads.ts';
import { references } from './references.ts';
import { splay } from './splay.ts';
import type { V8Workload } from './workload.ts';

export const V8_WORKLOADS: readonly V8Workload[] = [
  gcbench,
  binaryTrees,
  lruCache,
  splay,
  quads,
  hyperalloc,
  pointerChase,
  references,
  gcbenchMt,
];
