// The heap for a guest that is written in AssemblyScript: `import { allocate, getRef, setRef, enter, leave, poll } from 'tospace/guest'`.
// What each function does to memory is the contract of docs/guest-abi.md, version 1; this is that contract, spelled out once. Everything
// here but the imports is inlined where it is used.
//
// A reference in a variable is stale after a safepoint, and allocate, allocateArray, poll and collect are safepoints. What must live
// longer goes into a frame. A guest must have no data of its own in the memory: no strings, no arrays, no objects of AssemblyScript.
//
// Built without --noAssert, a guest asks its host to check every access; in a heap with `verify` that finds a stale reference, an offset
// of another type or a null where it is used. Built with it, nothing is left of the checks.

import {
  CARD_DIRTY,
  CARD_GROUP_LOG2,
  CARD_LOG2,
  GROUP_DIRTY,
  HEADER_BYTES,
  T_CURSOR,
  T_LIMIT,
  T_SHADOW_LIMIT,
  T_SHADOW_TOP,
  TYPE_ID_MASK,
} from '../heap/layout';

/** Address of an object's first byte. */
export type Ref = u32;
/** Address of the first slot of a frame. */
export type Frame = usize;

export const NULL: Ref = 0;

// ---------------------------------------------------------------------------------------------------------------------------
// What the host lends

@external('tospace_v1', 'thread')
declare const THREAD: usize;
@external('tospace_v1', 'poll')
declare const POLL: usize;
@external('tospace_v1', 'cards')
declare const CARDS: usize;
@external('tospace_v1', 'cardGroups')
declare const CARD_GROUPS: usize;

@external('tospace_v1', 'allocateSlow')
declare function allocateSlow(type: u32, bytes: u32, length: u32): Ref;
@external('tospace_v1', 'tryAllocateSlow')
declare function tryAllocateSlow(type: u32, bytes: u32, length: u32): Ref;
@external('tospace_v1', 'safepointSlow')
declare function safepointSlow(): void;
@external('tospace_v1', 'shadowOverflow')
declare function shadowOverflow(): void;
@external('tospace_v1', 'checkRef')
declare function checkRef(ref: Ref): void;
@external('tospace_v1', 'checkSlot')
declare function checkSlot(ref: Ref, offset: u32): void;
@external('tospace_v1', 'checkRaw')
declare function checkRaw(ref: Ref, offset: u32, bytes: u32): void;

/** Allocates an object that never moves. A safepoint. */
@external('tospace_v1', 'allocatePinned')
export declare function allocatePinned(type: u32, bytes: u32, length: u32): Ref;
/** Runs a whole collection. A safepoint. */
@external('tospace_v1', 'collect')
export declare function collect(): void;

/** Copies references between arrays, as if through a buffer, with the write barrier. */
@external('tospace_v1', 'copyElements')
export declare function copyElements(source: Ref, at: u32, target: Ref, to: u32, count: u32): void;
/** Stores `value` into the elements [begin, end), with the write barrier. */
@external('tospace_v1', 'fillElements')
export declare function fillElements(array: Ref, begin: u32, end: u32, value: Ref): void;

// Weak references, ephemerons, finalization: as the mutator's operations of the same names. `guard` is a safepoint.
@external('tospace_v1', 'getWeak')
export declare function getWeak(record: Ref): Ref;
@external('tospace_v1', 'setWeak')
export declare function setWeak(record: Ref, referent: Ref): void;
@external('tospace_v1', 'getKey')
export declare function getKey(ephemeron: Ref): Ref;
@external('tospace_v1', 'getValue')
export declare function getValue(ephemeron: Ref): Ref;
@external('tospace_v1', 'setEphemeron')
export declare function setEphemeron(ephemeron: Ref, key: Ref, value: Ref): void;
@external('tospace_v1', 'identityHash')
export declare function identityHash(ref: Ref): u32;
@external('tospace_v1', 'guard')
export declare function guard(object: Ref, queue: u32): void;
@external('tospace_v1', 'nextFinalizable')
export declare function nextFinalizable(queue: u32): Ref;

// ---------------------------------------------------------------------------------------------------------------------------
// Safepoints

/** A point at which objects may move. Loops that do not allocate need one every few microseconds. */
@inline
export function poll(): void {
  // Atomic, so that no compiler takes the load out of a loop.
  if (atomic.load<u32>(POLL) != 0) safepointSlow();
}

// ---------------------------------------------------------------------------------------------------------------------------
// Allocation

/** Allocates a record of `bytes`, all fields 0. A safepoint. */
@inline
export function allocate(type: u32, bytes: u32): Ref {
  const ref: Ref = load<u32>(THREAD, T_CURSOR << 2);
  const next = ref + bytes;
  if (next > load<u32>(THREAD, T_LIMIT << 2)) return allocateSlow(type, bytes, 0);
  store<u32>(THREAD, next, T_CURSOR << 2);
  store<u32>(ref, type);
  return ref;
}

/** As allocate, but NULL when there is no room. */
@inline
export function tryAllocate(type: u32, bytes: u32): Ref {
  if (load<u32>(THREAD, T_CURSOR << 2) + bytes > load<u32>(THREAD, T_LIMIT << 2))
    return tryAllocateSlow(type, bytes, 0);
  return allocate(type, bytes);
}

/** Longer arrays do not fit a buffer, and their size might not fit 32 bits. */
@inline
const FAST_LENGTH_MAX: u32 = 65536;

/** Bytes of an array, header included. */
@inline
export function arrayBytes(length: u32, elementLog2: u32): u32 {
  return (HEADER_BYTES + 7 + (length << elementLog2)) & ~7;
}

/** Allocates an array of `length` elements of 1 << `elementLog2` bytes, all 0; references have 4 bytes. A safepoint. */
@inline
export function allocateArray(type: u32, length: u32, elementLog2: u32): Ref {
  const bytes = arrayBytes(length, elementLog2);
  const ref: Ref = load<u32>(THREAD, T_CURSOR << 2);
  const next = ref + bytes;
  // A size that overflowed is refused by the slow path, which knows better.
  if (length > FAST_LENGTH_MAX || next > load<u32>(THREAD, T_LIMIT << 2)) return allocateSlow(type, bytes, length);
  store<u32>(THREAD, next, T_CURSOR << 2);
  store<u32>(ref, type);
  store<u32>(ref, length, 4);
  return ref;
}

// ---------------------------------------------------------------------------------------------------------------------------
// Fields. `offset` counts bytes from the object's first. Raw data is read by `load` and `store`, or by getField and setField.

/** Type id of an object. */
@inline
export function typeId(ref: Ref): u32 {
  if (!ASC_NO_ASSERT) checkRef(ref);
  return load<u32>(ref) & TYPE_ID_MASK;
}

/** Number of elements of an array. */
@inline
export function length(array: Ref): u32 {
  if (!ASC_NO_ASSERT) checkRef(array);
  return load<u32>(array, 4);
}

@inline
export function getField<T>(ref: Ref, offset: u32): T {
  if (!ASC_NO_ASSERT) checkRaw(ref, offset, sizeof<T>());
  return load<T>(ref + offset);
}

@inline
export function setField<T>(ref: Ref, offset: u32, value: T): void {
  if (!ASC_NO_ASSERT) checkRaw(ref, offset, sizeof<T>());
  store<T>(ref + offset, value);
}

@inline
export function getRef(ref: Ref, offset: u32): Ref {
  if (!ASC_NO_ASSERT) checkSlot(ref, offset);
  return load<u32>(ref + offset);
}

/**
 * The write barrier, after the store of a reference at `address`. Every such store needs it, also one of null and one into a new object:
 * between the two must be no call, no loop and no safepoint.
 */
@inline
export function barrier(address: u32): void {
  store<u8>(CARDS + (address >>> CARD_LOG2), CARD_DIRTY);
  const group = CARD_GROUPS + (address >>> (CARD_LOG2 + CARD_GROUP_LOG2));
  if (load<u8>(group) != GROUP_DIRTY) store<u8>(group, GROUP_DIRTY);
}

/** Stores a reference, with the write barrier. */
@inline
export function setRef(ref: Ref, offset: u32, value: Ref): void {
  if (!ASC_NO_ASSERT) {
    checkSlot(ref, offset);
    checkRef(value);
  }
  const address = ref + offset;
  store<u32>(address, value);
  barrier(address);
}

/** Offset of an element that is a reference. */
@inline
export function elementOffset(index: u32): u32 {
  return HEADER_BYTES + (index << 2);
}

@inline
export function getElement(array: Ref, index: u32): Ref {
  return getRef(array, elementOffset(index));
}

/** Stores a reference, with the write barrier. */
@inline
export function setElement(array: Ref, index: u32, value: Ref): void {
  setRef(array, elementOffset(index), value);
}

// ---------------------------------------------------------------------------------------------------------------------------
// Atomic operations on fields that hold references, sequentially consistent. AssemblyScript's `atomic` does the others.

@inline
export function atomicLoadRef(ref: Ref, offset: u32): Ref {
  if (!ASC_NO_ASSERT) checkSlot(ref, offset);
  return atomic.load<u32>(ref + offset);
}

@inline
export function atomicStoreRef(ref: Ref, offset: u32, value: Ref): void {
  if (!ASC_NO_ASSERT) {
    checkSlot(ref, offset);
    checkRef(value);
  }
  const address = ref + offset;
  atomic.store<u32>(address, value);
  barrier(address);
}

/** Returns the reference that was there. */
@inline
export function exchangeRef(ref: Ref, offset: u32, value: Ref): Ref {
  if (!ASC_NO_ASSERT) {
    checkSlot(ref, offset);
    checkRef(value);
  }
  const address = ref + offset;
  const old = atomic.xchg<u32>(address, value);
  barrier(address);
  return old;
}

/** Stores `value` if the field holds `expected`. Returns what the field held. */
@inline
export function compareExchangeRef(ref: Ref, offset: u32, expected: Ref, value: Ref): Ref {
  if (!ASC_NO_ASSERT) {
    checkSlot(ref, offset);
    checkRef(expected);
    checkRef(value);
  }
  const address = ref + offset;
  const old = atomic.cmpxchg<u32>(address, expected, value);
  // What stored nothing hid nothing from the marker.
  if (old == expected) barrier(address);
  return old;
}

// ---------------------------------------------------------------------------------------------------------------------------
// Roots: frames of slots on the thread's shadow stack. A slot is a root from `enter` to `leave`; a collection rewrites it.

/** Makes room for `slots` roots, all null. Every way out of the function must pass `leave`; an exception must not return into it. */
@inline
export function enter(slots: u32): Frame {
  const frame = load<usize>(THREAD, T_SHADOW_TOP << 2);
  const top = frame + (slots << 2);
  if (top > load<usize>(THREAD, T_SHADOW_LIMIT << 2)) shadowOverflow();
  // Slots are a constant as a rule, and these are then some stores.
  if (slots > 0) store<u32>(frame, 0, 0);
  if (slots > 1) store<u32>(frame, 0, 4);
  if (slots > 2) store<u32>(frame, 0, 8);
  if (slots > 3) store<u32>(frame, 0, 12);
  if (slots > 4) memory.fill(frame + 16, 0, (slots - 4) << 2);
  // Last: slots below the top are roots.
  store<usize>(THREAD, top, T_SHADOW_TOP << 2);
  return frame;
}

/** Releases the frame, and all that were entered after it. */
@inline
export function leave(frame: Frame): void {
  store<usize>(THREAD, frame, T_SHADOW_TOP << 2);
}

/** The root in slot `index` of a frame. */
@inline
export function root(frame: Frame, index: u32): Ref {
  return load<u32>(frame + (index << 2));
}

@inline
export function setRoot(frame: Frame, index: u32, ref: Ref): void {
  if (!ASC_NO_ASSERT) checkRef(ref);
  store<u32>(frame + (index << 2), ref);
}
