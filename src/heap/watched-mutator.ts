// The half of a verifying mutator that knows which references are stale: it notes every reference that is read and every safepoint that is
// passed (reference-watch.ts), and checks what is allocated. The other half, which checks the operations on objects, is checked-mutator.ts.

import { arrayBytes } from './array-size.ts';
import type { RunBody, ScopeBody } from './bodies.ts';
import type { CollectOptions } from './cycle-requests.ts';
import { DescriptorCheck } from './descriptor-check.ts';
import { HEADER_BYTES } from './layout.ts';
import { Misuse, misuse } from './misuse.ts';
import { Mutator } from './mutator.ts';
import type { MutatorOptions } from './mutator-options.ts';
import { NULL, type Ref } from './ref.ts';
import { type ReferenceWatch, watchOf } from './reference-watch.ts';
import type { Tables } from './tables.ts';
import type { ThreadHost } from './thread.ts';
import type { ArrayType, RecordDescriptor } from './types.ts';

/** What `run`, `scope` and `blocking` return is over: programs that no compiler has read may give them an async function. */
function over<T>(call: string, result: T): T {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return result;
  throw misuse(
    `${call}: the function is asynchronous`,
    'Behind its first await it would go on in a safe region and without its handles: await first, and then run what touches the heap.',
  );
}

export class WatchedMutator extends Mutator {
  readonly #watch: ReferenceWatch;
  /** False under the collector `none`: nothing moves, so nothing becomes stale. */
  readonly #moves: boolean;
  protected readonly misuse: Misuse;
  readonly #descriptors: DescriptorCheck;
  /** How deep `enter` and `run` are nested. */
  #depth = 0;
  /** In a safepoint: what it does inside, stress collecting for instance, is none of its own. */
  #inSafepoint = false;
  /** Where what was allocated last began, and where it ended. */
  #lastRef: Ref = NULL;
  #lastEnd = 0;

  constructor(tables: Tables, host: ThreadHost, options: MutatorOptions, onDetach: () => void) {
    super(tables, host, options, onDetach);
    this.#watch = watchOf(tables.geometry.memoryAddress);
    this.#moves = options.collects;
    this.misuse = new Misuse(tables);
    this.#descriptors = new DescriptorCheck(tables, this.misuse);
  }

  /** Throws when `ref` was read before the last safepoint. `what` is being done with it. */
  protected assertFresh(ref: Ref, what: string): void {
    const safepoint = this.#moves && !this.isPinned(ref) ? this.#watch.staleSince(ref) : undefined;
    if (safepoint !== undefined) throw this.misuse.stale(what, ref, safepoint);
  }

  override noteReference(ref: Ref): void {
    this.#watch.read(ref);
  }

  #read<R extends Ref>(ref: R): R {
    this.#watch.read(ref);
    return ref;
  }

  /** Runs what is a safepoint: references read before it are stale, also when it throws. */
  #passing<T>(name: string, body: () => T): T {
    if (this.#inSafepoint) return body();
    this.#inSafepoint = true;
    try {
      return body();
    } finally {
      this.#inSafepoint = false;
      this.#watch.pass(name);
    }
  }

  /** Allocates by `body`, and looks whether the room was empty from the byte `first` on. */
  #allocating<R extends Ref>(name: string, first: number, bytes: number, body: () => R): R {
    const ref = this.#passing(name, body);
    if (ref === 0) return ref;
    const end = (ref + bytes) >> 2;
    for (let word = (ref + first) >> 2; word < end; word++) {
      if (this.i32[word] === 0) continue;
      const before = this.#lastEnd === ref ? this.#lastRef : NULL;
      throw this.misuse.overrun(name, ref, word * 4 - ref, before);
    }
    this.#lastRef = ref;
    this.#lastEnd = ref + bytes;
    return this.#read(ref);
  }

  #allocatingRecord<R extends Ref>(call: string, type: RecordDescriptor, body: () => R): R {
    const name = `${call}(${type?.name ?? type?.id})`;
    this.#descriptors.record(type, name);
    // The header's second word is the embedder's own, and 0 at first.
    return this.#allocating(name, HEADER_BYTES / 2, type.bytes, body);
  }

  #allocatingArray<R extends Ref>(call: string, type: ArrayType, length: number, body: () => R): R {
    const name = `${call}(${type?.name ?? type?.id})`;
    this.#descriptors.array(type, name);
    return this.#allocating(name, HEADER_BYTES, arrayBytes(type, length), body);
  }

  override enter(): void {
    super.enter();
    this.#depth++;
  }

  override leave(): void {
    super.leave();
    if (--this.#depth === 0) this.#watch.pass('leave');
  }

  override scope<T>(body: ScopeBody<T>): T {
    return over('scope', super.scope(body));
  }

  override run<T>(body: RunBody<T>): T {
    if (this.#depth > 0) return over('run', super.run(body));
    try {
      const result = super.run((() => {
        this.#depth++;
        try {
          return body();
        } finally {
          this.#depth--;
        }
      }) as RunBody<T>);
      return over('run', result);
    } finally {
      this.#watch.pass('run');
    }
  }

  override blocking<T>(body: RunBody<T>): T {
    return over(
      'blocking',
      this.#passing('blocking', () => super.blocking(body)),
    );
  }

  override safepoint(): void {
    this.#passing('safepoint', () => super.safepoint());
  }

  override collect(options?: CollectOptions): void {
    this.#passing('collect', () => super.collect(options));
  }

  override allocate<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#allocatingRecord('allocate', type, () => super.allocate(type));
  }

  override tryAllocate<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#allocatingRecord('tryAllocate', type, () => super.tryAllocate(type));
  }

  override allocateArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#allocatingArray('allocateArray', type, length, () => super.allocateArray(type, length));
  }

  override tryAllocateArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#allocatingArray('tryAllocateArray', type, length, () =>
      super.tryAllocateArray(type, length),
    );
  }

  override allocatePinned<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#allocatingRecord('allocatePinned', type, () => super.allocatePinned(type));
  }

  override allocatePinnedArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#allocatingArray('allocatePinnedArray', type, length, () =>
      super.allocatePinnedArray(type, length),
    );
  }

  override asRef(address: number): Ref {
    const ref = super.asRef(address);
    this.#watch.read(ref);
    this.assertReference(ref);
    return ref;
  }

  override nextFinalizable(queue = 0): Ref {
    return this.#read(super.nextFinalizable(queue));
  }

  override guard(object: Ref, queue = 0): void {
    this.#passing('guard', () => super.guard(object, queue));
  }

  override getRef(ref: Ref, offset: number): Ref {
    return this.#read(super.getRef(ref, offset));
  }

  override getElement(array: Ref, index: number): Ref {
    return this.#read(super.getElement(array, index));
  }

  override atomicLoadRef(ref: Ref, offset: number): Ref {
    return this.#read(super.atomicLoadRef(ref, offset));
  }

  override exchangeRef(ref: Ref, offset: number, value: Ref): Ref {
    return this.#read(super.exchangeRef(ref, offset, value));
  }

  override compareExchangeRef(ref: Ref, offset: number, expected: Ref, value: Ref): Ref {
    return this.#read(super.compareExchangeRef(ref, offset, expected, value));
  }

  override getWeak(record: Ref): Ref {
    return this.#read(super.getWeak(record));
  }

  override getKey(ephemeron: Ref): Ref {
    return this.#read(super.getKey(ephemeron));
  }

  override getValue(ephemeron: Ref): Ref {
    return this.#read(super.getValue(ephemeron));
  }
}
