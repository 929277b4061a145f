// Touching memory for the touch's sake: to let a page fault happen now.

let sink = 0;

/** Reads one element. */
export function touch(view: Int32Array | Uint8Array, index: number): void {
  sink ^= view[index]!;
}

/** What all touches read, combined. Meaningless; it exists so that no optimiser may leave a touch out. */
export function touched(): number {
  return sink;
}
