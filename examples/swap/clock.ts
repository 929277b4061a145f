// Which region to try next. Policy only: knows nothing of memory.
//
// User space has no reference bits. (Idle-page tracking needs root; write protection would tell of stores only, for a fault per page.)
// So the evictor samples by taking away: a region that is touched while it waits in the shadow was hot, and is back within
// tens of microseconds; one that is not is cold by observation. The hand goes round over all regions, first in first out. A region that
// was rescued rests for one round, then 3, 7, 15 …, so a hot set that does not fit costs little; one that was loaded from the file
// rests for one. One that stayed out is cold again.
//
// What this is bad at: a region touched once a minute looks as cold as one that is never touched, and a large sequential scan pushes
// out what was there before it, as with every clock.

/** Doublings of the rest: 63 rounds. */
const HEAT_MAX = 6;

export class Clock {
  readonly #heat: Uint8Array;
  /** The round from which on a region may be tried. */
  readonly #restsUntil: Uint32Array;
  readonly #roundMinMs: number;
  #hand = 0;
  #round = 0;
  #roundStart = Number.NEGATIVE_INFINITY;

  /** @param roundMinMs a round lasts at least so long: resting for a number of rounds must mean resting for a time */
  constructor(regions: number, roundMinMs: number) {
    this.#heat = new Uint8Array(regions);
    this.#restsUntil = new Uint32Array(regions);
    this.#roundMinMs = roundMinMs;
  }

  /**
   * The next region that is eligible and does not rest, or -1 when the hand is round and it is too early for the next round.
   * @param nowMs any clock that does not go back
   */
  next(nowMs: number, eligible: (region: number) => boolean): number {
    const count = this.#heat.length;
    for (let looked = 0; looked < count; looked++) {
      if (this.#hand === 0) {
        if (nowMs - this.#roundStart < this.#roundMinMs) return -1;
        this.#roundStart = nowMs;
        this.#round++;
      }
      const region = this.#hand;
      this.#hand = (region + 1) % count;
      if (this.#restsUntil[region]! <= this.#round && eligible(region)) return region;
    }
    return -1;
  }

  /** It was touched while it waited: leave it alone for twice as long as the last time. */
  rescued(region: number): void {
    const heat = Math.min(this.#heat[region]! + 1, HEAT_MAX);
    this.#heat[region] = heat;
    this.#restsUntil[region] = this.#round + 2 ** heat;
  }

  /** It came back from the file. */
  loaded(region: number): void {
    this.#restsUntil[region] = this.#round + 2;
  }

  /** It went to the file. */
  evicted(region: number): void {
    this.#heat[region] = 0;
  }
}
