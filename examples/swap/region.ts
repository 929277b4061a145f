// The regions: the unit that is evicted and faulted back, and the one table that all threads share about them.
//
//             evictor                evictor                 evictor                  evictor
//   RESIDENT ─────────> MOVING ─────────────────> EVICTING ───────────> RELEASING ─────────────> IN_FILE
//     ^  ^                │ mremap failed            │ a touch, or the write failed                 │ a touch
//     │  └────────────────┘                          v                                              v
//     ├────────────────────────────────────────── RETURNING                                      LOADING
//     └────────────────────────────────────────────────────────────────────────────────────────────┘
//                      (RETURNING: server or evictor, whoever won the CAS; LOADING: server)
import { invariant } from 'tospace/uffd';

/** Where the bytes of a region are, and who may do something about it. */
export const RegionState = {
  /** At home: every page is present there and mutators use it at full speed. The evictor may start to move it. */
  RESIDENT: 0,
  /** mremap is on its way; belongs to the evictor. Nothing may be answered from the shadow yet. Tens of microseconds. */
  MOVING: 1,
  /** In the shadow, complete and out of the mutators' reach; a copy for the file is being made. Whoever changes this state owns it. */
  EVICTING: 2,
  /** Belongs to whoever entered it: the pages go from the shadow back home. */
  RETURNING: 3,
  /** The file has it for sure; belongs to the evictor, which drops the pages. */
  RELEASING: 4,
  /** Only in the file. A touch makes it the server's. */
  IN_FILE: 5,
  /** Belongs to the server: it is read, checked, decompressed and copied home. */
  LOADING: 6,
} as const;
export type RegionState = (typeof RegionState)[keyof typeof RegionState];

export const STATE_NAMES: readonly string[] = Object.keys(RegionState);

/** How long one Atomics.wait lasts: not a time-out but how often the condition is looked at when a wake-up went astray. */
const WAIT_SLICE_MS = 100;

/** Where the copy of a region lies in the file, and what it must look like. */
export interface Slot {
  /** First block of the file, in units of SLOT_BLOCK_BYTES. */
  readonly block: number;
  /** Bytes as stored, that is compressed. */
  readonly storedBytes: number;
  /** CRC-32 of the stored bytes. In memory, not in the file: so it also finds a slot that holds an older or another's content. */
  readonly crc: number;
}

/** A region without a slot: no block has this number. */
const NO_SLOT = -1;
/** The columns after the states: block, stored bytes, CRC. */
const COLUMNS = 4;

/**
 * The states and slots of all regions, in shared memory. States change by compare-and-swap only. A slot is written by the evictor
 * before RELEASING, read by the server after IN_FILE, and taken back by the evictor when the region is RESIDENT again: the
 * atomic change of the state orders these plain accesses.
 */
export class RegionTable {
  readonly buffer: SharedArrayBuffer;
  readonly count: number;
  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
    this.count = this.#cells.length / COLUMNS;
  }

  /** A table of `count` regions, all RESIDENT and without a slot. */
  static create(count: number): RegionTable {
    const table = new RegionTable(new SharedArrayBuffer(count * COLUMNS * Int32Array.BYTES_PER_ELEMENT));
    table.#cells.fill(NO_SLOT, count, 2 * count);
    return table;
  }

  state(region: number): RegionState {
    return Atomics.load(this.#cells, region) as RegionState;
  }

  /** Moves a region from one state to another if it is (still) in the first. Wakes who waits for a change. */
  tryChange(region: number, from: RegionState, to: RegionState): boolean {
    if (Atomics.compareExchange(this.#cells, region, from, to) !== from) return false;
    Atomics.notify(this.#cells, region);
    return true;
  }

  /** The same by the owner of a region, for whom it cannot fail. */
  change(region: number, from: RegionState, to: RegionState): void {
    invariant(
      this.tryChange(region, from, to),
      `region ${region} is ${STATE_NAMES[from]} until its owner changes it: ${STATE_NAMES[this.state(region)]}`,
    );
  }

  /** Blocks while a region is in `state`. Only for states that somebody else owns and leaves soon without waiting for the caller. */
  waitWhile(region: number, state: RegionState): void {
    while (this.state(region) === state) Atomics.wait(this.#cells, region, state, WAIT_SLICE_MS);
  }

  /** The slot of a region, or undefined. */
  slot(region: number): Slot | undefined {
    const block = this.#cells[this.count + region]!;
    if (block === NO_SLOT) return undefined;
    return {
      block,
      storedBytes: this.#cells[2 * this.count + region]!,
      crc: this.#cells[3 * this.count + region]! >>> 0,
    };
  }

  setSlot(region: number, slot: Slot | undefined): void {
    this.#cells[this.count + region] = slot?.block ?? NO_SLOT;
    this.#cells[2 * this.count + region] = slot?.storedBytes ?? 0;
    this.#cells[3 * this.count + region] = slot?.crc ?? 0;
  }

  /** How many regions are in each state at this moment, by number of the state. */
  census(): number[] {
    const counts: number[] = STATE_NAMES.map(() => 0);
    for (let region = 0; region < this.count; region++) counts[this.state(region)]!++;
    return counts;
  }
}
