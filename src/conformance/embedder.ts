// What the conformance kit must know of a runtime: its types, its roots, its operations, each as calls of the runtime's own code. After the
// traits that MMTk asks of a virtual machine, and Whippet's embedder API; here they are only driven and watched, never used to collect.
//
// Two rules hold for every call but those marked as safepoints: it must not allocate, collect or poll, so that the kit may hold references
// in variables meanwhile; and it is made inside `mutator.run`.

import type { Heap } from '../gc/heap.ts';
import type { HeapAccess } from '../gc/heap-access.ts';
import type { HeapOptions } from '../gc/options.ts';
import type { Mutator } from '../heap/mutator.ts';
import type { Ref } from '../heap/ref.ts';

/** One type of objects of a runtime. No function but `allocate` may be a safepoint. */
export interface ObjectType<Runtime> {
  /** What operands and reports call it. */
  readonly name: string;
  /** Of what has a length: the smallest and the largest length to try. Everything else has the length 0. */
  readonly lengths?: readonly [smallest: number, largest: number];
  /** Allocates one through the runtime's own code. A safepoint. */
  allocate(runtime: Runtime, length: number): Ref;
  /** How many bytes the runtime takes the object to have, header included; the collector rounds up to a multiple of 8. */
  bytes(runtime: Runtime, object: Ref): number;
  /** How many places for references an object of that length has. They are numbered from 0. */
  slots(length: number): number;
  /** What reports call such a place. Default: its number. */
  slotName?(slot: number): string;
  /** Reads a reference as the runtime does. */
  read(runtime: Runtime, object: Ref, slot: number): Ref;
  /** Stores a reference as the runtime does, into an object that may be old: with its write barrier. */
  write(runtime: Runtime, object: Ref, slot: number, value: Ref): void;
  /** What is in an object besides references. Leave it out where there is nothing. */
  readonly data?: {
    /** Fills all of it, to the last byte, with what depends on the seed alone (and on the length). */
    write(runtime: Runtime, object: Ref, seed: number): void;
    /** All of it as text, to be compared. */
    read(runtime: Runtime, object: Ref): string;
  };
}

/** Places outside objects in which a runtime keeps references over safepoints: registers, a stack, globals, a symbol table. */
export interface RootSet<Runtime> {
  readonly name: string;
  /** How many places there are. */
  slots(runtime: Runtime): number;
  /** What a place holds now, or null. Not a safepoint. */
  get(runtime: Runtime, slot: number): Ref;
  /**
   * Stores an object of any type (or of the type `holds`), or null. May be a safepoint. Leave it out where the runtime alone decides what
   * they hold.
   */
  set?(runtime: Runtime, slot: number, value: Ref): void;
  /** The only type that may be stored. */
  readonly holds?: string;
}

/** An object as the kit thinks of it: what a runtime's object must look like. */
export interface ModelObject {
  readonly type: string;
  readonly slots: (ModelObject | null)[];
  /** What `data.read` says of it; undefined is not compared. */
  data?: string | undefined;
}

/** Something that a runtime does with objects: `cons`, string concatenation, a call of a closure. */
export interface Operation<Runtime> {
  readonly name: string;
  /** The type of each operand; `any` is an object of any type, or null. */
  readonly operands: readonly string[];
  /**
   * False for operands that it cannot take, a circular list for instance; and for such that would keep it busy for long, because some heaps
   * collect at every allocation: some tens of allocations are enough. Default: it takes all.
   */
  accepts?(operands: readonly (ModelObject | null)[]): boolean;
  /** Does it. A safepoint: the operands are valid when the call begins, and what it returns must be when it ends. */
  run(runtime: Runtime, operands: readonly Ref[]): Ref;
  /** The same with models: changes the operands as the runtime must, and returns what it must return. */
  expect(operands: readonly (ModelObject | null)[]): ModelObject | null;
}

/** Options of a heap that are a runtime's to choose. All others make the heaps what the checks need, and are the kit's. */
export type EmbedderHeapOptions = Pick<
  HeapOptions,
  'persistentSlots' | 'largeObject' | 'typeMaps' | 'placement' | 'userfaultfd' | 'pausePriority' | 'log'
>;

/** A runtime, described for the conformance kit. */
export interface Embedder<Runtime = unknown, Types = unknown> {
  readonly name: string;
  /** `import.meta.url` of the module whose default export this is: checks run in processes of their own, which import it. */
  readonly module: string;
  /** Options of a heap that the runtime cannot do without. */
  readonly heap?: EmbedderHeapOptions;
  /** Registers the types, once for each heap. What it returns is given to `attach`. */
  define(heap: Heap): Types;
  /** Attaches the calling thread, and makes whatever the runtime begins with. */
  attach(heap: HeapAccess, types: Types): Runtime;
  /** The runtime's mutator: what `attach` got from `heap.attach()`. */
  mutator(runtime: Runtime): Mutator;
  /** What the runtime does in a loop that does not allocate. A safepoint. */
  safepoint(runtime: Runtime): void;
  readonly types: readonly ObjectType<Runtime>[];
  readonly roots: readonly RootSet<Runtime>[];
  readonly operations: readonly Operation<Runtime>[];
}
