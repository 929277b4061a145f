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

// What references finds wrong: bench/workloads/references-mistakes.ts. None of them returns.
@external('references', 'weakLost')
export declare function weakLost(id: u32): void;
@external('references', 'valueLost')
export declare function valueLost(id: u32): void;
@external('references', 'wrongSubject')
export declare function wrongSubject(id: u32, named: u32): void;
@external('references', 'valueKept')
export declare function valueKept(id: u32): void;
@external('references', 'stillThere')
export declare function stillThere(id: u32): void;
@external('references', 'neverGuarded')
export declare function neverGuarded(id: u32): void;
@external('references', 'wrongDeaths')
export declare function wrongDeaths(count: u32, ids: u32, expectedCount: u32, expectedIds: u32): void;
