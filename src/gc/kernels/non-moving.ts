// Rewriting pages of the non-moving space where they are (src/gc/non-moving.ts): every reference of a live object that lies on the page
// is forwarded, through the alias. Only one thread does it to a page, and only once in a window: a second time would forward what is
// forwarded already.
import {
  CHUNK_LOG2, CTL_FRESH, CTL_NON_MOVING, CTL_NON_MOVING_ALIAS, CTL_SPANS, GRANULE_LOG2, PAGE_BYTES, PAGE_LOG2, SPAN_CELLS,
  SPAN_FREE, SPAN_KIND_MASK, SPAN_REST, SPAN_VALUE_SHIFT,
} from '../../heap/layout';
import { fixClipped } from './compact';
import { blackDelta, blackOffset } from './forward';
import { controlWord, heapBase, marks } from './geometry';
import { sizeOf, typeOf } from './objects';

/** Live objects of the space by the word of 64 granules from the address `at` on. */
// @ts-ignore: decorator
@inline
function liveStarts(at: u32): u64 {
  const own = at - controlWord(CTL_NON_MOVING);
  return load<u64>(marks + ((at - heapBase) >> CHUNK_LOG2 << 3)) | load<u64>(controlWord(CTL_FRESH) + (own >> CHUNK_LOG2 << 3));
}

/** Whether the object at `ref`, an address of the space, was allocated since remark. */
export function isFresh(ref: u32): bool {
  const own = ref - controlWord(CTL_NON_MOVING);
  return <bool>((load<u64>(controlWord(CTL_FRESH) + (own >> CHUNK_LOG2 << 3)) >> <u64>(own >> GRANULE_LOG2 & 63)) & 1);
}

/** Rewrites `count` pages, the first of which is `page` pages behind the heap's first. */
export function fixPages(page: u32, count: u32): void {
  const end = heapBase + ((page + count) << PAGE_LOG2);
  for (let at = heapBase + (page << PAGE_LOG2); at < end; at += PAGE_BYTES) fixPage(at);
}

function fixPage(at: u32): void {
  const base = controlWord(CTL_NON_MOVING);
  const bias = controlWord(CTL_NON_MOVING_ALIAS) - base;
  const span = load<u32>(controlWord(CTL_SPANS) + ((at - base) >> PAGE_LOG2 << 2));
  const kind = span & SPAN_KIND_MASK;
  const black = blackOffset();
  const delta = blackDelta();
  // In the page cache from here on, so that it can be mapped: a page that was never written is a hole. Atomically, because the window may
  // be closing over a page that was free, and a mutator writing to it.
  atomic.add<u32>(at + bias, 0);
  if (kind == SPAN_FREE) return;
  if (kind == SPAN_CELLS) {
    for (let chunk = at; chunk < at + PAGE_BYTES; chunk += 1 << CHUNK_LOG2) {
      let bits = liveStarts(chunk);
      while (bits) {
        const ref = chunk + (<u32>ctz(bits) << GRANULE_LOG2) + bias;
        bits &= bits - 1;
        const type = typeOf(ref);
        fixClipped(ref, type, ref, 0, sizeOf(ref, type), black, delta);
      }
    }
    return;
  }
  const first = kind == SPAN_REST ? at - (span >> SPAN_VALUE_SHIFT << PAGE_LOG2) : at;
  if (!(liveStarts(first) & 1)) return;
  const ref = first + bias;
  const type = typeOf(ref);
  const begin = at - first;
  fixClipped(ref, type, ref, begin, min(begin + PAGE_BYTES, sizeOf(ref, type)), black, delta);
}
