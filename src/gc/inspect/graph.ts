// A heap's graph as a program sees it: objects, references, who retains what, and the paths that keep an object alive.

import type { Writable } from 'node:stream';
import { TospaceError } from '../../errors.ts';
import { KIND_EPHEMERON, KIND_RAW_ARRAY, KIND_REF_ARRAY, KIND_WEAK } from '../../heap/layout.ts';
import type { Persistent } from '../../heap/persistent.ts';
import {
  EDGE_EPHEMERON,
  EDGE_KIND_SHIFT,
  EDGE_WHERE_MASK,
  edgeName,
  firstObject,
  type GraphColumns,
  nodeCount,
  ROOT_NODE,
  ROOTS_PERSISTENT,
  retains,
} from './columns.ts';
import { type Dominators, findDominators, type Referrers, referrersOf } from './dominators.ts';
import { writeSnapshot } from './snapshot-file.ts';

/** What a reference is called: `value`, `[17]`, or `+24` where a layout has no names. `weak`: it does not keep its target alive. */
export interface HeapReference {
  readonly name: string;
  readonly kind: 'strong' | 'weak' | 'ephemeron';
  readonly target: HeapObject;
}

/** How many objects of a type there are, and their bytes. */
export interface TypeUsage {
  readonly type: string;
  readonly count: number;
  readonly bytes: number;
}

/** A group of roots: the shadow stack of a thread, say. */
export interface HeapRoots {
  readonly name: string;
  /** Bytes that would be freed if these roots, and no others, were gone. */
  readonly retainedBytes: number;
  references(): Iterable<HeapReference>;
}

/** A way from a root to an object. As a string: `thread "main" shadow stack[3] → Cache.table → Table[17] → Entry`. */
export interface RootPath {
  readonly root: string;
  /** From the object that the root refers to, to the one that was asked for. */
  readonly objects: readonly HeapObject[];
  toString(): string;
}

/** An object in a graph: what it was when the snapshot was taken. */
export interface HeapObject {
  /**
   * Its address when the snapshot was taken. Later it may lie anywhere else, unless `isPinned`: use it inside `whileStopped`, or to compare
   * it within this graph. A number, and no reference: none is valid for so long.
   */
  readonly address: number;
  readonly type: string;
  readonly typeId: number;
  readonly kind: 'record' | 'weak record' | 'ephemeron' | 'array of references' | 'raw array';
  /** Its own bytes, header included. */
  readonly bytes: number;
  /** Bytes that would be freed with it. The first question of this kind computes the answers for all objects. */
  readonly retainedBytes: number;
  /** Elements of an array; undefined for a record. */
  readonly length: number | undefined;
  /** The 16 spare bits of its header: the identity hash, 0 if nobody asked for it, or what the embedder keeps there. */
  readonly identityHash: number;
  readonly isPinned: boolean;
  /** The object without which it would be freed, and that is nearest to it; undefined when only roots are on all its paths. */
  readonly dominator: HeapObject | undefined;
  /** Its references that are not null; weak ones as far as their objects are alive. */
  references(): Iterable<HeapReference>;
}

export class HeapGraph {
  readonly #columns: GraphColumns;
  readonly #access: GraphAccess;
  #referrersCache: Referrers | undefined;
  #dominatorsCache: Dominators | undefined;
  /** For each node the edge over which a shortest path comes, plus 1, and the node it comes from. */
  #shortestCache: { readonly edge: Uint32Array; readonly from: Uint32Array } | undefined;

  /** @internal Use `heap.snapshot()`. */
  constructor(columns: GraphColumns) {
    this.#columns = columns;
    this.#access = {
      columns,
      dominators: () => this.#dominators,
      object: (node) => this.#object(node),
      references: (node) => this.#references(node),
    };
  }

  /** Objects that were reachable. */
  get objectCount(): number {
    return nodeCount(this.#columns) - firstObject(this.#columns);
  }

  /** References between them, those of roots included. */
  get referenceCount(): number {
    return this.#columns.target.length - this.#columns.groups.length;
  }

  /** Bytes of all objects. */
  get totalBytes(): number {
    const { bytes } = this.#columns;
    let sum = 0;
    for (let i = 0; i < bytes.length; i++) sum += bytes[i]!;
    return sum;
  }

  /** The objects, by address. One short-lived JavaScript object for each. */
  *objects(): Generator<HeapObject> {
    for (let node = firstObject(this.#columns); node < nodeCount(this.#columns); node++)
      yield this.#object(node);
  }

  /** The groups of roots. */
  *roots(): Generator<HeapRoots> {
    for (const [i, { name }] of this.#columns.groups.entries()) {
      const graph = this;
      yield {
        name,
        get retainedBytes(): number {
          return graph.#dominators.retainedBytes[i + 1]!;
        },
        references: () => graph.#references(i + 1),
      };
    }
  }

  /** Objects and bytes of each type, those with the most bytes first. */
  histogram(): TypeUsage[] {
    const { typeOf, bytes, types } = this.#columns;
    const usage = new Map<number, { type: string; count: number; bytes: number }>();
    for (let node = firstObject(this.#columns); node < typeOf.length; node++) {
      const id = typeOf[node]!;
      let of = usage.get(id);
      if (of === undefined) {
        of = { type: types[id]!.name, count: 0, bytes: 0 };
        usage.set(id, of);
      }
      of.count++;
      of.bytes += bytes[node]!;
    }
    return [...usage.values()].sort((a, b) => b.bytes - a.bytes || (a.type < b.type ? -1 : 1));
  }

  /** The object that lay at this address when the snapshot was taken, if one did and was reachable. */
  objectAt(address: number): HeapObject | undefined {
    const { address: all } = this.#columns;
    let low = firstObject(this.#columns);
    let high = all.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (all[middle] === address) return this.#object(middle);
      if (all[middle]! < address) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** What a persistent handle referred to when the snapshot was taken. @throws TospaceError ERR_HANDLE when the handle is closed. */
  objectOf(handle: Persistent): HeapObject | undefined {
    const { slot } = handle.share();
    const { groups, firstEdge, label, target } = this.#columns;
    for (const [i, { kind }] of groups.entries()) {
      if (kind !== ROOTS_PERSISTENT) continue;
      for (let edge = firstEdge[i + 1]!; edge < firstEdge[i + 2]!; edge++)
        if ((label[edge]! & EDGE_WHERE_MASK) === slot) return this.#object(target[edge]!);
    }
    return undefined;
  }

  /** Objects that retain the most bytes, at most `limit` of them. */
  largestRetainers(limit = 20): HeapObject[] {
    const { retainedBytes } = this.#dominators;
    const nodes = new Uint32Array(this.objectCount);
    const first = firstObject(this.#columns);
    for (let i = 0; i < nodes.length; i++) nodes[i] = first + i;
    nodes.sort((a, b) => retainedBytes[b]! - retainedBytes[a]! || a - b);
    return [...nodes.subarray(0, limit)].map((node) => this.#object(node));
  }

  /**
   * What keeps an object alive. Of one object, or the address it had: a shortest path from a root, then, over each other object or root
   * that refers to it, a shortest one, shorter ones first. Of all objects for which a function is true: a shortest path for each.
   * @param limit the most paths.
   */
  pathsToRoots(target: HeapObject | number | ((object: HeapObject) => boolean), limit = 10): RootPath[] {
    if (typeof target === 'function') {
      const paths: RootPath[] = [];
      for (const object of this.objects()) {
        if (paths.length >= limit) break;
        if (target(object)) paths.push(this.#path(this.#nodeOf(object), undefined));
      }
      return paths;
    }
    const object = typeof target === 'number' ? this.objectAt(target) : target;
    if (object === undefined) return [];
    const node = this.#nodeOf(object);
    const { first, from } = this.#referrers;
    const referrers = new Set(from.subarray(first[node]!, first[node + 1]!));
    const shortest = this.#shortest.from[node]!;
    referrers.delete(shortest);
    const others: { by: number; steps: number }[] = [];
    for (const by of referrers) {
      const steps = this.#stepsAvoiding(by, node);
      if (steps !== undefined) others.push({ by, steps });
    }
    others.sort((a, b) => a.steps - b.steps || a.by - b.by);
    return [shortest, ...others.map(({ by }) => by)].slice(0, limit).map((by) => this.#path(node, by));
  }

  /**
   * Writes the graph in the format of V8's heap snapshots, which the Memory panel of Chrome DevTools loads.
   * @param to path of a file, by custom `….heapsnapshot`, or a stream, which is ended. A file that cannot be written whole is removed.
   * @throws TospaceError ERR_PERMISSION, ERR_OUT_OF_MEMORY (no room on the disk) or ERR_SYSCALL, with the system call; or the stream's error.
   */
  writeHeapSnapshot(to: string | Writable): Promise<void> {
    return writeSnapshot(this.#columns, to);
  }

  get #referrers(): Referrers {
    this.#referrersCache ??= referrersOf(this.#columns);
    return this.#referrersCache;
  }

  get #dominators(): Dominators {
    this.#dominatorsCache ??= findDominators(this.#columns, this.#referrers);
    return this.#dominatorsCache;
  }

  /** Breadth first from the roots. */
  get #shortest(): { readonly edge: Uint32Array; readonly from: Uint32Array } {
    if (this.#shortestCache !== undefined) return this.#shortestCache;
    const { firstEdge, target, label } = this.#columns;
    const nodes = nodeCount(this.#columns);
    const via = new Uint32Array(nodes);
    const from = new Uint32Array(nodes);
    const queue = new Uint32Array(nodes);
    let length = 1;
    for (let i = 0; i < length; i++) {
      const node = queue[i]!;
      for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
        const to = target[edge]!;
        if (via[to] !== 0 || to === ROOT_NODE || !retains(label[edge]!)) continue;
        via[to] = edge + 1;
        from[to] = node;
        queue[length++] = to;
      }
    }
    this.#shortestCache = { edge: via, from };
    return this.#shortestCache;
  }

  /** Steps of the shortest path to `node`; undefined when it leads through `avoided`. */
  #stepsAvoiding(node: number, avoided: number): number | undefined {
    let steps = 0;
    for (let at = node; at !== ROOT_NODE; at = this.#shortest.from[at]!) {
      if (at === avoided) return undefined;
      steps++;
    }
    return steps;
  }

  /** The shortest path to `node`, or the shortest whose last reference is one of `by`. */
  #path(node: number, by: number | undefined): RootPath {
    const { firstEdge, target, label, groups } = this.#columns;
    const shortest = this.#shortest;
    const edges: number[] = [];
    const nodes: number[] = [node];
    let at = node;
    if (by !== undefined) {
      let edge = firstEdge[by]!;
      while (target[edge] !== node || !retains(label[edge]!)) edge++;
      edges.push(edge);
      nodes.push(by);
      at = by;
    }
    while (at > groups.length) {
      edges.push(shortest.edge[at]! - 1);
      at = shortest.from[at]!;
      nodes.push(at);
    }
    nodes.reverse();
    edges.reverse();
    const objects = nodes.slice(1).map((each) => this.#object(each));
    const root = `${groups[nodes[0]! - 1]!.name}${this.#nameOf(nodes[0]!, edges[0]!)}`;
    const step = ({ type }: HeapObject, i: number): string => {
      const edge = edges[i + 1];
      if (edge === undefined) return type;
      const name = this.#nameOf(nodes[i + 1]!, edge);
      if (label[edge]! >>> EDGE_KIND_SHIFT === EDGE_EPHEMERON) return `${type} (key) → ${name}`;
      return /^[[+]/.test(name) ? `${type}${name}` : `${type}.${name}`;
    };
    return { root, objects, toString: () => [root, ...objects.map(step)].join(' → ') };
  }

  /** What the reference is called in its object. */
  #nameOf(from: number, edge: number): string {
    return edgeName(this.#columns, from, this.#columns.label[edge]!);
  }

  #nodeOf(object: HeapObject): number {
    if (object instanceof ObjectInGraph && object.isOf(this.#access)) return object.node;
    throw new TospaceError('ERR_OPTION', 'the object belongs to another graph', {
      hint: 'Ask the graph that the object was taken from.',
    });
  }

  #object(node: number): HeapObject {
    return new ObjectInGraph(this.#access, node);
  }

  *#references(node: number): Generator<HeapReference> {
    const { firstEdge, target, label } = this.#columns;
    for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
      const kind = (['strong', 'weak', 'ephemeron'] as const)[label[edge]! >>> EDGE_KIND_SHIFT]!;
      yield { name: this.#nameOf(node, edge), kind, target: this.#object(target[edge]!) };
    }
  }
}

/** What an object needs of its graph; one for all of them. */
interface GraphAccess {
  readonly columns: GraphColumns;
  dominators(): Dominators;
  object(node: number): HeapObject;
  references(node: number): Iterable<HeapReference>;
}

class ObjectInGraph implements HeapObject {
  readonly node: number;
  readonly #graph: GraphAccess;

  constructor(graph: GraphAccess, node: number) {
    this.#graph = graph;
    this.node = node;
  }

  isOf(graph: GraphAccess): boolean {
    return this.#graph === graph;
  }

  get #columns(): GraphColumns {
    return this.#graph.columns;
  }

  references(): Iterable<HeapReference> {
    return this.#graph.references(this.node);
  }

  get address(): number {
    return this.#columns.address[this.node]!;
  }
  get typeId(): number {
    return this.#columns.typeOf[this.node]!;
  }
  get type(): string {
    return this.#columns.types[this.typeId]!.name;
  }
  get kind(): HeapObject['kind'] {
    switch (this.#columns.types[this.typeId]!.kind) {
      case KIND_REF_ARRAY:
        return 'array of references';
      case KIND_RAW_ARRAY:
        return 'raw array';
      case KIND_EPHEMERON:
        return 'ephemeron';
      case KIND_WEAK:
        return 'weak record';
      default:
        return 'record';
    }
  }
  get bytes(): number {
    return this.#columns.bytes[this.node]!;
  }
  get length(): number | undefined {
    const { kind } = this.#columns.types[this.typeId]!;
    return kind === KIND_REF_ARRAY || kind === KIND_RAW_ARRAY ? this.#columns.length[this.node]! : undefined;
  }
  get identityHash(): number {
    return this.#columns.hash[this.node]!;
  }
  get isPinned(): boolean {
    return this.address >= this.#columns.nonMoving;
  }
  get retainedBytes(): number {
    return this.#graph.dominators().retainedBytes[this.node]!;
  }
  get dominator(): HeapObject | undefined {
    const above = this.#graph.dominators().dominator[this.node]!;
    return above < firstObject(this.#columns) ? undefined : this.#graph.object(above);
  }
}
