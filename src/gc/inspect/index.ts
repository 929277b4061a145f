// heap.snapshot(): stops the world, walks, lets it go.

import { TospaceError } from '../../errors.ts';
import { HeapGraph } from './graph.ts';
import { type Inspector, inspect } from './stopped-world.ts';
import { walkHeap } from './walk.ts';

/** Where no bound is given: some 10 million objects with three references each. */
const DEFAULT_MAX_BYTES = 2 ** 31;

export interface SnapshotOptions {
  /**
   * The most memory in bytes that the graph may take, with all that is computed from it: 84 for each object, 16 for each reference, and an
   * eighth of a byte for each 8 of the space in use, twice. From 1 up; default 2 GiB.
   */
  readonly maxBytes?: number;
  /**
   * Called with the graph while all threads are still stopped: addresses in it are where the objects are, and their contents may be read
   * through `heap.memory`. Must not use the heap otherwise, nor take a
   * snapshot of another one.
   */
  readonly whileStopped?: (graph: HeapGraph) => void;
}

export function takeSnapshot(inspector: Inspector, given: SnapshotOptions): HeapGraph {
  const { maxBytes = DEFAULT_MAX_BYTES, whileStopped } = given;
  if (!(typeof maxBytes === 'number' && maxBytes >= 1)) {
    throw new TospaceError('ERR_OPTION', `maxBytes: ${maxBytes} is not a number of bytes`, {
      hint: 'maxBytes is the most memory that a graph may take: a positive number.',
    });
  }
  if (whileStopped !== undefined && typeof whileStopped !== 'function') {
    throw new TospaceError('ERR_OPTION', `whileStopped: ${String(whileStopped)} is not a function`, {
      hint: 'whileStopped is called with the graph while all threads stand still.',
    });
  }
  return inspect(inspector, () => {
    const graph = new HeapGraph(walkHeap(inspector.tables, maxBytes));
    whileStopped?.(graph);
    return graph;
  });
}
