// heap.snapshot(): stops the world, walks, lets it go.

import { TospaceError } from '../../errors.ts';
import { GIB } from '../../heap/geometry.ts';
import { assertKeys, type KeysOf } from '../../known-keys.ts';
import { type Size, size } from '../options/values.ts';
import { HeapGraph } from './graph.ts';
import { type Inspector, inspect } from './stopped-world.ts';
import { walkHeap } from './walk.ts';

/** Where no bound is given: some 10 million objects with three references each. */
const DEFAULT_MAX_BYTES = 2 * GIB;
const MAX_BYTES = size(1, 1024 * GIB);
const KEYS: KeysOf<SnapshotOptions> = { maxBytes: true, whileStopped: true };

export interface SnapshotOptions {
  /**
   * The most memory that the graph may take, with all that is computed from it: 84 bytes for each object, 16 for each reference, and an
   * eighth of a byte for each 8 of the space in use, twice. Up to 1 TiB; default 2 GiB.
   */
  readonly maxBytes?: Size;
  /**
   * Called with the graph while all threads are still stopped: addresses in it are where the objects are, and their contents may be read
   * through `heap.memory`. Must not use the heap otherwise, nor take a snapshot of another one.
   */
  readonly whileStopped?: (graph: HeapGraph) => void;
}

export function takeSnapshot(inspector: Inspector, given: SnapshotOptions): HeapGraph {
  assertKeys('snapshot', given, KEYS);
  const { whileStopped } = given;
  const maxBytes = MAX_BYTES.check(given.maxBytes ?? DEFAULT_MAX_BYTES) as number | undefined;
  if (maxBytes === undefined) {
    throw new TospaceError('ERR_OPTION', `snapshot: maxBytes: ${String(given.maxBytes)} is not allowed`, {
      hint: `maxBytes must be ${MAX_BYTES.rule}.`,
    });
  }
  if (whileStopped !== undefined && typeof whileStopped !== 'function') {
    throw new TospaceError('ERR_OPTION', 'snapshot: whileStopped is no function', {
      hint: 'Call snapshot({ whileStopped: (graph) => { … } }).',
    });
  }
  return inspect(inspector, () => {
    const graph = new HeapGraph(walkHeap(inspector.tables, maxBytes));
    whileStopped?.(graph);
    return graph;
  });
}
