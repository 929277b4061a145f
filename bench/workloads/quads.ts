// quads: trees of nodes with four children, after quads.c of Andy Wingo's Whippet.
// https://github.com/wingo/whippet
//
// A large tree stays, many small ones do not. Everything has the same size and nothing moves far: what this measures is allocation, and
// marking, of the simplest kind.
//
// Departures: the amount of garbage is a constant, not a part of the heap; nodes carry serial numbers. README.md is the specification.

import { type Local, type Mutator, NULL, type RecordType, type Ref } from 'tospace';
import { addWord, CHECKSUM_START } from './checksum.ts';
import { GARBAGE_DEPTH, liveDepthOf, operationsPerRound, ROUNDS, TREES_PER_OPERATION } from './quads-plan.ts';
import type { Workload, WorkloadContext } from './workload.ts';

const CHILDREN = 4;
/** Subtrees of this depth are read without a safepoint: 5 461 nodes, tens of microseconds. */
const READ_DEPTH = 6;
/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;

class Quads {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #type: RecordType<'a' | 'b' | 'c' | 'd' | 'serial'>;
  readonly #children: readonly number[];
  #serial = 0;

  constructor({ heap, mutator }: WorkloadContext) {
    this.#m = mutator;
    this.#type = heap.defineRecord('quads.Quad', { a: 'ref', b: 'ref', c: 'ref', d: 'ref', serial: 'i32' });
    const { a, b, c, d } = this.#type.offset;
    this.#children = [a, b, c, d];
  }

  build(depth: number): Ref {
    const m = this.#m;
    const stack = m.shadowStack;
    const released = stack.depth;
    if (depth > 0) for (let i = 0; i < CHILDREN; i++) stack.push(this.build(depth - 1));
    const quad = m.allocate(this.#type);
    m.i32[(quad + this.#type.offset.serial) >> 2] = this.#serial++;
    if (depth > 0) {
      for (let i = 0; i < CHILDREN; i++) m.setRef(quad, this.#children[i], stack.peek(CHILDREN - 1 - i));
      stack.truncate(released);
    }
    return quad;
  }

  /** Adds the serials of a garbage tree's root and of its third child. */
  look(root: Ref): void {
    this.#addSerial(root);
    this.#addSerial(this.#m.getRef(root, this.#type.offset.c));
  }

  /** Reads the whole tree in `root`, with safepoints between its smaller subtrees. */
  read(root: Local, depth: number): void {
    const m = this.#m;
    m.safepoint();
    if (depth <= READ_DEPTH) {
      this.#readSubtree(m.get(root), depth);
      return;
    }
    const released = m.shadowStack.depth;
    this.#addSerial(m.get(root));
    const child = m.local(NULL);
    for (let i = 0; i < CHILDREN; i++) {
      m.set(child, m.getRef(m.get(root), this.#children[i]));
      this.read(child, depth - 1);
    }
    m.shadowStack.truncate(released);
  }

  #readSubtree(quad: Ref, depth: number): void {
    this.#addSerial(quad);
    if (depth === 0) return;
    for (let i = 0; i < CHILDREN; i++) this.#readSubtree(this.#m.getRef(quad, this.#children[i]), depth - 1);
  }

  #addSerial(quad: Ref): void {
    this.checksum = addWord(this.checksum, this.#m.i32[(quad + this.#type.offset.serial) >> 2]);
  }
}

function run(context: WorkloadContext): number {
  const { mutator: m, scale, operations, progress } = context;
  const quads = new Quads(context);
  const liveDepth = liveDepthOf(scale);
  const live = m.local(quads.build(liveDepth));
  const count = operationsPerRound(scale);
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < count; i++) {
      operations.begin();
      for (let left = TREES_PER_OPERATION; left > 0; left--) quads.look(quads.build(GARBAGE_DEPTH));
      operations.end();
      if (i % PROGRESS_EVERY === 0) progress((round + i / count) / ROUNDS);
    }
    quads.read(live, liveDepth);
  }
  progress(1);
  return quads.checksum >>> 0;
}

export const quads: Workload = {
  name: 'quads',
  summary: "Whippet's quads: small trees of four children each, beside a large one that is looked through",
  run,
};
