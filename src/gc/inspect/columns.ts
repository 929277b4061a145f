// A heap's graph as columns: numbers in typed arrays and no JavaScript object for an object of the heap.
//
//   node 0        the root above all roots
//   nodes 1..G    groups of roots: a thread's shadow stack, a thread's persistent handles, ...
//   nodes G+1..   objects, by address
//
// The edges of node i are those from firstEdge[i] to firstEdge[i + 1]. An edge is a target and a label, `kind << 30 | where`:
//
//   STRONG     where: word of the object in which the reference lies; slot of a group of roots; number of a group below node 0
//   WEAK       where: the same. Does not keep its target alive
//   EPHEMERON  where: node of the ephemeron. From a key to the value that lives as long as it does
//
// An ephemeron's value needs both, the key and the ephemeron, which no edge can say. As in V8's snapshots it hangs from the key, and the
// ephemeron's own two references are weak edges.

import { HEADER_BYTES, KIND_REF_ARRAY } from '../../heap/layout.ts';
import type { TypeText } from '../../heap/type-names.ts';

export const EDGE_STRONG = 0;
export const EDGE_WEAK = 1;
export const EDGE_EPHEMERON = 2;
export const EDGE_KIND_SHIFT = 30;
export const EDGE_WHERE_MASK: number = 2 ** 30 - 1;

export const ROOT_NODE = 0;

/** Bytes that a graph takes for each object and for each reference, everything that is computed from it on demand included. */
export const BYTES_PER_OBJECT = 84;
export const BYTES_PER_REFERENCE = 16;

/** Where roots lie. The numbers are those of groups in snapshot files (snapshot-file.ts). */
export const ROOTS_STACK = 0;
export const ROOTS_PERSISTENT = 1;
export const ROOTS_GUARDS = 2;
export const ROOTS_QUEUES = 3;
export const ROOTS_OWN = 4;

export interface RootGroup {
  /** ROOTS_… */
  readonly kind: number;
  /** Index of the thread's record, or -1. */
  readonly thread: number;
  readonly name: string;
}

export interface TypeInfo extends TypeText {
  readonly id: number;
  /** KIND_… of layout.ts. */
  readonly kind: number;
  /** Names of reference fields by byte offset. */
  readonly fieldAt: ReadonlyMap<number, string>;
}

export interface GraphColumns {
  readonly groups: readonly RootGroup[];
  /** By type id; those that occur. */
  readonly types: readonly (TypeInfo | undefined)[];
  // by node
  readonly typeOf: Uint16Array;
  readonly address: Uint32Array;
  readonly bytes: Uint32Array;
  /** The header's second word: an array's length. */
  readonly length: Uint32Array;
  /** The header's 16 spare bits: the identity hash, or what the embedder put there. */
  readonly hash: Uint16Array;
  /** One more than there are nodes. */
  readonly firstEdge: Uint32Array;
  // by edge
  readonly target: Uint32Array;
  readonly label: Uint32Array;
  /** Objects at or above this address never move. */
  readonly nonMoving: number;
  /** What ids of objects are counted from in a snapshot file. */
  readonly numbersFrom: number;
}

/** The first node that is an object. */
export function firstObject({ groups }: GraphColumns): number {
  return 1 + groups.length;
}

export function nodeCount({ typeOf }: GraphColumns): number {
  return typeOf.length;
}

/** True for an edge that keeps its target alive. */
export function retains(label: number): boolean {
  return label >>> EDGE_KIND_SHIFT !== EDGE_WEAK;
}

/** What a reference is called: a field, `[index]`, `+offset`; `value of <type>` for what an ephemeron holds. */
export function edgeName(columns: GraphColumns, from: number, label: number): string {
  const { groups, types, typeOf } = columns;
  const where = label & EDGE_WHERE_MASK;
  if (from <= groups.length) return groups[from - 1]!.kind === ROOTS_OWN ? '' : `[${where}]`;
  if (label >>> EDGE_KIND_SHIFT === EDGE_EPHEMERON) return `value of ${types[typeOf[where]!]!.name}`;
  const type = types[typeOf[from]!]!;
  if (type.kind === KIND_REF_ARRAY) return `[${where - HEADER_BYTES / 4}]`;
  return type.fieldAt.get(where * 4) ?? `+${where * 4}`;
}
