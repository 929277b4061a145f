// Ephemerons that wait for their keys to be reached: chains by key in typed arrays, so that finding those of a key takes constant time
// and a million of them no objects.

const FIRST_CAPACITY = 1024;

export class WaitingEphemerons {
  #heads = new Int32Array(FIRST_CAPACITY).fill(-1);
  #next = new Int32Array(FIRST_CAPACITY);
  #keys = new Uint32Array(FIRST_CAPACITY);
  #ephemerons = new Uint32Array(FIRST_CAPACITY);
  #used = 0;
  /** How many wait. */
  size = 0;

  add(key: number, ephemeron: number): void {
    if (this.#used === this.#keys.length) this.#grow();
    const entry = this.#used++;
    this.#keys[entry] = key;
    this.#ephemerons[entry] = ephemeron;
    this.#link(entry);
    this.size++;
  }

  /** Takes out one ephemeron that waits for this key; 0 when none does. */
  take(key: number): number {
    const bucket = this.#bucket(key);
    let before = -1;
    for (let entry = this.#heads[bucket]!; entry >= 0; entry = this.#next[entry]!) {
      if (this.#keys[entry] === key) {
        if (before < 0) this.#heads[bucket] = this.#next[entry]!;
        else this.#next[before] = this.#next[entry]!;
        this.#keys[entry] = 0;
        this.size--;
        return this.#ephemerons[entry]!;
      }
      before = entry;
    }
    return 0;
  }

  #bucket(key: number): number {
    return (Math.imul(key >>> 3, 0x9e3779b1) >>> 0) & (this.#heads.length - 1);
  }

  #link(entry: number): void {
    const bucket = this.#bucket(this.#keys[entry]!);
    this.#next[entry] = this.#heads[bucket]!;
    this.#heads[bucket] = entry;
  }

  #grow(): void {
    const capacity = this.#keys.length * 2;
    const keys = new Uint32Array(capacity);
    const ephemerons = new Uint32Array(capacity);
    keys.set(this.#keys);
    ephemerons.set(this.#ephemerons);
    this.#keys = keys;
    this.#ephemerons = ephemerons;
    this.#next = new Int32Array(capacity);
    this.#heads = new Int32Array(capacity).fill(-1);
    for (let entry = 0; entry < this.#used; entry++) if (keys[entry] !== 0) this.#link(entry);
  }
}
