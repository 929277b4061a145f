// quads on V8's objects.

import { addWord, CHECKSUM_START } from '../workloads/checksum.ts';
import {
  GARBAGE_DEPTH,
  liveDepthOf,
  operationsPerRound,
  ROUNDS,
  TREES_PER_OPERATION,
} from '../workloads/quads-plan.ts';
import type { V8Context, V8Workload } from './workload.ts';

/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;

class Quad {
  readonly a: Quad | null;
  readonly b: Quad | null;
  readonly c: Quad | null;
  readonly d: Quad | null;
  readonly serial: number;

  constructor(a: Quad | null, b: Quad | null, c: Quad | null, d: Quad | null, serial: number) {
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
    this.serial = serial;
  }
}

class Quads {
  checksum: number = CHECKSUM_START;
  #serial = 0;

  build(depth: number): Quad {
    if (depth === 0) return new Quad(null, null, null, null, this.#serial++);
    const a = this.build(depth - 1);
    const b = this.build(depth - 1);
    const c = this.build(depth - 1);
    const d = this.build(depth - 1);
    return new Quad(a, b, c, d, this.#serial++);
  }

  look({ serial, c }: Quad): void {
    this.checksum = addWord(addWord(this.checksum, serial), c!.serial);
  }

  read({ serial, a, b, c, d }: Quad): void {
    this.checksum = addWord(this.checksum, serial);
    if (a === null) return;
    this.read(a);
    this.read(b!);
    this.read(c!);
    this.read(d!);
  }
}

function run({ scale, operations, progress }: V8Context): number {
  const quads = new Quads();
  const live = quads.build(liveDepthOf(scale));
  const count = operationsPerRound(scale);
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < count; i++) {
      operations.begin();
      for (let left = TREES_PER_OPERATION; left > 0; left--) quads.look(quads.build(GARBAGE_DEPTH));
      operations.end();
      if (i % PROGRESS_EVERY === 0) progress((round + i / count) / ROUNDS);
    }
    quads.read(live);
  }
  return quads.checksum >>> 0;
}

export const quads: V8Workload = { name: 'quads', run };
