// Random tests that can be repeated: every failure names its seed, and SEED=… in the environment runs that one alone.

/** A small generator (mulberry32): numbers from 0 up to 1. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `low` up to and including `high`. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(0, from.length - 1)]!;
  }

  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
    return list;
  }
}

/** Runs `body` with `count` different seeds, or with the one in SEED. What it throws says how to repeat it. */
export function forSeeds(count: number, body: (random: Random, seed: number) => void): void {
  const given = process.env.SEED;
  const base = given === undefined ? Date.now() % 1_000_000_000 : Number(given);
  for (let i = 0; i < (given === undefined ? count : 1); i++) {
    const seed = base + i;
    try {
      body(new Random(seed), seed);
    } catch (error) {
      process.stderr.write(`failed with seed ${seed}: repeat with SEED=${seed}\n`);
      throw new Error(`with SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}
