// Trace rings: one for every mutator thread's record, then one for every worker (heap/trace-ring.ts). A line for each ring's head comes
// first, then the rings of the threads, then those of the workers. Memory is taken when somebody traces, and not before.

/** Words of an event: start and end in microseconds as float64, kind and code, three arguments. */
export const TRACE_RECORD_WORDS = 8;
export const TRACE_HEAD_BYTES = 64;
/** Bytes of all heads: 80 lines, in whole pages. */
export const TRACE_HEADS_BYTES = 8192;
/** Events that a mutator's ring holds: a cycle makes some ten, pacing up to ten in a millisecond. */
export const TRACE_THREAD_EVENTS = 2048;
/** Events that a worker's ring holds: one for every fault, and for every 16 pages of a sweep. */
export const TRACE_WORKER_EVENTS = 32768;
/** Bytes of all rings: 8 KiB + 64 × 64 KiB + 16 × 1 MiB. */
export const TRACE_BYTES = 20979712;
