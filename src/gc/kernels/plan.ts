// The plan: one pass over the live bits gives every chunk the address of its first live byte (so that forwarding needs one load and
// one popcount), and every to-space page the place in from-space where its contents begin. With the two, any page can be built
// alone, in any order, by any thread.
import { CHUNK_LOG2, GRANULE_LOG2, PAGE_LOG2 } from '../../heap/layout';
import { chunks, heapBase, lives, marks, pageFirst, pageSource } from './geometry';

/** Plans the objects below the address `end`; returns their live bytes. */
export function plan(end: u32): u32 {
  const count = (end - heapBase) >> CHUNK_LOG2;
  const base = heapBase;
  const liveWords = lives;
  const markWords = marks;
  const chunkTable = chunks;
  // Live bytes below the chunk, and the live byte at which the next to-space page begins.
  let live: u32 = 0;
  let boundary: u32 = 0;
  let lastMark: u32 = 0;
  for (let chunk: u32 = 0; chunk < count; chunk++) {
    store<u32>(chunkTable + (chunk << 2), base + live);
    const bits = load<u64>(liveWords + (chunk << 3));
    if (bits == 0) continue;
    const starts = load<u64>(markWords + (chunk << 3));
    const next = live + ((<u32>popcnt(bits)) << GRANULE_LOG2);
    const address = base + (chunk << CHUNK_LOG2);
    if (next > boundary) {
      // At most one page begins in a chunk, because a chunk is smaller than a page.
      const bit = select(bits, (boundary - live) >> GRANULE_LOG2);
      const page = boundary >> PAGE_LOG2;
      const upTo = starts & (~(<u64>0) >> <u64>(63 - bit));
      const first = upTo ? address + ((63 - <u32>clz(upTo)) << GRANULE_LOG2) : lastMark;
      store<u32>(pageSource + (page << 2), address + (bit << GRANULE_LOG2));
      store<u32>(pageFirst + (page << 2), first);
      boundary += 1 << PAGE_LOG2;
    }
    if (starts) lastMark = address + ((63 - <u32>clz(starts)) << GRANULE_LOG2);
    live = next;
  }
  return live;
}

/** Position of the set bit of `bits` that has `rank` set bits below it. */
function select(bits: u64, rank: u32): u32 {
  for (; rank > 0; rank--) bits &= bits - 1;
  return <u32>ctz(bits);
}
