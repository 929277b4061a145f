// The rig: a heap of the kit's with the runtime attached to it, and what the checks see and do there.

import { createHeap, type Heap } from '../gc/heap.ts';
import type { HeapOptions } from '../gc/options.ts';
import { HeapView, type ObjectShape } from '../gc/verify/view.ts';
import {
  CARD_DIRTY,
  CARD_LOG2,
  CTL_CURSOR,
  HEADER_BYTES,
  PAGE_BYTES,
  T_BUFFER,
  T_CURSOR,
  TYPE_ID_MASK,
} from '../heap/layout.ts';
import { CycleRequests } from '../heap/cycle-requests.ts';
import type { Mutator } from '../heap/mutator.ts';
import type { Persistent } from '../heap/persistent.ts';
import type { Ref } from '../heap/ref.ts';
import { Tables } from '../heap/tables.ts';
import type { RawArrayType, WeakRecordType } from '../heap/types.ts';
import type { Embedder, ObjectType } from './embedder.ts';
import type { Difference } from './model.ts';
import { Stress } from './stress.ts';

export type AnyEmbedder = Embedder<unknown, unknown>;
export type AnyType = ObjectType<unknown>;

/** How far behind an object the kit looks for what was written there. */
const SPILL_BYTES = 256;

/** Cycles begin when a check wants them, and a thread that blocks one is given up before the check is. */
const BASE_OPTIONS: HeapOptions = {
  heap: 8 * 1024 * 1024,
  trigger: 0.95,
  servers: 1,
  safepointTimeoutMs: 10_000,
};

/** A heap that is verified often: small, because that looks at all of it. */
export const VERIFIED: HeapOptions = {
  collector: 'stop-the-world',
  verify: 'full',
  heap: 2 * 1024 * 1024,
  nonMoving: 1024 * 1024,
};

/** A word of an object that changed. */
export interface Change {
  /** Address of the object, and offset of the word. */
  readonly object: number;
  readonly offset: number;
  readonly value: number;
  /** Whether the collector takes the word for a reference. */
  readonly mapped: boolean;
  /** Whether the word's card is dirty. */
  readonly dirty: boolean;
}

/** What the kit keeps in a heap of its own. */
interface KitTypes {
  readonly weak: WeakRecordType;
  readonly bytes: RawArrayType;
}

export class Rig {
  readonly embedder: AnyEmbedder;
  readonly heap: Heap;
  readonly runtime: unknown;
  readonly m: Mutator;
  readonly view: HeapView;
  readonly stress: Stress;
  /** Asks for cycles without waiting for them. */
  readonly requests: CycleRequests;
  readonly #kit: KitTypes;
  readonly #tables: Tables;
  readonly #cards: Uint8Array;
  readonly #names = new Map<number, string>();

  private constructor(embedder: AnyEmbedder, heap: Heap, runtime: unknown, kit: KitTypes, stress: Stress) {
    this.embedder = embedder;
    this.heap = heap;
    this.runtime = runtime;
    this.m = embedder.mutator(runtime);
    this.stress = stress;
    this.#kit = kit;
    this.#tables = new Tables(heap.memory, heap.share().arena.geometry);
    this.view = new HeapView(this.#tables);
    const { cards, managedBytes } = this.#tables.geometry;
    // Whether the collector still lives, nobody asks: its death is the end of this process.
    const host = { tid: 0, currentCpu: () => 0, assertCollectorAlive: () => {} };
    this.requests = new CycleRequests(this.#tables.control, host);
    this.#cards = this.#tables.bytes(cards, managedBytes >>> CARD_LOG2);
  }

  /** @param options on top of the embedder's. @param moving all objects move in every collection. */
  static async create(embedder: AnyEmbedder, options: HeapOptions, moving = false): Promise<Rig> {
    const heap = await createHeap({ ...embedder.heap, ...BASE_OPTIONS, ...options });
    const kit = {
      weak: heap.defineWeakRecord('conformance.Weak'),
      bytes: heap.defineArray('conformance.Bytes', 'u8'),
    };
    const stress = new Stress(heap);
    if (moving) stress.placeSpacer(heap.attach({ name: 'conformance kit' }), kit.bytes);
    const rig = new Rig(embedder, heap, embedder.attach(heap, embedder.define(heap)), kit, stress);
    // One object of each type, for its name: what an operation returns is known by it.
    rig.m.run(() => {
      for (const type of embedder.types) rig.allocate(type, lengthsOf(type)[0]!);
    });
    return rig;
  }

  type(name: string): AnyType {
    const type = this.embedder.types.find((one) => one.name === name);
    if (type === undefined) throw new Error(`the description has no type ${name}`);
    return type;
  }

  /** Collects now, and moves everything where the rig does so. References in variables are stale afterwards. */
  collect(): void {
    this.stress.collect(this.m);
  }

  /** Lets a collection begin beside the runtime, where the collector can do that; collects otherwise. */
  beginCollection(): void {
    if (this.heap.options.collector === 'concurrent') this.requests.suggest('collect');
    else this.collect();
  }

  /** Allocates an object of the runtime's, and remembers the name of its type. */
  allocate(type: AnyType, length: number): Ref {
    const ref = type.allocate(this.runtime, length);
    this.#names.set(this.typeId(ref), type.name);
    return ref;
  }

  typeId(ref: number): number {
    return this.view.words[ref >>> 2]! & TYPE_ID_MASK;
  }

  /** What the kit calls the type of the object at an address. */
  nameOf(ref: number): string {
    const id = this.typeId(ref);
    return this.#names.get(id) ?? `with the id ${id}`;
  }

  /** The collector's idea of an object. @throws TospaceError ERR_VERIFY when there is none. */
  shape(ref: Ref): ObjectShape {
    return this.view.shape(ref, 0, this.#tables.control[CTL_CURSOR]!, () => 'the runtime');
  }

  /** Why there is no object at `ref`; undefined when there is one. */
  flaw(ref: Ref): string | undefined {
    try {
      this.shape(ref);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** A handle of a record that refers weakly to `ref`: says where the object went, and whether it died. */
  watch(ref: Ref): Persistent {
    const { m } = this;
    const target = m.persist(ref);
    const record = m.persist(m.allocate(this.#kit.weak));
    m.setWeak(record.get(), target.get());
    target.close();
    return record;
  }

  /** Where the watched object is now; null when it has died. */
  watched(record: Persistent): Ref {
    return this.m.getWeak(record.get());
  }

  /** An object of the kit's, of `bytes` bytes. */
  leaf(bytes = 16): Ref {
    return this.m.allocateArray(this.#kit.bytes, bytes - HEADER_BYTES);
  }

  /** Where the used part of the thread's allocation buffer begins, and where it ends. */
  get buffer(): { readonly start: number; readonly cursor: number } {
    const thread = this.#tables.threads[this.m.index]!;
    return { start: thread[T_BUFFER]!, cursor: thread[T_CURSOR]! };
  }

  /** Whether something was written behind the last object of the thread's allocation buffer, where all is zero. */
  spill(): Difference | undefined {
    const { start, cursor } = this.buffer;
    if (cursor === 0) return undefined;
    const end = Math.min(cursor + SPILL_BYTES, Math.ceil(cursor / PAGE_BYTES) * PAGE_BYTES);
    const words = this.view.words.subarray(cursor >>> 2, end >>> 2);
    const at = words.findIndex((word) => word !== 0);
    if (at < 0) return undefined;
    let last = start;
    for (
      let ref = start;
      ref < cursor;
      ref += this.view.shape(ref, 0, cursor, () => 'the allocation buffer').bytes
    )
      last = ref;
    return {
      mistake: 'lying-size',
      type: this.nameOf(last),
      what: `something was written at +${cursor + at * 4 - last} of the object allocated last, which has ${cursor - last} bytes`,
    };
  }

  /** The objects of the heap and of the non-moving space, in the order of their addresses. Before any collection only. */
  *objects(): Generator<{ ref: number; shape: ObjectShape }> {
    const { view } = this;
    const end = this.#tables.control[CTL_CURSOR]!;
    for (let ref = view.base; ref < end; ) {
      if (this.typeId(ref) === 0) {
        ref += 8;
        continue;
      }
      const shape = view.shape(ref, 0, end, () => 'an allocation buffer');
      yield { ref, shape };
      ref += shape.bytes;
    }
    for (const ref of view.nonMoving.objects())
      yield { ref, shape: view.shape(ref, 0, end, () => 'the non-moving space') };
  }

  /**
   * Runs `body`, and says which words of objects that existed before hold something else afterwards, and whether their cards were marked
   * meanwhile. In heaps that never collect.
   */
  changes(body: () => void): Change[] {
    const { view } = this;
    const before = [...this.objects()].map(({ ref, shape }) => ({
      ref,
      shape,
      words: view.words.slice(ref / 4, (ref + shape.bytes) / 4),
    }));
    this.#cards.fill(0);
    body();
    return before.flatMap(({ ref, shape, words }) => {
      const found: Change[] = [];
      for (let i = 0; i < words.length; i++) {
        const value = view.words[ref / 4 + i]!;
        if (value === words[i]) continue;
        const offset = i * 4;
        const mapped =
          shape.elements > 0
            ? offset >= HEADER_BYTES && offset < HEADER_BYTES + shape.elements * 4
            : shape.slots.includes(offset);
        const dirty = this.#cards[(ref + offset - view.base) >>> CARD_LOG2] === CARD_DIRTY;
        found.push({ object: ref, offset, value, mapped, dirty });
      }
      return found;
    });
  }

  /** Whether a word could be a reference: it names a place in one of the two spaces. */
  isReference(value: number): boolean {
    return value % 8 === 0 && (this.view.inHeap(value) || this.view.inNonMoving(value));
  }
}

/** The lengths to try of a type. */
export function lengthsOf(type: AnyType): readonly number[] {
  if (type.lengths === undefined) return [0];
  const [smallest, largest] = type.lengths;
  return [...new Set([smallest, Math.min(smallest + 1, largest), (smallest + largest) >>> 1, largest])];
}

export function slotName(type: AnyType, slot: number): string {
  return type.slotName?.(slot) ?? String(slot);
}
