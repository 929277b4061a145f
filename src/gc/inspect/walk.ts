// The walk over a stopped heap: from the roots to columns (columns.ts).
//
// Only what is reachable is met, so garbage is in no graph and no collection is needed before. Strong references are followed, an
// ephemeron's value once ephemeron and key are reached. A weak reference to something that nothing else reaches is left out: its object is
// dead, whether or not a cycle has found that out.
//
//   trace    depth first, with a bitmap of its own: one bit for every 8 bytes of the space in use
//   number   objects get numbers by address: a prefix sum over the bitmap's words makes `address → number` one addition and a popcount
//   count    edges of each object, and their prefix sum
//   fill     the columns
//
// Nothing is allocated for an object but its place in typed arrays. The bitmap and its sums are a 32nd of the space in use; they, the stack
// and the columns together are bounded by `maxBytes`, and a graph that would be larger is refused before it is made.

import { TospaceError } from '../../errors.ts';
import {
  CTL_CURSOR,
  CTL_PERSISTENT,
  CTL_SNAPSHOT_NUMBERS,
  CTL_TYPE_COUNT,
  EPHEMERON_KEY,
  EPHEMERON_VALUE,
  GRANULE_BYTES,
  HEADER_BYTES,
  KIND_EPHEMERON,
  KIND_GUARD,
  KIND_NONE,
  KIND_RAW_ARRAY,
  KIND_REF_ARRAY,
  KIND_WEAK,
  TYPE_ID_MASK,
} from '../../heap/layout.ts';
import { NonMovingSpace } from '../../heap/non-moving.ts';
import type { Tables } from '../../heap/tables.ts';
import { readTypeText } from '../../heap/type-names.ts';
import { corrupt, hex } from '../verify/view.ts';
import {
  BYTES_PER_OBJECT,
  BYTES_PER_REFERENCE,
  EDGE_EPHEMERON,
  EDGE_KIND_SHIFT,
  EDGE_STRONG,
  EDGE_WEAK,
  EDGE_WHERE_MASK,
  type GraphColumns,
  ROOT_NODE,
  type TypeInfo,
} from './columns.ts';
import { type Roots, readRoots } from './roots.ts';
import { assertStillOpen } from './stopped-world.ts';
import { WaitingEphemerons } from './waiting-ephemerons.ts';

/** How an instance of a type is read. */
interface Shape extends TypeInfo {
  /** A record's bytes; log2 of an array's element. */
  readonly size: number;
  /** Words of a record in which references lie. */
  readonly strong: Uint32Array;
  readonly weak: Uint32Array;
}

/** Objects between two looks whether the heap is still open. */
const LOOK_EVERY = 65536;
const FIRST_STACK = 16384;
const NO_WORDS = new Uint32Array(0);

function popcount(bits: number): number {
  let n = bits - ((bits >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Reads the graph of a heap that stands still. @throws TospaceError ERR_OUT_OF_MEMORY, ERR_VERIFY when the heap is damaged. */
export function walkHeap(tables: Tables, maxBytes: number): GraphColumns {
  const walk = new HeapWalk(tables, maxBytes);
  walk.trace();
  return walk.columns();
}

class HeapWalk {
  readonly #tables: Tables;
  readonly #maxBytes: number;
  /** The whole memory. */
  readonly #words: Uint32Array<SharedArrayBuffer>;
  readonly #heap: number;
  readonly #cursor: number;
  readonly #nonMoving: number;
  readonly #nonMovingEnd: number;
  readonly #space: NonMovingSpace;
  readonly #shapes: Shape[] = [];
  readonly #roots: Roots[];
  readonly #persistent: number;
  // The bitmap covers the heap in use and then the non-moving space, without what lies between.
  readonly #bits: Uint32Array;
  readonly #heapBits: number;
  #stack = new Uint32Array(FIRST_STACK);
  #top = 0;
  #objects = 0;
  readonly #waiting = new WaitingEphemerons();

  constructor(tables: Tables, maxBytes: number) {
    const { geometry, control } = tables;
    this.#tables = tables;
    this.#maxBytes = maxBytes;
    this.#words = new Uint32Array(tables.buffer);
    this.#heap = geometry.heap;
    this.#cursor = control[CTL_CURSOR]!;
    this.#nonMoving = geometry.nonMoving;
    this.#nonMovingEnd = geometry.nonMoving + geometry.nonMovingBytes;
    this.#space = new NonMovingSpace(tables);
    this.#roots = readRoots(tables);
    this.#persistent = control[CTL_PERSISTENT]!;
    this.#heapBits = Math.ceil((this.#cursor - this.#heap) / GRANULE_BYTES / 32) * 32;
    const words = this.#heapBits / 32 + Math.ceil(geometry.nonMovingBytes / GRANULE_BYTES / 32);
    this.#assertRoom(words * 8);
    this.#bits = new Uint32Array(words);
  }

  #assertRoom(bytes: number): void {
    if (bytes <= this.#maxBytes) return;
    throw new TospaceError(
      'ERR_OUT_OF_MEMORY',
      `the graph of this heap takes some ${Math.ceil(bytes / 2 ** 20)} MiB, more than maxBytes`,
      { hint: 'Raise maxBytes of snapshot(), or look at the heap while it holds less.' },
    );
  }

  /** Place in the bitmap of the object at `ref`, which `holder` (0: a root) refers to. */
  #bit(ref: number, holder: number): number {
    if (ref % GRANULE_BYTES === 0) {
      if (ref >= this.#heap && ref < this.#cursor) return (ref - this.#heap) >>> 3;
      if (ref >= this.#nonMoving && ref < this.#nonMovingEnd)
        return this.#heapBits + ((ref - this.#nonMoving) >>> 3);
    }
    throw corrupt(`${holder === 0 ? 'a root' : `the object at ${hex(holder)}`} holds ${hex(ref)}, no object`);
  }

  #isReached(ref: number, holder: number): boolean {
    const bit = this.#bit(ref, holder);
    return ((this.#bits[bit >>> 5]! >>> (bit & 31)) & 1) === 1;
  }

  #reach(ref: number, holder: number): void {
    if (ref === 0) return;
    const bit = this.#bit(ref, holder);
    const mask = 1 << (bit & 31);
    const word = this.#bits[bit >>> 5]!;
    if ((word & mask) !== 0) return;
    this.#bits[bit >>> 5] = word | mask;
    if (++this.#objects % LOOK_EVERY === 0) {
      assertStillOpen(this.#tables.control);
      this.#assertRoom(this.#bits.length * 8 + this.#objects * BYTES_PER_OBJECT);
    }
    if (this.#top === this.#stack.length) {
      const larger = new Uint32Array(this.#top * 2);
      larger.set(this.#stack);
      this.#stack = larger;
    }
    this.#stack[this.#top++] = ref;
  }

  trace(): void {
    const words = this.#words;
    for (const { refs } of this.#roots) for (const ref of refs) this.#reach(ref, 0);
    while (this.#top > 0) {
      const ref = this.#stack[--this.#top]!;
      const shape = this.#shape(ref);
      const at = ref / 4;
      if (shape.kind === KIND_REF_ARRAY) {
        // What the handles refer to are roots, read as such: between them lie links.
        const end = ref === this.#persistent ? 0 : at + 2 + words[at + 1]!;
        for (let i = at + 2; i < end; i++) this.#reach(words[i]!, ref);
      } else {
        for (const slot of shape.strong) this.#reach(words[at + slot]!, ref);
        if (shape.kind === KIND_EPHEMERON) this.#reachValue(ref);
      }
      if (this.#waiting.size > 0) {
        for (let e = this.#waiting.take(ref); e !== 0; e = this.#waiting.take(ref))
          this.#reach(words[(e + EPHEMERON_VALUE) / 4]!, e);
      }
    }
    this.#stack = NO_WORDS;
  }

  #reachValue(ephemeron: number): void {
    const key = this.#words[(ephemeron + EPHEMERON_KEY) / 4]!;
    if (key === 0) return;
    if (this.#isReached(key, ephemeron))
      this.#reach(this.#words[(ephemeron + EPHEMERON_VALUE) / 4]!, ephemeron);
    else this.#waiting.add(key, ephemeron);
  }

  /** The shape of a reached object, which is checked to be one. */
  #shape(ref: number): Shape {
    const id = this.#words[ref / 4]! & TYPE_ID_MASK;
    const shape = this.#shapes[id] ?? this.#readShape(id, ref);
    const end = ref + this.#bytesOf(ref, shape);
    const limit =
      ref < this.#cursor ? this.#cursor : this.#space.isAllocated(ref) ? ref + this.#space.extent(ref) : 0;
    if (end > limit) throw corrupt(`the object at ${hex(ref)} (type ${id}) ends behind the space it has`);
    return shape;
  }

  #bytesOf(ref: number, shape: Shape): number {
    const length = this.#words[ref / 4 + 1]!;
    if (shape.kind === KIND_REF_ARRAY) return Math.ceil((HEADER_BYTES + length * 4) / 8) * 8;
    if (shape.kind === KIND_RAW_ARRAY) return Math.ceil((HEADER_BYTES + length * 2 ** shape.size) / 8) * 8;
    return shape.size;
  }

  #readShape(id: number, ref: number): Shape {
    const { geometry, control } = this.#tables;
    const [kind, size, map, mapWords] = this.#tables.words(geometry.types + id * 16, 4);
    if (id === 0 || id >= control[CTL_TYPE_COUNT]! || kind === KIND_NONE)
      throw corrupt(`there is no object at ${hex(ref)} (type ${id})`);
    const weakEnd =
      kind === KIND_EPHEMERON
        ? EPHEMERON_VALUE + 4
        : kind === KIND_WEAK || kind === KIND_GUARD
          ? HEADER_BYTES + 4
          : 0;
    const strong: number[] = [];
    const weak: number[] = [];
    const mapAt = (map! >>> 0) / 4;
    for (let i = 0; i < mapWords! * 64; i++) {
      if (((this.#words[mapAt + (i >>> 5)]! >>> (i & 31)) & 1) === 1)
        (i * 4 < weakEnd ? weak : strong).push(i);
    }
    const text = readTypeText(this.#tables, id) ?? { name: `type ${id}`, fields: {} };
    const shape: Shape = {
      id,
      kind: kind!,
      size: size!,
      strong: Uint32Array.from(strong),
      weak: Uint32Array.from(weak),
      ...text,
      fieldAt: new Map(Object.entries(text.fields).map(([name, at]) => [at, name])),
    };
    this.#shapes[id] = shape;
    return shape;
  }

  columns(): GraphColumns {
    const groups = this.#roots.map(({ group }) => group);
    const objects = 1 + groups.length;
    const nodes = objects + this.#objects;
    const bits = this.#bits;
    const words = this.#words;
    this.#assertRoom(bits.length * 8 + nodes * BYTES_PER_OBJECT);
    const below = new Uint32Array(bits.length);
    for (let i = 0, sum = objects; i < bits.length; i++) {
      below[i] = sum;
      sum += popcount(bits[i]!);
    }
    const nodeAt = (ref: number): number => {
      const bit = this.#bit(ref, 0);
      return below[bit >>> 5]! + popcount(bits[bit >>> 5]! & ((1 << (bit & 31)) - 1));
    };

    const typeOf = new Uint16Array(nodes);
    const address = new Uint32Array(nodes);
    const bytes = new Uint32Array(nodes);
    const length = new Uint32Array(nodes);
    const hash = new Uint16Array(nodes);
    for (let i = 0, node = objects; i < bits.length; i++) {
      for (let rest = bits[i]!; rest !== 0; rest &= rest - 1, node++) {
        const granule = i * 32 + 31 - Math.clz32(rest & -rest);
        const ref =
          granule < this.#heapBits
            ? this.#heap + granule * GRANULE_BYTES
            : this.#nonMoving + (granule - this.#heapBits) * GRANULE_BYTES;
        const header = words[ref / 4]!;
        typeOf[node] = header & TYPE_ID_MASK;
        hash[node] = header >>> 16;
        address[node] = ref;
        bytes[node] = this.#bytesOf(ref, this.#shapes[header & TYPE_ID_MASK]!);
        length[node] = words[ref / 4 + 1]!;
      }
    }

    // Twice over all edges: to count those of each node, and to write them down.
    const firstEdge = new Uint32Array(nodes + 1);
    const each = (edge: (from: number, kind: number, where: number, to: number) => void): void => {
      for (const [g, { slots, refs }] of this.#roots.entries()) {
        edge(ROOT_NODE, EDGE_STRONG, g, g + 1);
        for (let i = 0; i < refs.length; i++) edge(g + 1, EDGE_STRONG, slots[i]!, nodeAt(refs[i]!));
      }
      for (let node = objects; node < nodes; node++) {
        if (node % LOOK_EVERY === 0) assertStillOpen(this.#tables.control);
        const at = address[node]! / 4;
        const { kind, strong, weak } = this.#shapes[typeOf[node]!]!;
        if (kind === KIND_RAW_ARRAY || at * 4 === this.#persistent) continue;
        if (kind === KIND_REF_ARRAY) {
          const end = 2 + length[node]!;
          for (let i = 2; i < end; i++) {
            const ref = words[at + i]!;
            if (ref !== 0) edge(node, EDGE_STRONG, i, nodeAt(ref));
          }
          continue;
        }
        for (const slot of weak) {
          const ref = words[at + slot]!;
          if (ref !== 0 && this.#isReached(ref, at * 4)) edge(node, EDGE_WEAK, slot, nodeAt(ref));
        }
        for (const slot of strong) {
          const ref = words[at + slot]!;
          if (ref !== 0) edge(node, EDGE_STRONG, slot, nodeAt(ref));
        }
        if (kind === KIND_EPHEMERON) {
          const key = words[at + EPHEMERON_KEY / 4]!;
          const value = words[at + EPHEMERON_VALUE / 4]!;
          if (key !== 0 && value !== 0 && this.#isReached(key, at * 4))
            edge(nodeAt(key), EDGE_EPHEMERON, node, nodeAt(value));
        }
      }
    };
    each((from) => {
      firstEdge[from + 1]!++;
    });
    for (let i = 0; i < nodes; i++) firstEdge[i + 1]! += firstEdge[i]!;
    const edges = firstEdge[nodes]!;
    this.#assertRoom(bits.length * 8 + nodes * BYTES_PER_OBJECT + edges * BYTES_PER_REFERENCE);
    const target = new Uint32Array(edges);
    const label = new Uint32Array(edges);
    const next = firstEdge.slice(0, nodes);
    each((from, kind, where, to) => {
      const edge = next[from]!++;
      target[edge] = to;
      label[edge] = ((kind << EDGE_KIND_SHIFT) | (where & EDGE_WHERE_MASK)) >>> 0;
    });
    return {
      groups,
      types: this.#shapes,
      typeOf,
      address,
      bytes,
      length,
      hash,
      firstEdge,
      target,
      label,
      nonMoving: this.#nonMoving,
      numbersFrom: Atomics.add(this.#tables.control, CTL_SNAPSHOT_NUMBERS, nodes) >>> 0,
    };
  }
}
