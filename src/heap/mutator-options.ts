// What a heap's options mean for a mutator.

export interface MutatorOptions {
  /** Collect at every n-th allocation; 0 is never. Every allocation then takes the slow path. */
  readonly collectEveryAllocation: number;
  /** Collect at every n-th explicit safepoint; 0 is never. */
  readonly collectEverySafepoint: number;
  /** Arrays of at least so many bytes go to the non-moving space. */
  readonly largeObjectBytes: number;
  /** Pages that this thread touches after a flip to time its faults; 0 is none. */
  readonly faultSamples: number;
  /** Check handles, references and types at every operation. */
  readonly checked: boolean;
  /** False under the collector `none`: nobody would answer a request. */
  readonly collects: boolean;
}
