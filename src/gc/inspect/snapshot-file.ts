// A graph in the format of V8's heap snapshots: one JSON object, whose `snapshot.meta` says what the numbers in `nodes` and `edges`
// mean. `nodes` has 7 numbers for a node, `edges` 3 for an edge, those of a node one behind the other in the order of the nodes; names
// are indexes of `strings`. The file is made in pieces of some 64 KiB, so that no string grows with the heap.
//
// What V8's root has below it, as DevTools expects it:
//
//   (root)  ─element→  (GC roots)  ─element→  every group of roots     hidden by DevTools from those who look for their own objects
//           ─shortcut→ every group of roots                            what distances and retained sizes are counted from
//
// Nodes: groups of roots and raw arrays are `native`, records and arrays of references `object`. Not `array` or `string`: DevTools puts
// all arrays into one class, and by their types is how we want to see them. Edges: a field is a `property`, an element and a root an `element`, a
// weak reference `weak`, and what a key retains through an ephemeron is `internal`.
//
// Ids say which objects of two snapshots are the same one. They have 32 bits:
//
//   1, 3                         the root, (GC roots)
//   0x10 + kind << 7 + thread    groups of roots: the same for a thread for as long as it is attached
//   0x2000_0000 + granule        pinned and large objects: by their place, for as long as they live (another may have it later)
//   0x4000_0000 + type, hash     objects with an identity hash: 14 bits of type id, 16 of hash. If several share both, none has such an id
//   0x8000_0000 + number         all others: numbers that no snapshot of this heap had before, so that two snapshots do not take different
//                                objects for the same. Wraps after 2^31 of them

import { open, realpath, unlink, writeFile } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { inspect } from 'node:util';
import { TospaceError } from '../../errors.ts';
import { GRANULE_LOG2, HEADER_BYTES, KIND_RAW_ARRAY, KIND_REF_ARRAY } from '../../heap/layout.ts';
import { syscallError } from '../../uffd/index.ts';
import {
  EDGE_EPHEMERON,
  EDGE_KIND_SHIFT,
  EDGE_WEAK,
  EDGE_WHERE_MASK,
  edgeName,
  firstObject,
  type GraphColumns,
  nodeCount,
} from './columns.ts';

const NODE_TYPES = [
  'hidden',
  'array',
  'string',
  'object',
  'code',
  'closure',
  'regexp',
  'number',
  'native',
  'synthetic',
  'concatenated string',
  'sliced string',
  'symbol',
  'bigint',
  'object shape',
] as const;
const EDGE_TYPES = ['context', 'element', 'property', 'internal', 'hidden', 'shortcut', 'weak'] as const;
const NODE_FIELDS = ['type', 'name', 'id', 'self_size', 'edge_count', 'trace_node_id', 'detachedness'];

const META = {
  node_fields: NODE_FIELDS,
  node_types: [NODE_TYPES, 'string', 'number', 'number', 'number', 'number', 'number'],
  edge_fields: ['type', 'name_or_index', 'to_node'],
  edge_types: [EDGE_TYPES, 'string_or_number', 'node'],
  trace_function_info_fields: ['function_id', 'name', 'script_name', 'script_id', 'line', 'column'],
  trace_node_fields: ['id', 'function_info_index', 'count', 'size', 'children'],
  sample_fields: ['timestamp_us', 'last_assigned_id'],
  location_fields: ['object_index', 'script_id', 'line', 'column'],
};

const NODE_OBJECT = NODE_TYPES.indexOf('object');
const NODE_NATIVE = NODE_TYPES.indexOf('native');
const NODE_SYNTHETIC = NODE_TYPES.indexOf('synthetic');
const ELEMENT = EDGE_TYPES.indexOf('element');
const PROPERTY = EDGE_TYPES.indexOf('property');
const INTERNAL = EDGE_TYPES.indexOf('internal');
const SHORTCUT = EDGE_TYPES.indexOf('shortcut');
const WEAK = EDGE_TYPES.indexOf('weak');

const ID_ROOT = 1;
const ID_GC_ROOTS = 3;
const ID_GROUPS = 0x10;
const ID_PINNED = 0x20000000;
const ID_HASHED = 0x40000000;
const ID_NUMBERED = 0x80000000;
const HASHED_TYPES = 1 << 14;

/** The file has a node more than the graph, (GC roots), behind the root. */
const EXTRA_NODES = 1;
const PIECE_CHARACTERS = 65536;

export async function writeSnapshot(columns: GraphColumns, to: string | Writable): Promise<void> {
  if (typeof to === 'string') {
    try {
      await writeWholeFile(columns, to);
    } catch (error) {
      throw fileError(to, error);
    }
  } else if (typeof to?.write === 'function') {
    await pipeline(Readable.from(snapshotText(columns), { objectMode: true }), to);
  } else {
    throw new TospaceError(
      'ERR_OPTION',
      `a heap snapshot cannot be written to ${inspect(to, { depth: 0 })}`,
      {
        hint: 'Call writeHeapSnapshot with the path of a file, or with a stream.',
      },
    );
  }
}

async function writeWholeFile(columns: GraphColumns, path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    await writeFile(file, snapshotText(columns));
  } catch (error) {
    // Half a snapshot would be taken for one. What is no file but a device or a pipe is not ours to remove.
    if ((await file.stat()).isFile()) await unlink(await realpath(path)).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

function fileError(path: string, error: unknown): unknown {
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (errno === undefined || syscall === undefined) return error;
  const hint = 'Give a path where a file may be made, and that has room for it; nothing is left of this one.';
  return syscallError(errno, syscall, `writing the heap snapshot ${path}`, hint);
}

/** The file in pieces. */
function* snapshotText(columns: GraphColumns): Generator<string> {
  const { groups, types, typeOf, bytes, firstEdge, target, label } = columns;
  const nodes = nodeCount(columns);
  const strings = new Map<string, number>();
  const text = (string: string): number => {
    let index = strings.get(string);
    if (index === undefined) {
      index = strings.size;
      strings.set(string, index);
    }
    return index;
  };
  let piece = '';
  let first = true;
  // Spelled out: joining lists takes most of the time of a large file.
  const node7 = (type: number, name: number, id: number, selfBytes: number, edgeCount: number): void => {
    piece += `${first ? '' : ',\n'}${type},${name},${id},${selfBytes},${edgeCount},0,0`;
    first = false;
  };
  const edge3 = (type: number, name: number, to: number): void => {
    piece += `${first ? '' : ',\n'}${type},${name},${to}`;
    first = false;
  };
  function* flush(least: number): Generator<string> {
    if (piece.length < least) return;
    yield piece;
    piece = '';
  }

  // The root has two edges to each group, of which the graph has one; (GC roots) has one, and one leads to it.
  const rootEdges = 1 + groups.length;
  const edges = target.length + groups.length + 1;
  piece += `{"snapshot":${JSON.stringify({
    meta: META,
    node_count: nodes + EXTRA_NODES,
    edge_count: edges,
    trace_function_count: 0,
    extra_native_bytes: 0,
  })},\n"nodes":[`;
  const ids = objectIds(columns);
  node7(NODE_SYNTHETIC, text(''), ID_ROOT, 0, rootEdges);
  node7(NODE_SYNTHETIC, text('(GC roots)'), ID_GC_ROOTS, 0, groups.length);
  for (let node = 1; node < nodes; node++) {
    const group = groups[node - 1];
    const type = types[typeOf[node]!];
    node7(
      group !== undefined || type!.kind === KIND_RAW_ARRAY ? NODE_NATIVE : NODE_OBJECT,
      text(group?.name ?? type!.name),
      ids[node]!,
      bytes[node]!,
      firstEdge[node + 1]! - firstEdge[node]!,
    );
    yield* flush(PIECE_CHARACTERS);
  }

  piece += '],\n"edges":[';
  first = true;
  const place = (node: number): number => (node + (node === 0 ? 0 : EXTRA_NODES)) * NODE_FIELDS.length;
  edge3(ELEMENT, 1, EXTRA_NODES * NODE_FIELDS.length);
  for (const [i, { name }] of groups.entries()) edge3(SHORTCUT, text(name), place(i + 1));
  for (let i = 0; i < groups.length; i++) edge3(ELEMENT, i + 1, place(i + 1));
  for (let node = 1; node < nodes; node++) {
    const isObject = node >= firstObject(columns);
    for (let edge = firstEdge[node]!; edge < firstEdge[node + 1]!; edge++) {
      const where = label[edge]! & EDGE_WHERE_MASK;
      const kind = label[edge]! >>> EDGE_KIND_SHIFT;
      const to = place(target[edge]!);
      const name = (): number => text(edgeName(columns, node, label[edge]!));
      if (kind === EDGE_WEAK) edge3(WEAK, name(), to);
      else if (kind === EDGE_EPHEMERON) edge3(INTERNAL, name(), to);
      else if (!isObject) edge3(ELEMENT, where, to);
      else if (types[typeOf[node]!]!.kind === KIND_REF_ARRAY) edge3(ELEMENT, where - HEADER_BYTES / 4, to);
      else edge3(PROPERTY, name(), to);
      yield* flush(PIECE_CHARACTERS);
    }
  }

  piece += '],\n"trace_function_infos":[],\n"trace_tree":[],\n"samples":[],\n"locations":[],\n"strings":[';
  first = true;
  for (const string of strings.keys()) {
    piece += `${first ? '' : ',\n'}${JSON.stringify(string)}`;
    first = false;
    yield* flush(PIECE_CHARACTERS);
  }
  piece += ']}';
  yield* flush(0);
}

/** Ids by node, as drawn above. */
function objectIds(columns: GraphColumns): Uint32Array {
  const { groups, typeOf, hash, address, nonMoving, numbersFrom } = columns;
  const nodes = nodeCount(columns);
  const ids = new Uint32Array(nodes);
  for (const [i, { kind, thread }] of groups.entries()) ids[i + 1] = ID_GROUPS + (kind << 7) + thread + 1;
  const hashed = (node: number): number =>
    hash[node] !== 0 && typeOf[node]! < HASHED_TYPES ? ID_HASHED + typeOf[node]! * 65536 + hash[node]! : 0;
  let count = 0;
  for (let node = firstObject(columns); node < nodes; node++)
    if (address[node]! < nonMoving && hashed(node) !== 0) count++;
  const sorted = new Uint32Array(count);
  for (let node = firstObject(columns), i = 0; node < nodes; node++)
    if (address[node]! < nonMoving && hashed(node) !== 0) sorted[i++] = hashed(node);
  sorted.sort();
  const isUnique = (id: number): boolean => {
    let [low, high] = [0, count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < id) low = middle + 1;
      else high = middle;
    }
    return sorted[low + 1] !== id;
  };
  for (let node = firstObject(columns); node < nodes; node++) {
    const id = hashed(node);
    if (address[node]! >= nonMoving) ids[node] = ID_PINNED + ((address[node]! - nonMoving) >>> GRANULE_LOG2);
    else if (id !== 0 && isUnique(id)) ids[node] = id;
    else ids[node] = ID_NUMBERED + ((numbersFrom + node) & 0x7fffffff);
  }
  return ids;
}
