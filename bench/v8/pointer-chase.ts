// pointer-chase on V8's objects.

import { addWord, CHECKSUM_START, mix } from '../workloads/checksum.ts';
import {
  CHASES,
  GARBAGE_PER_OPERATION,
  nodesOf,
  renewalsOf,
  roundsOf,
  STEPS_PER_OPERATION,
  shuffledPlaces,
} from '../workloads/pointer-chase-plan.ts';
import { Random } from '../workloads/random.ts';
import type { V8Context, V8Workload } from './workload.ts';

class Node {
  next: Node | null = null;
  readonly id: number;
  readonly value: number;
  /** Ballast: a node has the size of a cache line or more. */
  b0 = 0;
  b1 = 0;
  b2 = 0;
  b3 = 0;
  b4 = 0;
  b5 = 0;
  b6 = 0;
  b7 = 0;
  b8 = 0;
  b9 = 0;
  b10 = 0;

  constructor(id: number) {
    this.id = id;
    this.value = mix(id);
  }
}

class Chain {
  checksum: number = CHECKSUM_START;
  readonly #random: Random;
  readonly #table: Node[];
  #at: Node | null = null;
  /** The last node that was made to be dropped: what nobody keeps need not be made at all. */
  garbage: Node | null = null;
  #id = 0;

  constructor(seed: number, nodes: number) {
    this.#random = new Random(seed);
    const table: Node[] = new Array(nodes);
    for (const place of shuffledPlaces(nodes, this.#random)) table[place] = new Node(this.#id++);
    for (let i = 1; i < nodes; i++) table[i - 1].next = table[i];
    this.#table = table;
  }

  renew(): void {
    const table = this.#table;
    for (let left = renewalsOf(table.length); left > 0; left--) {
      const place = this.#random.below(table.length);
      const node = new Node(this.#id++);
      node.next = table[place].next;
      if (place > 0) table[place - 1].next = node;
      table[place] = node;
    }
  }

  restart(): void {
    this.#at = this.#table[0];
  }

  step(): void {
    for (let i = 0; i < GARBAGE_PER_OPERATION; i++) this.garbage = new Node(this.#id++);
    let node = this.#at;
    let sum = this.checksum;
    for (let i = 0; i < STEPS_PER_OPERATION; i++) {
      sum = addWord(sum, node!.id ^ node!.value);
      node = node!.next;
    }
    this.#at = node;
    this.checksum = sum;
  }
}

function run({ seed, scale, operations, progress }: V8Context): number {
  const nodes = nodesOf(scale);
  const chain = new Chain(seed, nodes);
  const rounds = roundsOf(scale);
  for (let round = 0; round < rounds; round++) {
    chain.renew();
    // Here the managed heap is asked for a cycle; V8 collects when it wants to.
    for (let chase = 0; chase < CHASES; chase++) {
      chain.restart();
      for (let done = 0; done < nodes; done += STEPS_PER_OPERATION) {
        operations.begin();
        chain.step();
        operations.end();
      }
    }
    progress((round + 1) / rounds);
  }
  return chain.checksum >>> 0;
}

export const pointerChase: V8Workload = { name: 'pointer-chase', run };
