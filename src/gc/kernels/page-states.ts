// The page-state machine: this file owns every compare-and-swap on a page word (states and transitions: src/heap/layout.ts).
//
//   claim      UNPROCESSED → PROCESSING   whoever wins builds; nobody else will
//   transition PROCESSING → PROCESSED → MAPPING → MAPPED, by the owner alone; PROCESSED → MAPPING also by another worker that
//              maps what was built and left (only where the contents are in the shadow)
//
// WebAssembly's atomics are sequentially consistent, so contents written before PROCESSED are seen by whoever moves it to MAPPING.
import { PAGE_OWNER_SHIFT, PAGE_PROCESSING, PAGE_STATE_MASK, PAGE_UNPROCESSED } from '../../heap/layout';
import { pageWords } from './geometry';

/** Page word of `page`. */
export function pageWord(page: u32): u32 {
  return atomic.load<u32>(pageWords + (page << 2));
}

/** Claims the unprocessed pages from `page` on, below `limit`, for `owner`, up to the first that is not; returns how many. */
export function claimPages(page: u32, limit: u32, owner: u32): u32 {
  const word = PAGE_PROCESSING | (owner << PAGE_OWNER_SHIFT);
  const first = page;
  while (page < limit) {
    if (atomic.cmpxchg<u32>(pageWords + (page << 2), PAGE_UNPROCESSED, word) != PAGE_UNPROCESSED) break;
    page += 1;
  }
  return page - first;
}

/** Moves `count` pages from state `from` to state `to`, owner `owner`; returns how many had the state `from` and moved. */
export function movePages(page: u32, count: u32, from: u32, to: u32, owner: u32): u32 {
  const word = to | (owner << PAGE_OWNER_SHIFT);
  for (let i: u32 = 0; i < count; i++) {
    const address = pageWords + ((page + i) << 2);
    const old = atomic.load<u32>(address);
    if ((old & PAGE_STATE_MASK) != from) return i;
    if (atomic.cmpxchg<u32>(address, old, word) != old) return i;
  }
  return count;
}

/** The first page in [page, limit) whose state is below `state`, or `limit`. */
export function firstPageBelow(page: u32, limit: u32, state: u32): u32 {
  while (page < limit && (atomic.load<u32>(pageWords + (page << 2)) & PAGE_STATE_MASK) >= state) page += 1;
  return page;
}

/** The lowest page of the run, ending at `page`, whose states are all at least `state`; `page` itself when there is none below. */
export function lowestPageAtLeast(page: u32, state: u32): u32 {
  while (page > 0 && (atomic.load<u32>(pageWords + ((page - 1) << 2)) & PAGE_STATE_MASK) >= state) page -= 1;
  return page;
}

/** Makes `count` pages from `page` on unprocessed, for the next window. */
export function clearPageWords(page: u32, count: u32): void {
  memory.fill(pageWords + (page << 2), <u8>PAGE_UNPROCESSED, count << 2);
}
