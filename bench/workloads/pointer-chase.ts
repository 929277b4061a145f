// pointer-chase: a long chain in random order, followed from end to end while the collector moves it. Nearly every step is on another
// page, so right after a flip nearly every step faults until the sweep, which goes by address, has overtaken: a fault storm.
//
// It asks for cycles at the beginning of every round and does not wait for them: a flip comes in the middle of a chase. Some nodes are
// made anew in each round, so that those behind them really move. README.md is the specification.

import { type Local, type Mutator, NULL, type RecordType, type Ref } from 'tospace';
import { addWord, CHECKSUM_START, mix } from './checksum.ts';
import {
  BALLAST_WORDS,
  CHASES,
  GARBAGE_PER_OPERATION,
  nodesOf,
  renewalsOf,
  roundsOf,
  STEPS_PER_OPERATION,
  shuffledPlaces,
} from './pointer-chase-plan.ts';
import { Random } from './random.ts';
import type { Workload, WorkloadContext } from './workload.ts';

/** Nodes that are passed without a safepoint: some 20 microseconds without faults. */
const SAFEPOINT_EVERY = 256;

type NodeType = RecordType<'next' | 'id' | 'value'>;

class Chain {
  checksum: number = CHECKSUM_START;
  readonly #m: Mutator;
  readonly #random: Random;
  readonly #type: NodeType;
  readonly #nodes: number;
  readonly #table: Local;
  /** Where the chase is. */
  readonly #at: Local;
  /** The last node that was made to be dropped. */
  readonly #garbage: Local;
  #id = 0;

  constructor({ heap, mutator: m, seed }: WorkloadContext, nodes: number) {
    this.#m = m;
    this.#random = new Random(seed);
    const ballast = Object.fromEntries(
      Array.from({ length: BALLAST_WORDS }, (_, i) => [`ballast${i}`, 'i32'] as const),
    );
    this.#type = heap.defineRecord('pointer-chase.Node', {
      next: 'ref',
      id: 'i32',
      value: 'i32',
      ...ballast,
    }) as NodeType;
    this.#nodes = nodes;
    this.#table = m.local(m.allocateArray(heap.defineRefArray('pointer-chase.Table'), nodes));
    this.#at = m.local(NULL);
    this.#garbage = m.local(NULL);
    for (const place of shuffledPlaces(nodes, this.#random)) {
      const node = this.#make();
      m.setElement(m.get(this.#table), place, node);
    }
    const table = m.get(this.#table);
    for (let i = 1; i < nodes; i++)
      m.setRef(m.getElement(table, i - 1), this.#type.offset.next, m.getElement(table, i));
  }

  /** Puts new nodes in random places of the chain. */
  renew(): void {
    const m = this.#m;
    const { next } = this.#type.offset;
    for (let left = renewalsOf(this.#nodes); left > 0; left--) {
      const place = this.#random.below(this.#nodes);
      const node = this.#make();
      const table = m.get(this.#table);
      m.setRef(node, next, m.getRef(m.getElement(table, place), next));
      if (place > 0) m.setRef(m.getElement(table, place - 1), next, node);
      m.setElement(table, place, node);
    }
  }

  /** Back to the chain's beginning. */
  restart(): void {
    this.#m.set(this.#at, this.#m.getElement(this.#m.get(this.#table), 0));
  }

  /** One operation. */
  step(): void {
    const m = this.#m;
    for (let i = 0; i < GARBAGE_PER_OPERATION; i++) m.set(this.#garbage, this.#make());
    for (let left = STEPS_PER_OPERATION; left > 0; left -= SAFEPOINT_EVERY) {
      m.safepoint();
      this.#follow();
    }
  }

  #follow(): void {
    const m = this.#m;
    const { i32 } = m;
    const { next, id, value } = this.#type.offset;
    let node = m.get(this.#at);
    let sum = this.checksum;
    for (let i = 0; i < SAFEPOINT_EVERY; i++) {
      sum = addWord(sum, i32[(node + id) >> 2] ^ i32[(node + value) >> 2]);
      node = m.getRef(node, next);
    }
    m.set(this.#at, node);
    this.checksum = sum;
  }

  #make(): Ref {
    const m = this.#m;
    const { id, value } = this.#type.offset;
    const node = m.allocate(this.#type);
    m.i32[(node + id) >> 2] = this.#id;
    m.i32[(node + value) >> 2] = mix(this.#id++);
    return node;
  }
}

function run(context: WorkloadContext): number {
  const { scale, operations, progress } = context;
  const nodes = nodesOf(scale);
  const chain = new Chain(context, nodes);
  const rounds = roundsOf(scale);
  for (let round = 0; round < rounds; round++) {
    chain.renew();
    context.collect?.();
    for (let chase = 0; chase < CHASES; chase++) {
      chain.restart();
      for (let done = 0; done < nodes; done += STEPS_PER_OPERATION) {
        operations.begin();
        chain.step();
        operations.end();
      }
      progress((round + (chase + 1) / CHASES) / rounds);
    }
  }
  return chain.checksum >>> 0;
}

export const pointerChase: Workload = {
  name: 'pointer-chase',
  summary: 'a long chain in random order, followed over freshly flipped pages: a fault storm',
  asksForCycles: true,
  run,
};
