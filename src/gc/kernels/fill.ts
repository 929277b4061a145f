/** Stores `word` in every 32-bit word of [from, to). */
export function fillWords(from: u32, to: u32, word: u32): void {
  if (word == 0) {
    memory.fill(from, 0, to - from);
    return;
  }
  for (; from < to; from += 4) store<u32>(from, word);
}
