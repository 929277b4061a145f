// What all sides must arrive at. Updates of one entry commute, and a walk's path does not depend on them: so the answers of a thread, and
// the state after all updates, follow from how many requests each thread made, whatever the order among threads was.
import { entryChecksum, HOPS, linkAt, linkOf, mix, type Shape, visit } from './content.ts';
import type { GraphOptions } from './options.ts';
import { RequestStream } from './requests.ts';

export class Model {
  readonly #shape: Shape;
  readonly #updates: Int32Array;
  readonly #sums: Int32Array;
  readonly #threads: { readonly stream: RequestStream; made: number; answers: number }[];

  constructor({ entries, skew, threads, seed }: GraphOptions) {
    this.#shape = { entries, skew };
    this.#updates = new Int32Array(entries);
    this.#sums = new Int32Array(entries);
    this.#threads = Array.from({ length: threads }, (_, thread) => ({
      stream: new RequestStream(seed, thread, this.#shape),
      made: 0,
      answers: 0,
    }));
  }

  /** Makes the requests of every thread up to the given numbers, counted from the beginning. */
  advanceTo(requests: readonly number[]): void {
    for (const [i, thread] of this.#threads.entries()) {
      const { stream } = thread;
      for (; thread.made < requests[i]!; thread.made++) {
        stream.advance();
        if (!stream.isUpdate) {
          thread.answers = addAnswer(thread.answers, walk(stream.key, stream.argument, this.#shape));
          continue;
        }
        this.#updates[stream.key]!++;
        this.#sums[stream.key]! += stream.argument;
      }
    }
  }

  /** The checksums of the threads' answers. */
  answers(): number[] {
    return this.#threads.map(({ answers }) => answers >>> 0);
  }

  stateChecksum(): number {
    let checksum = 0;
    for (let key = 0; key < this.#shape.entries; key++)
      checksum = (checksum + entryChecksum(key, this.#updates[key]!, this.#sums[key]!)) | 0;
    return checksum >>> 0;
  }
}

/** Adds a walk's answer to the checksum of a thread's answers: their order counts. */
export function addAnswer(checksum: number, seen: number): number {
  return mix(checksum ^ seen);
}

function walk(key: number, path: number, shape: Shape): number {
  let seen = visit(0, key);
  let at = key;
  for (let hop = 0; hop < HOPS; hop++) {
    at = linkOf(at, linkAt(path, hop), shape);
    seen = visit(seen, at);
  }
  return seen;
}
