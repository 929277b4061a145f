// What a WebAssembly guest needs in order to be a mutator: the shared memory, three addresses, and functions for what is rare.
// The contract is docs/guest-abi.md; the library for guests in AssemblyScript is src/guest/index.ts, and both read layout.ts.
//
// All imports come from one module whose name carries the version. A guest that was built for another contract does not
// link, which is better than any check that it would have to remember to make.

import { TospaceError } from '../errors.ts';
import {
  CARD_GROUP_LOG2,
  CARD_LOG2,
  CTL_POLL,
  HEADER_BYTES,
  KIND_ARRAY_BIT,
  KIND_NONE,
  KIND_RAW_ARRAY,
  KIND_REF_ARRAY,
  MAX_TYPES,
  T_STATE,
  THREAD_BYTES,
  TYPE_ENTRY_LOG2,
  TYPE_SIZE,
} from './layout.ts';
import type { Ref } from './ref.ts';
import type { Tables } from './tables.ts';
import type { HeapType } from './types.ts';
import type { WasmMemory } from './webassembly.ts';

/** Raised whenever a guest that was built before could do something wrong. */
export const GUEST_ABI_VERSION = 1;

/** The module that a guest imports everything but the memory from. */
export const GUEST_MODULE = 'tospace_v1';

// A type, not an interface: only types are assignable to the records that `new WebAssembly.Instance` takes.
/** What guests import from {@link GUEST_MODULE}. Sizes and references are 32-bit integers; 0 is the null reference. */
export type GuestImports = {
  /** Address of the thread's record, whose words docs/guest-abi.md lists. */
  readonly thread: number;
  /** Address of the word that is not 0 when the thread should call `safepointSlow`. */
  readonly poll: number;
  /** The card of the address `a` is the byte at `cards + (a >>> 7)`. */
  readonly cards: number;
  /** The card group of the address `a` is the byte at `cardGroups + (a >>> 13)`. */
  readonly cardGroups: number;

  /** Allocates, whatever it takes: a safepoint. `length` is 0 for a record. Throws what `mutator.allocate` throws. */
  readonly allocateSlow: (type: number, bytes: number, length: number) => number;
  /** As `allocateSlow`, but returns 0 where that throws ERR_OUT_OF_MEMORY. */
  readonly tryAllocateSlow: (type: number, bytes: number, length: number) => number;
  /** Allocates an object that never moves: a safepoint. */
  readonly allocatePinned: (type: number, bytes: number, length: number) => number;
  readonly safepointSlow: () => void;
  /** Runs a whole collection. */
  readonly collect: () => void;
  /** Throws ERR_HANDLE: the shadow stack has no room. */
  readonly shadowOverflow: () => void;

  readonly copyElements: (source: number, at: number, target: number, to: number, count: number) => void;
  readonly fillElements: (array: number, begin: number, end: number, value: number) => void;

  readonly getWeak: (record: number) => number;
  readonly setWeak: (record: number, referent: number) => void;
  readonly getKey: (ephemeron: number) => number;
  readonly getValue: (ephemeron: number) => number;
  readonly setEphemeron: (ephemeron: number, key: number, value: number) => void;
  readonly identityHash: (ref: number) => number;
  readonly guard: (object: number, queue: number) => void;
  readonly nextFinalizable: (queue: number) => number;

  /** For guests that check themselves. In a heap without `verify` they do nothing. */
  readonly checkRef: (ref: number) => void;
  readonly checkSlot: (ref: number, offset: number) => void;
  readonly checkRaw: (ref: number, offset: number, bytes: number) => void;
};

/** One thread's heap as its WebAssembly guests see it. */
export interface GuestAbi {
  readonly version: number;
  readonly memory: WasmMemory;
  readonly functions: GuestImports;
  /** For `new WebAssembly.Instance(module, { ...mutator.guest.imports, yours })`: `env.memory` and the module of functions. */
  readonly imports: {
    readonly env: { readonly memory: WasmMemory };
    readonly [GUEST_MODULE]: GuestImports;
  };
}

/** The operations that a guest shares with JavaScript: those of its mutator. */
export interface GuestMutator {
  safepoint(): void;
  collect(): void;
  asRef(address: number): Ref;
  assertReference(ref: Ref): void;
  assertSlot(ref: Ref, offset: number): void;
  assertRaw(ref: Ref, offset: number, bytes: number): void;
  assertRoots(): void;
  copyElements(source: Ref, at: number, target: Ref, to: number, count: number): void;
  fillElements(array: Ref, begin: number, end: number, value: Ref): void;
  getWeak(record: Ref): Ref;
  setWeak(record: Ref, referent: Ref): void;
  getKey(ephemeron: Ref): Ref;
  getValue(ephemeron: Ref): Ref;
  setEphemeron(ephemeron: Ref, key: Ref, value: Ref): void;
  identityHash(ref: Ref): number;
  guard(object: Ref, queue: number): void;
  nextFinalizable(queue: number): Ref;
}

/** The allocations behind a guest's, which get what the type table says. */
export interface GuestAllocation {
  allocate(type: number, bytes: number, length: number, kind: HeapType['kind'], throws: boolean): number;
  allocatePinned(type: number, bytes: number, length: number, kind: HeapType['kind']): number;
}

export interface GuestOptions {
  /** Index of the thread's record. */
  readonly thread: number;
  /** Let every poll of the guest call `safepointSlow`. */
  readonly everySafepoint: boolean;
}

const KIND_NAMES: Readonly<Record<number, HeapType['kind']>> = {
  [KIND_REF_ARRAY]: 'ref-array',
  [KIND_RAW_ARRAY]: 'raw-array',
};

export function guestAbi(
  tables: Tables,
  mutator: GuestMutator,
  allocation: GuestAllocation,
  { thread, everySafepoint }: GuestOptions,
): GuestAbi {
  const { memory, geometry } = tables;
  const types = tables.words(geometry.types, MAX_TYPES << (TYPE_ENTRY_LOG2 - 2));
  const record = geometry.threads + thread * THREAD_BYTES;

  /** What kind of type it is. @throws TospaceError ERR_TYPE when it is none, or the guest has another size in mind. */
  const check = (type: number, bytes: number, length: number): HeapType['kind'] => {
    const entry = type << (TYPE_ENTRY_LOG2 - 2);
    const kind = type > 0 && type < MAX_TYPES ? types[entry]! : KIND_NONE;
    if (kind === KIND_NONE) throw wrong(`there is no type ${type}`);
    const size = types[entry + (TYPE_SIZE >> 2)]!;
    const isArray = (kind & KIND_ARRAY_BIT) !== 0;
    // Not by a shift: what a guest computed in 32 bits may have overflowed.
    const right = isArray ? Math.ceil((HEADER_BYTES + length * 2 ** size) / 8) * 8 : size;
    if (length < 0 || right !== bytes) {
      throw wrong(
        `an object of type ${type}${isArray ? ` and length ${length}` : ''} does not take ${bytes} bytes`,
      );
    }
    return KIND_NAMES[kind] ?? 'record';
  };
  const allocate = (type: number, bytes: number, length: number, throws: boolean): number => {
    mutator.assertRoots();
    return allocation.allocate(type, bytes, length, check(type, bytes, length), throws);
  };

  // What a guest holds was read by the guest: nobody here saw it.
  const ref = (address: number): Ref => mutator.asRef(address);
  const functions: GuestImports = Object.freeze({
    thread: record,
    // Under verify and stress every poll counts: the thread's state is 1 while it runs.
    poll: everySafepoint ? record + T_STATE * 4 : geometry.control + CTL_POLL * 4,
    cards: geometry.cards - (geometry.heap >>> CARD_LOG2),
    cardGroups: geometry.cardGroups - (geometry.heap >>> (CARD_LOG2 + CARD_GROUP_LOG2)),
    allocateSlow: (type: number, bytes: number, length: number) => allocate(type, bytes, length, true),
    tryAllocateSlow: (type: number, bytes: number, length: number) => allocate(type, bytes, length, false),
    allocatePinned: (type: number, bytes: number, length: number) => {
      mutator.assertRoots();
      return allocation.allocatePinned(type, bytes, length, check(type, bytes, length));
    },
    safepointSlow: () => {
      mutator.assertRoots();
      mutator.safepoint();
    },
    collect: () => {
      mutator.assertRoots();
      mutator.collect();
    },
    shadowOverflow: () => {
      throw new TospaceError('ERR_HANDLE', "the guest's frames do not fit the shadow stack", {
        hint: 'Recurse less deeply, or keep references in a heap object instead of in frames.',
      });
    },
    copyElements: (source: number, at: number, target: number, to: number, count: number) =>
      mutator.copyElements(ref(source), at, ref(target), to, count),
    fillElements: (array: number, begin: number, end: number, value: number) =>
      mutator.fillElements(ref(array), begin, end, ref(value)),
    getWeak: (object: number) => mutator.getWeak(ref(object)),
    setWeak: (object: number, referent: number) => mutator.setWeak(ref(object), ref(referent)),
    getKey: (object: number) => mutator.getKey(ref(object)),
    getValue: (object: number) => mutator.getValue(ref(object)),
    setEphemeron: (object: number, key: number, value: number) =>
      mutator.setEphemeron(ref(object), ref(key), ref(value)),
    identityHash: (object: number) => mutator.identityHash(ref(object)),
    guard: (object: number, queue: number) => {
      mutator.assertRoots();
      mutator.guard(ref(object), queue);
    },
    nextFinalizable: (queue: number) => mutator.nextFinalizable(queue),
    checkRef: (object: number) => mutator.assertReference(ref(object)),
    checkSlot: (object: number, offset: number) => mutator.assertSlot(ref(object), offset),
    checkRaw: (object: number, offset: number, bytes: number) =>
      mutator.assertRaw(ref(object), offset, bytes),
  });
  return Object.freeze({
    version: GUEST_ABI_VERSION,
    memory,
    functions,
    imports: Object.freeze({
      env: Object.freeze({ memory }),
      [GUEST_MODULE]: functions,
    }),
  });
}

function wrong(what: string): TospaceError {
  return new TospaceError('ERR_TYPE', what, {
    hint: 'The sizes that a guest is compiled with must be those of the types that its host has defined.',
  });
}
