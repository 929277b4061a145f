// The plan: one pass over the live bits gives every chunk the address of its first live byte (so that forwarding needs one load and
// one popcount), and every to-space page the place in from-space where its contents begin. With the two, any page can be built
// alone, in any order, by any thread.
//
// Chunks are taken in groups as large as a page. At most one to-space page begins in a group, and mark bits are looked at only there:
// for the rest of the group the pass is a load, a popcount and a store for each chunk.
import { CHUNK_LOG2, GRANULE_LOG2, PAGE_LOG2 } from '../../heap/layout';
import { chunks, heapBase, lives, marks, pageFirst, pageSource } from './geometry';

const PAGE_BYTES: u32 = 1 << PAGE_LOG2;

/** Plans the objects below the address `end`, which is on a page boundary; returns their live bytes. */
export function plan(end: u32): u32 {
  const base = heapBase;
  // The group's first chunk: its address, its word of live bits and its entry of the chunk table.
  let address = base;
  let word = lives;
  let entry = chunks;
  // To-space address of what comes next, and the boundary at which the next to-space page begins. to ≤ boundary.
  let to = base;
  let boundary = base;
  // Address of the last object that starts below chunk `known`.
  let lastStart: u32 = 0;
  let known: u32 = 0;
  for (; address < end; address += PAGE_BYTES) {
    store<u32>(entry, to);
    to += <u32>popcnt(load<u64>(word)) << GRANULE_LOG2;
    store<u32>(entry, to, 4);
    to += <u32>popcnt(load<u64>(word, 8)) << GRANULE_LOG2;
    store<u32>(entry, to, 8);
    to += <u32>popcnt(load<u64>(word, 16)) << GRANULE_LOG2;
    store<u32>(entry, to, 12);
    to += <u32>popcnt(load<u64>(word, 24)) << GRANULE_LOG2;
    store<u32>(entry, to, 16);
    to += <u32>popcnt(load<u64>(word, 32)) << GRANULE_LOG2;
    store<u32>(entry, to, 20);
    to += <u32>popcnt(load<u64>(word, 40)) << GRANULE_LOG2;
    store<u32>(entry, to, 24);
    to += <u32>popcnt(load<u64>(word, 48)) << GRANULE_LOG2;
    store<u32>(entry, to, 28);
    to += <u32>popcnt(load<u64>(word, 56)) << GRANULE_LOG2;
    if (to > boundary) {
      // The page begins in the last chunk whose entry is not above the boundary: the next entry is, so the chunk is not empty.
      let i: u32 = 0;
      while (i < 7 && load<u32>(entry + (i << 2), 4) <= boundary) i += 1;
      const bit = select(load<u64>(word + (i << 3)), (boundary - load<u32>(entry + (i << 2))) >> GRANULE_LOG2);
      const chunk = (address - base >> CHUNK_LOG2) + i;
      let first: u32;
      const starts = load<u64>(marks + (chunk << 3)) & (~<u64>0 >> <u64>(63 - bit));
      if (starts) {
        first = base + (chunk << CHUNK_LOG2) + ((63 - <u32>clz(starts)) << GRANULE_LOG2);
      } else {
        // An object reaches over from an earlier chunk. A large one is come upon at every page it fills: what was seen stays known.
        for (let back = chunk; back > known; ) {
          back -= 1;
          const before = load<u64>(marks + (back << 3));
          if (before) {
            lastStart = base + (back << CHUNK_LOG2) + ((63 - <u32>clz(before)) << GRANULE_LOG2);
            break;
          }
        }
        known = chunk;
        first = lastStart;
      }
      const page = boundary - base >> PAGE_LOG2;
      store<u32>(pageSource + (page << 2), base + (chunk << CHUNK_LOG2) + (bit << GRANULE_LOG2));
      store<u32>(pageFirst + (page << 2), first);
      boundary += PAGE_BYTES;
    }
    word += PAGE_BYTES >> CHUNK_LOG2 << 3;
    entry += PAGE_BYTES >> CHUNK_LOG2 << 2;
  }
  return to - base;
}

/** Position of the set bit of `bits` that has `rank` set bits below it. */
function select(bits: u64, rank: u32): u32 {
  for (; rank > 0; rank--) bits &= bits - 1;
  return <u32>ctz(bits);
}
