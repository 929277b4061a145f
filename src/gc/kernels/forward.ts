// Forwarding: where an object will be, computed in O(1) from the plan and immutable while a window is open, so that every thread may
// ask without a lock (Kermany and Petrank's Compressor, 2006; Android's mark-compact).
//
//   marked object   heapBase + live bytes below its chunk + 8 · popcount(live bits below it in its chunk)
//   black object    its address less a constant multiple of a page: allocation during the cycle slides as a whole
//   anything else   (null, other spaces) unchanged
import {
  CHUNK_LOG2, CTL_BLACK_DELTA, CTL_BLACK_LINE, GRANULE_LOG2,
} from '../../heap/layout';
import { chunks, controlWord, heapBase, heapBytes, lives } from './geometry';

/** The new address of what `ref` names, under the plan `blackOffset`, `blackDelta`. */
// @ts-ignore: decorator
@inline
export function forward(ref: u32, blackOffset: u32, blackDelta: u32): u32 {
  return forwardBy(ref, blackOffset, blackDelta, heapBase, lives, chunks);
}

/**
 * The same for a hot loop, which keeps the module's globals in locals: an engine cannot know that a store to memory leaves globals
 * alone, and would load them again after each.
 */
// @ts-ignore: decorator
@inline
export function forwardBy(ref: u32, blackOffset: u32, blackDelta: u32, base: u32, liveWords: u32, chunkTable: u32): u32 {
  const offset = ref - base;
  if (offset < blackOffset) {
    const chunk = offset >> CHUNK_LOG2;
    const below = load<u64>(liveWords + (chunk << 3)) & ((<u64>1 << <u64>(offset >> GRANULE_LOG2 & 63)) - 1);
    return load<u32>(chunkTable + (chunk << 2)) + (<u32>popcnt(below) << GRANULE_LOG2);
  }
  return offset < heapBytes ? ref - blackDelta : ref;
}

/** Offset at which black objects begin. */
// @ts-ignore: decorator
@inline
export function blackOffset(): u32 {
  return controlWord(CTL_BLACK_LINE) - heapBase;
}

/** How far black objects slide. */
// @ts-ignore: decorator
@inline
export function blackDelta(): u32 {
  return controlWord(CTL_BLACK_DELTA);
}

/** The new address of what `ref` names, under the current plan. For tests and rare uses. */
export function forwardOne(ref: u32): u32 {
  return forward(ref, blackOffset(), blackDelta());
}

/** Rewrites the root slots in [from, to). */
export function forwardRoots(from: u32, to: u32): void {
  const black = blackOffset();
  const delta = blackDelta();
  for (; from < to; from += 4) store<u32>(from, forward(load<u32>(from), black, delta));
}
