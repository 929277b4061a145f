// The workloads of bench/workloads as WebAssembly guests: the same algorithms, and the same checksums.
export { binaryTrees } from './binary-trees';
export { gcbench } from './gcbench';
export { lruCache } from './lru-cache';
export { hyperalloc } from './hyperalloc';
export { pointerChase } from './pointer-chase';
export { quads } from './quads';
export { references } from './references';
export { splay } from './splay';
