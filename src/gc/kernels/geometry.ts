// Where everything is: read once from the control block, constant afterwards. Each thread has its own instance of this module,
// and so its own copy of these globals.
import {
  CTL_CARD_BUFFER, CTL_CARD_GROUPS, CTL_CARDS, CTL_CHUNKS, CTL_HEAP_BASE, CTL_HEAP_BYTES, CTL_LIVES, CTL_MANAGED_BYTES, CTL_MARKS, CTL_MARK_STACK, CTL_MARK_STACK_END,
  CTL_PAGE_FIRST, CTL_PAGE_SOURCE, CTL_PAGE_WORDS, CTL_TAKEN_GROUPS, CTL_TYPES,
} from '../../heap/layout';

export let control: usize = 0;
export let heapBase: u32 = 0;
export let heapBytes: u32 = 0;
/** From the heap's first byte to the non-moving space's last. */
export let managedBytes: u32 = 0;
export let marks: u32 = 0;
export let lives: u32 = 0;
export let chunks: u32 = 0;
export let cards: u32 = 0;
export let cardGroups: u32 = 0;
export let takenGroups: u32 = 0;
export let pageWords: u32 = 0;
export let pageFirst: u32 = 0;
export let pageSource: u32 = 0;
export let types: u32 = 0;
export let markStack: u32 = 0;
export let markStackEnd: u32 = 0;

export let cardBuffer: u32 = 0;

/** The control block's word `index`. */
// @ts-ignore: decorator
@inline
export function controlWord(index: i32): u32 {
  return load<u32>(control + (<usize>index << 2));
}

/** Must be called once in every instance before any other kernel. */
export function bind(controlAddress: u32): void {
  control = controlAddress;
  heapBase = controlWord(CTL_HEAP_BASE);
  heapBytes = controlWord(CTL_HEAP_BYTES);
  managedBytes = controlWord(CTL_MANAGED_BYTES);
  marks = controlWord(CTL_MARKS);
  lives = controlWord(CTL_LIVES);
  chunks = controlWord(CTL_CHUNKS);
  cards = controlWord(CTL_CARDS);
  cardGroups = controlWord(CTL_CARD_GROUPS);
  takenGroups = controlWord(CTL_TAKEN_GROUPS);
  pageWords = controlWord(CTL_PAGE_WORDS);
  pageFirst = controlWord(CTL_PAGE_FIRST);
  pageSource = controlWord(CTL_PAGE_SOURCE);
  types = controlWord(CTL_TYPES);
  markStack = controlWord(CTL_MARK_STACK);
  cardBuffer = controlWord(CTL_CARD_BUFFER);
  markStackEnd = controlWord(CTL_MARK_STACK_END);
}
