// Every number that the TypeScript side and the WebAssembly kernels must agree on, in one file that both compilers read
// (plain integer constants only: it is compiled by tsc and by the AssemblyScript compiler).
//
// Three kinds of number occur in it. An *address* is a byte offset in the shared WebAssembly.Memory; an *offset* counts bytes
// from the start of the heap window; *words* (names of the form CTL_, T_, W_) are indexes of 32-bit words in a record.

// ---------------------------------------------------------------------------------------------------------------------------
// Units

/** The kernel's page: the unit in which memory is mapped, faulted and built. */
export const PAGE_LOG2 = 12;
export const PAGE_BYTES = 4096;

/** Objects start and end on 8 bytes, so that one bitmap bit stands for one granule and a float field is aligned. */
export const GRANULE_LOG2 = 3;
export const GRANULE_BYTES = 8;

/** A chunk is what one 64-bit bitmap word covers: one popcount then finishes a forwarding address (Android: kOffsetChunkSize). */
export const CHUNK_LOG2 = 9;
export const CHUNK_BYTES = 512;

/**
 * 128 bytes to a card. Rescanning a card costs what lies on it, and a mutator that stores all over the heap dirties some ten cards a
 * microsecond: with 512 bytes the marker could only just keep up with that, and the rest was left for the remark pause.
 */
export const CARD_LOG2 = 7;
export const CARD_BYTES = 128;

/** Pages that the collector builds and installs at a time: 64 KiB, where the cost of a system call no longer shows. */
export const BATCH_PAGES = 16;

/** Allocation buffers are this large (or as large as the one object that needs more): one batch. */
export const BUFFER_BYTES = 65536;

/** Address 0 is the null reference; the first 64 KiB of the memory stay unused so that no structure starts near it. */
export const NULL_GUARD_BYTES = 65536;

// ---------------------------------------------------------------------------------------------------------------------------
// Object header: 8 bytes before the fields
//
//   byte 0        2        4                 8
//        | type   | spare  | length or word  | fields or elements ...
//
// type    1..65535. 0 never occurs in an object, so zeroed memory cannot be mistaken for one: a walk over an allocation buffer
//         ends at the first zero header.
// spare   16 bits: the identity hash, once somebody asked for it. They belong to an embedder who does not ask: the collector copies them
//         and never looks.
// length  number of elements of an array; for a record 32 bits that belong to the embedder. In a weak record and an ephemeron they are
//         the collector's: the link of the list on which a trace collects them.
// No forwarding address and no mark bit: both live in side tables, so that the collector never writes to a from-space page
// and marking dirties no heap page.

export const HEADER_BYTES = 8;
export const TYPE_ID_MASK = 0xffff;
export const MAX_TYPES = 65536;

// Type table entry: 16 bytes, indexed by type id. Types live outside the moving space, so that no object is needed to understand
// another.
//   +0 kind   +4 record: bytes, header included; array: log2 of the element's bytes   +8 address of the reference map   +12 its 64-bit words
// Bit i of the reference map says that the 32-bit word at byte 4·i of the object is a reference.
export const TYPE_ENTRY_LOG2 = 4;
export const TYPE_KIND = 0;
export const TYPE_SIZE = 4;
export const TYPE_MAP = 8;
export const TYPE_MAP_WORDS = 12;
export const KIND_NONE = 0;
export const KIND_RECORD = 1;
export const KIND_REF_ARRAY = 2;
export const KIND_RAW_ARRAY = 3;
// Records with fields that a trace does not follow. Their reference maps name these fields all the same: forwarding makes no difference.
/** A record whose field at REFERENT is weak. */
export const KIND_WEAK = 4;
/** A record whose field at EPHEMERON_VALUE is followed once what EPHEMERON_KEY names is marked. */
export const KIND_EPHEMERON = 5;
/** An object that somebody wants back when it is found dead, at REFERENT: an entry of the collector's own. */
export const KIND_GUARD = 8;
/** The bit that array kinds have and record kinds have not. */
export const KIND_ARRAY_BIT = 2;

/** Offset of a weak record's weak field, and of a guard's. */
export const REFERENT = 8;
/** Offset of a guard's link to the guard registered before it; of one that is ready: to the next one in its queue. */
export const GUARD_NEXT = 12;
/** Offset of a guard's queue: the header's second word. */
export const GUARD_QUEUE = 4;
export const GUARD_BYTES = 16;
export const EPHEMERON_KEY = 8;
export const EPHEMERON_VALUE = 12;
/** Offset of the link of weak records and ephemerons: 0 when the object is on no list. */
export const REFERENCE_LINK = 4;
/** Ends a list: no object lies there. */
export const LINK_END = 1;

// ---------------------------------------------------------------------------------------------------------------------------
// Spans of the non-moving space: one word for each of its pages, `value << 2 | kind`.
//
//   FREE  0             the page is a hole of the file: it reads as zeroes and takes no memory
//   CELLS value: bytes  a page of equal cells; a cell holds one object, or is free
//   FIRST value: pages  the first page of an object that has pages of its own
//   REST  value: pages  a later one: so many pages back is its first
export const SPAN_FREE = 0;
export const SPAN_CELLS = 1;
export const SPAN_FIRST = 2;
export const SPAN_REST = 3;
export const SPAN_KIND_MASK = 3;
export const SPAN_VALUE_SHIFT = 2;

// What types and their fields are called, for those who look at the heap; the collector never reads it. The table has a word for each type
// id: the address of its text, 0 for none. Word 0, which is no type's, counts the bytes of text in use.
//   text   +0 bytes   +4 UTF-8 (see type-names.ts); the next one begins on a multiple of 4
/** Bytes for the texts of all types: 64 for each of the largest number. */
export const TYPE_TEXT_BYTES = 4194304;

/** The type of the array of persistent handles: the first one, registered with the arena. */
export const TYPE_PERSISTENT = 1;

// ---------------------------------------------------------------------------------------------------------------------------
// Cards: one byte per 128 bytes of heap. A mutator stores CARD_DIRTY after every reference store. The collector only ever turns
// dirty into the number of its current round (ageing); it never cleans a card while mutators run, so it cannot wipe out a store.
//
// Card groups: one byte for 64 cards, so that a pause finds the dirty ones of a large heap without looking through all cards. Behind its
// card a mutator marks the group, unless it finds it marked: most stores only read that byte, and threads that store into neighbouring
// objects do not take its line away from each other. The collector takes a marked group, has every mutator pass a safepoint, and only then
// looks at the cards: a mutator that saw the group still marked has made its card visible by then (cards.ts).
export const CARD_CLEAN = 0;
export const CARD_DIRTY = 1;
export const CARD_GROUP_LOG2 = 6;
export const CARDS_PER_GROUP = 64;
export const GROUP_CLEAN = 0;
export const GROUP_DIRTY = 1;
/** Entries of the buffer in which a scan collects cards. */
export const CARD_BUFFER_ENTRIES = 16384;
/** First value that means "aged in round value - CARD_FIRST_ROUND". */
export const CARD_FIRST_ROUND = 2;
export const CARD_LAST_ROUND = 250;

// ---------------------------------------------------------------------------------------------------------------------------
// Page words: one 32-bit word per to-space page, `state | owner << 8`. States are numbered because they are compared.
//
//   UNPROCESSED 0 → PROCESSING 1 → PROCESSED 2 → MAPPING 3 → MAPPED 4
//
// UNPROCESSED  nobody builds it yet; 0, so that clearing the table opens a window
// PROCESSING   its owner builds it in the shadow or in its staging buffer
// PROCESSED    its contents are complete and nobody maps it yet
// MAPPING      its owner is in the system call that installs it
// MAPPED       mutators reach it
export const PAGE_UNPROCESSED = 0;
export const PAGE_PROCESSING = 1;
export const PAGE_PROCESSED = 2;
export const PAGE_MAPPING = 3;
export const PAGE_MAPPED = 4;
export const PAGE_STATE_MASK = 0xff;
export const PAGE_OWNER_SHIFT = 8;

// ---------------------------------------------------------------------------------------------------------------------------
// Control block: words of a page of its own. A line of 16 words has one writer, so that nobody's cache line is taken away.

// line 0: what every mutator polls; the collector writes it
/** 1 while a stop or a handshake is asked for. */
export const CTL_POLL = 0;
/** The kind of pause asked for (PAUSE_…), 0 when mutators may run. */
export const CTL_STOP = 1;
/** Number of the last handshake asked for. */
export const CTL_EPOCH = 2;

// line 1: allocation; written by compare-and-swap when a buffer is taken
/** Address where the next allocation buffer starts; always on a page boundary. */
export const CTL_CURSOR = 16;
/** Address at which allocation asks for a cycle. */
export const CTL_TRIGGER = 17;
/** Address behind the last byte of the heap. */
export const CTL_LIMIT = 18;
/** Address below which pages of the current memfd may hold old bytes, and buffers must be zeroed. */
export const CTL_DIRTY_END = 19;
/** Bumped when allocation may succeed again (a flip or the end of a cycle); stalled mutators sleep on it. */
export const CTL_ALLOC_EPOCH = 20;

// line 2: cycles; requests are written by mutators
/** Cycles asked for: a ticket; the collector answers by CTL_CYCLES_DONE. */
export const CTL_CYCLES_ASKED = 32;
/** Set to 1 to make the collector close; it finishes an open window first. */
export const CTL_CLOSING = 33;
/** Number of collections asked for that must also give memory back (trim). */
export const CTL_TRIMS_ASKED = 34;

// line 3: cycles; written by the collector
/** Value of CTL_CYCLES_ASKED that the last cycle answered which was not abandoned. */
export const CTL_COMPLETED_TICKET = 48;
/** Value of CTL_CYCLES_ASKED that is answered. */
export const CTL_CYCLES_DONE = 49;
/** PHASE_… of the cycle. */
export const CTL_PHASE = 50;
/** Completed cycles; also the number of the current one. */
export const CTL_CYCLE = 51;
/** HEAP_OPEN or HEAP_CLOSED. */
export const CTL_HEAP_STATE = 52;
/** Cycles that moved nothing because a step before the point of no return failed. */
export const CTL_ABANDONED = 53;
/** Microseconds that a mutator waits for every allocation buffer's worth of memory it takes, so that the cycle keeps up; 0 is not at all. */
export const CTL_PACE_US = 57;
/** 1 when threads are raised in pauses (gc/pause-priority.ts), 0 when they are not to be, -errno when the kernel refuses. */
export const CTL_PAUSE_PRIORITY = 58;
/** Value of CTL_TRIMS_ASKED that is answered. */
export const CTL_TRIMS_DONE = 55;

// line 4: the plan; written by the collector between the pauses, constant while the window is open
/** Address of the alias of from-space. */
export const CTL_FROM_ALIAS = 64;
/** Address of the alias of to-space (the shadow). */
export const CTL_TO_ALIAS = 65;
/** Address from which objects are black: allocated after remark, live without a mark. Page-aligned. */
export const CTL_BLACK_LINE = 66;
/** How far black objects slide down: a multiple of a page. */
export const CTL_BLACK_DELTA = 67;
/** Bytes of marked objects: compacted pages hold offsets below it. */
export const CTL_COMPACTED_BYTES = 68;
/** Bytes of to-space in use at the flip, a multiple of a page. Registered with userfaultfd. */
export const CTL_USED_BYTES = 69;
/** 0 or 1: the memfd that mutators see. */
export const CTL_FRONT = 70;
/** 1 while to-space pages may be missing. */
export const CTL_WINDOW = 71;

// line 5: geometry; constant
export const CTL_HEAP_BASE = 80;
export const CTL_HEAP_BYTES = 81;
export const CTL_MARKS = 82;
export const CTL_LIVES = 83;
export const CTL_CHUNKS = 84;
export const CTL_CARDS = 85;
export const CTL_PAGE_WORDS = 86;
export const CTL_PAGE_FIRST = 87;
export const CTL_PAGE_SOURCE = 88;
export const CTL_TYPES = 89;
export const CTL_MARK_STACK = 90;
export const CTL_MARK_STACK_END = 91;
/** Reference to the array that holds the persistent handles: a pinned object. */
export const CTL_PERSISTENT = 92;
export const CTL_PERSISTENT_SLOTS = 93;
export const CTL_TYPE_MAPS = 94;
export const CTL_TYPE_MAPS_END = 95;

// line 6: registries; written under the registry lock
export const CTL_REGISTRY_LOCK = 96;
/** Next type id. */
export const CTL_TYPE_COUNT = 97;
/** Next free address for reference maps. */
export const CTL_TYPE_MAP_NEXT = 98;
/** Head of the free list of persistent slots: slot index + 1, or 0. */
export const CTL_PERSISTENT_FREE = 99;
/** Persistent slots ever used: those below are roots or on the free list. */
export const CTL_PERSISTENT_TOP = 100;
/** As unsigned numbers, words from here on are links between free persistent slots, the complements of their indexes: no references. */
export const FREE_LINK = 0xff000000;
/** So that there is a link for each, and one that ends the list. */
export const PERSISTENT_SLOTS_MAX: number = ~FREE_LINK;

// line 7: geometry, continued
export const CTL_CARD_BUFFER = 112;
export const CTL_CARD_GROUPS = 120;
export const CTL_TAKEN_GROUPS = 121;
/** Bytes from the heap's first to the non-moving space's last: marks, cards and page words reach so far. */
export const CTL_MANAGED_BYTES = 113;
export const CTL_NON_MOVING = 114;
export const CTL_NON_MOVING_BYTES = 115;
export const CTL_NON_MOVING_ALIAS = 116;
export const CTL_SPANS = 117;
export const CTL_ALLOCATED = 118;
export const CTL_FRESH = 119;

// line 11: the non-moving space; written under its lock, or by the collector in a pause
export const CTL_NON_MOVING_LOCK = 176;
/** Address behind the highest page with references that may be in use; a multiple of a page. Only below it pages are hidden by a flip. */
export const CTL_NON_MOVING_TOP = 177;
/** Address of the lowest page of raw data that may be in use. Objects without references are placed from the end of the space down. */
export const CTL_NON_MOVING_RAW = 178;
/** 1 from remark to flip: what is allocated now is live in this cycle. */
export const CTL_NON_MOVING_FRESH = 179;
/** Bytes allocated in the space since the last sweep. */
export const CTL_NON_MOVING_SINCE = 180;
/** Bytes of it in use after the last sweep. */
export const CTL_NON_MOVING_LIVE = 181;
/** Address behind the last page that the open window hides; the space's base where it hides none. */
export const CTL_NON_MOVING_HIDDEN = 182;
/** Bumped when a sweep may have made room. */
export const CTL_NON_MOVING_SWEEPS = 183;
/** 1 while the window is being closed: a fault on a page that was free may then find it unregistered already. */
export const CTL_NON_MOVING_CLOSING = 184;

// line 8: the last stop or handshake that was given up because a thread did not answer; written by the collector before it answers the
// tickets of the cycle
/** Value of CTL_CYCLES_ASKED that the last cycle given up this way answered. */
export const CTL_TIMEOUT_TICKET = 128;
/** How many there were. */
export const CTL_TIMEOUTS = 129;
export const CTL_TIMEOUT_TID = 130;
export const CTL_TIMEOUT_MS = 131;
/** PHASE_… of the cycle. */
export const CTL_TIMEOUT_PHASE = 132;
/** PAUSE_… of the stop, or PAUSE_NONE for a handshake. */
export const CTL_TIMEOUT_PAUSE = 133;
/** The thread's name: as many words as T_NAME has. */
export const CTL_TIMEOUT_NAME = 134;

// line 9: references; constant but for the first, which the collector writes
/** 1 while weak fields may hold references to dead objects: from the remark pause until all are cleared. */
export const CTL_REFERENCES = 144;
/** Address of the reference table (REFS_…). */
export const CTL_REFERENCE_TABLE = 145;
/** 1 once a type of ephemerons is defined. */
export const CTL_EPHEMERONS_DEFINED = 146;
/** Type id of a guard that waits, 0 before the first one is made. */
export const CTL_GUARD_TYPE = 147;
/** Type id of a guard whose object is ready to be asked for. */
export const CTL_READY_TYPE = 148;

// line 10: sizing and pacing; written by the collector
/** Address up to which the heap wants to grow before the next cycle is over. Allocation may pass it up to CTL_LIMIT: growing beats waiting. */
export const CTL_SOFT_LIMIT = 160;
/** KiB of external memory at which a cycle is asked for. */
export const CTL_EXTERNAL_LIMIT_KIB = 161;
/** float64: bytes per second that allocation is expected to take. */
export const CTL_ALLOCATION_RATE = 162;
/** float64: milliseconds that the next cycle is expected to take until its flip makes room, and those that the last one took. */
export const CTL_PREDICTED_ROOM_MS = 164;
export const CTL_LAST_ROOM_MS = 166;
/** float64: bytes that were alive in the last cycle. */
export const CTL_LIVE_BYTES = 168;
/** Cycles that an idle heap began by itself. */
export const CTL_IDLE_CYCLES = 170;

// line 12: observation
/** Open recorders of traces: while it is 0, nobody writes to a trace ring. */
export const CTL_TRACES = 192;
/** Why cycles were asked for that have not begun yet: bits of heap/causes.ts, set before the ticket is drawn. */
export const CTL_CAUSES = 193;
/** Events of the collector that the thread which created the heap has heard. */
export const CTL_EVENTS_HEARD = 194;
/** Cycles that it is not told of, because it has not heard of so many others. */
export const CTL_UNREPORTED_CYCLES = 195;
/** Events that the collector has sent: messages that have arrived where they are heard. */
export const CTL_EVENTS_SENT = 196;
// line 13: who has the world (gc/world-lock.ts)
/** Lock: held by the collector during a cycle, or by a thread that looks at the stopped heap. */
export const CTL_WORLD_LOCK = 208;
/** Thread id of the one that looks at the heap, 0 when nobody does. */
export const CTL_INSPECTOR_TID = 209;
/** Numbers given to objects in snapshot files so far, so that the next snapshot begins behind them. */
export const CTL_SNAPSHOT_NUMBERS = 210;

export const CTL_WORDS = 1024;

// ---------------------------------------------------------------------------------------------------------------------------
// The reference table: guards and the queues in which their objects are asked for. Words of a page.

/** Queues that an object may be guarded for. */
export const FINALIZER_QUEUES = 16;
/** Lock of the words below. */
export const REFS_LOCK = 0;
// roots: from here to REFS_ROOTS_END
/** The guard that was registered last; each names the one before it. */
export const REFS_GUARDS = 16;
/** First and last ready guard of each queue. */
export const REFS_HEADS = 17;
export const REFS_TAILS = 33;
export const REFS_ROOTS_END = 49;
// The collector's own: the guards of each queue that this cycle found ready.
export const REFS_NEW_HEADS = 64;
export const REFS_NEW_TAILS = 80;
export const REFS_WORDS = 128;

// Kinds of pause
export const PAUSE_NONE = 0;
export const PAUSE_REMARK = 1;
export const PAUSE_FLIP = 2;
export const PAUSE_FULL = 3;
export const PAUSE_VERIFY = 4;
/** Somebody looks at the heap; it is not the collector's pause (gc/inspect). */
export const PAUSE_INSPECT = 5;

// Phases of a cycle, in their order; the same names are used in logs and documents.
export const PHASE_IDLE = 0;
export const PHASE_MARK = 1;
export const PHASE_REMARK = 2;
export const PHASE_PLAN = 3;
export const PHASE_FLIP = 4;
export const PHASE_COMPACT = 5;
export const PHASE_CLOSE = 6;

export const HEAP_OPEN = 0;
export const HEAP_CLOSED = 1;

// ---------------------------------------------------------------------------------------------------------------------------
// Thread records: one per attached mutator thread. The thread writes its own record; the collector writes T_CURSOR and T_LIMIT
// (retiring the buffer) and the shadow stack's slots, and only while the thread is stopped or in a safe region.

export const MAX_THREADS = 64;
export const THREAD_BYTES = 256;
export const THREAD_WORDS = 64;

/** THREAD_… below. */
export const T_STATE = 0;
/** Last handshake this thread has answered. */
export const T_EPOCH = 1;
export const T_TID = 2;
/** CPU the thread ran on when it last reached a safepoint's slow path; the fault server is placed there. */
export const T_CPU = 3;
// line 1: allocation and roots, hot
export const T_CURSOR = 16;
export const T_LIMIT = 17;
/** Start of the current allocation buffer. */
export const T_BUFFER = 18;
export const T_SHADOW_BASE = 19;
/** Address of the next free slot of the shadow stack. Slots below it are roots. */
export const T_SHADOW_TOP = 20;
export const T_SHADOW_LIMIT = 21;
/** What T_LIMIT was: while the thread is in a safe region that is 0. */
export const T_RESTING_LIMIT = 22;
// line 2: counters
/** float64 at this word: bytes of objects in retired buffers. */
export const T_ALLOCATED_BYTES = 32;
export const T_BUFFERS = 34;
/** The block that the thread is preparing (zeroing, say) and its bytes; 0 bytes when there is none. */
export const T_PENDING_BLOCK = 37;
export const T_PENDING_BYTES = 38;
/** The thread's name in UTF-8, padded with zeroes. */
export const T_NAME = 39;
export const NAME_WORDS = 5;
// words 44–51: pacing and external memory; never reset, so that a record's next thread goes on counting
/** Waits because of the collector's pace. */
export const T_PACED_WAITS = 44;
/** float64: microseconds of those waits. */
export const T_PACED_US = 46;
/** float64: bytes of external memory that this thread registered, less those it took back: negative where others registered them. */
export const T_EXTERNAL_BYTES = 48;
// words 56–57: the longest pause that the thread saw in one cycle
/** 1 + the number of the cycle that it belongs to; 0 before the first. */
export const T_PAUSE_CYCLE = 56;
/** Nanoseconds of it. */
export const T_PAUSE_NS = 57;

export const THREAD_FREE = 0;
export const THREAD_RUNNING = 1;
/** In a safe region: it touches neither heap nor roots, so a pause need not wait for it. */
export const THREAD_SAFE = 2;
/** Waits at a safepoint for the pause to end. */
export const THREAD_STOPPED = 3;
/** Taken, and not filled in yet: it has no roots. Its thread id is 0 until the thread has written it. */
export const THREAD_ATTACHING = 4;

/** 32-bit slots of a thread's shadow stack. */
export const SHADOW_SLOTS = 65536;

// Histograms of a thread, in nanoseconds, in the order of their place behind each other.
export const HISTOGRAM_WORDS = 1280;
export const HISTOGRAM_REMARK = 0;
export const HISTOGRAM_FLIP = 1;
export const HISTOGRAM_FULL = 2;
export const HISTOGRAM_STALL = 3;
export const HISTOGRAM_FAULT = 4;
export const HISTOGRAMS_PER_THREAD = 5;
// Behind the threads' histograms there is one for every worker: nanoseconds from reading a fault to its page being installed.

// ---------------------------------------------------------------------------------------------------------------------------
// Worker records: the collector (0) and the fault servers (1…). Each is written by its worker only, but for W_HINT's consumer.

export const MAX_WORKERS = 16;
export const WORKER_BYTES = 256;
export const WORKER_WORDS = 64;
export const COLLECTOR = 0;

export const W_STATE = 0;
export const W_TID = 1;
/** 1 from before a fault message is read until its page is installed: a window closes only when all are 0. */
export const W_BUSY = 2;
/** Page whose neighbourhood the collector should build next, plus 1; 0 is none. */
export const W_HINT = 3;
export const W_FAULTS = 4;
export const W_PAGES = 5;
/** Faults on pages that another worker was building: it will wake the faulter. */
export const W_FAULTS_SHARED = 6;
/** Faults on pages that were installed already. */
export const W_FAULTS_LATE = 7;
export const W_EEXIST = 8;
export const W_EAGAIN = 9;
export const W_CPU = 10;
/** float64 at this word: bytes of to-space that this worker built. */
export const W_BYTES_BUILT = 16;
/** float64, collector only: most bytes that the two memfds held together, as far as it looked. */
export const W_PEAK_SHARED = 18;
/** float64, collector only: bytes of from-space given back to the system. */
export const W_RELEASED = 20;

export const WORKER_NONE = 0;
export const WORKER_ARMED = 1;
export const WORKER_STOPPED = 2;
export const WORKER_FAILED = 3;
