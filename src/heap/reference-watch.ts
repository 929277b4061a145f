// In a verifying heap: which references a thread has read since its last safepoint. One that it has read before, and not again, is stale
// whether or not a collection came in between: a program that keeps it works until one does.
//
// A number that the thread was never given is not judged here: it may come from a view or from WebAssembly code.

/** References remembered at most. Beyond, those from before the last safepoint are forgotten, and found stale no more. */
const REMEMBERED_MAX = 1 << 16;

/** Safepoints whose names are kept. */
const NAMES = 256;

/**
 * The watches of this thread, by the address of their heap's memory: its mutators of a heap share one, because a safepoint of one is a
 * safepoint of all, and a reference that one has read may be used with another.
 */
const watches = new Map<number, WeakRef<ReferenceWatch>>();

/** This thread's watch of the heap whose memory lies at this address. */
export function watchOf(memoryAddress: number): ReferenceWatch {
  const existing = watches.get(memoryAddress)?.deref();
  if (existing !== undefined) return existing;
  const watch = new ReferenceWatch();
  watches.set(memoryAddress, new WeakRef(watch));
  return watch;
}

export class ReferenceWatch {
  /** For each reference how many safepoints the thread had passed when it read it last. */
  #readAt = new Map<number, number>();
  readonly #names: string[] = [];
  #passed = 0;

  /** The thread has just read `ref`. */
  read(ref: number): void {
    if (ref === 0) return;
    if (this.#readAt.size >= REMEMBERED_MAX && !this.#readAt.has(ref)) this.#forget();
    this.#readAt.set(ref, this.#passed);
  }

  /** The thread has passed a safepoint. */
  pass(name: string): void {
    this.#names[this.#passed % NAMES] = name;
    this.#passed++;
  }

  /** Which safepoint made `ref` stale, in words; undefined when none did. */
  staleSince(ref: number): string | undefined {
    const at = this.#readAt.get(ref);
    if (at === undefined || at === this.#passed) return undefined;
    const since = this.#passed - at;
    const first = since > NAMES ? 'a safepoint' : `the safepoint in ${this.#names[at % NAMES]}`;
    return since === 1 ? first : `${first} and ${since - 1} after it`;
  }

  #forget(): void {
    this.#readAt = new Map([...this.#readAt].filter(([, at]) => at === this.#passed));
    if (this.#readAt.size >= REMEMBERED_MAX) this.#readAt.clear();
  }
}
