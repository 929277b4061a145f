// Every option of a heap, once: its key, what it is for, what it may be, and what it is when nobody says. From this table come the checks,
// the defaults, the option string (text.ts), the options of `tospace run`, and docs/options.md.

import { availableParallelism } from 'node:os';
import { alignUp, GIB, KIB, MIB, MIN_HEAP_BYTES } from '../../heap/geometry.ts';
import { PAGE_BYTES, PERSISTENT_SLOTS_MAX } from '../../heap/layout.ts';
import type { DelayPoint, HeapOptions, ResolvedOptions, StressOptions } from './types.ts';
import { crash, injection } from './stress-values.ts';
import {
  delay,
  duration,
  fraction,
  integer,
  orWord,
  printSize,
  size,
  type ValueKind,
  word,
} from './values.ts';

/** What is known of the options while defaults are filled in: those that stand above in the table. */
type Above = ResolvedOptions;

export interface OptionSpec {
  readonly doc: string;
  readonly kind: ValueKind;
  /** The default, or how it follows from options that stand above. */
  readonly byDefault: unknown;
  /** The default in words, where it depends on something. */
  readonly defaultDoc?: string;
  /** What else must hold, beside options that stand above: a rule that is broken, or undefined. */
  readonly conflict?: (value: never, above: Above) => string | undefined;
}

/**
 * The most servers that `auto` starts. A server beyond the number of CPUs only takes their time, and each costs a thread with an isolate
 * of its own.
 */
const AUTO_SERVERS_MAX = 4;

/** On two CPUs one server is as fast as two with up to four threads that fault: they share one CPU, and the collector has the other. */
function autoServers(): number {
  return Math.min(Math.max(availableParallelism() - 1, 1), AUTO_SERVERS_MAX);
}

/** Default of minHeap: some cycles a second of a fast program, and little to a process that runs Node.js. */
const MIN_BYTES = 32 * MIB;

/** Smallest non-moving space: the array of persistent handles takes some of it. */
const MIN_NON_MOVING_BYTES = 64 * KIB;

function defaultNonMoving({ heap, persistentSlots }: Above): number {
  const part = heap > GIB ? heap / 16 : Math.min(Math.max(heap / 4, 4 * MIB), 256 * MIB);
  return alignUp(part, PAGE_BYTES) + alignUp(persistentSlots * 4, PAGE_BYTES);
}

const COUNT_MAX = 2 ** 31;

/** In the order in which they are resolved and printed. */
export const TABLE: Readonly<Record<Exclude<keyof HeapOptions, 'stress'>, OptionSpec>> = {
  collector: {
    doc:
      '`concurrent` compacts behind the program’s back, `stop-the-world` in one pause, `none` never. `auto` is `concurrent`, or ' +
      '`stop-the-world` where no userfaultfd can be had; `heap.mode` says why.',
    kind: word('concurrent', 'stop-the-world', 'none', 'auto'),
    byDefault: 'concurrent',
  },
  heap: {
    doc: 'Capacity of the moving space.',
    kind: size(MIN_HEAP_BYTES, 1.25 * GIB, PAGE_BYTES),
    byDefault: 256 * MIB,
  },
  minHeap: {
    doc: 'What the heap keeps for itself without need. Between this and `heap` it grows and shrinks as the program needs.',
    kind: size(MIN_HEAP_BYTES, 1.25 * GIB, PAGE_BYTES),
    byDefault: ({ heap }: Above) => Math.min(MIN_BYTES, heap),
    defaultDoc: `${printSize(MIN_BYTES)}, or \`heap\` where that is less`,
    conflict: (bytes: number, { heap }) =>
      bytes > heap ? `at most as large as heap, which is ${printSize(heap)}` : undefined,
  },
  targetUtilisation: {
    doc: 'Part of the heap that live data should fill at most, as long as there is capacity.',
    kind: fraction(0.1, 0.95),
    byDefault: 0.6,
  },
  trigger: {
    doc:
      'When cycles begin. `auto`: when what is left is just enough for what will be allocated while the cycle runs. A number: when this ' +
      'part of the room left by the last cycle is allocated; the heap’s size is then fixed.',
    kind: orWord('auto', fraction(0.05, 0.95)),
    byDefault: 'auto',
  },
  idleCollectMs: {
    doc:
      'Time without allocation, and with all threads in safe regions, after which the heap collects once and gives memory back; 0 is ' +
      'never. Only where `trigger` is `auto`.',
    kind: duration(0, COUNT_MAX),
    byDefault: 5000,
  },
  persistentSlots: {
    doc: 'Persistent handles that may exist at a time.',
    kind: integer(1, PERSISTENT_SLOTS_MAX),
    byDefault: 65536,
  },
  nonMoving: {
    doc: 'Capacity of the space for pinned and large objects, besides `heap`. Takes memory as it is used.',
    kind: size(MIN_NON_MOVING_BYTES, GIB, PAGE_BYTES),
    byDefault: defaultNonMoving,
    defaultDoc:
      'a quarter of `heap`, between 4MiB and 256MiB (a sixteenth above 1GiB, where address space is short), and room for all persistent handles',
  },
  largeObject: {
    doc:
      'Arrays of at least this size, header included, are allocated in the non-moving space while it has room: they are not copied at ' +
      'every cycle.',
    kind: size(PAGE_BYTES, COUNT_MAX),
    byDefault: 128 * KIB,
  },
  typeMaps: {
    doc: 'Room for the reference maps of record types: 8 bytes for every 64 words up to the last reference.',
    kind: size(4 * KIB, 64 * MIB, PAGE_BYTES),
    byDefault: MIB,
  },
  fill: {
    doc:
      'How a built page reaches mutators: `continue` builds it in the shadow and maps it (UFFDIO_CONTINUE), `copy` builds it in a buffer ' +
      'and copies it (UFFDIO_COPY).',
    kind: word('continue', 'copy'),
    byDefault: 'continue',
  },
  retention: {
    doc:
      'What becomes of from-space: `recycle` keeps its pages for the cycle after the next (twice the memory, the fastest), `release` ' +
      'gives them back to the system behind the sweep.',
    kind: word('recycle', 'release'),
    byDefault: ({ fill }: Above) => (fill === 'copy' ? 'release' : 'recycle'),
    defaultDoc: '`recycle`; `release` where `fill` is `copy`, which needs it',
    conflict: (retention: string, { fill }) =>
      fill === 'copy' && retention === 'recycle'
        ? "'release' with fill 'copy': UFFDIO_COPY cannot install over a page that is kept in the memfd"
        : undefined,
  },
  servers: {
    doc:
      'Fault servers. Faults of several threads at once wait for each other where there are fewer servers than that. `auto`: one CPU ' +
      `less than there are, at least 1 and at most ${AUTO_SERVERS_MAX}.`,
    kind: orWord('auto', integer(1, 15), autoServers),
    byDefault: autoServers,
    defaultDoc: '`auto`',
  },
  placement: {
    doc: '`mutator` keeps a fault server on the CPU of a mutator, whose CPU is free while it faults; `any` leaves it to the kernel.',
    kind: word('mutator', 'any'),
    byDefault: 'mutator',
  },
  userfaultfd: {
    doc: 'Which kind of userfaultfd to open. `auto`: the full kind when it is allowed, otherwise the user-mode-only one.',
    kind: word('auto', 'full', 'user-mode-only'),
    byDefault: 'auto',
  },
  safepointWarnMs: {
    doc: 'Time after which a mutator that does not reach a safepoint is reported on standard error.',
    kind: duration(1, COUNT_MAX),
    byDefault: 5000,
  },
  safepointTimeoutMs: {
    doc:
      'Time after which a collection that waits for such a mutator is given up: the heap stays as it was, whoever asked for the ' +
      'collection is told by ERR_TIMEOUT which thread it was, and the others run on. 0 is never.',
    kind: duration(0, COUNT_MAX),
    byDefault: 30_000,
  },
  pausePriority: {
    doc:
      'Whether the collector and the mutators that it stops run under a real-time policy while a short pause lasts (SCHED_FIFO), so that ' +
      'other threads of the machine do not lengthen it. `auto`: where the process may (CAP_SYS_NICE); `raise`: or an error; `keep`: never. ' +
      'Threads under a scheduling policy of their own keep it; where the collector is one, nobody is raised. ' +
      'Only for the collector `concurrent`, and not where `verify` makes pauses long.',
    kind: word('auto', 'raise', 'keep'),
    byDefault: 'auto',
  },
  faultSamples: {
    doc:
      'Pages that every thread touches and times when it leaves a flip pause: the samples of `stats().faults.latencyUs`. They delay the ' +
      'thread, so that only who measures should ask for them.',
    kind: integer(0, 64),
    byDefault: 0,
  },
  log: {
    doc: '`cycles` writes a line for each cycle to standard error, in the form of Android’s log.',
    kind: word('none', 'cycles'),
    byDefault: 'none',
  },
  verify: {
    doc:
      '`phase` checks the whole heap at every phase boundary. `full` also checks every page before it is installed, and every operation ' +
      'of a mutator: it finds stale references where they are used. Slow: `full` 10 to 100 times.',
    kind: word('off', 'phase', 'full'),
    byDefault: 'off',
  },
};

export const DELAY_POINTS: readonly DelayPoint[] = [
  'mark',
  'remark',
  'remarkPause',
  'plan',
  'flip',
  'flipPause',
  'compact',
  'batch',
  'install',
  'close',
];

/** What a member of `stress` is. None has a default: what is not there is off. */
export type StressSpec = Pick<OptionSpec, 'doc' | 'kind'>;

/** Members of `stress`; keys of the option string begin with `stress.`. */
export const STRESS_TABLE: Readonly<Record<Exclude<keyof StressOptions, 'delayMs'>, StressSpec>> = {
  collectEveryAllocation: {
    doc: 'Collect at every n-th allocation; 0 is never.',
    kind: integer(0, COUNT_MAX),
  },
  collectEverySafepoint: {
    doc: 'Collect at every n-th explicit safepoint; 0 is never.',
    kind: integer(0, COUNT_MAX),
  },
  delayedPage: {
    doc: 'The to-space page before whose installation `stress.delayMs.install` strikes; without it, every one.',
    kind: integer(0, 2 ** 20),
  },
  markStackEntries: {
    doc: 'Entries of the mark stack: a tiny one makes marking overflow.',
    kind: integer(8, 2 ** 28),
  },
  slowMarkPercent: {
    doc: 'Per cent by which marking takes longer than it does: a regression to look for.',
    kind: integer(0, 1000),
  },
  injection: {
    doc: 'System calls that fail or are delayed: the NTH, or every NTH, CALL of a thread.',
    kind: injection,
  },
  crash: { doc: 'A worker dies when it reaches a point.', kind: crash(DELAY_POINTS) },
};

/** Members of `stress.delayMs`. */
export const DELAY: StressSpec = {
  doc: 'Milliseconds the collector sleeps when it reaches the point.',
  kind: delay(60_000),
};
