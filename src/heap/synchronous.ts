// What is given to `run`, `scope` and `blocking` must be over when they return: behind an `await` it would go on in a safe region, without
// the handles that it made.

/** A function that returns no promise: an asynchronous one does not compile. Functions of your own that pass theirs on take this type, too. */
export type Synchronous<T> = (() => T) &
  (T extends PromiseLike<unknown> ? { readonly 'must not be asynchronous': never } : unknown);
