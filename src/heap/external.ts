// External memory: what lives as long as objects of the heap do and is not in it, such as buffers that finalizers free. Registered bytes
// count towards the start of the next cycle; without them a program of small objects that own large buffers would never collect.
//
// Every thread counts in its own record. The sum is what exists, so that a thread may take back what another one registered.

import { TospaceError } from '../errors.ts';
import type { CycleRequests } from './cycle-requests.ts';
import { CTL_EXTERNAL_LIMIT_KIB, T_EXTERNAL_BYTES } from './layout.ts';
import { Tables } from './tables.ts';

/** Bytes that a thread registers between two looks at the other threads' sums. */
const LOOK_EVERY_BYTES = 256 * 1024;

/** What all threads together registered and did not take back. */
export class ExternalSum {
  readonly #counters: readonly Float64Array<SharedArrayBuffer>[];

  constructor(tables: Tables) {
    this.#counters = tables.threads.map((thread) => Tables.float(thread, T_EXTERNAL_BYTES));
  }

  /** Never negative, whatever embedders take back. */
  get bytes(): number {
    let sum = 0;
    for (const counter of this.#counters) sum += counter[0]!;
    return Math.max(0, sum);
  }
}

export class ExternalBytes {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #sum: ExternalSum;
  readonly #mine: Float64Array<SharedArrayBuffer>;
  readonly #requests: CycleRequests | undefined;
  #unlooked = 0;

  /** `requests` is undefined where nobody collects. */
  constructor(tables: Tables, record: Int32Array<SharedArrayBuffer>, requests: CycleRequests | undefined) {
    this.#control = tables.control;
    this.#sum = new ExternalSum(tables);
    this.#mine = Tables.float(record, T_EXTERNAL_BYTES);
    this.#requests = requests;
  }

  /** Adds `delta` bytes, and asks for a cycle when too many have come since the last one. */
  adjust(delta: number): void {
    if (!Number.isSafeInteger(delta)) {
      throw new TospaceError('ERR_OPTION', `${String(delta)} is not a number of bytes`, {
        hint: 'adjustExternalBytes() takes an integer: positive for memory that was allocated, negative for memory that was freed.',
      });
    }
    this.#mine[0] = this.#mine[0]! + delta;
    if (delta <= 0 || this.#requests === undefined) return;
    this.#unlooked += delta;
    if (this.#unlooked < LOOK_EVERY_BYTES) return;
    this.#unlooked = 0;
    const limitBytes = this.#control[CTL_EXTERNAL_LIMIT_KIB]! * 1024;
    if (this.#sum.bytes > limitBytes) this.#requests.suggest('external');
  }
}
