// The roots of a stopped heap, in groups.

import {
  CTL_PERSISTENT,
  CTL_REFERENCE_TABLE,
  FINALIZER_QUEUES,
  FREE_LINK,
  HEADER_BYTES,
  REFS_GUARDS,
  REFS_HEADS,
  T_NAME,
  T_SHADOW_BASE,
  T_SHADOW_TOP,
  T_TID,
} from '../../heap/layout.ts';
import type { Tables } from '../../heap/tables.ts';
import { readName } from '../../heap/thread-name.ts';
import {
  ROOTS_GUARDS,
  ROOTS_OWN,
  ROOTS_PERSISTENT,
  ROOTS_QUEUES,
  ROOTS_STACK,
  type RootGroup,
} from './columns.ts';

/** Owner words of persistent slots hold the owner, the index of its thread's record and 1, in these bits (heap/persistent.ts). */
const OWNER_MASK = 0xff;

/** Roots of one group: slots and what they refer to. */
export interface Roots {
  readonly group: RootGroup;
  /** Numbers for people: slots of the stack, persistent handles, queues. */
  readonly slots: readonly number[];
  readonly refs: readonly number[];
}

function threadName(tables: Tables, index: number): string {
  const thread = tables.threads[index]!;
  return `thread "${readName(thread, T_NAME) || thread[T_TID]}"`;
}

/** All roots that are not null. */
export function readRoots(tables: Tables): Roots[] {
  const found = new Map<string, { group: RootGroup; slots: number[]; refs: number[] }>();
  const add = (kind: number, thread: number, name: string, slot: number, ref: number): void => {
    // A thread that holds nothing has a group all the same: somebody looks for it there.
    if (ref === 0 && kind !== ROOTS_STACK) return;
    const key = `${kind}.${thread}`;
    let roots = found.get(key);
    if (roots === undefined) {
      roots = { group: { kind, thread, name }, slots: [], refs: [] };
      found.set(key, roots);
    }
    if (ref === 0) return;
    roots.slots.push(slot);
    roots.refs.push(ref);
  };
  for (const index of tables.attached()) {
    const thread = tables.threads[index]!;
    const base = thread[T_SHADOW_BASE]! >>> 0;
    const slots = tables.words(base, ((thread[T_SHADOW_TOP]! >>> 0) - base) >>> 2);
    add(ROOTS_STACK, index, `${threadName(tables, index)} shadow stack`, 0, 0);
    for (let i = 0; i < slots.length; i++) add(ROOTS_STACK, index, '', i, slots[i]! >>> 0);
  }
  const { control, geometry } = tables;
  const array = control[CTL_PERSISTENT]!;
  const slots = tables.words(array + HEADER_BYTES, tables.words(array, 2)[1]!);
  const owners = tables.words(geometry.persistentOwners, geometry.persistentSlots);
  for (let i = 0; i < slots.length; i++) {
    const ref = slots[i]! >>> 0;
    if (ref === 0 || ref >= FREE_LINK) continue;
    const owner = (owners[i]! & OWNER_MASK) - 1;
    const name = owner < 0 ? 'persistent handle' : `${threadName(tables, owner)} persistent handle`;
    add(ROOTS_PERSISTENT, owner, name, i, ref);
  }
  const references = tables.words(control[CTL_REFERENCE_TABLE]! >>> 0, REFS_HEADS + FINALIZER_QUEUES);
  add(ROOTS_GUARDS, -1, 'list of guards', 0, references[REFS_GUARDS]! >>> 0);
  for (let queue = 0; queue < FINALIZER_QUEUES; queue++)
    add(ROOTS_QUEUES, -1, 'queue of finalizable objects', queue, references[REFS_HEADS + queue]! >>> 0);
  // The array itself is memory of the heap; what its elements refer to hangs from the groups above.
  add(ROOTS_OWN, -1, 'tospace', 0, array);
  return [...found.values()];
}
