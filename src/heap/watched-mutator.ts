// The half of a verifying mutator that knows which references are stale: it notes every reference that is read and every safepoint that is
// passed (reference-watch.ts). The other half, which checks the operations, is checked-mutator.ts.

import { TospaceError } from '../errors.ts';
import { Mutator, type MutatorOptions } from './mutator.ts';
import type { Ref } from './ref.ts';
import { type ReferenceWatch, watchOf } from './reference-watch.ts';
import type { Synchronous } from './synchronous.ts';
import type { Tables } from './tables.ts';
import type { ThreadHost } from './thread.ts';
import type { ArrayType, RecordDescriptor } from './types.ts';

export class WatchedMutator extends Mutator {
  readonly #watch: ReferenceWatch;
  /** False under the collector `none`: nothing moves, so nothing becomes stale. */
  readonly #moves: boolean;
  /** How deep `enter` and `run` are nested. */
  #depth = 0;

  constructor(tables: Tables, host: ThreadHost, options: MutatorOptions, onDetach: () => void) {
    super(tables, host, options, onDetach);
    this.#watch = watchOf(tables.geometry.memoryAddress);
    this.#moves = options.collects;
  }

  /** Throws when `ref` was read before the last safepoint. `what` is being done with it. */
  protected assertFresh(ref: Ref, what: string): void {
    const safepoint = this.#moves && !this.isPinned(ref) ? this.#watch.staleSince(ref) : undefined;
    if (safepoint === undefined) return;
    throw new TospaceError(
      'ERR_TYPE',
      `${what}: the reference ${ref} is stale: it was read before ${safepoint}, and not again since`,
      {
        hint:
          'Objects may move at a safepoint, and every allocation is one: keep the reference in a handle, and read it again from there. ' +
          'One that came from a view or from WebAssembly code goes through asRef.',
      },
    );
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
    try {
      return body();
    } finally {
      this.#watch.pass(name);
    }
  }

  override enter(): void {
    super.enter();
    this.#depth++;
  }

  override leave(): void {
    super.leave();
    if (--this.#depth === 0) this.#watch.pass('leave');
  }

  override run<T>(body: Synchronous<T>): T {
    if (this.#depth > 0) return super.run(body);
    return this.#passing('run', () =>
      super.run((() => {
        this.#depth++;
        try {
          return body();
        } finally {
          this.#depth--;
        }
      }) as Synchronous<T>),
    );
  }

  override blocking<T>(body: Synchronous<T>): T {
    return this.#passing('blocking', () => super.blocking(body));
  }

  override safepoint(): void {
    this.#passing('safepoint', () => super.safepoint());
  }

  override collect(release = false): void {
    this.#passing('collect', () => super.collect(release));
  }

  override allocate<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#read(this.#passing(`allocate(${type.name ?? type.id})`, () => super.allocate(type)));
  }

  override tryAllocate<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#read(this.#passing(`tryAllocate(${type.name ?? type.id})`, () => super.tryAllocate(type)));
  }

  override allocateArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#read(this.#passing(`allocateArray(${type.name})`, () => super.allocateArray(type, length)));
  }

  override tryAllocateArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#read(
      this.#passing(`tryAllocateArray(${type.name})`, () => super.tryAllocateArray(type, length)),
    );
  }

  override allocatePinned<const Name extends string>(type: RecordDescriptor<Name>): Ref<Name> {
    return this.#passing(`allocatePinned(${type.name ?? type.id})`, () => super.allocatePinned(type));
  }

  override allocatePinnedArray<const Name extends string>(type: ArrayType<Name>, length: number): Ref<Name> {
    return this.#passing(`allocatePinnedArray(${type.name})`, () => super.allocatePinnedArray(type, length));
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
