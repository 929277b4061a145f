// The workloads that the peers' programs have: bench/workloads/README.md specifies them.

/** In every language; but for `gcbench-mt`, where threads do not run in parallel. */
export const COMMON_WORKLOADS: readonly string[] = [
  'gcbench',
  'gcbench-mt',
  'binary-trees',
  'lru-cache',
  'splay',
  'quads',
  'hyperalloc',
  'pointer-chase',
];

/** Needs weak references, ephemerons or what comes near them, and finalizers. */
export const REFERENCES = 'references';
