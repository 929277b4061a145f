// Process exit: a thread that sits in poll or in an unresolved fault cannot be terminated, and process.exit() would hang with it. One
// hook per thread closes every heap that the thread created.

const closers = new Set<() => void>();
let installed = false;

/** Registers what to do when this thread exits; returns the function that takes it back. */
export function atExit(close: () => void): () => void {
  if (!installed) {
    installed = true;
    process.on('exit', () => {
      // All of them, whatever one says. The first that failed is reported.
      let failure: unknown;
      for (const closer of closers) {
        try {
          closer();
        } catch (error) {
          failure ??= error;
        }
      }
      if (failure !== undefined) throw failure;
    });
  }
  closers.add(close);
  return () => closers.delete(close);
}
