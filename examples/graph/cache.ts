// The cache as a thread that can reach it uses it: on the managed heap (heap-cache.ts) or of V8's objects (object-cache.ts).

export interface StateReport {
  readonly checksum: number;
  /** Entries whose key, links or text are not what they should be. */
  readonly wrong: number;
}

export interface Cache {
  /** Walks along links from `key`. Returns what it saw; the last entry's value is checked, and counted in `wrong` if it is not right. */
  walk(key: number, path: number): number;
  /** Replaces the value of an entry by one that counts one update more, adds `delta`, and has a new text. */
  update(key: number, delta: number): void;
  /** Answers that were wrong. */
  readonly wrong: number;
  /** Reads everything. */
  readAll(): StateReport;
}
