// What the host of the benchmarks lends its guests beside the heap.

/** An operation begins. A safepoint: under an open load the thread waits here until the operation is due. */
@external('operations', 'begin')
export declare function begin(): void;
@external('operations', 'end')
export declare function end(): void;
/** Part of the work that is done, 0 to 1. */
@external('operations', 'progress')
export declare function progress(done: f64): void;

/** Asks for a cycle and does not wait for it. No safepoint. */
@external('operations', 'collect')
export declare function requestCycle(): void;

/** Trees of a depth that are built, of one kind in one round. */
@external('plan', 'treesOf')
export declare function treesOf(depth: u32): u32;
/** How many of them are one operation. */
@external('plan', 'treesPerOperation')
export declare function treesPerOperation(depth: u32): u32;
