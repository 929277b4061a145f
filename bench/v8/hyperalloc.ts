// hyperalloc on V8's objects.

import { addWord, CHECKSUM_START } from '../workloads/checksum.ts';
import {
  drawWords,
  firstWord,
  ITEMS_PER_OPERATION,
  lastWord,
  operationsOf,
  SURVIVES_EVERY,
  SWAPS_PER_OPERATION,
  slotsOf,
  YOUNG,
} from '../workloads/hyperalloc-plan.ts';
import { Random } from '../workloads/random.ts';
import type { V8Context, V8Workload } from './workload.ts';

/** Operations between two reports of progress. */
const PROGRESS_EVERY = 64;

class Item {
  readonly id: number;
  readonly data: number[];

  constructor(id: number, words: number) {
    this.id = id;
    this.data = new Array(words).fill(0);
    this.data[0] = firstWord(id);
    this.data[words - 1] = lastWord(id);
  }
}

class Items {
  checksum: number = CHECKSUM_START;
  readonly #random: Random;
  readonly #slots: Item[] = [];
  readonly #young: Item[] = [];
  #id = 0;

  constructor(seed: number, slots: number) {
    this.#random = new Random(seed);
    while (this.#slots.length < slots) this.#slots.push(this.#make());
  }

  step(): void {
    const random = this.#random;
    const slots = this.#slots;
    for (let i = 0; i < ITEMS_PER_OPERATION; i++) {
      const item = this.#make();
      if (i % SURVIVES_EVERY !== 0) this.#young[i % YOUNG] = item;
      else {
        const slot = random.below(slots.length);
        this.#read(slots[slot]);
        slots[slot] = item;
      }
    }
    for (let i = 0; i < SWAPS_PER_OPERATION; i++) {
      const a = random.below(slots.length);
      const b = random.below(slots.length);
      [slots[a], slots[b]] = [slots[b], slots[a]];
    }
  }

  readAll(): void {
    for (const item of this.#slots) this.#read(item);
    // forEach passes over the places that no item ever went to.
    this.#young.forEach((item) => {
      this.#read(item);
    });
  }

  #make(): Item {
    const words = drawWords(this.#random);
    return new Item(this.#id++, words);
  }

  #read({ id, data }: Item): void {
    let sum = addWord(addWord(this.checksum, id), data.length);
    sum = addWord(sum, data[0]);
    this.checksum = addWord(sum, data[data.length - 1]);
  }
}

function run({ seed, scale, liveBytes, operations, progress }: V8Context): number {
  const items = new Items(seed, slotsOf(scale, liveBytes));
  const count = operationsOf(scale);
  for (let i = 0; i < count; i++) {
    operations.begin();
    items.step();
    operations.end();
    if (i % PROGRESS_EVERY === 0) progress(i / count);
  }
  items.readAll();
  return items.checksum >>> 0;
}

export const hyperalloc: V8Workload = { name: 'hyperalloc', run };
